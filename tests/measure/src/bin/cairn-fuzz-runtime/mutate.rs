//! What turns well-formed bytes into others: flipped bits, splices, cuts, lies about lengths, and nesting.

use super::{chain::account, random::Random, rt::*};
use codec::{Compact, Encode};

/// Changes `bytes` in one to four ways, with pieces of `other` in it perhaps.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
	for _ in 0..=random.below(4) {
		if bytes.is_empty() {
			bytes.push(random.next() as u8);
			continue;
		}
		let at = random.below(bytes.len() as u64) as usize;
		match random.below(10) {
			0..=2 => bytes[at] ^= 1 << random.below(8),
			3 => bytes[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0xff]),
			4 => bytes.truncate(at),
			5 => drop(bytes.drain(at..(at + 1 + random.below(8) as usize).min(bytes.len()))),
			// Four bytes that claim any length, where a length may be.
			6 => {
				let lie = Compact(random.next() as u32 >> random.below(32)).encode();
				let end = (at + lie.len()).min(bytes.len());
				bytes.splice(at..end, lie);
			},
			7 => {
				let from = random.below(other.len() as u64 + 1) as usize;
				let end = if random.chance(50) { bytes.len() } else { at };
				bytes.splice(at..end, other[from..].iter().copied());
			},
			8 => {
				let copy: Vec<_> = bytes[at..].iter().copied().take(64).collect();
				bytes.splice(at..at, copy);
			},
			_ => {
				let number = random.next().to_le_bytes();
				let end = (at + 8).min(bytes.len());
				bytes.splice(at..end, number);
			},
		}
	}
	bytes.truncate(1 << 16);
}

/// The bytes that a call which ends with another call begins with.
fn shells() -> Vec<Vec<u8>> {
	let inner = RuntimeCall::from(frame_system::Call::remark { remark: vec![] });
	let call = || Box::new(inner.clone());
	let calls = || vec![inner.clone()];
	let around: [RuntimeCall; 8] = [
		pallet_utility::Call::batch { calls: calls() }.into(),
		pallet_utility::Call::batch_all { calls: calls() }.into(),
		pallet_utility::Call::force_batch { calls: calls() }.into(),
		pallet_utility::Call::as_derivative { index: 0, call: call() }.into(),
		pallet_utility::Call::if_else { main: call(), fallback: call() }.into(),
		pallet_proxy::Call::proxy { real: account(1).into(), force_proxy_type: None, call: call() }.into(),
		pallet_multisig::Call::as_multi_threshold_1 { other_signatories: vec![account(2)], call: call() }
			.into(),
		pallet_whitelist::Call::dispatch_whitelisted_call_with_preimage { call: call() }.into(),
	];
	let inner = inner.encode();
	around.iter().map(Encode::encode).map(|outer| outer[..outer.len() - inner.len()].to_vec()).collect()
}

/// Puts a call into calls into calls, up to `depth` of them: one kind alone, or all mixed.
pub fn nest(call: &[u8], depth: u64, random: &mut Random) -> Vec<u8> {
	let shells = shells();
	let one = random.chance(50).then(|| random.pick(&shells).clone());
	let mut nested = Vec::new();
	for _ in 0..depth {
		nested.extend(one.as_ref().unwrap_or_else(|| random.pick(&shells)));
	}
	nested.extend(call);
	nested
}
