//! Well-formed values of any type that has type information: the types of the runtime's calls say how their arguments
//! are encoded, so a new call is generated as soon as it exists.

use super::{
	chain::{self, account, artifact, PEOPLE},
	random::Random,
	rt::*,
};
use codec::{Compact, Encode};
use scale_info::{form::PortableForm, PortableRegistry, Registry, TypeDef, TypeDefPrimitive};
use sp_core::H256;

/// How deep calls within calls are generated; mutation nests them further.
const MAX_NESTING: u32 = 4;
/// Elements of a list, beyond which no type in a call makes sense.
const MAX_LENGTH: usize = 2_100;

/// Numbers that the chain's state gives a meaning.
#[derive(Clone, Debug, Default)]
pub struct Hints {
	programmes: u32,
	rounds: Vec<u32>,
	attempts: Vec<u32>,
	devices: u32,
	sites: u32,
	nonces: Vec<H256>,
	/// Hashes of calls that were made, and whatever else is a key.
	hashes: Vec<H256>,
}

impl Hints {
	/// Reads them from the chain's state.
	pub fn read(hashes: &[H256]) -> Self {
		let programmes = pallet_training::ProgrammeCount::<Runtime>::get();
		let rounds: Vec<_> = (0..programmes.min(4)).filter_map(Training::current_round).collect();
		let devices = pallet_hardware::DeviceCount::<Runtime>::get();
		Self {
			programmes,
			devices,
			sites: pallet_hardware::SiteCount::<Runtime>::get(),
			nonces: (0..devices.min(16)).filter_map(|d| Hardware::open_challenge(d)?.nonce).collect(),
			attempts: rounds.iter().map(|r| r.attempt).collect(),
			hashes: rounds
				.iter()
				.flat_map(|r| {
					[r.base, chain::next_weights(r)].into_iter().chain(r.commits.iter().map(|c| c.artifact))
				})
				.chain(hashes.iter().copied())
				.chain(pallet_collective::Proposals::<Runtime, pallet_collective::Instance1>::get())
				.chain(pallet_preimage::RequestStatusFor::<Runtime>::iter_keys().take(8))
				.collect(),
			rounds: rounds.into_iter().map(|r| r.index).collect(),
		}
	}
}

/// Generates calls.
pub struct Generator {
	types: PortableRegistry,
	call: u32,
}

impl Generator {
	/// For the runtime's calls.
	pub fn new() -> Self {
		let mut registry = Registry::new();
		let call = registry.register_type(&scale_info::meta_type::<RuntimeCall>()).id;
		Self { types: registry.into(), call }
	}

	/// The number of pallets with calls, and of calls.
	#[cfg(test)]
	pub fn calls(&self) -> Vec<(u8, u8)> {
		let TypeDef::Variant(pallets) = &self.ty(self.call).type_def else { return Vec::new() };
		let mut calls = Vec::new();
		for pallet in &pallets.variants {
			let TypeDef::Variant(inner) = &self.ty(pallet.fields[0].ty.id).type_def else { continue };
			calls.extend(inner.variants.iter().map(|call| (pallet.index, call.index)));
		}
		calls
	}

	/// The encoding of a call.
	pub fn call(&self, random: &mut Random, hints: &Hints) -> Vec<u8> {
		let mut out = Vec::new();
		Making { types: self, random, hints, out: &mut out, nesting: 0 }.call();
		out
	}

	fn ty(&self, id: u32) -> &scale_info::Type<PortableForm> {
		self.types.resolve(id).expect("a type's parts are registered with it")
	}
}

struct Making<'a> {
	types: &'a Generator,
	random: &'a mut Random,
	hints: &'a Hints,
	out: &'a mut Vec<u8>,
	nesting: u32,
}

impl Making<'_> {
	fn call(&mut self) {
		if self.nesting >= MAX_NESTING {
			let remark = RuntimeCall::from(frame_system::Call::remark { remark: vec![1] });
			remark.encode_to(self.out);
			return;
		}
		self.nesting += 1;
		let TypeDef::Variant(pallets) = &self.types.ty(self.types.call).type_def else { return };
		// Our own pallets, which nobody else fuzzes, as often as all others.
		let ours = |index: u8| index >= 50;
		let wanted = self.random.chance(50);
		let pallets: Vec<_> = pallets.variants.iter().filter(|p| ours(p.index) == wanted).collect();
		let pallet = self.random.pick(&pallets);
		self.out.push(pallet.index);
		pallet.fields.iter().for_each(|f| self.value(f.ty.id, None, 0));
		self.nesting -= 1;
	}

	/// A value of type `id`, for a field called `name`.
	fn value(&mut self, id: u32, name: Option<&str>, depth: u32) {
		let types = self.types;
		let ty = types.ty(id);
		if id == types.call {
			return self.call();
		}
		match ty.path.segments.last().map(String::as_str) {
			Some("AccountId32") => return self.someone().encode_to(self.out),
			Some("H256") => return self.hash(name).encode_to(self.out),
			Some("Perbill") => return (self.random.below(1_000_000_001) as u32).encode_to(self.out),
			// Nearly nothing that is made at random keeps all of its bounds.
			Some("Settings") if self.random.chance(80) => {
				let (rounds, seats) = (self.random.below(6) as u32, self.random.below(6) as u32);
				return chain::settings(rounds, seats).encode_to(self.out);
			},
			// A call that was put into the referendum, instead of random bytes.
			Some("Bounded") if self.random.chance(80) => {
				let mut inner = Vec::new();
				let nesting = MAX_NESTING - 1;
				Making { types, random: self.random, hints: self.hints, out: &mut inner, nesting }.call();
				inner.truncate(128);
				self.out.push(1);
				return inner.encode_to(self.out);
			},
			_ => {},
		}
		match &ty.type_def {
			TypeDef::Composite(composite) => {
				composite
					.fields
					.iter()
					.for_each(|f| self.value(f.ty.id, f.name.as_deref().or(name), depth + 1));
			},
			TypeDef::Variant(variant) if variant.variants.is_empty() => {},
			TypeDef::Variant(variant) => {
				let chosen = self.random.pick(&variant.variants);
				self.out.push(chosen.index);
				chosen.fields.iter().for_each(|f| self.value(f.ty.id, f.name.as_deref().or(name), depth + 1));
			},
			TypeDef::Sequence(sequence) => {
				let bytes = matches!(
					types.ty(sequence.type_param.id).type_def,
					TypeDef::Primitive(TypeDefPrimitive::U8)
				);
				let length = self.length(bytes, depth);
				Compact(length as u32).encode_to(self.out);
				(0..length).for_each(|_| self.value(sequence.type_param.id, name, depth + 1));
			},
			TypeDef::Array(array) => {
				(0..array.len).for_each(|_| self.value(array.type_param.id, None, depth + 1));
			},
			TypeDef::Tuple(tuple) => tuple.fields.iter().for_each(|f| self.value(f.id, name, depth + 1)),
			TypeDef::Primitive(primitive) => self.primitive(primitive, name),
			TypeDef::Compact(compact) => self.compact(compact.type_param.id, name),
			TypeDef::BitSequence(_) => Compact(0u32).encode_to(self.out),
		}
	}

	fn someone(&mut self) -> AccountId {
		match self.random.below(20) {
			0 => configs::governance::TreasuryAccount::get(),
			1 | 2 => Rewards::pot(self.random.below(3) as u32),
			3 => AccountId::new(self.random.bytes32()),
			_ => account(1 + self.random.below(u64::from(PEOPLE)) as u8),
		}
	}

	fn hash(&mut self, name: Option<&str>) -> H256 {
		let known = if name == Some("nonce") { &self.hints.nonces } else { &self.hints.hashes };
		match self.random.below(10) {
			0 => H256(self.random.bytes32()),
			1 => artifact(self.random.below(8)),
			_ if known.is_empty() => artifact(self.random.below(1_000_000)),
			_ => *self.random.pick(known),
		}
	}

	/// A list's length: mostly short, sometimes at a bound that some list has, seldom longer.
	fn length(&mut self, bytes: bool, depth: u32) -> usize {
		let most = if depth > 6 { 4 } else { MAX_LENGTH };
		let length = match (self.random.below(40), bytes) {
			(0, _) => self.random.below(130),
			(1, true) => *self.random.pick(&[127, 128, 129, 1_023, 1_024, 1_025, 2_048]),
			(2..=12, true) => self.random.below(65),
			(2..=6, false) => *self.random.pick(&[15, 16, 17, 31, 32, 33, 100, 101]),
			_ => self.random.below(5),
		};
		(length as usize).min(most)
	}

	fn number(&mut self, name: Option<&str>, bits: u32) -> u128 {
		let hints = self.hints;
		if self.random.chance(70) {
			match name {
				Some("programme") => return self.random.below(u64::from(hints.programmes.min(3)) + 1).into(),
				Some("round") if !hints.rounds.is_empty() => {
					return (*self.random.pick(&hints.rounds)).into()
				},
				Some("attempt") if !hints.attempts.is_empty() => {
					return (*self.random.pick(&hints.attempts)).into();
				},
				Some("device") => return self.random.below(u64::from(hints.devices) + 1).into(),
				Some("site") => return self.random.below(u64::from(hints.sites) + 1).into(),
				_ => {},
			}
		}
		let most = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
		let found = match self.random.below(10) {
			0 => most - u128::from(self.random.below(3)),
			1 => 1 << self.random.below(u64::from(bits)),
			2 => u128::from(self.random.next()) << self.random.below(64),
			// Amounts that mean something.
			3 | 4 if bits > 32 => CRN * u128::from(self.random.below(2_000)),
			_ => u128::from(self.random.below(8)),
		};
		found.min(most)
	}

	fn primitive(&mut self, primitive: &TypeDefPrimitive, name: Option<&str>) {
		use TypeDefPrimitive::*;
		let (bits, signed) = match primitive {
			Bool => return self.random.chance(50).encode_to(self.out),
			Char => return u32::from('a').encode_to(self.out),
			Str => return "text".encode_to(self.out),
			U8 => (8, false),
			U16 => (16, false),
			U32 => (32, false),
			U64 => (64, false),
			U128 => (128, false),
			U256 => return [self.random.bytes32()].encode_to(self.out),
			I8 => (8, true),
			I16 => (16, true),
			I32 => (32, true),
			I64 => (64, true),
			I128 => (128, true),
			I256 => return [self.random.bytes32()].encode_to(self.out),
		};
		let number =
			if bits == 8 || signed { u128::from(self.random.next()) } else { self.number(name, bits) };
		self.out.extend(&number.to_le_bytes()[..bits as usize / 8]);
	}

	fn compact(&mut self, id: u32, name: Option<&str>) {
		let types = self.types;
		match &types.ty(id).type_def {
			TypeDef::Primitive(TypeDefPrimitive::U8) => Compact(self.random.next() as u8).encode_to(self.out),
			TypeDef::Primitive(TypeDefPrimitive::U16) => {
				Compact(self.number(name, 16) as u16).encode_to(self.out)
			},
			TypeDef::Primitive(TypeDefPrimitive::U32) => {
				Compact(self.number(name, 32) as u32).encode_to(self.out)
			},
			TypeDef::Primitive(TypeDefPrimitive::U64) => {
				Compact(self.number(name, 64) as u64).encode_to(self.out)
			},
			TypeDef::Primitive(TypeDefPrimitive::U128) => Compact(self.number(name, 128)).encode_to(self.out),
			// A newtype around one of those; a unit has no encoding.
			TypeDef::Composite(composite) => {
				composite.fields.iter().for_each(|f| self.compact(f.ty.id, name));
			},
			_ => {},
		}
	}
}
