//! offchain-worker/aggregation
