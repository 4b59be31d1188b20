//! The bridge to libtorch: device, threads, and the forward pass.
//!
//! Every call that libtorch may refuse goes through tch's fallible (`f_`) form, so a fault in C++ becomes an error
//! with its message and never unwinds through the foreign frames.

use crate::{
	config::{Activation, ModelSpec, TrainingConfig},
	dataset::Dataset,
	model,
	train::TrainingError,
};
use cairn_artifacts::TensorFile;
use std::{
	fmt,
	num::NonZeroU16,
	panic,
	str::FromStr,
	sync::{
		atomic::{AtomicU16, Ordering},
		Once,
	},
};
use tch::{Kind, TchError, Tensor};

/// Where training runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Device {
	/// The processor. With one thread, which is the default, the same inputs give the same bits on the same host and
	/// build.
	#[default]
	Cpu,
	/// An NVIDIA device, by number from 0. Its sums may be ordered differently from run to run.
	Cuda(u16),
}

impl Device {
	fn check(self) -> Result<tch::Device, TrainingError> {
		match self {
			Self::Cpu => Ok(tch::Device::Cpu),
			Self::Cuda(number) => {
				let present = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
				if i64::from(number) < present {
					// Autotuning would choose among algorithms by their timing.
					tch::Cuda::cudnn_set_benchmark(false);
					Ok(tch::Device::Cuda(number.into()))
				} else {
					Err(TrainingError::NoCuda { number, present })
				}
			},
		}
	}
}

impl fmt::Display for Device {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Cpu => f.write_str("cpu"),
			Self::Cuda(0) => f.write_str("cuda"),
			Self::Cuda(number) => write!(f, "cuda:{number}"),
		}
	}
}

/// A device name that is not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a device: write `cpu`, `cuda` or `cuda:NUMBER`")]
pub struct UnknownDevice(String);

impl FromStr for Device {
	type Err = UnknownDevice;

	fn from_str(text: &str) -> Result<Self, UnknownDevice> {
		match text {
			"cpu" => Ok(Self::Cpu),
			"cuda" => Ok(Self::Cuda(0)),
			_ => text
				.strip_prefix("cuda:")
				.and_then(|number| number.parse().ok())
				.map(Self::Cuda)
				.ok_or_else(|| UnknownDevice(text.to_owned())),
		}
	}
}

static THREADS: AtomicU16 = AtomicU16::new(1);

/// Sets how many threads one operation of libtorch uses on the processor, in this process and from the next call of
/// [`crate::train`] or [`crate::evaluate`] on. The default is 1: with more, sums are split differently on machines
/// with different numbers of processors, and updates are no longer repeatable bit for bit.
pub fn set_threads(threads: NonZeroU16) {
	THREADS.store(threads.get(), Ordering::Relaxed);
}

/// Applies the number of threads and finds the device.
pub(crate) fn prepare(device: Device) -> Result<tch::Device, TrainingError> {
	static INTER_OP: Once = Once::new();
	INTER_OP.call_once(|| {
		if tch::get_num_interop_threads() != 1 {
			// libtorch accepts this once per process and before any parallel work. When the host programme was
			// faster, its choice stands: nothing here runs operations side by side.
			let _ = panic::catch_unwind(|| tch::set_num_interop_threads(1));
		}
	});
	// Kept per thread by OpenMP, so it is set at every call.
	tch::set_num_threads(THREADS.load(Ordering::Relaxed).into());
	device.check()
}

/// A tensor on the device, from numbers in memory.
pub(crate) fn tensor<T: tch::kind::Element>(
	data: &[T],
	shape: &[i64],
	device: tch::Device,
) -> Result<Tensor, TchError> {
	Tensor::f_from_slice(data)?.f_reshape(shape)?.f_to_device(device)
}

/// Checks that the weights are those of the model, and puts them on the device in the order of the forward pass.
pub(crate) fn load_weights(
	config: &TrainingConfig,
	weights: &TensorFile,
	device: tch::Device,
) -> Result<Vec<Tensor>, TrainingError> {
	check_weights(config, weights)?;
	let mut out = Vec::new();
	for parameter in model::parameters(config) {
		let missing = || TrainingError::MissingTensor { name: parameter.name.clone() };
		let found = weights.get(&parameter.name).ok_or_else(missing)?;
		out.push(tensor(&found.data, &sizes(&parameter.shape), device)?);
	}
	Ok(out)
}

/// Checks that a weights file has exactly the tensors of the configuration's model, with its shapes and without NaN
/// or infinity.
///
/// # Errors
/// Names the first tensor that is missing, unknown, of another shape or not finite.
pub fn check_weights(config: &TrainingConfig, weights: &TensorFile) -> Result<(), TrainingError> {
	let parameters = model::parameters(config);
	for parameter in &parameters {
		let Some(found) = weights.get(&parameter.name) else {
			return Err(TrainingError::MissingTensor { name: parameter.name.clone() });
		};
		if found.shape != parameter.shape {
			return Err(TrainingError::Shape {
				name: parameter.name.clone(),
				found: found.shape.clone(),
				expected: parameter.shape.clone(),
			});
		}
		if !found.data.iter().all(|v| v.is_finite()) {
			return Err(TrainingError::NotFinite { name: parameter.name.clone() });
		}
	}
	match weights.signature().into_iter().find(|(name, _)| parameters.iter().all(|p| p.name != *name)) {
		Some((name, _)) => Err(TrainingError::UnknownTensor { name }),
		None => Ok(()),
	}
}

/// Checks that the model can take the data set's samples and labels.
pub(crate) fn check_data(config: &TrainingConfig, data: &Dataset) -> Result<(), TrainingError> {
	if data.sample_values() != config.input_values() {
		return Err(TrainingError::Input {
			found: data.shape().to_vec(),
			expected: config.input.iter().map(|&d| d as usize).collect(),
		});
	}
	match data.labels().iter().position(|&label| label >= config.classes) {
		Some(sample) => {
			Err(TrainingError::Label { sample, label: data.labels()[sample], classes: config.classes })
		},
		None => Ok(()),
	}
}

/// Features as `[n, input…]` and labels as `[n]`.
pub(crate) fn load_data(
	config: &TrainingConfig,
	data: &Dataset,
	device: tch::Device,
) -> Result<(Tensor, Tensor), TrainingError> {
	check_data(config, data)?;
	let mut shape = vec![data.samples() as i64];
	shape.extend(config.input.iter().map(|&d| i64::from(d)));
	let labels: Vec<i64> = data.labels().iter().map(|&l| i64::from(l)).collect();
	Ok((tensor(data.features(), &shape, device)?, tensor(&labels, &[data.samples() as i64], device)?))
}

/// The logits `[n, classes]` of samples `[n, input…]`.
pub(crate) fn forward(
	config: &TrainingConfig,
	parameters: &[Tensor],
	input: &Tensor,
) -> Result<Tensor, TchError> {
	let mut pairs = parameters.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).peekable();
	let (mut x, activation) = match &config.model {
		ModelSpec::Mlp { activation, .. } => (input.shallow_clone(), *activation),
		ModelSpec::Cnn { channels, kernel, pool, activation, .. } => {
			let (pad, pool) = (i64::from(kernel / 2), i64::from(*pool));
			let mut x = input.shallow_clone();
			for (weight, bias) in pairs.by_ref().take(channels.len()) {
				x = activate(&x.f_conv2d(weight, Some(bias), 1, pad, 1, 1)?, *activation)?;
				if pool > 1 {
					x = x.f_max_pool2d(pool, pool, 0, 1, false)?;
				}
			}
			(x, *activation)
		},
	};
	x = x.f_flatten(1, -1)?;
	while let Some((weight, bias)) = pairs.next() {
		x = x.f_linear(weight, Some(bias))?;
		if pairs.peek().is_some() {
			x = activate(&x, activation)?;
		}
	}
	Ok(x)
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
	match activation {
		Activation::Relu => x.f_relu(),
		Activation::Tanh => x.f_tanh(),
		Activation::Gelu => x.f_gelu("none"),
	}
}

/// Mean cross entropy of logits against labels.
pub(crate) fn mean_loss(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
	logits.f_cross_entropy_loss(labels, None::<Tensor>, tch::Reduction::Mean, -100, 0.0)
}

/// The values of a tensor, in row-major order.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
	let host = tensor.f_detach()?.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
	let len = host.numel();
	let mut out = vec![0f32; len];
	host.f_copy_data(&mut out, len)?;
	Ok(out)
}

pub(crate) fn sizes(shape: &[usize]) -> Vec<i64> {
	shape.iter().map(|&d| d as i64).collect()
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	#[test]
	fn device_is_read_from_its_text_and_written_back() {
		for (text, device) in [("cpu", Device::Cpu), ("cuda", Device::Cuda(0)), ("cuda:3", Device::Cuda(3))] {
			assert_eq!(text.parse(), Ok(device));
			assert_eq!(device.to_string(), text);
		}
		for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
			assert_eq!(text.parse::<Device>(), Err(UnknownDevice(text.into())));
		}
	}

	#[test]
	fn cuda_device_is_refused_when_it_is_absent() {
		let error = prepare(Device::Cuda(u16::MAX)).unwrap_err();
		assert!(matches!(error, TrainingError::NoCuda { number: u16::MAX, .. }));
		assert!(error.to_string().contains("cpu"), "{error}");
	}
}
