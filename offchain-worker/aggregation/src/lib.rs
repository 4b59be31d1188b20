#![doc = include_str!("../README.md")]

mod arithmetic;
mod check;
mod engine;
mod error;
mod quality;
mod round;
mod rules;

pub use cairn_primitives::{
	envelope::{ExpectedUpdate, UpdateEnvelope, WeightsEnvelope},
	AggregationRule,
};
pub use check::{check_update, CheckedUpdate, Refusal, UpdateRefused};
pub use error::{AggregationError, ShapeDifference};
pub use quality::quality;
pub use round::{aggregate, next_weights, settle, RoundInputs, Settlement};
