#![doc = include_str!("../README.md")]

pub mod attest;
pub mod base;
pub mod benchmark;
pub mod chain;
pub mod cli;
pub mod config;
mod crash;
pub mod daemon;
pub mod journal;
pub mod keys;
pub mod metrics;
pub mod output;
pub mod plan;
pub mod trainer;
pub mod units;
