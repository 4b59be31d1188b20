//! The same work as one local run, as any user of tch would write it: the baseline that a round is measured against.

use crate::{
	config::{Activation, ModelSpec, Optimiser, TrainingConfig},
	dataset::Dataset,
	torch::{self, Device},
	train::TrainingError,
};
use std::time::{Duration, Instant};
use tch::{
	nn::{self, ModuleT, OptimizerConfig},
	Kind, Tensor,
};

/// What came of [`plain_steps`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PlainRun {
	/// Time of the whole run: building the model, moving the data in, and the steps.
	pub elapsed: Duration,
	/// Loss of the last step's batch (cross entropy, nats).
	pub loss: f64,
}

/// Takes `steps` local steps of the configuration in bare tch: `nn::Sequential`, `nn::Sgd` or `nn::Adam`, batches by
/// `randperm`, libtorch's own initial weights and generator seeded with `seed`. It has no artifacts, no checks after
/// each step and no repeatable shuffle, and exists to be timed against [`crate::train`]. Runs on the processor with the
/// number of threads of [`crate::set_threads`].
///
/// # Errors
/// When the configuration is not possible or the data do not fit it.
///
/// # Panics
/// When libtorch refuses an operation, as bare tch does. For valid arguments it does not.
pub fn plain_steps(
	config: &TrainingConfig,
	data: &Dataset,
	steps: u32,
	seed: u64,
) -> Result<PlainRun, TrainingError> {
	config.validate()?;
	torch::check_data(config, data)?;
	let device = torch::prepare(Device::Cpu)?;
	let start = Instant::now();
	tch::manual_seed(seed as i64);
	let samples = data.samples() as i64;
	let mut shape = vec![samples];
	shape.extend(config.input.iter().map(|&d| i64::from(d)));
	let features = Tensor::from_slice(data.features()).reshape(shape.as_slice());
	let labels: Vec<i64> = data.labels().iter().map(|&l| i64::from(l)).collect();
	let labels = Tensor::from_slice(&labels);

	let store = nn::VarStore::new(device);
	let net = network(config, &store.root());
	let mut optimiser = match config.optimiser {
		Optimiser::Sgd { learning_rate, momentum, weight_decay } => {
			nn::Sgd { momentum, dampening: 0.0, wd: weight_decay, nesterov: false }
				.build(&store, learning_rate)?
		},
		Optimiser::Adam { learning_rate, beta1, beta2, epsilon, weight_decay } => {
			nn::Adam { beta1, beta2, wd: weight_decay, eps: epsilon, amsgrad: false }
				.build(&store, learning_rate)?
		},
	};
	let batch = i64::from(config.batch_size).min(samples);
	let mut order = Tensor::randperm(samples, (Kind::Int64, device));
	let (mut next, mut loss) = (0, f64::NAN);
	for _ in 0..steps {
		if next + batch > samples {
			(order, next) = (Tensor::randperm(samples, (Kind::Int64, device)), 0);
		}
		let indices = order.narrow(0, next, batch);
		next += batch;
		let logits = net.forward_t(&features.index_select(0, &indices), true);
		let step = logits.cross_entropy_for_logits(&labels.index_select(0, &indices));
		optimiser.backward_step(&step);
		loss = step.double_value(&[]);
	}
	Ok(PlainRun { elapsed: start.elapsed(), loss })
}

fn network(config: &TrainingConfig, root: &nn::Path<'_>) -> nn::SequentialT {
	let activate = |net: nn::SequentialT, activation: Activation| {
		net.add_fn(move |x| match activation {
			Activation::Relu => x.relu(),
			Activation::Tanh => x.tanh(),
			Activation::Gelu => x.gelu("none"),
		})
	};
	let mut net = nn::seq_t();
	let (mut from, hidden, activation) = match &config.model {
		ModelSpec::Mlp { hidden, activation } => (config.input_values() as i64, hidden, *activation),
		ModelSpec::Cnn { channels, kernel, pool, dense, activation } => {
			let [mut from, mut height, mut width] = [0, 1, 2].map(|i| i64::from(config.input[i]));
			let (kernel, pool) = (i64::from(*kernel), i64::from(*pool));
			for (i, &to) in channels.iter().enumerate() {
				let same = nn::ConvConfig { padding: kernel / 2, ..Default::default() };
				net = net.add(nn::conv2d(root / format!("conv{i}"), from, i64::from(to), kernel, same));
				net = activate(net, *activation);
				if pool > 1 {
					net = net.add_fn(move |x| x.max_pool2d_default(pool));
				}
				(from, height, width) = (i64::from(to), height / pool, width / pool);
			}
			(from * height * width, dense, *activation)
		},
	};
	net = net.add_fn(|x| x.flatten(1, -1));
	for (i, &to) in hidden.iter().enumerate() {
		net = net.add(nn::linear(root / format!("dense{i}"), from, i64::from(to), Default::default()));
		net = activate(net, activation);
		from = i64::from(to);
	}
	net.add(nn::linear(root / "out", from, i64::from(config.classes), Default::default()))
}
