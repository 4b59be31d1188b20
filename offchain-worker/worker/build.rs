//! Lets `cairn-worker` find the libtorch that it was built with, wherever it is started from.

fn main() {
	println!("cargo:rerun-if-env-changed=LIBTORCH");
	println!("cargo:rerun-if-changed=build.rs");
	if let Ok(libtorch) = std::env::var("LIBTORCH") {
		println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{libtorch}/lib");
	}
}
