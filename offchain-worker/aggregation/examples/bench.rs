//! How fast the rules are, next to a copy of the same memory in the same process.
//!
//! `cargo run --release -p cairn-aggregation --example bench -- [UPDATES] [ELEMENTS] [THREADS]`, by default 32 updates of
//! 25 million elements on as many threads as there are processors. Prints one line of JSON per measurement: seconds, and
//! for a rule which part of the copy's bandwidth it reaches when each update is read once. All updates are held in
//! memory: 4 bytes per element and update, and two models more.

use cairn_aggregation::{
	aggregate, check_update, AggregationRule, CheckedUpdate, ExpectedUpdate, UpdateEnvelope, WeightsEnvelope,
};
use cairn_artifacts::{artifact_hash, Tensor, TensorFile};
use cairn_primitives::H256;
use std::{error::Error, hint::black_box, time::Instant};

/// Numbers that no rule finds easy, and that cost little to make.
fn data(seed: u32, elements: usize) -> Vec<f32> {
	let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
	let mut next = || {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		(state >> 8) as f32 / 8_388_608.0 - 1.0
	};
	(0..elements).map(|_| next()).collect()
}

fn tensors(data: Vec<f32>) -> Vec<Tensor> {
	vec![Tensor { name: "w".into(), shape: vec![data.len()], data }]
}

fn update(base: &TensorFile, index: u32, elements: usize) -> Result<CheckedUpdate, Box<dyn Error>> {
	let (zero, producer) = (H256::zero(), [0; 32]);
	let envelope = UpdateEnvelope {
		genesis: zero,
		programme: 0,
		round: 0,
		base: zero,
		config: zero,
		producer,
		device: index,
		samples: index + 1,
		local_steps: 1,
		clip_norm: 0.0,
		noise_multiplier: 0.0,
		seed: 0,
	};
	let expected = ExpectedUpdate {
		genesis: zero,
		programme: 0,
		round: 0,
		base: zero,
		config: zero,
		producer,
		device: index,
		samples: index + 1,
		local_steps: 1,
	};
	let bytes = TensorFile::new(envelope.to_metadata(), tensors(data(index + 1, elements)))?.into_bytes();
	Ok(check_update(&bytes, &artifact_hash(&bytes), &expected, base)?)
}

/// The least of three times, in seconds.
fn seconds<T>(mut f: impl FnMut() -> T) -> f64 {
	let once = || {
		let start = Instant::now();
		black_box(f());
		start.elapsed().as_secs_f64()
	};
	std::iter::repeat_with(once).take(3).fold(f64::INFINITY, f64::min)
}

/// Copies all of `from`, shared by threads, a piece at a time into a small buffer: what reading it costs at the least.
fn copy(from: &[&[f32]], threads: usize) {
	std::thread::scope(|scope| {
		for number in 0..threads {
			scope.spawn(move || {
				let mut to = vec![0.0f32; 32_768];
				for row in from {
					for piece in row.chunks(to.len()).skip(number).step_by(threads) {
						to[..piece.len()].copy_from_slice(piece);
						black_box(&mut to);
					}
				}
			});
		}
	});
}

fn main() -> Result<(), Box<dyn Error>> {
	let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>());
	let updates = arguments.next().transpose()?.unwrap_or(32);
	let elements = arguments.next().transpose()?.unwrap_or(25_000_000);
	let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
	let threads = arguments.next().transpose()?.unwrap_or(processors).max(1);

	let genesis = WeightsEnvelope::Genesis { config: H256::zero() };
	let base = TensorFile::new(genesis.to_metadata(), tensors(vec![0.0; elements]))?;
	let inputs = (0..updates).map(|i| update(&base, i as u32, elements)).collect::<Result<Vec<_>, _>>()?;
	let rows: Vec<&[f32]> = inputs.iter().map(|u| &u.tensors()[0].data[..]).collect();
	let copied = seconds(|| copy(&rows, threads));
	println!(
		r#"{{"what":"copy","updates":{updates},"elements":{elements},"threads":{threads},"seconds":{copied:.4}}}"#
	);
	let hostile = (updates as u32).saturating_sub(3) / 2;
	for (name, rule) in [
		("weighted mean", AggregationRule::WeightedMean),
		("trimmed mean", AggregationRule::TrimmedMean { trim: (updates as u32).saturating_sub(1) / 4 }),
		("median", AggregationRule::CoordinateMedian),
		("krum", AggregationRule::Krum { hostile }),
		("geometric median", AggregationRule::GEOMETRIC_MEDIAN),
		("centered clipping", AggregationRule::CENTERED_CLIPPING),
	] {
		// Refused once is refused always.
		aggregate(rule, &inputs, threads)?;
		let taken = seconds(|| aggregate(rule, &inputs, threads));
		let part = copied / taken;
		println!(r#"{{"what":"{name}","seconds":{taken:.4},"of_copy":{part:.4}}}"#);
	}
	Ok(())
}
