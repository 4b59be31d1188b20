//! Runs the benchmarks of a runtime's WASM.

use crate::state::{BenchmarkState, Hasher};
use anyhow::{anyhow, bail, ensure, Context, Result};
use codec::{Decode, Encode};
use frame_benchmarking::{
	Analysis, BenchmarkBatch, BenchmarkConfig, BenchmarkList, BenchmarkMetadata, BenchmarkParameter,
	BenchmarkResult, BenchmarkSelector,
};
use frame_support::traits::StorageInfo;
use sc_executor::WasmExecutor;
use sp_core::traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode};
use sp_externalities::Extensions;
use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
use sp_runtime::Storage;
use sp_state_machine::{BasicExternalities, OverlayedChanges, StateMachine};
use std::collections::BTreeMap;

/// What the chain's node offers to the runtime, and what benchmarks need besides.
type HostFunctions = (sp_io::SubstrateHostFunctions, frame_benchmarking::benchmarking::HostFunctions);

/// How thoroughly to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
	/// Values of each component, from its least to its greatest.
	pub steps: u32,
	/// Timed repetitions at each of them.
	pub repeat: u32,
}

/// What one benchmark gave.
pub struct Measured {
	/// Its name, which is also that of the function in the pallet's `WeightInfo`.
	pub name: String,
	/// Its components with their ranges, in the order of the function's parameters.
	pub components: Vec<(BenchmarkParameter, u32, u32)>,
	/// Time, in picoseconds.
	pub time: Model,
	/// Keys read.
	pub reads: Model,
	/// Keys written.
	pub writes: Model,
	/// The most keys read and written of each storage item.
	pub items: Vec<(String, u32, u32)>,
	/// The shortest time of all repetitions, in picoseconds.
	pub minimum: u128,
}

/// A base and a slope for each component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
	/// The part that is always there.
	pub base: u128,
	/// What each unit of a component adds, in the order of the components.
	pub slopes: Vec<u128>,
}

impl From<Analysis> for Model {
	fn from(analysis: Analysis) -> Self {
		Self { base: analysis.base, slopes: analysis.slopes }
	}
}

/// A runtime whose benchmarks can be run.
pub struct Runner {
	executor: WasmExecutor<HostFunctions>,
	code: Vec<u8>,
	items: Vec<StorageInfo>,
	lists: Vec<BenchmarkList>,
	counting: BenchmarkState,
	timing: BenchmarkState,
}

fn text(bytes: &[u8]) -> String {
	String::from_utf8_lossy(bytes).into_owned()
}

/// A list's pallet (its crate's name).
pub fn pallet(list: &BenchmarkList) -> String {
	text(&list.pallet)
}

/// The keys that a runtime may sign with during a benchmark.
fn extensions() -> Extensions {
	let mut extensions = Extensions::default();
	extensions.register(KeystoreExt::new(MemoryKeystore::new()));
	extensions
}

/// The values that components take: each goes from its least to its greatest while the others are at their greatest.
fn points(components: &[(BenchmarkParameter, u32, u32)], steps: u32) -> Vec<Vec<(BenchmarkParameter, u32)>> {
	if components.is_empty() {
		return vec![Vec::new()];
	}
	let mut points = Vec::new();
	for (varied, low, high) in components {
		let range = high.saturating_sub(*low);
		// At least both ends; at most every value once.
		let last = range.min(steps.max(2) - 1);
		for step in 0..=last {
			let offset = if last == 0 { 0 } else { u64::from(range) * u64::from(step) / u64::from(last) };
			// At most `range`, a u32.
			let value = low + offset as u32;
			points.push(
				components
					.iter()
					.map(|(name, _, high)| (*name, if name == varied { value } else { *high }))
					.collect(),
			);
		}
	}
	points
}

impl Runner {
	/// Loads a runtime that was built with the feature `runtime-benchmarks`, and its genesis state.
	///
	/// # Errors
	/// When it is not such a runtime, or has no such preset.
	pub fn new(code: Vec<u8>, preset: &str) -> Result<Self> {
		let executor = WasmExecutor::<HostFunctions>::builder()
			.with_max_runtime_instances(1)
			.with_runtime_cache_size(1)
			.build();
		let empty = BenchmarkState::new(Storage::default(), false);
		let mut runner = Self {
			executor,
			code,
			items: Vec::new(),
			lists: Vec::new(),
			counting: BenchmarkState::new(Storage::default(), true),
			timing: empty,
		};
		let metadata = runner.call(&runner.timing, "Benchmark_benchmark_metadata", &false.encode()).context(
			"the runtime lists no benchmarks: was it built with the feature `runtime-benchmarks`, as scripts/weights does?",
		)?;
		let (lists, items) = <(Vec<BenchmarkList>, Vec<StorageInfo>)>::decode(&mut &metadata[..]).context(
			"the runtime's list of benchmarks cannot be decoded: it was made with another frame-benchmarking",
		)?;
		let genesis = runner.genesis(preset)?;
		(runner.lists, runner.items) = (lists, items);
		runner.counting = BenchmarkState::new(genesis.clone(), true);
		runner.timing = BenchmarkState::new(genesis, false);
		Ok(runner)
	}

	/// The benchmarks, pallet by pallet.
	pub fn lists(&self) -> &[BenchmarkList] {
		&self.lists
	}

	fn with_code<T>(&self, work: impl FnOnce(&RuntimeCode) -> T) -> T {
		let fetcher = WrappedRuntimeCode(self.code.as_slice().into());
		// There is only ever this one code, so any name will do to tell it from others.
		work(&RuntimeCode { code_fetcher: &fetcher, heap_pages: None, hash: vec![0] })
	}

	fn call(&self, state: &BenchmarkState, method: &str, data: &[u8]) -> Result<Vec<u8>> {
		self.on(state).call(method, data)
	}

	/// A block on top of genesis, in which each call finds what those before it left.
	pub fn block(&self) -> Block<'_> {
		self.on(&self.timing)
	}

	fn on<'a>(&'a self, state: &'a BenchmarkState) -> Block<'a> {
		Block { runner: self, state, overlay: OverlayedChanges::default(), extensions: extensions() }
	}

	/// The state that the runtime makes of one of its genesis presets.
	fn genesis(&self, preset: &str) -> Result<Storage> {
		let call = |state: &mut BasicExternalities, method: &str, data: &[u8]| {
			self.with_code(|code| self.executor.call(state, code, method, data, CallContext::Offchain).0)
				.map_err(|e| anyhow!("{method}: {e}"))
		};
		let mut state = BasicExternalities::new_empty();
		let answer = call(&mut state, "GenesisBuilder_get_preset", &None::<String>.encode())?;
		let defaults =
			Option::<Vec<u8>>::decode(&mut &answer[..])?.context("the runtime has no default genesis")?;
		let answer = call(&mut state, "GenesisBuilder_get_preset", &Some(preset).encode())?;
		let patch = Option::<Vec<u8>>::decode(&mut &answer[..])?
			.with_context(|| format!("the runtime has no genesis preset `{preset}`"))?;
		let (mut config, patch) = (serde_json::from_slice(&defaults)?, serde_json::from_slice(&patch)?);
		merge(&mut config, patch);
		let config = serde_json::to_vec(&config)?;
		let answer = call(&mut state, "GenesisBuilder_build_state", &config.encode())?;
		Result::<(), String>::decode(&mut &answer[..])?
			.map_err(|e| anyhow!("the genesis preset `{preset}` is refused: {e}"))?;
		Ok(state.into_storages())
	}

	/// Runs one benchmark once at one point and gives what each repetition brought: nothing, if it skips this point.
	fn dispatch(
		&self,
		state: &BenchmarkState,
		list: &BenchmarkList,
		benchmark: &BenchmarkMetadata,
		point: &[(BenchmarkParameter, u32)],
		verify: bool,
		repeat: u32,
	) -> Result<Vec<BenchmarkResult>> {
		let config = BenchmarkConfig {
			pallet: list.pallet.clone(),
			instance: list.instance.clone(),
			benchmark: benchmark.name.clone(),
			selected_components: point.to_vec(),
			verify,
			internal_repeats: repeat,
		};
		let answer = self.call(state, "Benchmark_dispatch_benchmark", &config.encode());
		let failed = || {
			let values: Vec<_> = point.iter().map(|(name, value)| format!("{name:?} = {value}")).collect();
			format!("{}::{} ({})", text(&list.pallet), text(&benchmark.name), values.join(", "))
		};
		let answer = answer.with_context(failed)?;
		let batches = Result::<Vec<BenchmarkBatch>, String>::decode(&mut &answer[..])
			.context("the outcome cannot be decoded: the runtime was made with another frame-benchmarking")
			.and_then(|outcome| outcome.map_err(|e| anyhow!(e)))
			.with_context(failed)?;
		Ok(batches.into_iter().flat_map(|batch| batch.results).collect())
	}

	/// Runs a benchmark at its extremes with its own checks, without measuring.
	///
	/// # Errors
	/// What the benchmark says.
	pub fn check(&self, list: &BenchmarkList, benchmark: &BenchmarkMetadata) -> Result<()> {
		for point in points(&benchmark.components, 2) {
			self.dispatch(&self.counting, list, benchmark, &point, true, 1)?;
		}
		Ok(())
	}

	/// Measures a benchmark. At each point it runs with its own checks first, then for the count of accesses, then for
	/// the time.
	///
	/// # Errors
	/// What the benchmark says; or that it skipped every point, or all but one value of a component.
	pub fn measure(
		&self,
		list: &BenchmarkList,
		benchmark: &BenchmarkMetadata,
		effort: Effort,
	) -> Result<Measured> {
		let name = text(&benchmark.name);
		let (mut counts, mut times) = (Vec::new(), Vec::new());
		for point in points(&benchmark.components, effort.steps) {
			self.dispatch(&self.counting, list, benchmark, &point, true, 1)?;
			counts.extend(self.dispatch(&self.counting, list, benchmark, &point, false, 1)?);
			times.extend(self.dispatch(&self.timing, list, benchmark, &point, false, effort.repeat)?);
		}
		ensure!(!counts.is_empty() && !times.is_empty(), "{}::{name} skipped every point", pallet(list));
		let analyse = |results: &Vec<BenchmarkResult>, what| -> Result<Analysis> {
			Analysis::min_squares_iqr(results, what).map_err(|e| anyhow!("{}::{name}: {e}", pallet(list)))
		};
		let time = analyse(&times, BenchmarkSelector::ExtrinsicTime)?;
		// Nanoseconds there, picoseconds here, as in weights.
		let minimum = time.minimum.saturating_mul(1_000);
		let measured = Measured {
			components: benchmark.components.clone(),
			reads: analyse(&counts, BenchmarkSelector::Reads)?.into(),
			writes: analyse(&counts, BenchmarkSelector::Writes)?.into(),
			items: self.items_of(&counts),
			time: time.into(),
			minimum,
			name,
		};
		for model in [&measured.time, &measured.reads, &measured.writes] {
			if model.slopes.len() != measured.components.len() {
				bail!("{}::{} has no slope for every component", pallet(list), measured.name);
			}
		}
		Ok(measured)
	}

	/// The most keys that were read and written of each storage item.
	fn items_of(&self, counts: &[BenchmarkResult]) -> Vec<(String, u32, u32)> {
		let mut items = BTreeMap::<String, (u32, u32)>::new();
		for (prefix, reads, writes, _) in counts.iter().flat_map(|result| &result.keys) {
			let known =
				self.items.iter().find(|item| !item.prefix.is_empty() && prefix.starts_with(&item.prefix));
			let name = match known {
				Some(item) => format!("{}::{}", text(&item.pallet_name), text(&item.storage_name)),
				None if prefix.iter().all(u8::is_ascii_graphic) => text(prefix),
				None => format!("0x{}", prefix.iter().map(|b| format!("{b:02x}")).collect::<String>()),
			};
			let item = items.entry(name).or_default();
			*item = (item.0.max(*reads), item.1.max(*writes));
		}
		items.into_iter().map(|(name, (reads, writes))| (name, reads, writes)).collect()
	}
}

/// Calls into the runtime that build on each other.
pub struct Block<'a> {
	runner: &'a Runner,
	state: &'a BenchmarkState,
	overlay: OverlayedChanges<Hasher>,
	extensions: Extensions,
}

impl Block<'_> {
	/// Calls a runtime API.
	///
	/// # Errors
	/// When the runtime panics or has no such API.
	pub fn call(&mut self, method: &str, data: &[u8]) -> Result<Vec<u8>> {
		let Self { runner, state, overlay, extensions } = self;
		runner.with_code(|code| {
			let context = CallContext::Offchain;
			StateMachine::new(*state, overlay, &runner.executor, method, data, extensions, code, context)
				.execute()
				.map_err(|e| anyhow!("{method}: {e}"))
		})
	}
}

/// Puts what `patch` says over `config`, object by object.
fn merge(config: &mut serde_json::Value, patch: serde_json::Value) {
	match (config, patch) {
		(serde_json::Value::Object(config), serde_json::Value::Object(patch)) => {
			for (key, value) in patch {
				merge(config.entry(key).or_insert(serde_json::Value::Null), value);
			}
		},
		(config, patch) => *config = patch,
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;
	use BenchmarkParameter::{m, n};

	#[test]
	fn benchmark_without_components_has_one_point() {
		assert_eq!(points(&[], 50), [vec![]]);
	}

	#[test]
	fn points_go_from_end_to_end_with_the_others_at_their_greatest() {
		let found = points(&[(n, 1, 9), (m, 0, 4)], 3);
		let expected = [(1, 4), (5, 4), (9, 4), (9, 0), (9, 2), (9, 4)];
		assert_eq!(found, expected.map(|(first, second)| vec![(n, first), (m, second)]));
	}

	#[test]
	fn small_ranges_are_not_measured_twice() {
		let values = |low, high, steps| -> Vec<u32> {
			points(&[(n, low, high)], steps).iter().map(|point| point[0].1).collect()
		};
		assert_eq!(values(3, 5, 50), [3, 4, 5]);
		assert_eq!(values(3, 3, 50), [3]);
		assert_eq!(values(0, u32::MAX, 2), [0, u32::MAX]);
		assert_eq!(values(0, 10, 0), [0, 10]);
	}

	#[test]
	fn patch_replaces_what_it_names_and_keeps_the_rest() {
		let mut config = json!({"a": {"b": 1, "c": [1]}, "d": 2});
		merge(&mut config, json!({"a": {"c": [2], "e": {"f": 3}}}));
		assert_eq!(config, json!({"a": {"b": 1, "c": [2], "e": {"f": 3}}, "d": 2}));
	}
}
