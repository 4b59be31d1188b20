//! Whole networks on this machine. Each test has its own; mostly they wait for blocks, so they run side by side.

#![allow(clippy::unwrap_used)]

mod challenge;
mod chaos;
mod dao;
mod main_job;
#[path = "../support/mod.rs"]
mod support;
