//! Honest and hostile actors do anything at any time, as accounts, as the origins of referenda, in batches and through
//! proxies; the invariants of every pallet hold after each act and after each block.

use super::{chain::*, rt::*};
use crate::{
	configs::governance::ProxyType,
	governance::{pallet_custom_origins::Origin as Office, tracks},
};
use cairn_primitives::{DeviceClass, Settings, H256};
use codec::Encode;
use frame_support::{
	traits::{schedule::DispatchTime, Bounded},
	BoundedVec,
};
use pallet_conviction_voting::{AccountVote, Conviction};
use proptest::prelude::*;
use sp_runtime::{
	traits::{Dispatchable, Hash as _},
	Perbill,
};
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

/// Each is a chain of a few hundred blocks.
const CASES: u32 = 48;

#[derive(Clone, Debug)]
enum Step {
	/// Somebody does something.
	Act(Act),
	/// What the parties to a round do next, so many times; all are honest but `liar`, if that is one of them.
	Work { programme: u32, times: u8, liar: u8 },
	/// Blocks come and go.
	Blocks(u32),
	/// Nobody made a block for so many slots, epochs perhaps.
	Silence(u64),
	/// So many empty blocks come, of which only those are made that something is scheduled for.
	Leap(u32),
	/// A validator is found to have equivocated.
	Equivocate(u8),
}

#[derive(Clone, Debug)]
struct Act {
	who: u8,
	/// Whether it speaks with the origin that may do this, where accounts may not.
	rightful: bool,
	wrap: Wrap,
	what: What,
}

#[derive(Clone, Debug)]
enum Wrap {
	Plain,
	Batch,
	BatchAll,
	ForceBatch,
	Proxy(u8),
	Multisig(u8),
	Fallback,
}

#[derive(Clone, Debug)]
enum What {
	Commit { programme: u32, variant: u64 },
	Vote { programme: u32, bits: u8 },
	CommitAggregate { programme: u32, honest: bool, quality: u8 },
	Reveal { programme: u32, honest: bool, quality: u8 },
	Challenge { programme: u32, claimed: u64 },
	Advance { programme: u32 },
	Enlist,
	Delist,
	RegisterSite,
	RegisterDevice { site: u32, device: u8 },
	Activate { key: u8 },
	Retire { device: u32 },
	OfferSite { site: u32, to: Option<u8> },
	AcceptSite { site: u32 },
	Describe { device: u32, memory_mib: u32 },
	Rotate { device: u32, new: u8 },
	OfferDevice { device: u32, to: Option<u32> },
	AcceptDevice { device: u32 },
	Suspend { device: u32 },
	Reinstate { device: u32 },
	SetAttesters { members: Vec<u8>, threshold: u32 },
	RequestAttestation,
	Measure,
	Attest { device: u32, vouch: bool },
	Recheck,
	ExpireRecheck { device: u32 },
	Bond { amount: Balance },
	Unbond { amount: Balance },
	Fund { programme: u32, amount: Balance },
	Claim { programme: u32 },
	Refund { programme: u32 },
	Sweep { programme: u32 },
	Appeal { slash: u32 },
	Veto { slash: u32 },
	Apply { slash: u32 },
	Fractions { per_cent: u32 },
	Charter { site_cap: u8, evidence: bool, min_committee: u32, max_epsilon: Option<u32> },
	Open { rounds: u32, seats: u32 },
	Amend { programme: u32, rounds: u32, seats: u32, reward: Balance },
	Pause { programme: u32 },
	Resume { programme: u32 },
	Close { programme: u32 },
	SetValidators { members: Vec<u8> },
	PurgeKeys,
	Transfer { to: Account, amount: Balance },
	TreasurySpend { to: Account, amount: Balance },
	Payout { index: u32 },
	VoidSpend { index: u32 },
	Submit { track: u8, motion: Motion },
	DecisionDeposit { index: u32 },
	Nudge { index: u32 },
	ConvictionVote { index: u32, aye: bool, conviction: u8, amount: Balance },
	Delegate { track: u8, to: u8, amount: Balance },
	Undelegate { track: u8 },
	RemoveVote { index: u32 },
	Unlock { track: u8 },
	RefundDeposits { index: u32 },
	Propose { motion: Motion },
	MotionVote { motion: Motion, index: u32, approve: bool },
	CloseMotion { motion: Motion, index: u32 },
	AddProxy { to: u8, kind: u8 },
	RemoveProxies,
}

/// An account that funds can go to.
#[derive(Clone, Debug)]
enum Account {
	Person(u8),
	Pot(u32),
	Treasury,
}

/// What a referendum or the committee decides.
#[derive(Clone, Debug, PartialEq)]
enum Motion {
	Pause(u32),
	Resume(u32),
	Close(u32),
	Open(u32),
	Spend(u32),
	Whitelist,
	DispatchWhitelisted,
}

impl Motion {
	fn call(&self) -> RuntimeCall {
		let whitelisted = RuntimeCall::from(frame_system::Call::remark { remark: vec![1] });
		match *self {
			Motion::Pause(programme) => pallet_governance::Call::pause_programme { programme }.into(),
			Motion::Resume(programme) => pallet_governance::Call::resume_programme { programme }.into(),
			Motion::Close(programme) => pallet_governance::Call::close_programme { programme }.into(),
			Motion::Open(rounds) => {
				pallet_governance::Call::open_programme { settings: Box::new(settings(rounds, 1)) }.into()
			},
			Motion::Spend(programme) => spend(Rewards::pot(programme), 5_000 * CRN),
			Motion::Whitelist => pallet_whitelist::Call::whitelist_call {
				call_hash: <Runtime as frame_system::Config>::Hashing::hash_of(&whitelisted),
			}
			.into(),
			Motion::DispatchWhitelisted => pallet_whitelist::Call::dispatch_whitelisted_call_with_preimage {
				call: Box::new(whitelisted),
			}
			.into(),
		}
	}
}

fn spend(to: AccountId, amount: Balance) -> RuntimeCall {
	pallet_treasury::Call::spend {
		asset_kind: Box::new(()),
		amount,
		beneficiary: Box::new(to),
		valid_from: None,
	}
	.into()
}

fn office(track: u8) -> OriginCaller {
	match track {
		0 => frame_system::RawOrigin::Root.into(),
		1 => Office::WhitelistedCaller.into(),
		2 => Office::ProgrammeAdmin.into(),
		3 => Office::PolicyAdmin.into(),
		4 => Office::Treasurer.into(),
		5 => Office::RegistryAdmin.into(),
		_ => Office::SafetyStop.into(),
	}
}

fn class(track: u8) -> u16 {
	[
		tracks::ROOT,
		tracks::WHITELISTED_CALLER,
		tracks::PROGRAMME_ADMIN,
		tracks::POLICY_ADMIN,
		tracks::TREASURER,
		tracks::REGISTRY_ADMIN,
		tracks::SAFETY_STOP,
	][usize::from(track % 7)]
}

impl Account {
	fn id(&self) -> AccountId {
		match *self {
			Account::Person(n) => account(n),
			Account::Pot(programme) => Rewards::pot(programme),
			Account::Treasury => configs::governance::TreasuryAccount::get(),
		}
	}
}

impl What {
	/// The origin beside an account that may do this.
	fn office(&self) -> Option<OriginCaller> {
		use What::*;
		Some(match self {
			Suspend { .. } | Reinstate { .. } | SetAttesters { .. } | SetValidators { .. } => {
				Office::RegistryAdmin.into()
			},
			Veto { .. } | Fractions { .. } | Charter { .. } => Office::PolicyAdmin.into(),
			Open { .. } | Amend { .. } | Resume { .. } | Close { .. } => Office::ProgrammeAdmin.into(),
			Pause { .. } => Office::SafetyStop.into(),
			TreasurySpend { .. } | VoidSpend { .. } => Office::Treasurer.into(),
			_ => return None,
		})
	}

	/// `None` when the chain's state gives nothing to do this with.
	fn call(&self, who: u8) -> Option<RuntimeCall> {
		use What::*;
		let me = account(who);
		let round = |programme: u32| Training::current_round(programme);
		Some(match *self {
			Commit { programme, variant } => commit_update(&round(programme)?, who, variant),
			Vote { programme, bits } => vote(&round(programme)?, bits),
			CommitAggregate { programme, honest, quality } => {
				let round = round(programme)?;
				let result = if honest { next_weights(&round) } else { round.base };
				commit_aggregate(&round, &me, result, quality)
			},
			Reveal { programme, honest, quality } => {
				let round = round(programme)?;
				let result = if honest { next_weights(&round) } else { round.base };
				reveal_aggregate(&round, result, quality)
			},
			Challenge { programme, claimed } => pallet_training::Call::challenge {
				programme,
				round: round(programme)?.index,
				claimed: artifact(claimed),
			}
			.into(),
			Advance { programme } => pallet_training::Call::advance { programme }.into(),
			Enlist => pallet_training::Call::enlist_aggregator {}.into(),
			Delist => pallet_training::Call::delist_aggregator {}.into(),
			RegisterSite => register_site(),
			RegisterDevice { site, device } => register_device(site, account(device)),
			Activate { key } => activate_device(who, key),
			Retire { device } => pallet_hardware::Call::retire_device { device }.into(),
			OfferSite { site, to } => pallet_hardware::Call::offer_site { site, to: to.map(account) }.into(),
			AcceptSite { site } => pallet_hardware::Call::accept_site { site }.into(),
			Describe { device, memory_mib } => pallet_hardware::Call::describe_device {
				device,
				vendor: BoundedVec::truncate_from(b"vendor".to_vec()),
				model: BoundedVec::truncate_from(b"model".to_vec()),
				memory_mib,
				image: None,
			}
			.into(),
			Rotate { device, new } => rotate_account(device, new)?,
			OfferDevice { device, to } => pallet_hardware::Call::offer_device { device, to }.into(),
			AcceptDevice { device } => pallet_hardware::Call::accept_device { device }.into(),
			Suspend { device } => pallet_hardware::Call::suspend_device { device }.into(),
			Reinstate { device } => pallet_hardware::Call::reinstate_device { device }.into(),
			SetAttesters { ref members, threshold } => {
				let members = members.iter().map(|n| account(*n)).collect();
				pallet_hardware::Call::set_attesters {
					members: BoundedVec::truncate_from(members),
					threshold,
				}
				.into()
			},
			RequestAttestation => pallet_hardware::Call::request_attestation {}.into(),
			Measure => submit_measurement(who)?,
			Attest { device, vouch } => attest(device, vouch)?,
			Recheck => pallet_hardware::Call::recheck {}.into(),
			ExpireRecheck { device } => pallet_hardware::Call::expire_recheck { device }.into(),
			Bond { amount } => pallet_rewards::Call::bond { amount }.into(),
			Unbond { amount } => pallet_rewards::Call::unbond { amount }.into(),
			Fund { programme, amount } => pallet_rewards::Call::fund { programme, amount }.into(),
			Claim { programme } => pallet_rewards::Call::claim { programme }.into(),
			Refund { programme } => pallet_rewards::Call::claim_refund { programme }.into(),
			Sweep { programme } => pallet_rewards::Call::sweep_pot { programme }.into(),
			Appeal { slash } => pallet_rewards::Call::appeal { slash, reason: H256::zero() }.into(),
			Veto { slash } => pallet_rewards::Call::veto_slash { slash }.into(),
			Apply { slash } => pallet_rewards::Call::apply_slash { slash }.into(),
			Fractions { per_cent } => {
				let part = Perbill::from_percent(per_cent);
				pallet_rewards::Call::set_slash_fractions {
					fractions: pallet_rewards::SlashFractions {
						dissented: part,
						overturned: part,
						failed_challenge: part,
						equivocation: part,
					},
				}
				.into()
			},
			Charter { site_cap, evidence, min_committee, max_epsilon } => {
				let evidence = if evidence { vec![DeviceClass::Cpu] } else { vec![] };
				let charter = pallet_governance::Charter {
					site_cap,
					min_committee,
					max_epsilon,
					evidence: BoundedVec::truncate_from(evidence),
					..Default::default()
				};
				pallet_governance::Call::set_charter { charter: Box::new(charter) }.into()
			},
			Open { rounds, seats } => {
				pallet_governance::Call::open_programme { settings: Box::new(settings(rounds, seats)) }.into()
			},
			Amend { programme, rounds, seats, reward } => {
				let old = pallet_training::Programmes::<Runtime>::get(programme)?.settings;
				let settings = Settings {
					rounds,
					committee_size: seats,
					audit_size: 2 * seats + 1,
					reward_per_round: reward,
					..old
				};
				pallet_governance::Call::amend_programme { programme, settings: Box::new(settings) }.into()
			},
			Pause { programme } => Motion::Pause(programme).call(),
			Resume { programme } => Motion::Resume(programme).call(),
			Close { programme } => Motion::Close(programme).call(),
			SetValidators { ref members } => {
				let members = members.iter().map(|n| account(*n)).collect();
				pallet_governance::Call::set_validators { validators: BoundedVec::truncate_from(members) }
					.into()
			},
			PurgeKeys => pallet_session::Call::purge_keys {}.into(),
			Transfer { ref to, amount } => {
				pallet_balances::Call::transfer_allow_death { dest: to.id().into(), value: amount }.into()
			},
			TreasurySpend { ref to, amount } => spend(to.id(), amount),
			Payout { index } => pallet_treasury::Call::payout { index }.into(),
			VoidSpend { index } => pallet_treasury::Call::void_spend { index }.into(),
			Submit { track, ref motion } => pallet_referenda::Call::submit {
				proposal_origin: Box::new(office(track)),
				proposal: Bounded::Inline(BoundedVec::try_from(motion.call().encode()).ok()?),
				enactment_moment: DispatchTime::After(1),
			}
			.into(),
			DecisionDeposit { index } => pallet_referenda::Call::place_decision_deposit { index }.into(),
			Nudge { index } => pallet_referenda::Call::refund_submission_deposit { index }.into(),
			ConvictionVote { index, aye, conviction, amount } => pallet_conviction_voting::Call::vote {
				poll_index: index,
				vote: AccountVote::Standard {
					vote: pallet_conviction_voting::Vote {
						aye,
						conviction: Conviction::try_from(conviction).ok()?,
					},
					balance: amount,
				},
			}
			.into(),
			Delegate { track, to, amount } => pallet_conviction_voting::Call::delegate {
				class: class(track),
				to: account(to).into(),
				conviction: Conviction::Locked1x,
				balance: amount,
			}
			.into(),
			Undelegate { track } => pallet_conviction_voting::Call::undelegate { class: class(track) }.into(),
			RemoveVote { index } => pallet_conviction_voting::Call::remove_vote { class: None, index }.into(),
			Unlock { track } => {
				pallet_conviction_voting::Call::unlock { class: class(track), target: me.into() }.into()
			},
			RefundDeposits { index } => pallet_referenda::Call::refund_decision_deposit { index }.into(),
			Propose { ref motion } => {
				let proposal = Box::new(motion.call());
				let length_bound = proposal.encoded_size() as u32;
				pallet_collective::Call::propose { threshold: 2, proposal, length_bound }.into()
			},
			MotionVote { ref motion, index, approve } => pallet_collective::Call::vote {
				proposal: <Runtime as frame_system::Config>::Hashing::hash_of(&motion.call()),
				index,
				approve,
			}
			.into(),
			CloseMotion { ref motion, index } => pallet_collective::Call::close {
				proposal_hash: <Runtime as frame_system::Config>::Hashing::hash_of(&motion.call()),
				index,
				proposal_weight_bound: frame_support::weights::Weight::MAX / 2,
				length_bound: 10_000,
			}
			.into(),
			AddProxy { to, kind } => pallet_proxy::Call::add_proxy {
				delegate: account(to).into(),
				proxy_type: [
					ProxyType::Any,
					ProxyType::NonTransfer,
					ProxyType::Governance,
					ProxyType::Operation,
				][usize::from(kind % 4)],
				delay: 0,
			}
			.into(),
			RemoveProxies => pallet_proxy::Call::remove_proxies {}.into(),
		})
	}
}

impl Act {
	/// Tries it; what the chain refuses changes nothing, which the invariants then show.
	fn perform(&self) {
		let Some(call) = self.what.call(self.who) else { return };
		if let Some(office) = self.what.office().filter(|_| self.rightful) {
			let _ = call.dispatch(office.into());
			return;
		}
		let remark = RuntimeCall::from(frame_system::Call::remark { remark: vec![] });
		let failing = RuntimeCall::from(pallet_rewards::Call::bond { amount: 0 });
		let (who, call) = match self.wrap {
			Wrap::Plain => (self.who, call),
			// Twice, so that what went wrong or right the first time is tried on what that left.
			Wrap::Batch => {
				(self.who, pallet_utility::Call::batch { calls: vec![call.clone(), remark, call] }.into())
			},
			// All of it is undone.
			Wrap::BatchAll => {
				(self.who, pallet_utility::Call::batch_all { calls: vec![call, failing] }.into())
			},
			Wrap::ForceBatch => {
				let calls = vec![failing, call.clone(), call];
				(self.who, pallet_utility::Call::force_batch { calls }.into())
			},
			Wrap::Proxy(by) => {
				let real = account(self.who).into();
				let call = Box::new(call);
				(by, pallet_proxy::Call::proxy { real, force_proxy_type: None, call }.into())
			},
			Wrap::Multisig(with) => {
				let other_signatories = vec![account(with)];
				let call = Box::new(call);
				(self.who, pallet_multisig::Call::as_multi_threshold_1 { other_signatories, call }.into())
			},
			Wrap::Fallback => {
				let (main, fallback) = (Box::new(failing), Box::new(call));
				(self.who, pallet_utility::Call::if_else { main, fallback }.into())
			},
		};
		let _ = call.dispatch(RuntimeOrigin::signed(account(who)));
	}
}

fn equivocate(n: u8) {
	let offender = (account(n), ());
	let details = OffenceDetails { offender, reporters: vec![account(20)] };
	let session = pallet_session::CurrentIndex::<Runtime>::get();
	// As the offences pallet does, which checks the proof first.
	if Session::validators().contains(&account(n)) {
		<<Runtime as pallet_offences::Config>::OnOffenceHandler as OnOffenceHandler<_, _, _>>::on_offence(
			&[details],
			&[Perbill::one()],
			session,
		);
	}
}

fn people() -> impl Strategy<Value = u8> {
	1u8..=PEOPLE
}

fn programmes() -> impl Strategy<Value = u32> {
	prop_oneof![6 => Just(0u32), 3 => Just(1u32), 1 => 2u32..4]
}

fn funds() -> impl Strategy<Value = Balance> {
	prop_oneof![
		4 => (0u128..2_000).prop_map(|n| n * CRN),
		1 => 0u128..CRN,
		1 => (0u128..=100).prop_map(|n| WEALTH * n / 100),
		1 => Just(Balance::MAX),
	]
}

fn accounts() -> impl Strategy<Value = Account> {
	prop_oneof![
		people().prop_map(Account::Person),
		programmes().prop_map(Account::Pot),
		Just(Account::Treasury),
	]
}

fn motion() -> impl Strategy<Value = Motion> {
	prop_oneof![
		3 => programmes().prop_map(Motion::Pause),
		2 => programmes().prop_map(Motion::Resume),
		1 => programmes().prop_map(Motion::Close),
		1 => (1u32..3).prop_map(Motion::Open),
		1 => programmes().prop_map(Motion::Spend),
		1 => Just(Motion::Whitelist),
		1 => Just(Motion::DispatchWhitelisted),
	]
}

fn round_work() -> impl Strategy<Value = What> {
	use What::*;
	let quality = prop_oneof![4 => Just(100u8), 1 => 98u8..=101];
	prop_oneof![
		4 => (programmes(), 0u64..3).prop_map(|(programme, variant)| Commit { programme, variant }),
		3 => (programmes(), any::<u8>()).prop_map(|(programme, bits)| Vote { programme, bits }),
		3 => (programmes(), any::<bool>(), quality.clone()).prop_map(|(programme, honest, quality)| {
			CommitAggregate { programme, honest, quality }
		}),
		3 => (programmes(), any::<bool>(), quality).prop_map(|(programme, honest, quality)| {
			Reveal { programme, honest, quality }
		}),
		2 => (programmes(), 0u64..3).prop_map(|(programme, claimed)| Challenge { programme, claimed }),
		3 => programmes().prop_map(|programme| Advance { programme }),
		1 => Just(Enlist),
		1 => Just(Delist),
	]
}

fn registry() -> impl Strategy<Value = What> {
	use What::*;
	let device = || 0u32..16;
	let site = || 0u32..4;
	prop_oneof![
		1 => Just(RegisterSite),
		1 => (site(), people()).prop_map(|(site, device)| RegisterDevice { site, device }),
		1 => (1u8..25).prop_map(|key| Activate { key }),
		1 => device().prop_map(|device| Retire { device }),
		2 => (site(), prop::option::of(people())).prop_map(|(site, to)| OfferSite { site, to }),
		2 => site().prop_map(|site| AcceptSite { site }),
		1 => (device(), 1_024u32..1_026).prop_map(|(device, memory_mib)| Describe { device, memory_mib }),
		1 => (device(), people()).prop_map(|(device, new)| Rotate { device, new }),
		2 => (device(), prop::option::of(site())).prop_map(|(device, to)| OfferDevice { device, to }),
		2 => device().prop_map(|device| AcceptDevice { device }),
		1 => device().prop_map(|device| Suspend { device }),
		2 => device().prop_map(|device| Reinstate { device }),
		1 => (prop::collection::vec(people(), 0..4), 0u32..4)
			.prop_map(|(members, threshold)| SetAttesters { members, threshold }),
		2 => Just(RequestAttestation),
		2 => Just(Measure),
		4 => (device(), prop::bool::weighted(0.7)).prop_map(|(device, vouch)| Attest { device, vouch }),
		2 => Just(Recheck),
		1 => device().prop_map(|device| ExpireRecheck { device }),
	]
}

fn money() -> impl Strategy<Value = What> {
	use What::*;
	let slash = || 0u32..6;
	prop_oneof![
		2 => funds().prop_map(|amount| Bond { amount }),
		2 => funds().prop_map(|amount| Unbond { amount }),
		2 => (programmes(), funds()).prop_map(|(programme, amount)| Fund { programme, amount }),
		3 => programmes().prop_map(|programme| Claim { programme }),
		1 => programmes().prop_map(|programme| Refund { programme }),
		1 => programmes().prop_map(|programme| Sweep { programme }),
		1 => slash().prop_map(|slash| Appeal { slash }),
		1 => slash().prop_map(|slash| Veto { slash }),
		1 => slash().prop_map(|slash| Apply { slash }),
		1 => (0u32..=100).prop_map(|per_cent| Fractions { per_cent }),
		2 => (accounts(), funds()).prop_map(|(to, amount)| Transfer { to, amount }),
		1 => (accounts(), funds()).prop_map(|(to, amount)| TreasurySpend { to, amount }),
		2 => (0u32..4).prop_map(|index| Payout { index }),
		1 => (0u32..4).prop_map(|index| VoidSpend { index }),
	]
}

fn dao() -> impl Strategy<Value = What> {
	use What::*;
	let track = || 0u8..7;
	let index = || 0u32..4;
	prop_oneof![
		1 => (0u8..=101, any::<bool>(), 0u32..4, prop::option::of(0u32..4_000)).prop_map(
			|(site_cap, evidence, min_committee, max_epsilon)| Charter {
				site_cap,
				evidence,
				min_committee,
				max_epsilon
			}
		),
		1 => (0u32..4, 0u32..4).prop_map(|(rounds, seats)| Open { rounds, seats }),
		2 => (programmes(), 0u32..8, 0u32..6, funds())
			.prop_map(|(programme, rounds, seats, reward)| Amend { programme, rounds, seats, reward }),
		1 => programmes().prop_map(|programme| Pause { programme }),
		2 => programmes().prop_map(|programme| Resume { programme }),
		1 => programmes().prop_map(|programme| Close { programme }),
		1 => prop::collection::vec(1u8..=4, 0..4).prop_map(|members| SetValidators { members }),
		1 => Just(PurgeKeys),
		// Most on the fastest track, so that some are decided.
		3 => (prop_oneof![3 => Just(6u8), 1 => track()], motion())
			.prop_map(|(track, motion)| Submit { track, motion }),
		3 => index().prop_map(|index| DecisionDeposit { index }),
		1 => index().prop_map(|index| Nudge { index }),
		5 => (index(), prop::bool::weighted(0.8), 0u8..=7, funds()).prop_map(
			|(index, aye, conviction, amount)| ConvictionVote { index, aye, conviction, amount }
		),
		1 => (track(), people(), funds()).prop_map(|(track, to, amount)| Delegate { track, to, amount }),
		1 => track().prop_map(|track| Undelegate { track }),
		1 => index().prop_map(|index| RemoveVote { index }),
		1 => track().prop_map(|track| Unlock { track }),
		1 => index().prop_map(|index| RefundDeposits { index }),
		2 => motion().prop_map(|motion| Propose { motion }),
		3 => (motion(), index(), any::<bool>())
			.prop_map(|(motion, index, approve)| MotionVote { motion, index, approve }),
		2 => (motion(), index()).prop_map(|(motion, index)| CloseMotion { motion, index }),
		2 => (people(), 0u8..4).prop_map(|(to, kind)| AddProxy { to, kind }),
		1 => Just(RemoveProxies),
	]
}

fn wrap() -> impl Strategy<Value = Wrap> {
	prop_oneof![
		8 => Just(Wrap::Plain),
		1 => Just(Wrap::Batch),
		1 => Just(Wrap::BatchAll),
		1 => Just(Wrap::ForceBatch),
		1 => people().prop_map(Wrap::Proxy),
		1 => people().prop_map(Wrap::Multisig),
		1 => Just(Wrap::Fallback),
	]
}

fn step() -> impl Strategy<Value = Step> {
	let what = prop_oneof![4 => round_work(), 3 => registry(), 3 => money(), 3 => dao()];
	let act = (people(), prop::bool::weighted(0.8), wrap(), what)
		.prop_map(|(who, rightful, wrap, what)| Step::Act(Act { who, rightful, wrap, what }));
	prop_oneof![
		20 => act,
		6 => (programmes(), 1u8..12, 0u8..12).prop_map(|(programme, times, liar)| Step::Work { programme, times, liar }),
		6 => prop_oneof![8 => 1u32..6, 1 => 6u32..260].prop_map(Step::Blocks),
		1 => prop_oneof![1u64..100, 1_000u64..4_000].prop_map(Step::Silence),
		1 => prop_oneof![Just(30_000u32), Just(250_000), Just(900_000)].prop_map(Step::Leap),
		1 => (1u8..=3).prop_map(Step::Equivocate),
	]
}

fn take(chain: &mut Chain, step: &Step) {
	match *step {
		Step::Act(ref act) => chain.run(|| act.perform()),
		Step::Work { programme, times, liar } => {
			for _ in 0..times {
				chain.run(|| {
					if let Some((who, call)) = next_step(programme, liar) {
						let _ = call.dispatch(RuntimeOrigin::signed(who));
					}
				});
			}
		},
		Step::Blocks(blocks) => (0..blocks).for_each(|_| chain.next_block(0)),
		Step::Silence(slots) => chain.next_block(slots),
		Step::Leap(blocks) => chain.leap(blocks),
		Step::Equivocate(n) => chain.run(|| equivocate(n)),
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(CASES))]

	#[test]
	fn invariants_hold_and_no_planck_is_made_or_lost_whatever_is_done(
		steps in prop::collection::vec(step(), 1..200)
	) {
		let mut chain = Chain::new();
		let issued = chain.run(Balances::total_issuance);
		for (n, step) in steps.iter().enumerate() {
			take(&mut chain, step);
			let (held, issuance) = chain.run(|| (check_invariants(), Balances::total_issuance()));
			prop_assert_eq!(held, Ok(()), "after step {}", n);
			prop_assert_eq!(issuance, issued, "after step {}", n);
		}
	}
}

#[test]
fn honest_work_finalises_rounds_and_a_safety_stop_by_referendum_pauses_the_programme() {
	let mut chain = Chain::new();
	for step in [
		Step::Work { programme: 0, times: 60, liar: 0 },
		Step::Blocks(6),
		Step::Work { programme: 0, times: 60, liar: 0 },
	] {
		take(&mut chain, &step);
		chain.run(check_invariants).expect("invariants hold");
	}
	let finalised =
		|chain: &mut Chain| chain.run(|| Training::programme_info(0).expect("it exists").finalised);
	assert_eq!(finalised(&mut chain), 1, "an agreed round is finalised after its challenge window");

	let mut by = |who, what| {
		let call = chain.run(|| What::call(&what, who)).expect("can be built");
		chain.run(|| call.dispatch(RuntimeOrigin::signed(account(who)))).expect("is allowed");
	};
	by(18, What::Submit { track: 6, motion: Motion::Pause(0) });
	by(18, What::DecisionDeposit { index: 0 });
	for who in 1..=15 {
		let amount = WEALTH / 10 * 9;
		by(who, What::ConvictionVote { index: 0, aye: true, conviction: 1, amount });
	}
	// Preparation, confirmation and enactment.
	take(&mut chain, &Step::Blocks(210));
	let state = chain.run(|| Training::programme_info(0).expect("it exists").state);
	assert_eq!(state, cairn_primitives::views::ProgrammeState::Paused);
	chain.run(check_invariants).expect("invariants hold");
}
