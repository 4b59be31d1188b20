#![doc = include_str!("../README.md")]

pub mod bench;
pub mod binaries;
pub mod chaos;
pub mod devnet;
pub mod lan;
pub mod ledger;
pub mod ports;
pub mod process;
pub mod report;
pub mod rpc;
pub mod spec;
pub mod ui;
pub mod worker;

pub use devnet::{Builder, Devnet, Keep};
