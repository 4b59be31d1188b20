//! The tensors of a model: names, shapes, and how each starts. No libtorch here.

use crate::config::{Activation, ModelSpec, TrainingConfig};

/// How a tensor of the genesis weights is filled.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Init {
	/// With zeros.
	Zero,
	/// Uniformly from [-bound, bound).
	Uniform {
		/// The bound.
		bound: f32,
	},
}

/// One tensor of a model.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parameter {
	pub name: String,
	pub shape: Vec<usize>,
	pub init: Init,
}

/// gain² of Kaiming initialisation (He et al. 2015; for tanh the usual 5/3).
fn squared_gain(activation: Activation) -> f64 {
	match activation {
		Activation::Relu | Activation::Gelu => 2.0,
		Activation::Tanh => 25.0 / 9.0,
	}
}

/// Weight and bias of one layer. The bound is gain·√(3 / fan_in): division and square root are correctly rounded in IEEE 754, so
/// it has the same bits on every host.
fn layer(out: &mut Vec<Parameter>, name: &str, shape: Vec<usize>, squared_gain: f64) {
	let fan_in: usize = shape[1..].iter().product();
	let bound = (3.0 * squared_gain / fan_in as f64).sqrt() as f32;
	let width = shape[0];
	out.push(Parameter { name: format!("{name}.weight"), shape, init: Init::Uniform { bound } });
	out.push(Parameter { name: format!("{name}.bias"), shape: vec![width], init: Init::Zero });
}

/// The tensors in the order in which the forward pass uses them: `conv.0.weight`, `conv.0.bias`, …,
/// `dense.0.weight`, `dense.0.bias`, …. Weights are `[out, in]` and `[out, in, kernel, kernel]`, as in PyTorch.
///
/// The configuration must be valid.
pub(crate) fn parameters(config: &TrainingConfig) -> Vec<Parameter> {
	let mut out = Vec::new();
	let (mut from, hidden, activation) = match &config.model {
		ModelSpec::Mlp { hidden, activation } => (config.input_values(), hidden, *activation),
		ModelSpec::Cnn { channels, kernel, pool, dense, activation } => {
			let [mut from, mut height, mut width] = [0, 1, 2].map(|i| config.input[i] as usize);
			let (kernel, pool) = (*kernel as usize, *pool as usize);
			for (i, &to) in channels.iter().enumerate() {
				let shape = vec![to as usize, from, kernel, kernel];
				layer(&mut out, &format!("conv.{i}"), shape, squared_gain(*activation));
				(from, height, width) = (to as usize, height / pool, width / pool);
			}
			(from * height * width, dense, *activation)
		},
	};
	for (i, &to) in hidden.iter().enumerate() {
		layer(&mut out, &format!("dense.{i}"), vec![to as usize, from], squared_gain(activation));
		from = to as usize;
	}
	// Nothing follows the last layer, so its gain is 1.
	layer(&mut out, &format!("dense.{}", hidden.len()), vec![config.classes as usize, from], 1.0);
	out
}
