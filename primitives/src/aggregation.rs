//! How a programme aggregates: the rule and what surrounds it, as the chain keeps it.
//!
//! What each part computes, and its source, is in `cairn-aggregation`. Parameters are integers, as in [`crate::rule`].

use crate::{
	rule::{ParameterOutOfRange, MILLION},
	AggregationRule,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// From a round's included updates to its next weights. The default is federated averaging: the weighted mean, taken
/// from the base weights as it is.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(
	feature = "serde",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Aggregation {
	/// How updates become one pseudo-gradient.
	pub rule: AggregationRule,
	/// Before the rule: makes up for different numbers of local steps.
	#[cfg_attr(feature = "serde", serde(default))]
	pub normalisation: Option<Normalisation>,
	/// Before the rule: so many updates at a time, in an order from the round's randomness, are averaged into one.
	#[cfg_attr(feature = "serde", serde(default))]
	pub bucketing: Option<u32>,
	/// Before the rule: each update, or bucket, becomes the mean of its nearest ones.
	#[cfg_attr(feature = "serde", serde(default))]
	pub mixing: Option<Mixing>,
	/// What is made of the pseudo-gradient.
	#[cfg_attr(feature = "serde", serde(default))]
	pub optimiser: ServerOptimiser,
}

/// Normalisation by local steps: Wang and others, "Tackling the Objective Inconsistency Problem in Heterogeneous
/// Federated Optimization", 2020 (FedNova), in the form for plain local steps: update *i*, made in *τᵢ* steps, counts
/// times min(*τ* / *τᵢ*, *cap*).
///
/// Steps are what a worker declares. The cap bounds what declaring few of them gains: without it, an update of one step
/// would count *τ* times.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Normalisation {
	/// The number of steps *τ* that all updates are brought to.
	pub effective: EffectiveSteps,
	/// The greatest factor, in millionths: at least 1,000,000.
	pub cap: u32,
}

/// The number of steps that updates are brought to.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum EffectiveSteps {
	/// The mean of the steps weighted by samples, as in the paper. Not robust: one worker that declares many of both
	/// moves it. For the weighted mean.
	Mean,
	/// The median of the steps, the lesser one of the two in the middle of an even number. For robust rules.
	Median,
}

/// Nearest-neighbour mixing: Allouah and others, "Fixing by Mixing: A Recipe for Optimal Byzantine ML under
/// Heterogeneity", 2023. Each row is replaced by the mean of the *n* − `hostile` rows nearest to it, itself among them.
///
/// With *f* = `hostile` < *n*/2 hostile rows, an honest row moves by less than the greatest distance *D* between two honest
/// ones: the *n* − *f* honest rows are all within *D* of it, so the *n* − *f* nearest are. The hostile ones may be chosen
/// as neighbours, so the rule after it has to withstand *f* all the same.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Mixing {
	/// How many hostile rows there may be: fewer than half.
	pub hostile: u32,
}

/// How an aggregate, the round's pseudo-gradient, is applied to the base weights. All numbers are fixed-point.
///
/// Encoded on chain: new optimisers are appended, and none is ever changed.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum ServerOptimiser {
	/// *w* − *rate*·*a*. With a rate of 1, the default, this is federated averaging.
	#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
	Sgd {
		/// The learning rate, in millionths: at least 1.
		rate: u32,
	},
	/// Stochastic gradient descent with Nesterov momentum, as DiLoCo (Douillard and others, 2023) applies it to
	/// pseudo-gradients: *m* ← *μ*·*m* + *a*, then *w* − *rate*·(*a* + *μ*·*m*).
	#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
	Nesterov {
		/// The learning rate, in millionths: at least 1.
		rate: u32,
		/// The momentum *μ*, in millionths: below 1,000,000.
		momentum: u32,
	},
	/// Adam (Kingma and Ba, 2015, algorithm 1, with its correction of the bias), as Reddi and others apply it to
	/// pseudo-gradients in "Adaptive Federated Optimization", 2021 (FedAdam, there without the correction).
	#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
	Adam {
		/// The learning rate, in millionths: at least 1.
		rate: u32,
		/// Decay of the mean, in millionths: below 1,000,000.
		beta1: u32,
		/// Decay of the mean square, in millionths: below 1,000,000.
		beta2: u32,
		/// What is added to the denominator, in 10⁻¹²: at least 1.
		epsilon: u64,
	},
}

impl ServerOptimiser {
	/// Federated averaging: the aggregate as it is.
	pub const PLAIN: Self = Self::Sgd { rate: MILLION as u32 };
	/// DiLoCo's outer optimiser: rate 0.7, momentum 0.9.
	pub const DILOCO: Self = Self::Nesterov { rate: 700_000, momentum: 900_000 };

	/// Checks the numbers.
	///
	/// # Errors
	/// Names the first that is out of its range.
	pub fn check(&self) -> Result<(), ParameterOutOfRange> {
		let below_one = MILLION - 1;
		let (any, most) = (u64::from(u32::MAX), u64::MAX);
		let rate = |rate: u32| ("optimiser.rate", u64::from(rate), 1, any);
		// A range that nothing is out of stands for "no such number".
		let none = ("", 0, 0, most);
		let numbers = match *self {
			Self::Sgd { rate: r } => [rate(r), none, none, none],
			Self::Nesterov { rate: r, momentum } => {
				[rate(r), ("optimiser.momentum", momentum.into(), 0, below_one), none, none]
			},
			Self::Adam { rate: r, beta1, beta2, epsilon } => [
				rate(r),
				("optimiser.beta1", beta1.into(), 0, below_one),
				("optimiser.beta2", beta2.into(), 0, below_one),
				("optimiser.epsilon", epsilon, 1, most),
			],
		};
		numbers.into_iter().try_for_each(|(name, value, low, high)| within(name, value, low, high))
	}
}

impl Default for ServerOptimiser {
	fn default() -> Self {
		Self::PLAIN
	}
}

impl Normalisation {
	/// Checks the cap.
	///
	/// # Errors
	/// When it is below 1.
	pub fn check(&self) -> Result<(), ParameterOutOfRange> {
		within("normalisation.cap", self.cap.into(), MILLION, u32::MAX.into())
	}
}

impl Default for Aggregation {
	fn default() -> Self {
		AggregationRule::WeightedMean.into()
	}
}

impl From<AggregationRule> for Aggregation {
	/// The rule with nothing around it.
	fn from(rule: AggregationRule) -> Self {
		Self { rule, normalisation: None, bucketing: None, mixing: None, optimiser: ServerOptimiser::PLAIN }
	}
}

impl Aggregation {
	/// The smallest number of updates that can be aggregated: the rule and mixing work on buckets where there are any,
	/// and of `k` buckets of `s` the last may have a single update. Saturates, which no round reaches.
	pub fn min_updates(&self) -> u32 {
		let mixing = self.mixing.map_or(0, |m| m.hostile.saturating_mul(2).saturating_add(1));
		let rows = self.rule.min_updates().max(mixing);
		match self.bucketing {
			None => rows,
			Some(size) => rows.saturating_sub(1).saturating_mul(size).saturating_add(1),
		}
	}

	/// Whether a round starts from what the last one left beside the weights: see `cairn-aggregation`.
	pub fn has_state(&self) -> bool {
		matches!(self.rule, AggregationRule::CenteredClipping { .. })
			|| !matches!(self.optimiser, ServerOptimiser::Sgd { .. })
	}

	/// Checks what does not depend on how many updates there are; [`Self::min_updates`] has the rest.
	///
	/// # Errors
	/// Names the first parameter that is out of its range.
	pub fn check(&self) -> Result<(), ParameterOutOfRange> {
		self.rule.check_parameters()?;
		if let Some(normalisation) = self.normalisation {
			normalisation.check()?;
		}
		if let Some(size) = self.bucketing {
			within("bucketing", size.into(), 1, u32::MAX.into())?;
		}
		self.optimiser.check()
	}
}

fn within(parameter: &'static str, value: u64, low: u64, high: u64) -> Result<(), ParameterOutOfRange> {
	if (low..=high).contains(&value) {
		Ok(())
	} else {
		Err(ParameterOutOfRange { parameter, value, low, high })
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn least_updates_are_those_of_the_rule_or_of_mixing_in_buckets() {
		let mut a = Aggregation::from(AggregationRule::Krum { hostile: 1 });
		assert_eq!(a.min_updates(), 5);
		a.mixing = Some(Mixing { hostile: 3 });
		assert_eq!(a.min_updates(), 7);
		a.bucketing = Some(2);
		// Seven buckets of two, the last with one.
		assert_eq!(a.min_updates(), 13);
		a.bucketing = Some(u32::MAX);
		assert_eq!(a.min_updates(), u32::MAX);
	}

	#[test]
	fn numbers_out_of_bounds_are_refused_by_name() {
		let plain = Aggregation::default();
		let normalised = |cap| Aggregation {
			normalisation: Some(Normalisation { effective: EffectiveSteps::Mean, cap }),
			..plain
		};
		let optimised = |optimiser| Aggregation { optimiser, ..plain };
		let adam = |beta1, beta2, epsilon| ServerOptimiser::Adam { rate: 1, beta1, beta2, epsilon };
		for good in
			[plain, normalised(1_000_000), optimised(adam(0, 999_999, 1)), optimised(ServerOptimiser::DILOCO)]
		{
			assert_eq!(good.check(), Ok(()));
		}
		for (bad, name) in [
			(AggregationRule::MultiKrum { hostile: 0, selected: 0 }.into(), "selected"),
			(normalised(999_999), "normalisation.cap"),
			(Aggregation { bucketing: Some(0), ..plain }, "bucketing"),
			(optimised(ServerOptimiser::Sgd { rate: 0 }), "optimiser.rate"),
			(optimised(ServerOptimiser::Nesterov { rate: 1, momentum: 1_000_000 }), "optimiser.momentum"),
			(optimised(adam(1_000_000, 0, 1)), "optimiser.beta1"),
			(optimised(adam(0, 1_000_000, 1)), "optimiser.beta2"),
			(optimised(adam(0, 0, 0)), "optimiser.epsilon"),
		] {
			assert_eq!(bad.check().expect_err("out of range").parameter, name);
		}
	}

	#[test]
	fn encoding_never_changes() {
		let plain = Aggregation::default();
		assert_eq!(hex::encode(plain.encode()), "000000000040420f00");
		let full = Aggregation {
			rule: AggregationRule::CENTERED_CLIPPING,
			normalisation: Some(Normalisation { effective: EffectiveSteps::Median, cap: 4_000_000 }),
			bucketing: Some(2),
			mixing: Some(Mixing { hostile: 1 }),
			optimiser: ServerOptimiser::Adam { rate: 1, beta1: 2, beta2: 3, epsilon: 4 },
		};
		let bytes = "06809698000000000003000000010100093d0001020000000101000000020100000002000000030000000400000000000000";
		assert_eq!(hex::encode(full.encode()), bytes);
		assert_eq!(Aggregation::decode(&mut &full.encode()[..]), Ok(full));
	}

	#[cfg(feature = "serde")]
	#[test]
	fn json_needs_only_the_rule() {
		let read = |text: &str| serde_json::from_str::<Aggregation>(text);
		assert_eq!(read(r#"{"rule":"weightedMean"}"#).expect("reads"), Aggregation::default());
		let text = r#"{"rule":"coordinateMedian","bucketing":2,"optimiser":{"nesterov":{"rate":700000,"momentum":900000}}}"#;
		let expected = Aggregation {
			bucketing: Some(2),
			optimiser: ServerOptimiser::DILOCO,
			..AggregationRule::CoordinateMedian.into()
		};
		assert_eq!(read(text).expect("reads"), expected);
		assert_eq!(read(&serde_json::to_string(&expected).expect("writes")).expect("reads back"), expected);
		assert!(read(r#"{"rule":"weightedMean","bucket":2}"#).is_err());
	}
}
