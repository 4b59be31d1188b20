//! Whole networks on this machine. Each test has its own; mostly they wait for blocks, so they run side by side, two at a time
//! and in the order of their names: the longest, of the DAO, must not come last.

#![allow(clippy::unwrap_used)]

mod challenge;
mod dao;
mod main_job;
mod network_faults;
mod proofs;
#[path = "../support/mod.rs"]
mod support;
