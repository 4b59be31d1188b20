//! How fast the rules are, next to a copy of the same memory and to numpy, and how much memory they take.
//!
//! `scripts/bench aggregation` prepares and runs it: `bench FOLDER [--updates N] [--elements N] [--threads N]
//! [--repeat N] [--only RULE] [--python PYTHON]`, by default 32 updates of 25 million elements, on as many threads as there are
//! processors. The updates are files of a store in FOLDER (4 bytes per element and update; they are removed at the end)
//! and are mapped from there. What is compared takes turns, so that whatever else the machine does hits all alike; of
//! each, the least time counts. Processor seconds, of all threads together, say what that would be on a machine that does
//! nothing else.

use cairn_aggregation::{
	aggregate, check_mapped_update, AggregationRule, CheckedUpdate, ExpectedUpdate, UpdateEnvelope,
	WeightsEnvelope,
};
use cairn_artifacts::{Store, Tensor, TensorFile};
use cairn_primitives::H256;
use std::{
	error::Error,
	fs,
	hint::black_box,
	io::{BufRead, BufReader, Write},
	path::{Path, PathBuf},
	process::{Child, ChildStdin, ChildStdout, Command, Stdio},
	sync::atomic::{AtomicBool, AtomicU64, Ordering},
	thread,
	time::{Duration, Instant},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

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

/// Puts an update into the store, and takes it out again as a committee member does.
fn update(store: &Store, base: &TensorFile, index: u32, elements: usize) -> Outcome<CheckedUpdate> {
	let (zero, producer) = (H256::zero(), [0; 32]);
	let (samples, local_steps) = (index + 1, 1);
	let envelope = UpdateEnvelope {
		genesis: zero,
		programme: 0,
		round: 0,
		base: zero,
		config: zero,
		producer,
		device: index,
		samples,
		local_steps,
		clip_norm: 0.0,
		noise_multiplier: 0.0,
		seed: 0,
	};
	let expected = ExpectedUpdate::from(&envelope);
	let hash = store
		.put(&TensorFile::new(envelope.to_metadata(), tensors(data(index + 1, elements)))?.into_bytes())?;
	let file = store.map(&hash)?.ok_or("the store lost an update")?;
	Ok(check_mapped_update(&file, &hash, &expected, base)?)
}

/// Copies all of `from`, shared by threads, a piece at a time into a small buffer: what reading it costs at the least.
fn copy(from: &[&[f32]], threads: usize) {
	thread::scope(|scope| {
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

/// This process's memory that no file stands behind, in KiB.
fn anonymous() -> Outcome<u64> {
	let status = fs::read_to_string("/proc/self/status")?;
	let line =
		status.lines().find_map(|l| l.strip_prefix("RssAnon:")).ok_or("/proc/self/status has no RssAnon")?;
	Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The most anonymous memory during `f` beside that before it, looked at every millisecond, in KiB.
fn most_anonymous<T>(f: impl FnOnce() -> T) -> Outcome<(u64, T)> {
	let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
	let before = anonymous()?;
	let result = thread::scope(|scope| {
		scope.spawn(|| {
			while !done.load(Ordering::Relaxed) {
				most.fetch_max(anonymous().unwrap_or(0), Ordering::Relaxed);
				thread::sleep(Duration::from_millis(1));
			}
		});
		let result = f();
		done.store(true, Ordering::Relaxed);
		result
	});
	Ok((most.into_inner().saturating_sub(before), result))
}

/// numpy, in a process of its own.
struct Numpy {
	child: Child,
	to: ChildStdin,
	from: BufReader<ChildStdout>,
}

impl Numpy {
	fn start(python: &Path, numbers: [usize; 3], files: &[PathBuf]) -> Outcome<Self> {
		let mut child = Command::new(python)
			.args(["-c", include_str!("bench.py")])
			.args(numbers.map(|n| n.to_string()))
			.args(files)
			.stdin(Stdio::piped())
			.stdout(Stdio::piped())
			.spawn()
			.map_err(|e| format!("{} cannot be run: {e}", python.display()))?;
		let (to, from) = (child.stdin.take().ok_or("no pipe")?, child.stdout.take().ok_or("no pipe")?);
		let mut numpy = Self { child, to, from: BufReader::new(from) };
		let version = numpy.line()?;
		println!("{version}");
		Ok(numpy)
	}

	fn line(&mut self) -> Outcome<String> {
		let mut line = String::new();
		if self.from.read_line(&mut line)? == 0 {
			return Err(format!("numpy's process ended: {}", self.child.wait()?).into());
		}
		Ok(line.trim().to_owned())
	}

	/// What an operation took, and the sum over every so many elements of its result.
	fn run(&mut self, operation: &str) -> Outcome<(Taken, f64)> {
		writeln!(self.to, "{operation}")?;
		let line = self.line()?;
		let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
		let [seconds, processor, sum] = numbers[..] else { return Err("an answer that is none".into()) };
		Ok((Taken { seconds, processor }, sum))
	}
}

/// What something took: seconds on the clock, and seconds of processors.
#[derive(Clone, Copy)]
struct Taken {
	seconds: f64,
	processor: f64,
}

impl Taken {
	const LONG: Self = Self { seconds: f64::INFINITY, processor: f64::INFINITY };

	/// The least of each.
	fn or(self, other: Self) -> Self {
		Self { seconds: self.seconds.min(other.seconds), processor: self.processor.min(other.processor) }
	}
}

/// The processor seconds of this process and of all its threads that ended.
fn processor() -> Outcome<f64> {
	/// The kernel's unit here, whatever its clock is.
	const PER_SECOND: f64 = 100.0;
	let stat = fs::read_to_string("/proc/self/stat")?;
	// Behind the name, which may contain anything, user and system time are the 12th and 13th.
	let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat has another form")?;
	let times =
		fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<Vec<f64>, _>>()?;
	Ok(times.iter().sum::<f64>() / PER_SECOND)
}

fn take<T>(f: impl FnOnce() -> T) -> Outcome<(Taken, T)> {
	let (start, before) = (Instant::now(), processor()?);
	let result = black_box(f());
	let seconds = start.elapsed().as_secs_f64();
	Ok((Taken { seconds, processor: processor()? - before }, result))
}

struct Arguments {
	folder: PathBuf,
	updates: usize,
	elements: usize,
	threads: usize,
	repeat: usize,
	only: Option<String>,
	python: Option<PathBuf>,
}

fn arguments() -> Outcome<Arguments> {
	let mut given = std::env::args().skip(1);
	let threads = thread::available_parallelism().map_or(1, |n| n.get());
	let folder = given.next().ok_or("give a folder for the updates' files")?.into();
	let mut a =
		Arguments { folder, updates: 32, elements: 25_000_000, threads, repeat: 3, only: None, python: None };
	while let Some(name) = given.next() {
		let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
		let number = || value.parse::<usize>().map_err(|e| format!("{name} {value}: {e}"));
		match name.as_str() {
			"--updates" => a.updates = number()?.max(1),
			"--elements" => a.elements = number()?.max(1),
			"--threads" => a.threads = number()?.max(1),
			"--repeat" => a.repeat = number()?.max(1),
			"--only" => a.only = Some(value),
			"--python" => a.python = Some(value.into()),
			_ => return Err(format!("unknown option {name}").into()),
		}
	}
	Ok(a)
}

fn main() -> Outcome<()> {
	let Arguments { folder, updates, elements, threads, repeat, only, python } = arguments()?;
	fs::create_dir_all(&folder)?;
	let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(folder)?;
	let store = Store::open(folder.path())?;
	let genesis = WeightsEnvelope::Genesis { config: H256::zero() };
	let base =
		store.put(&TensorFile::new(genesis.to_metadata(), tensors(vec![0.0; elements]))?.into_bytes())?;
	let base = TensorFile::from_mapped(&store.map(&base)?.ok_or("the store lost the base")?)?;
	let inputs = (0..updates)
		.map(|i| update(&store, &base, i as u32, elements))
		.collect::<Outcome<Vec<CheckedUpdate>>>()?;
	let rows: Vec<&[f32]> = inputs.iter().map(|u| &*u.tensors()[0].data).collect();

	let n = updates as u32;
	let (hostile, trim) = (n.saturating_sub(3) / 2, n.saturating_sub(1) / 4);
	let files: Vec<_> = inputs.iter().map(|u| store.path(&u.hash())).collect();
	let mut numpy = match &python {
		Some(python) => Some(Numpy::start(python, [elements, hostile as usize, trim as usize], &files)?),
		None => None,
	};
	println!(
		"{updates} updates of {elements} elements on {threads} threads; the least of {repeat} times each"
	);
	println!("seconds on the clock and of processors; how many times those of the rule numpy takes; KiB beside one model");
	println!("{:<18} {:>8} {:>9} {:>8} {:>7}", "", "clock", "processor", "of copy", "memory");
	let rules: [(&str, AggregationRule, &[&str]); 6] = [
		("weighted mean", AggregationRule::WeightedMean, &["weighted mean: matrix product"]),
		("median", AggregationRule::CoordinateMedian, &["median: whole", "median: in blocks"]),
		(
			"trimmed mean",
			AggregationRule::TrimmedMean { trim },
			&[
				"trimmed mean: sort, whole",
				"trimmed mean: sort, in blocks",
				"trimmed mean: partition, in blocks",
			],
		),
		(
			"krum",
			AggregationRule::Krum { hostile },
			&["krum: matrix product", "krum: matrix product in blocks"],
		),
		("geometric median", AggregationRule::GEOMETRIC_MEDIAN, &[]),
		("centered clipping", AggregationRule::CENTERED_CLIPPING, &[]),
	];
	for (name, rule, theirs) in rules {
		if only.as_ref().is_some_and(|only| only != name) {
			continue;
		}
		let (mut copied, mut own) = (Taken::LONG, Taken::LONG);
		let mut others = vec![Taken::LONG; theirs.len()];
		let model = elements as u64 * 4 / 1024;
		let mut memory = 0;
		for turn in 0..repeat {
			copied = copied.or(take(|| copy(&rows, threads))?.0);
			let (taken, result) = take(|| aggregate(rule, &inputs, threads))?;
			own = own.or(taken);
			let result = result?;
			if let Some(numpy) = &mut numpy {
				let every = (elements / 1000).max(1);
				let sum: f64 = result[0].data.iter().step_by(every).map(|x| f64::from(*x)).sum();
				for (least, operation) in others.iter_mut().zip(theirs) {
					// What takes numpy longer than a minute is not repeated.
					if turn > 0 && least.seconds > 60.0 {
						continue;
					}
					let (taken, found) = numpy.run(operation)?;
					*least = least.or(taken);
					if (found - sum).abs() > 1e-3 * (1.0 + sum.abs()) {
						return Err(format!("{operation} gives {found}, but the rule {sum}").into());
					}
				}
			}
			drop(result);
			// By itself, because looking at it takes time.
			if turn == 0 {
				let (most, result) = most_anonymous(|| aggregate(rule, &inputs, threads))?;
				result?;
				memory = most.saturating_sub(model);
			}
		}
		let Taken { seconds, processor } = own;
		let of_copy = copied.seconds / seconds;
		println!("{name:<18} {seconds:>8.3} {processor:>9.2} {of_copy:>8.2} {memory:>7}");
		println!("{:<18} {:>8.3} {:>9.2}", "  a copy", copied.seconds, copied.processor);
		if numpy.is_none() {
			continue;
		}
		for (operation, taken) in theirs.iter().zip(&others) {
			let (clock, cpu) = (taken.seconds / seconds, taken.processor / processor);
			println!(
				"{:<18} {:>8.3} {:>9.2}  {clock:>5.1} x by the clock, {cpu:>5.1} x by processors: {operation}",
				"  numpy", taken.seconds, taken.processor
			);
		}
	}
	if let Some(Numpy { mut child, to, .. }) = numpy {
		drop(to);
		child.wait()?;
	}
	Ok(())
}
