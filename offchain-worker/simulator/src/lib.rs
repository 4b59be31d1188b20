#![doc = include_str!("../README.md")]

pub mod attacks;
mod config;
mod crew;
mod error;
mod fields;
mod grid;
mod plot;
mod results;
mod run;

pub use config::{Attack, AttackKind, Backdoor, Method, Share, Simulation};
pub use error::SimulationError;
pub use grid::{Estimate, Simulator, Watcher};
pub use results::{prepare_folder, End, Results, Round, Run, Summary, RESULTS_FORMAT};
pub use run::RunId;
