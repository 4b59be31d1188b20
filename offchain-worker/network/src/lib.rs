//! offchain-worker/network
