//! Making sure that the arithmetic is the one that everyone else has.
//!
//! Rust promises IEEE 754 binary32 and binary64 with rounding to nearest even, and never contracts a multiplication
//! and an addition into one. What it cannot prevent is a library in the same process that switches a thread's
//! floating-point unit to flush subnormal numbers to zero, as some do for speed. New threads inherit that mode.

use crate::AggregationError;
use std::hint::black_box;

/// Tries the operations that the non-standard modes get wrong. To be called on each thread that computes.
pub(crate) fn check() -> Result<(), AggregationError> {
	let err = |what| Err(AggregationError::Arithmetic { what });
	let least32 = f32::from_bits(1);
	// 2^-149, which is normal as an f64.
	let least32_wide = f64::from_bits(0x36a0_0000_0000_0000);
	let halved = black_box(f64::MIN_POSITIVE) / black_box(2.0);
	let doubled = black_box(f64::from_bits(1)) + black_box(f64::from_bits(1));
	if f64::from(black_box(least32)).to_bits() != least32_wide.to_bits()
		|| (black_box(least32_wide) as f32).to_bits() != least32.to_bits()
		|| halved.to_bits() != 1 << 51
		|| doubled.to_bits() != 2
	{
		return err("subnormal numbers are flushed to zero");
	}
	let half_step = f64::EPSILON / 2.0;
	let to_even = black_box(1.0) + black_box(half_step);
	let up = black_box(1.0) + black_box(half_step * 1.5);
	if to_even != 1.0 || up != 1.0 + f64::EPSILON {
		return err("numbers are not rounded to nearest");
	}
	Ok(())
}

/// Whether the processor has vectors of 512 bits, and 32 registers for them.
pub(crate) fn has_wide_vectors() -> bool {
	#[cfg(target_arch = "x86_64")]
	{
		std::arch::is_x86_feature_detected!("avx512f")
	}
	#[cfg(not(target_arch = "x86_64"))]
	{
		false
	}
}

/// Calls a function of this module, compiled for vectors of 512 or 256 bits where the processor has them:
/// `vectorised!(function(name: Type, …))` with arguments of these names. The function, and what it calls, has to be
/// `#[inline(always)]`, or it is compiled for all processors alike.
///
/// The operations are the same ones, only more of them at once, so the bits are the same: the compiler neither reorders
/// floating-point sums nor contracts a product and a sum into one instruction, also where there is one.
macro_rules! vectorised {
	($function:ident($($argument:ident: $type:ty),* $(,)?)) => {{
		#[cfg(target_arch = "x86_64")]
		{
			#[target_feature(enable = "avx512f")]
			fn with_avx512($($argument: $type),*) {
				$function($($argument),*)
			}
			#[target_feature(enable = "avx2")]
			fn with_avx2($($argument: $type),*) {
				$function($($argument),*)
			}
			if $crate::arithmetic::has_wide_vectors() {
				// SAFETY: all that `with_avx512` asks for is the feature that was just found.
				unsafe { with_avx512($($argument),*) }
			} else if std::arch::is_x86_feature_detected!("avx2") {
				// SAFETY: all that `with_avx2` asks for is the feature that was just found.
				unsafe { with_avx2($($argument),*) }
			} else {
				$function($($argument),*)
			}
		}
		#[cfg(not(target_arch = "x86_64"))]
		$function($($argument),*)
	}};
}
pub(crate) use vectorised;

/// Rows of numbers of many sizes, on which an order of operations shows.
#[cfg(test)]
pub(crate) fn some_rows(count: usize, len: usize) -> Vec<Vec<f32>> {
	let number = |i: usize| (i as f32 * 0.7).sin() * 10f32.powi((i % 9) as i32 - 4);
	(0..count).map(|row| (0..len).map(|i| number(row * len + i)).collect()).collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn default_mode_is_accepted() {
		assert_eq!(check(), Ok(()));
	}

	#[cfg(target_arch = "x86_64")]
	#[test]
	fn flushing_and_directed_rounding_are_refused() {
		use std::arch::asm;
		const DEFAULT: u32 = 0x1f80;
		let under = |mode: u32| {
			std::thread::spawn(move || {
				// SAFETY: the mode is put back before anything but `check` runs, whose operands are opaque to the
				// optimiser; finding out about such a mode is what `check` is for.
				unsafe { asm!("ldmxcsr [{}]", in(reg) &mode, options(nostack, readonly)) };
				let result = check();
				unsafe { asm!("ldmxcsr [{}]", in(reg) &DEFAULT, options(nostack, readonly)) };
				result
			})
			.join()
			.expect("check does not panic")
		};
		assert_eq!(under(DEFAULT), Ok(()));
		let flushed = Err(AggregationError::Arithmetic { what: "subnormal numbers are flushed to zero" });
		let (flush_to_zero, denormals_are_zero) = (1 << 15, 1 << 6);
		assert_eq!(under(DEFAULT | flush_to_zero), flushed);
		assert_eq!(under(DEFAULT | denormals_are_zero), flushed);
		for direction in 1..4 {
			let result = under(DEFAULT | direction << 13);
			assert!(matches!(result, Err(AggregationError::Arithmetic { .. })), "{direction}: {result:?}");
		}
	}
}
