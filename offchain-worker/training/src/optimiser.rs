//! Local optimisers, written out over libtorch's in-place operations.

use crate::config::Optimiser;
use std::convert::Infallible;
use tch::{TchError, Tensor};

/// An optimiser with its state, one entry per parameter.
pub(crate) enum State {
	Sgd { learning_rate: f64, momentum: f64, weight_decay: f64, velocity: Vec<Tensor> },
	Adam { learning_rate: f64, betas: [f64; 2], epsilon: f64, weight_decay: f64, moments: Vec<[Tensor; 2]> },
}

impl State {
	pub fn new(optimiser: &Optimiser, parameters: &[Tensor]) -> Result<Self, TchError> {
		let zeros = |p: &Tensor| p.f_detach()?.f_zeros_like();
		Ok(match *optimiser {
			Optimiser::Sgd { learning_rate, momentum, weight_decay } => Self::Sgd {
				learning_rate,
				momentum,
				weight_decay,
				velocity: if momentum > 0.0 {
					parameters.iter().map(zeros).collect::<Result<_, _>>()?
				} else {
					Vec::new()
				},
			},
			Optimiser::Adam { learning_rate, beta1, beta2, epsilon, weight_decay } => Self::Adam {
				learning_rate,
				betas: [beta1, beta2],
				epsilon,
				weight_decay,
				moments: parameters
					.iter()
					.map(|p| Ok([zeros(p)?, zeros(p)?]))
					.collect::<Result<_, TchError>>()?,
			},
		})
	}

	/// A copy that shares no memory with this one.
	pub fn copy(&self) -> Result<Self, TchError> {
		self.map(duplicate)
	}

	/// This state again, in the same memory.
	pub fn share(&self) -> Self {
		let Ok(shared) = self.map(|tensor| Ok::<_, Infallible>(tensor.shallow_clone()));
		shared
	}

	/// The same optimiser with the tensors that `each` makes of its own.
	fn map<E>(&self, each: impl Fn(&Tensor) -> Result<Tensor, E>) -> Result<Self, E> {
		Ok(match self {
			Self::Sgd { learning_rate, momentum, weight_decay, velocity } => Self::Sgd {
				learning_rate: *learning_rate,
				momentum: *momentum,
				weight_decay: *weight_decay,
				velocity: velocity.iter().map(&each).collect::<Result<_, E>>()?,
			},
			Self::Adam { learning_rate, betas, epsilon, weight_decay, moments } => Self::Adam {
				learning_rate: *learning_rate,
				betas: *betas,
				epsilon: *epsilon,
				weight_decay: *weight_decay,
				moments: moments
					.iter()
					.map(|[first, second]| Ok::<_, E>([each(first)?, each(second)?]))
					.collect::<Result<_, E>>()?,
			},
		})
	}

	/// Applies the gradients of step `step`, counted from 1 since the state was zero. Call it without gradient tracking.
	pub fn step(
		&mut self,
		parameters: &mut [Tensor],
		gradients: &[Tensor],
		step: u32,
	) -> Result<(), TchError> {
		match self {
			Self::Sgd { learning_rate, momentum, weight_decay, velocity } => {
				for (i, (parameter, gradient)) in parameters.iter_mut().zip(gradients).enumerate() {
					let gradient = decayed(gradient, parameter, *weight_decay)?;
					let direction = match velocity.get_mut(i) {
						Some(velocity) => {
							let _ = velocity.f_mul_scalar_(*momentum)?.f_add_(&gradient)?;
							velocity.shallow_clone()
						},
						None => gradient,
					};
					let _ = parameter.f_sub_(&direction.f_mul_scalar(*learning_rate)?)?;
				}
			},
			Self::Adam { learning_rate, betas: [beta1, beta2], epsilon, weight_decay, moments } => {
				let step = i32::try_from(step).unwrap_or(i32::MAX);
				let (correction1, correction2) = (1.0 - beta1.powi(step), 1.0 - beta2.powi(step));
				for ((parameter, gradient), [first, second]) in
					parameters.iter_mut().zip(gradients).zip(moments)
				{
					let gradient = decayed(gradient, parameter, *weight_decay)?;
					let _ = first.f_mul_scalar_(*beta1)?.f_add_(&gradient.f_mul_scalar(1.0 - *beta1)?)?;
					let square = gradient.f_square()?.f_mul_scalar(1.0 - *beta2)?;
					let _ = second.f_mul_scalar_(*beta2)?.f_add_(&square)?;
					let mut divisor = second.f_div_scalar(correction2)?.f_sqrt()?;
					let divisor = divisor.f_add_scalar_(*epsilon)?;
					let direction = first.f_mul_scalar(*learning_rate / correction1)?.f_div(&divisor)?;
					let _ = parameter.f_sub_(&direction)?;
				}
			},
		}
		Ok(())
	}
}

/// A tensor of the same values in memory of its own.
pub(crate) fn duplicate(tensor: &Tensor) -> Result<Tensor, TchError> {
	let mut out = tensor.f_zeros_like()?;
	out.f_copy_(tensor)?;
	Ok(out)
}

/// The gradient plus the L2 penalty's.
fn decayed(gradient: &Tensor, parameter: &Tensor, weight_decay: f64) -> Result<Tensor, TchError> {
	if weight_decay > 0.0 {
		gradient.f_add(&parameter.f_mul_scalar(weight_decay)?)
	} else {
		Ok(gradient.shallow_clone())
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use tch::nn::{self, OptimizerConfig};

	/// Runs ours and libtorch's own on the same loss and compares the outcome.
	fn compare<C: OptimizerConfig>(ours: &Optimiser, theirs: C, learning_rate: f64) {
		let start = [0.5f32, -1.5, 2.0];
		let loss = |w: &Tensor| ((w - 1.0).square() * Tensor::from_slice(&[1.0f32, 2.0, 0.5])).sum(None);

		let store = nn::VarStore::new(tch::Device::Cpu);
		let mut reference = store.root().var_copy("w", &Tensor::from_slice(&start));
		let mut optimiser = theirs.build(&store, learning_rate).unwrap();

		let mut parameters = [Tensor::from_slice(&start).set_requires_grad(true)];
		let mut state = State::new(ours, &parameters).unwrap();
		for step in 1..=20 {
			optimiser.backward_step(&loss(&reference));
			let gradients = Tensor::run_backward(&[loss(&parameters[0])], &parameters, false, false);
			tch::no_grad(|| state.step(&mut parameters, &gradients, step)).unwrap();
		}
		let difference = (&parameters[0] - &reference).abs().max().double_value(&[]);
		let moved = (&reference - Tensor::from_slice(&start)).abs().max().double_value(&[]);
		assert!(difference < 1e-5 && moved > 0.1, "{ours:?}: {difference} of {moved}");
		reference.zero_grad();
	}

	#[test]
	fn optimisers_agree_with_those_of_libtorch() {
		for (momentum, weight_decay) in [(0.0, 0.0), (0.9, 0.0), (0.0, 0.1), (0.5, 0.01)] {
			compare(
				&Optimiser::Sgd { learning_rate: 0.05, momentum, weight_decay },
				nn::Sgd { momentum, dampening: 0.0, wd: weight_decay, nesterov: false },
				0.05,
			);
		}
		for weight_decay in [0.0, 0.1] {
			compare(
				&Optimiser::Adam {
					learning_rate: 0.05,
					beta1: 0.8,
					beta2: 0.99,
					epsilon: 1e-8,
					weight_decay,
				},
				nn::Adam { beta1: 0.8, beta2: 0.99, wd: weight_decay, eps: 1e-8, amsgrad: false },
				0.05,
			);
		}
	}
}
