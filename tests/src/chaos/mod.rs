//! A devnet on a bad day: hostile workers, kills, and cables that are cut, all at once.
//!
//! [`run`] starts four validators and ten workers, each on a machine of its own ([`crate::lan`]), has the
//! [`Plan`](plan::Plan) of a seed happen to them, and then [checks](checks) that the chain, the model and the pay are
//! what they should be.

pub mod checks;
pub mod plan;

use crate::{
	devnet::{Builder, Devnet, PROGRAMME},
	lan::Machine,
	ledger::events_of,
	rpc::{Head, ProgrammeInfo, RoundInfo, STALL},
};
use anyhow::{bail, ensure, Context, Result};
use cairn_primitives::{
	views::{CommitInfo, MemberOutcome, Phase, ProgrammeState},
	AggregationRule, Schedule,
};
use plan::{Fault, Plan, AGGREGATORS, LIAR, SPOILER, VALIDATORS, WORKERS};
use std::{
	collections::{BTreeMap, BTreeSet},
	time::{Duration, Instant},
};

/// The windows of a round, in blocks.
const SCHEDULE: Schedule = Schedule { commit: 10, availability: 7, aggregate: 6, reveal: 6, challenge: 0 };
/// Blocks that pass at most until somebody acts on what has happened: three until it is finalised, two until the call is
/// in a block, and nine more because a machine that runs all of this may be late by as much: blocks are made by the
/// clock, and votes on finality and workers wait for a processor.
const NOTICE: u32 = 14;
/// The same while the network is split or a validator is dead: every fourth vote on finality waits in vain for that one
/// to begin it, and those whose node it is look for another one for up to a minute.
const NOTICE_IN_A_SPLIT: u32 = 2 * NOTICE;
/// Further rounds that are waited for until the liar was drawn for a committee, which is a matter of luck.
const PATIENCE: u32 = 8;

/// The most blocks that a round takes with this many committees: its windows, and before each somebody has to act. The
/// first update has to come before the commit window begins, and each other window begins when somebody says that the
/// one before it is over.
fn longest_round(committees: u32, one_less: bool) -> u32 {
	let Schedule { commit, availability, aggregate, reveal, challenge } = SCHEDULE;
	let windows = commit + committees * (availability + aggregate + reveal) + challenge;
	let notices = 2 + 3 * committees;
	windows + notices * if one_less { NOTICE_IN_A_SPLIT } else { NOTICE }
}

/// The network of a chaos run, before anything goes wrong.
pub fn builder(plan: &Plan) -> Builder {
	// All but one have as many tickets as a bond buys, so that no committee of three is without two who can and will
	// agree for long.
	let mut bonds = vec![1_000; AGGREGATORS];
	bonds[SPOILER] = 100;
	Devnet::builder()
		.lan(true)
		.validators(VALIDATORS)
		.workers(WORKERS)
		.aggregators(AGGREGATORS)
		.attacks(plan::attacks())
		.bonds(bonds)
		.committee(Some(3))
		// Two on each side: as many as there are whose updates are numbers, and wrong.
		.aggregation(AggregationRule::TrimmedMean { trim: plan::FLIPPERS.len() as u32 })
		.min_updates(Some(5))
		// Fewer than there are: a round does not wait for the slowest two, nor for those who are cut off.
		.target_updates(Some(WORKERS as u32 - 2))
		.schedule(SCHEDULE)
		.local_steps(Some(200))
		.alpha(10.0)
		.seed(plan.seed)
		// More than are asked for: the run ends when it has seen enough.
		.rounds(plan.rounds + 2 * PATIENCE)
}

/// What was seen of a cut.
#[derive(Clone, Debug)]
pub struct Cut {
	/// What was cut.
	pub fault: Fault,
	/// The newest finalised block when it was cut, on either side.
	pub from: Head,
	/// The newest finalised block of the watched side when it was healed.
	pub here: Head,
	/// That of the other side, then.
	pub there: Head,
	/// A validator of the other side.
	pub validator: usize,
}

impl Cut {
	/// Whether it was while a round ran, from its opening to its end.
	fn overlaps(&self, opened: u32, end: u32) -> bool {
		self.from.number <= end && self.here.number >= opened
	}
}

/// The finalised blocks between which a validator was dead.
#[derive(Clone, Copy, Debug)]
pub struct Dead {
	validator: usize,
	from: u32,
	/// `None` while it is.
	until: Option<u32>,
}

impl Dead {
	/// Whether it was while a round ran, from its opening to its end.
	fn overlaps(&self, opened: u32, end: u32) -> bool {
		self.from <= end && self.until.is_none_or(|until| until >= opened)
	}
}

/// What happened.
pub struct Story {
	/// The plan.
	pub plan: Plan,
	/// The newest finalised block when the workers had been started. The first round is open since long before.
	pub begun: u32,
	/// The finalised block at which it ended.
	pub end: Head,
	/// The programme there.
	pub programme: ProgrammeInfo,
	/// Its settled rounds.
	pub rounds: Vec<RoundInfo>,
	/// The cuts.
	pub cuts: Vec<Cut>,
	/// When validators were dead.
	pub dead: Vec<Dead>,
	/// What was committed in each round, as it was seen last while the round ran.
	pub commits: BTreeMap<u32, Vec<CommitInfo<String>>>,
	/// Workers that could not do their work in a round, for no fault of theirs: dead, cut off, or with a node that was.
	pub hindered: BTreeSet<(usize, u32)>,
	/// How long it took, from the first round on.
	pub took: Duration,
}

/// What is to be done at a certain time.
#[derive(Clone, Copy, Debug)]
enum Act {
	Kill(usize),
	Start(usize),
	KillValidator(usize),
	StartValidator(usize),
	Unplug(usize),
	Plug(usize),
	Heal,
}

/// A cut that has not healed.
struct Open {
	cut: Cut,
	machines: Vec<Machine>,
	workers: Vec<usize>,
	/// Workers on this side that are late all the same.
	late: Vec<usize>,
	/// The round with which it heals; `None` when it is a matter of time.
	until: Option<u32>,
}

struct Driver<'a> {
	net: &'a mut Devnet,
	plan: &'a Plan,
	start: Instant,
	agenda: Vec<(Instant, Act)>,
	open: Option<Open>,
	cuts: Vec<Cut>,
	dead: Vec<Dead>,
	commits: BTreeMap<u32, Vec<CommitInfo<String>>>,
	/// Workers that are dead or cut off now.
	hurt: BTreeSet<usize>,
	/// Those that are back, and how many events each had written by then. The run ends when each has committed since.
	back: BTreeMap<usize, usize>,
	hindered: BTreeSet<(usize, u32)>,
	round: u32,
}

/// Has the plan happen, and ends when as many rounds were finalised and everybody is back.
///
/// # Errors
/// When finality or a round stands still, a process dies that nobody killed, or the network cannot be changed.
pub async fn run(net: &mut Devnet, plan: &Plan) -> Result<Story> {
	let mut driver = Driver {
		net,
		plan,
		start: Instant::now(),
		agenda: Vec::new(),
		open: None,
		cuts: Vec::new(),
		dead: Vec::new(),
		commits: BTreeMap::new(),
		hurt: BTreeSet::new(),
		back: BTreeMap::new(),
		hindered: BTreeSet::new(),
		round: 0,
	};
	driver.run().await
}

impl Driver<'_> {
	fn say(&self, text: impl std::fmt::Display) {
		self.net.ui().line(format!("{:4} s  round {}: {text}", self.start.elapsed().as_secs(), self.round));
	}

	async fn run(&mut self) -> Result<Story> {
		let mut heads = self.net.guard(self.net.rpc().heads()).await?;
		let begun = self.net.guard(self.net.rpc().finalised()).await?.number;
		let (mut moved, mut rounds) = (Instant::now(), Vec::<RoundInfo>::new());
		self.open_round(0).await?;
		loop {
			let wake = self.agenda.iter().map(|(at, _)| *at).min();
			let wake = wake.unwrap_or(moved + STALL).min(moved + STALL);
			let next = async {
				match tokio::time::timeout_at(wake.into(), heads.next()).await {
					Ok(head) => head.map(Some),
					Err(_) => Ok(None),
				}
			};
			let head = self.net.guard(next).await?;
			self.act().await?;
			let Some(head) = head else {
				ensure!(
					moved.elapsed() < STALL,
					"no block was finalised for {} s: look into the validators' logs in {}",
					STALL.as_secs(),
					self.net.logs().display()
				);
				continue;
			};
			moved = Instant::now();
			let at = Some(head.hash.as_str());
			let (programme, running) = self
				.net
				.guard(async {
					let rpc = self.net.rpc();
					Ok((rpc.programme(PROGRAMME, at).await?, rpc.current_round(PROGRAMME, at).await?))
				})
				.await?;
			let over = |index: u32| {
				index < programme.round
					|| (running.is_none()
						&& index == programme.round
						&& programme.state != ProgrammeState::Open)
			};
			while over(rounds.len() as u32) {
				let round = self.net.rpc().round(PROGRAMME, rounds.len() as u32, at).await?;
				self.settled(&round);
				rounds.push(round);
			}
			if let Some(round) = &running {
				let age = head.number.saturating_sub(round.opened.max(begun));
				self.commits.insert(round.index, round.commits.clone());
				let one_less = self.open.is_some()
					|| self.cuts.iter().any(|cut| cut.overlaps(round.opened, head.number))
					|| self.dead.iter().any(|dead| dead.overlaps(round.opened, head.number));
				let most = longest_round(round.attempt + 1, one_less) + self.standstill(round.opened);
				ensure!(
					age <= most,
					"round {} is open for {age} blocks, {most} are explained: {:?}, {:?}",
					round.index,
					round.phase,
					round.committee
				);
				if round.index > self.round {
					self.open_round(round.index).await?;
				}
			}
			if self.is_enough(&programme, &rounds, at).await? {
				let (plan, took) = (self.plan.clone(), self.start.elapsed());
				let (cuts, dead) = (self.cuts.clone(), self.dead.clone());
				let (commits, hindered) = (self.commits.clone(), self.hindered.clone());
				let end = head;
				return Ok(Story {
					plan,
					begun,
					end,
					programme,
					rounds,
					cuts,
					dead,
					commits,
					hindered,
					took,
				});
			}
			ensure!(
				programme.state == ProgrammeState::Open,
				"the programme is {:?} after {} rounds, and the plan is not done",
				programme.state,
				programme.finalised
			);
		}
	}

	/// Blocks that were made since a block while nothing could be finalised: no window can close then.
	fn standstill(&self, since: u32) -> u32 {
		let halves = self.cuts.iter().filter(|cut| matches!(cut.fault, Fault::Halves { .. }));
		let blocks = halves.map(|cut| {
			let Fault::Halves { down, .. } = cut.fault else { return 0 };
			// Three seconds each, and what it takes to get going.
			if cut.here.number >= since {
				down.as_secs() as u32 / 3 + NOTICE
			} else {
				0
			}
		});
		blocks.sum()
	}

	async fn is_enough(
		&self,
		programme: &ProgrammeInfo,
		rounds: &[RoundInfo],
		at: Option<&str>,
	) -> Result<bool> {
		let last = self.plan.faults.iter().map(|(round, _)| *round).max().unwrap_or(0);
		let done = self.agenda.is_empty() && self.open.is_none() && self.round > last;
		if !done || programme.finalised < self.plan.rounds {
			return Ok(false);
		}
		for (worker, seen) in &self.back {
			let events = self.net.worker(*worker).read_events()?;
			if !events.iter().skip(*seen).any(|e| e["event"] == "round.committed") {
				return Ok(false);
			}
		}
		let liar = &self.net.worker(LIAR).identity.account;
		let caught = rounds.iter().flat_map(|r| &r.committee);
		let caught =
			caught.into_iter().any(|m| m.account == *liar && m.outcome == Some(MemberOutcome::Dissented));
		let refused = checks::keep_out_the_spoiler(self.net)? > 0;
		let mut paid = true;
		for worker in plan::HONEST {
			let account = &self.net.worker(worker).identity.account;
			let reward = self.net.rpc().rewards(PROGRAMME, account, at).await?;
			paid &= reward.claimable + reward.claimed > 0;
		}
		Ok((caught && refused && paid) || programme.finalised >= self.plan.rounds + PATIENCE)
	}

	fn settled(&self, round: &RoundInfo) {
		let index = round.index;
		let text = match (round.phase, round.updates) {
			(Phase::Finalised, Some(updates)) => {
				format!("{} of {} updates", updates.count, round.commit_count)
			},
			_ => format!("failed: {:?}", round.failure),
		};
		let members = round.committee.iter().map(|m| {
			let worker = self.net.workers().iter().find(|w| w.identity.account == m.account);
			let outcome = m.outcome.map_or("?".into(), |o| format!("{o:?}").to_lowercase());
			format!("{} {outcome}", worker.map_or("?", |w| &w.name))
		});
		let members = members.collect::<Vec<_>>().join(", ");
		let blocks = round.deadline.map_or(0, |end| end.saturating_sub(round.opened));
		self.say(format!(
			"round {index} settled after {blocks} blocks, {} committees: {text}; {members}",
			round.attempt + 1
		));
	}

	/// A round has opened: what the plan has for it comes onto the agenda.
	async fn open_round(&mut self, index: u32) -> Result<()> {
		// Some may have come and gone between two finalised heads.
		for round in self.round..=index {
			let late = self.open.iter().flat_map(|open| &open.late);
			self.hindered.extend(self.hurt.iter().chain(late).map(|worker| (*worker, round)));
		}
		let from = if index == 0 { 0 } else { self.round + 1 };
		self.round = index;
		if self.open.as_ref().is_some_and(|open| open.until.is_some_and(|until| index >= until)) {
			self.heal().await?;
		}
		let now = Instant::now();
		for round in from..=index {
			let faults: Vec<Fault> = self.plan.of_round(round).cloned().collect();
			for fault in faults {
				let mut then = |after: Duration, act: Act| self.agenda.push((now + after, act));
				match fault {
					Fault::KillWorker { worker, after, down } => {
						then(after, Act::Kill(worker));
						then(after + down, Act::Start(worker));
					},
					Fault::KillValidator { validator, after, down } => {
						then(after, Act::KillValidator(validator));
						then(after + down, Act::StartValidator(validator));
					},
					Fault::Unplug { worker, after, down } => {
						then(after, Act::Unplug(worker));
						then(after + down, Act::Plug(worker));
					},
					Fault::Split { validator, ref workers, rounds } => {
						let workers = workers.clone();
						self.split(fault, &[validator], workers, Some(round + rounds)).await?;
					},
					Fault::Halves { validator, ref workers, down } => {
						then(down, Act::Heal);
						let workers = workers.clone();
						self.split(fault, &[validator, VALIDATORS - 1], workers, None).await?;
					},
				}
			}
		}
		Ok(())
	}

	async fn split(
		&mut self,
		fault: Fault,
		validators: &[usize],
		workers: Vec<usize>,
		until: Option<u32>,
	) -> Result<()> {
		ensure!(self.open.is_none(), "the network is split already");
		let validator = *validators.first().context("there is a validator on each side")?;
		let machines = validators.iter().map(|v| self.net.machine_of_validator(*v));
		let machines = machines.chain(workers.iter().map(|w| self.net.worker(*w).machine.as_ref()));
		let machines: Option<Vec<Machine>> = machines.map(|m| m.cloned()).collect();
		let machines = machines.context("every process has a machine")?;
		// Without finality nobody acts, and afterwards windows are over.
		let late: Vec<usize> = match fault {
			Fault::Halves { .. } => (0..WORKERS).collect(),
			_ => self.with_node_among(validators)?,
		};
		let from = self.net.rpc().finalised().await?;
		self.lan()?.part(&machines)?;
		self.hurt.extend(&workers);
		self.hindered.extend(workers.iter().chain(&late).map(|w| (*w, self.round)));
		self.say(&fault);
		let cut = Cut { fault, here: from.clone(), there: from.clone(), from, validator };
		self.open = Some(Open { cut, machines, workers, late, until });
		Ok(())
	}

	/// The workers whose node is one of these validators: when it is gone, they see nothing until they have found another.
	fn with_node_among(&self, validators: &[usize]) -> Result<Vec<usize>> {
		let mut found = Vec::new();
		for worker in 0..WORKERS {
			let connected = events_of(self.net.worker(worker), "chain.connected")?;
			let node = connected.last().and_then(|event| event["node"].as_str());
			if validators.iter().any(|v| node == Some(self.net.urls()[*v].as_str())) {
				found.push(worker);
			}
		}
		Ok(found)
	}

	async fn heal(&mut self) -> Result<()> {
		let Some(Open { mut cut, machines, workers, late, .. }) = self.open.take() else { return Ok(()) };
		cut.here = self.net.rpc().finalised().await?;
		cut.there = self.net.rpc_of(cut.validator).finalised().await?;
		self.lan()?.join(&machines)?;
		for worker in workers {
			self.back(worker)?;
		}
		self.hindered.extend(late.into_iter().map(|worker| (worker, self.round)));
		self.say(format!(
			"the network heals. Finalised when it split: {}; now here {}, there {}",
			cut.from.number, cut.here.number, cut.there.number
		));
		self.cuts.push(cut);
		Ok(())
	}

	/// Does what is due.
	async fn act(&mut self) -> Result<()> {
		let now = Instant::now();
		let (due, later) = self.agenda.iter().copied().partition(|(at, _)| *at <= now);
		self.agenda = later;
		let due: Vec<(Instant, Act)> = due;
		for (_, act) in due {
			match act {
				Act::Kill(worker) => {
					// Another fault may have got it first.
					if self.is_running(worker) {
						self.hurt(worker);
						self.net.kill_worker(worker).await?;
						self.say(format!("{} is killed", self.net.worker(worker).name));
					}
				},
				Act::Start(worker) => {
					if !self.is_running(worker) {
						self.net.restart_worker(worker)?;
						self.say(format!("{} starts again", self.net.worker(worker).name));
						self.back(worker)?;
					}
				},
				Act::KillValidator(validator) => {
					if self.net.validator_is_running(validator) {
						let late = self.with_node_among(&[validator])?;
						self.hindered.extend(late.into_iter().map(|worker| (worker, self.round)));
						let from = self.net.rpc().finalised().await?.number;
						self.dead.push(Dead { validator, from, until: None });
						self.net.kill_validator(validator).await?;
						self.say(format!("validator-{} is killed", validator + 1));
					}
				},
				Act::StartValidator(validator) => {
					if !self.net.validator_is_running(validator) {
						self.net.restart_validator(validator).await?;
						let until = Some(self.net.rpc().finalised().await?.number);
						for dead in
							self.dead.iter_mut().filter(|d| d.validator == validator && d.until.is_none())
						{
							dead.until = until;
						}
						self.say(format!("validator-{} starts again", validator + 1));
					}
				},
				Act::Unplug(worker) => {
					self.hurt(worker);
					self.lan()?.unplug(self.machine(worker)?)?;
					self.say(format!("the cable of {} is pulled", self.net.worker(worker).name));
				},
				Act::Plug(worker) => {
					let machine = [self.machine(worker)?];
					// Where it belongs meanwhile.
					match self.open.as_ref().is_some_and(|open| open.workers.contains(&worker)) {
						true => self.lan()?.part(machine)?,
						false => self.lan()?.join(machine)?,
					}
					self.say(format!("the cable of {} is plugged in", self.net.worker(worker).name));
					self.back(worker)?;
				},
				Act::Heal => self.heal().await?,
			}
		}
		Ok(())
	}

	fn is_running(&self, worker: usize) -> bool {
		self.net.worker(worker).daemon().is_some_and(crate::process::Process::is_running)
	}

	fn hurt(&mut self, worker: usize) {
		self.hurt.insert(worker);
		self.hindered.insert((worker, self.round));
	}

	fn back(&mut self, worker: usize) -> Result<()> {
		let elsewhere = self.open.as_ref().is_some_and(|open| open.workers.contains(&worker));
		if !elsewhere {
			self.hurt.remove(&worker);
		}
		// It has yet to find out what it has missed.
		self.hindered.insert((worker, self.round));
		let seen = self.net.worker(worker).read_events()?.len();
		self.back.insert(worker, seen);
		Ok(())
	}

	fn lan(&self) -> Result<&crate::lan::Lan> {
		self.net.lan().context("chaos needs a network whose cables can be cut")
	}

	fn machine(&self, worker: usize) -> Result<&Machine> {
		self.net.worker(worker).machine.as_ref().context("every worker has a machine")
	}
}

/// Starts the network, has the plan happen, checks what came of it and gives the report; how the checks went is in it.
///
/// # Errors
/// When the network did not come to the end of the plan.
pub async fn run_and_check(net: &mut Devnet, plan: &Plan) -> Result<checks::Report> {
	let story = run(net, plan).await?;
	if story.programme.finalised == 0 {
		bail!("no round was finalised");
	}
	checks::check(net, &story).await
}
