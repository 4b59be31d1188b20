//! The WebAssembly module: two exports and no imports. `npm/index.mjs` calls them.
//!
//! An instance is for one verification. Memory is taken from its end and never given back, because the instance is thrown
//! away; how much that is at most follows from the bundle's length.

use crate::report::report;
use alloc::string::String;
use cairn_primitives::H256;
use core::{
	alloc::{GlobalAlloc, Layout},
	arch::wasm32,
	cell::Cell,
	ptr,
};

/// A page of WebAssembly memory, in bytes.
const PAGE: usize = 1 << 16;

/// Hands out memory that nobody else has, upwards from the end of what the module came with.
struct Bump {
	/// The first free byte, and the first behind the memory there is; both 0 before the first call.
	free: Cell<(usize, usize)>,
}

// A module without the threads proposal has one thread.
unsafe impl Sync for Bump {}

unsafe impl GlobalAlloc for Bump {
	unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
		let (mut free, mut end) = self.free.get();
		if end == 0 {
			end = wasm32::memory_size(0).saturating_mul(PAGE);
			free = end;
		}
		let start = free.checked_next_multiple_of(layout.align());
		let Some((start, next)) = start.and_then(|start| Some((start, start.checked_add(layout.size())?)))
		else {
			return ptr::null_mut();
		};
		if next > end {
			let pages = next.saturating_sub(end).div_ceil(PAGE);
			if wasm32::memory_grow(0, pages) == usize::MAX {
				return ptr::null_mut();
			}
			end = end.saturating_add(pages.saturating_mul(PAGE));
		}
		self.free.set((next, end));
		start as *mut u8
	}

	unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static MEMORY: Bump = Bump { free: Cell::new((0, 0)) };

#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
	wasm32::unreachable()
}

/// Room for `len` bytes; the caller writes its arguments there. 0 when there is none.
#[no_mangle]
extern "C" fn cairn_alloc(len: usize) -> *mut u8 {
	match Layout::from_size_align(len.max(1), 1) {
		// The size is not zero.
		Ok(layout) => unsafe { MEMORY.alloc(layout) },
		Err(_) => ptr::null_mut(),
	}
}

/// Checks the `len` bytes of a bundle at `bundle` against the 32 bytes of a genesis hash at `genesis`. Returns where the
/// report stands, which is JSON: its address in the upper half, its length in the lower.
///
/// # Safety
/// Both must have been written to memory from [`cairn_alloc`].
#[no_mangle]
unsafe extern "C" fn cairn_verify(bundle: *const u8, len: usize, genesis: *const u8) -> u64 {
	let (bundle, genesis) = unsafe {
		(core::slice::from_raw_parts(bundle, len), core::slice::from_raw_parts(genesis, H256::len_bytes()))
	};
	let json: &'static mut str = String::leak(report(bundle, &H256::from_slice(genesis)).to_json());
	((json.as_ptr() as u64) << 32) | json.len() as u64
}
