//! Memory for a whole model.

/// A huge page of x86-64, and of aarch64 with pages of 4 KiB: 2 MiB.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// So many zeros. They take memory only where they are written to.
///
/// On Linux the kernel is asked to give huge pages for them, because most systems are set up to give none unless asked,
/// and the first write to each page of 4 KiB costs more than computing what is written there.
pub fn zeros<T: Zero>(count: usize) -> Vec<T> {
	let mut zeros = vec![T::ZERO; count];
	#[cfg(target_os = "linux")]
	prefer_huge_pages(&mut zeros);
	#[cfg(not(target_os = "linux"))]
	let _ = &mut zeros;
	zeros
}

/// Numbers whose zero is all zero bits, which an allocator gives without writing them.
pub trait Zero: Copy {
	/// That number.
	const ZERO: Self;
}

impl Zero for u8 {
	const ZERO: Self = 0;
}

impl Zero for f32 {
	const ZERO: Self = 0.0;
}

/// Asks for huge pages wherever one fits into this memory as a whole.
#[cfg(target_os = "linux")]
fn prefer_huge_pages<T>(memory: &mut [T]) {
	let start = memory.as_mut_ptr().cast::<u8>();
	let before = start.align_offset(HUGE_PAGE);
	let whole = size_of_val(memory).saturating_sub(before) / HUGE_PAGE * HUGE_PAGE;
	if whole == 0 {
		return;
	}
	// A kernel that has none refuses: pages of the usual size do as well.
	// SAFETY: the range lies within `memory`, which nobody else uses, and the advice changes nothing that can be read
	// there.
	let _ = unsafe { libc::madvise(start.add(before).cast(), whole, libc::MADV_HUGEPAGE) };
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn memory_of_any_size_is_zeros_and_can_be_written() {
		for count in [0, 1, 1000, (1 << 20) - 1, (3 << 20) + 5] {
			let (mut bytes, mut floats) = (zeros::<u8>(count), zeros::<f32>(count));
			assert_eq!((bytes.len(), floats.len()), (count, count));
			assert!(bytes.iter().all(|x| *x == 0) && floats.iter().all(|x| x.to_bits() == 0));
			bytes.fill(7);
			floats.fill(7.0);
			assert!(bytes.iter().all(|x| *x == 7) && floats.iter().all(|x| *x == 7.0));
		}
	}
}
