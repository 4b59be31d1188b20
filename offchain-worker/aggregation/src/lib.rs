#![doc = include_str!("../README.md")]

mod arithmetic;
mod check;
mod distances;
mod engine;
mod error;
mod optimiser;
mod pairs;
mod pre;
mod products;
mod quality;
mod round;
mod rows;
mod rules;
mod state;
mod sums;

pub use cairn_primitives::{
	aggregation::{Aggregation, EffectiveSteps, Mixing, Normalisation, ServerOptimiser},
	envelope::{ExpectedUpdate, StateEnvelope, UpdateEnvelope, WeightsEnvelope},
	AggregationRule,
};
pub use check::{check_mapped_update, check_update, CheckedUpdate, Refusal, UpdateRefused};
pub use error::{AggregationError, Bucketed, ShapeDifference};
pub use pre::{Bucketing, PreAggregation, BUCKETING_DOMAIN};
pub use quality::quality;
pub use round::{
	aggregate, aggregate_with, next_weights, settle, settle_with, Method, RoundInputs, Settlement,
};
pub use state::State;
