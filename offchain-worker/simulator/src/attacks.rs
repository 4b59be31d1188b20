//! What hostile workers send: functions of plain vectors, without libtorch, for whoever plays one.
//!
//! Vectors are updates with their tensors one after the other, all of one length. An update is base weights minus trained
//! weights, so it points where a gradient does. `honest` are the updates of the honest workers of the round, which the
//! attacks that take them are assumed to know: none is kept from knowing them in this threat model, and all hostile
//! workers work together. Sums are made in binary64, and what is beyond binary32 becomes its greatest number.

use cairn_training::random::Stream;

fn narrow(value: f64) -> f32 {
	// A NaN stays one.
	value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
	a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The mean of the vectors; nothing when there are none.
fn mean(vectors: &[&[f32]]) -> Vec<f64> {
	let length = vectors.first().map_or(0, |v| v.len());
	let mut sum = vec![0.0; length];
	for vector in vectors {
		for (sum, value) in sum.iter_mut().zip(*vector) {
			*sum += f64::from(*value);
		}
	}
	sum.iter_mut().for_each(|sum| *sum /= vectors.len() as f64);
	sum
}

/// The standard deviation of the vectors in each coordinate, with the divisor *h* − 1 for *h* vectors; zeros for one.
fn deviation(vectors: &[&[f32]], mean: &[f64]) -> Vec<f64> {
	let mut sum = vec![0.0; mean.len()];
	for vector in vectors {
		for ((sum, value), mean) in sum.iter_mut().zip(*vector).zip(mean) {
			let difference = f64::from(*value) - mean;
			*sum += difference * difference;
		}
	}
	let divisor = vectors.len().saturating_sub(1).max(1) as f64;
	sum.iter().map(|sum| (sum / divisor).sqrt()).collect()
}

/// The update times a number: −1 is the sign flip, a large one makes up for what an average takes away.
pub fn scaled(own: &[f32], factor: f64) -> Vec<f32> {
	own.iter().map(|value| narrow(factor * f64::from(*value))).collect()
}

/// Sign flip: the opposite of an honest update, `scale` times as long. Li and others 2020, "Learning to Detect Malicious
/// Clients for Robust Federated Learning"; "bit flipping" in Karimireddy and others 2022.
pub fn sign_flip(own: &[f32], scale: f64) -> Vec<f32> {
	scaled(own, -scale)
}

/// An update of nothing but NaN. Every honest receiver refuses it.
pub fn not_a_number(length: usize) -> Vec<f32> {
	vec![f32::NAN; length]
}

/// Random noise: independent normal numbers with this standard deviation. Blanchard and others 2017, "Machine Learning
/// with Adversaries", there with a deviation of √200.
pub fn noise(length: usize, deviation: f64, stream: &mut Stream) -> Vec<f32> {
	(0..length).map(|_| narrow(deviation * stream.normal())).collect()
}

/// Inner-product manipulation: −`epsilon` · mean(honest). Xie and others 2019, "Fall of Empires"; 0.1 is usual. It looks
/// short and harmless, and turns rules around that select what is short.
pub fn inner_product_manipulation(honest: &[&[f32]], epsilon: f64) -> Vec<f32> {
	mean(honest).into_iter().map(|mean| narrow(-epsilon * mean)).collect()
}

/// The *z* of [`little_is_enough`] for `workers` of which `hostile` are: Φ⁻¹((*n* − *f* − *s*) / (*n* − *f*)) with
/// *s* = ⌊*n*/2 + 1⌋ − *f*, the honest workers that are needed for a majority. `None` where the hostile ones have it
/// without any, or where there are none.
pub fn little_is_enough_z(workers: u32, hostile: u32) -> Option<f64> {
	let needed = (u64::from(workers) / 2 + 1).checked_sub(hostile.into()).filter(|s| *s > 0)?;
	let honest = u64::from(workers).checked_sub(hostile.into()).filter(|_| hostile > 0)?;
	let beyond = honest.checked_sub(needed).filter(|n| *n > 0)?;
	Some(normal_quantile(beyond as f64 / honest as f64))
}

/// Φ⁻¹ for 0 < `p` < 1, by halving an interval until it is two neighbouring numbers.
fn normal_quantile(p: f64) -> f64 {
	let (mut low, mut high) = (-40.0, 40.0);
	loop {
		let middle = low + (high - low) / 2.0;
		if middle <= low || middle >= high {
			return middle;
		}
		if 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2) < p {
			low = middle;
		} else {
			high = middle;
		}
	}
}

/// A little is enough: mean(honest) − *z* · deviation(honest), in each coordinate, which is close enough to many honest
/// updates to be taken for one. Baruch and others 2019; *z* by [`little_is_enough_z`].
pub fn little_is_enough(honest: &[&[f32]], z: f64) -> Vec<f32> {
	let mean = mean(honest);
	let deviation = deviation(honest, &mean);
	mean.iter().zip(deviation).map(|(mean, deviation)| narrow(mean - z * deviation)).collect()
}

/// Where [`min_max`] and [`min_sum`] go from the mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Perturbation {
	/// Against the standard deviation of each coordinate.
	Deviation,
	/// Against the mean, as a vector of length 1.
	Unit,
	/// Against the sign of the mean in each coordinate.
	Sign,
}

/// The honest updates as [`min_max`] and [`min_sum`] see them.
struct Spread {
	mean: Vec<f64>,
	direction: Vec<f64>,
	/// mean − honest *i*.
	offsets: Vec<Vec<f64>>,
	/// ‖honest *i* − honest *j*‖².
	distances: Vec<Vec<f64>>,
}

impl Spread {
	fn of(honest: &[&[f32]], perturbation: Perturbation) -> Self {
		let mean = mean(honest);
		let direction = match perturbation {
			Perturbation::Deviation => deviation(honest, &mean).into_iter().map(|d| -d).collect(),
			Perturbation::Unit => {
				let length = dot(&mean, &mean).sqrt();
				mean.iter().map(|m| if length > 0.0 { -m / length } else { 0.0 }).collect()
			},
			Perturbation::Sign => mean.iter().map(|m| if *m == 0.0 { 0.0 } else { -m.signum() }).collect(),
		};
		let offset = |v: &&[f32]| v.iter().zip(&mean).map(|(v, m)| m - f64::from(*v)).collect();
		let offsets: Vec<Vec<f64>> = honest.iter().map(offset).collect();
		let square = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
		let distances = offsets.iter().map(|a| offsets.iter().map(|b| square(a, b)).collect()).collect();
		Self { mean, direction, offsets, distances }
	}

	/// mean + γ · direction.
	fn at(&self, gamma: f64) -> Vec<f32> {
		self.mean.iter().zip(&self.direction).map(|(m, d)| narrow(m + gamma * d)).collect()
	}
}

/// The larger root of *a*·*x*² + 2*b*·*x* + *c* = 0, for *a* ≥ 0 and *c* ≤ 0; 0 where there is no direction to go.
fn larger_root(a: f64, b: f64, c: f64) -> f64 {
	if a > 0.0 {
		(-b + (b * b - a * c.min(0.0)).sqrt()) / a
	} else {
		0.0
	}
}

/// Min-Max: mean + *γ* · direction with the greatest *γ* for which no honest update is further from it than the two
/// honest ones that are furthest apart. Shejwalkar and Houmansadr 2021, "Manipulating the Byzantine"; *γ* is the least of
/// the quadratic equations' roots, one per honest update, where the paper searches for it.
pub fn min_max(honest: &[&[f32]], perturbation: Perturbation) -> Vec<f32> {
	let spread = Spread::of(honest, perturbation);
	let widest = spread.distances.iter().flatten().copied().fold(0.0, f64::max);
	let a = dot(&spread.direction, &spread.direction);
	let root =
		|offset: &Vec<f64>| larger_root(a, dot(&spread.direction, offset), dot(offset, offset) - widest);
	let gamma = spread.offsets.iter().map(root).fold(f64::INFINITY, f64::min);
	spread.at(if gamma.is_finite() { gamma } else { 0.0 })
}

/// Min-Sum: as [`min_max`], where the sum of squared distances to all honest updates must not be above the greatest such
/// sum of an honest update.
pub fn min_sum(honest: &[&[f32]], perturbation: Perturbation) -> Vec<f32> {
	let spread = Spread::of(honest, perturbation);
	let widest = spread.distances.iter().map(|row| row.iter().sum()).fold(0.0, f64::max);
	let count = honest.len() as f64;
	let b: f64 = spread.offsets.iter().map(|offset| dot(&spread.direction, offset)).sum();
	let own: f64 = spread.offsets.iter().map(|offset| dot(offset, offset)).sum();
	spread.at(larger_root(count * dot(&spread.direction, &spread.direction), b, own - widest))
}

/// Mimic: all hostile workers send what one honest worker sends, so that its data count too much and others' too little,
/// and no rule can tell. Karimireddy and others 2022. In the first `warm_up` rounds the direction in which honest updates
/// differ most is learnt by an online power iteration, and who is furthest along it is copied; then the last one for good.
#[derive(Clone, Debug)]
pub struct Mimic {
	warm_up: u32,
	round: u32,
	mean: Vec<f64>,
	direction: Vec<f64>,
	target: usize,
}

impl Mimic {
	/// Before the first round. `stream` gives the direction to start from.
	pub fn new(length: usize, warm_up: u32, stream: &mut Stream) -> Self {
		let direction = (0..length).map(|_| stream.normal()).collect();
		Self { warm_up, round: 0, mean: vec![0.0; length], direction, target: 0 }
	}

	/// The number of the honest update to copy in this round.
	pub fn choose(&mut self, honest: &[&[f32]]) -> usize {
		// At least one round has to look.
		if self.round < self.warm_up.max(1) {
			self.learn(honest);
			let along =
				|v: &[f32]| -> f64 { v.iter().zip(&self.direction).map(|(v, z)| f64::from(*v) * z).sum() };
			let mut best = f64::NEG_INFINITY;
			for (number, update) in honest.iter().enumerate() {
				let score = along(update);
				if score > best {
					(best, self.target) = (score, number);
				}
			}
		}
		self.round = self.round.saturating_add(1);
		self.target.min(honest.len().saturating_sub(1))
	}

	fn learn(&mut self, honest: &[&[f32]]) {
		let old = f64::from(self.round) / (f64::from(self.round) + 1.0);
		let current = mean(honest);
		for (mean, current) in self.mean.iter_mut().zip(current) {
			*mean = old * *mean + (1.0 - old) * current;
		}
		let mut next = vec![0.0; self.direction.len()];
		for update in honest {
			let centred: Vec<f64> = update.iter().zip(&self.mean).map(|(v, m)| f64::from(*v) - m).collect();
			let weight = dot(&centred, &self.direction);
			for (next, centred) in next.iter_mut().zip(centred) {
				*next += weight * centred;
			}
		}
		let length = dot(&next, &next).sqrt();
		if length > 0.0 {
			for (direction, next) in self.direction.iter_mut().zip(next) {
				*direction = old * *direction + (1.0 - old) * next / length;
			}
			let length = dot(&self.direction, &self.direction).sqrt();
			self.direction.iter_mut().for_each(|d| *d /= length);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	/// Three honest updates with mean (2, 1), deviations (1, 0).
	const HONEST: [&[f32]; 3] = [&[1.0, 1.0], &[2.0, 1.0], &[3.0, 1.0]];

	fn near(found: &[f32], expected: &[f64]) {
		assert_eq!(found.len(), expected.len());
		for (found, expected) in found.iter().zip(expected) {
			assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
		}
	}

	#[test]
	fn sign_flip_is_the_opposite_times_its_scale_and_stays_finite() {
		assert_eq!(sign_flip(&[1.0, -2.5, 0.0], 1.0), [-1.0, 2.5, -0.0]);
		assert_eq!(sign_flip(&[1.0, -2.5], 4.0), [-4.0, 10.0]);
		assert_eq!(sign_flip(&[1e38, -1e38], 10.0), [f32::MIN, f32::MAX]);
	}

	#[test]
	fn not_a_number_is_nothing_else() {
		assert!(not_a_number(3).iter().all(|v| v.is_nan()) && not_a_number(3).len() == 3);
	}

	#[test]
	fn noise_has_its_deviation_and_depends_on_the_stream_only() {
		let draw = |seed| noise(20_000, 3.0, &mut Stream::new("test", seed, &[]));
		let sample = draw(1);
		assert_eq!(sample, draw(1));
		assert_ne!(sample, draw(2));
		let mean = sample.iter().map(|v| f64::from(*v)).sum::<f64>() / 20_000.0;
		let square = sample.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 20_000.0;
		// Six standard errors of both.
		assert!(mean.abs() < 6.0 * 3.0 / 20_000f64.sqrt(), "{mean}");
		assert!((square / 9.0 - 1.0).abs() < 6.0 * (2.0 / 20_000.0f64).sqrt(), "{square}");
	}

	#[test]
	fn inner_product_manipulation_is_against_the_mean() {
		near(&inner_product_manipulation(&HONEST, 0.1), &[-0.2, -0.1]);
	}

	#[test]
	fn z_of_a_little_is_enough_is_that_of_its_paper() {
		// Φ(0.2533471) = 0.6 for 25 workers of which 5 are hostile; Φ(0.6744898) = 0.75.
		let z = |n, f| little_is_enough_z(n, f).expect("a z");
		assert!((z(25, 5) - 0.253_347_1).abs() < 1e-7);
		// 50 of which 24: two supporters are needed of 26, 24/26 = 0.923077 are not.
		assert!((z(50, 24) - 1.426_076_9).abs() < 1e-6, "{}", z(50, 24));
		assert!((normal_quantile(0.75) - 0.674_489_750_196_081_7).abs() < 1e-12);
		assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-12);
		for (n, f) in [(10, 0), (10, 6), (10, 10), (2, 1), (3, 5)] {
			assert_eq!(little_is_enough_z(n, f), None, "{n} {f}");
		}
	}

	#[test]
	fn a_little_is_enough_goes_z_deviations_from_the_mean() {
		near(&little_is_enough(&HONEST, 0.5), &[1.5, 1.0]);
		near(&little_is_enough(&[&[4.0, 2.0]], 3.0), &[4.0, 2.0]);
	}

	#[test]
	fn min_max_goes_as_far_as_the_two_honest_updates_that_are_furthest_apart() {
		// From (2, 1) along (-1, 0): (3, 1) is 1 + γ away, and the furthest apart are 2: γ = 1.
		near(&min_max(&HONEST, Perturbation::Deviation), &[1.0, 1.0]);
		// Along (-1, -1): (1 + γ)² + γ² = 4 has the root γ = (√7 - 1) / 2.
		let gamma = (7f64.sqrt() - 1.0) / 2.0;
		near(&min_max(&HONEST, Perturbation::Sign), &[2.0 - gamma, 1.0 - gamma]);
		// Along -(2, 1)/√5: γ² + 2γ·2/√5 + 1 = 4.
		let b = 2.0 / 5f64.sqrt();
		let gamma = -b + (b * b + 3.0).sqrt();
		near(&min_max(&HONEST, Perturbation::Unit), &[2.0 - gamma * b, 1.0 - gamma / 5f64.sqrt()]);
	}

	#[test]
	fn min_sum_goes_as_far_as_the_honest_update_with_the_greatest_sum_of_squares() {
		// The outer ones have 1 + 4 = 5; from the mean it is 3γ² + 2 = 5: γ = 1.
		near(&min_sum(&HONEST, Perturbation::Deviation), &[1.0, 1.0]);
		// Along (-1, -1): 6γ² + 2 = 5.
		let gamma = 0.5f64.sqrt();
		near(&min_sum(&HONEST, Perturbation::Sign), &[2.0 - gamma, 1.0 - gamma]);
	}

	#[test]
	fn updates_that_are_all_alike_leave_nowhere_to_go() {
		let alike: [&[f32]; 2] = [&[1.0, -1.0]; 2];
		for perturbation in [Perturbation::Deviation, Perturbation::Unit, Perturbation::Sign] {
			near(&min_max(&alike, perturbation), &[1.0, -1.0]);
			near(&min_sum(&alike, perturbation), &[1.0, -1.0]);
		}
	}

	#[test]
	fn mimic_finds_the_direction_of_greatest_variance_and_stays_with_its_worker() {
		// Workers differ much along the first axis, little along the second.
		let rounds: [[&[f32]; 3]; 2] =
			[[&[-9.0, 1.0], &[0.0, -1.0], &[9.0, 0.5]], [&[-9.0, -1.0], &[0.0, 1.0], &[9.0, 0.5]]];
		let mut mimic = Mimic::new(2, 2, &mut Stream::new("test", 1, &[]));
		let chosen: Vec<usize> = rounds.iter().map(|honest| mimic.choose(honest)).collect();
		assert!(mimic.direction[0].abs() > 0.99, "{:?}", mimic.direction);
		// Which end of the axis is a matter of the first direction, but it is an end, and it stays.
		assert!(chosen[1] != 1 && chosen[0] == chosen[1], "{chosen:?}");
		let moved: [&[f32]; 3] = [&[0.0, 0.0], &[50.0, 0.0], &[0.0, 0.0]];
		assert_eq!(mimic.choose(&moved), chosen[1]);
	}
}
