//! offchain-worker/training
