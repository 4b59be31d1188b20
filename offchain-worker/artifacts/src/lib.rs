//! offchain-worker/artifacts
