//! Builds the runtime's WASM three times: as it is, with short periods for test chains, and that once more under the
//! next version number, for the rehearsal of an upgrade. The second and third share the first's dependencies.

#[cfg(feature = "std")]
fn main() {
	use substrate_wasm_builder::WasmBuilder;

	let builder = WasmBuilder::init_with_defaults();
	#[cfg(feature = "metadata-hash")]
	let builder = builder.enable_metadata_hash("CRN", 12);
	builder.build();

	WasmBuilder::init_with_defaults()
		.set_file_name("fast_wasm_binary.rs")
		.enable_feature("fast-runtime")
		.build();

	WasmBuilder::init_with_defaults()
		.set_file_name("rehearsal_wasm_binary.rs")
		.enable_feature("fast-runtime")
		.enable_feature("upgrade-rehearsal")
		.build();
}

// Inside the WASM build itself there is nothing to build.
#[cfg(not(feature = "std"))]
fn main() {}
