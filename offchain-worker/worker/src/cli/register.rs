//! `cairn-worker register`: each step only when the finalised chain lacks it.

use super::{args::RegisterArgs, App, CliError};
use crate::{
	chain::{Call, Chain, Device, Heads, Landed, SubmitError, Submitter},
	journal::NoLog,
	keys::{account_from_suri, Keys},
	output::Output,
	units::{format_amount, hex},
};
use cairn_primitives::{DeviceState, SiteId};
use serde_json::json;
use std::sync::Arc;
use subxt::utils::AccountId32;

/// How often a transaction that got lost is made anew.
const ATTEMPTS: u32 = 3;

struct Registration<'a> {
	output: &'a Output,
	chain: &'a Chain,
	heads: &'a Heads,
	args: &'a RegisterArgs,
	keys: &'a Keys,
	me: AccountId32,
	worker: Arc<Submitter>,
	owner: Arc<Submitter>,
}

pub(super) async fn run(app: &App, args: RegisterArgs) -> Result<(), CliError> {
	let base = app.base()?;
	let keys = Keys::load(&base)?;
	let owner = match &args.owner_suri {
		Some(suri) => account_from_suri(suri).map_err(|e| CliError::usage(format!("--owner-suri: {e}")))?,
		None => keys.signer().clone(),
	};
	let (chain, heads) = app.connect_for_command(&base).await?;
	let submitter = |signer| Arc::new(Submitter::new(chain.clone(), heads.clone(), signer, Arc::new(NoLog)));
	let worker = submitter(keys.signer().clone());
	// One account, one count of nonces.
	let same = owner.public_key().0 == keys.account_id().0;
	let owner = if same { worker.clone() } else { submitter(owner) };
	let registration = Registration {
		output: &app.output,
		chain: &chain,
		heads: &heads,
		me: keys.account_id(),
		worker,
		owner,
		args: &args,
		keys: &keys,
	};
	if args.aggregator {
		// The bond does not depend on the device, and finality takes a while.
		futures::try_join!(registration.device(), registration.bond())?;
		registration.enlist().await?;
	} else {
		registration.device().await?;
	}
	registration.summary().await
}

impl Registration<'_> {
	fn now(&self) -> Option<cairn_primitives::H256> {
		Some(self.heads.finalised_now().hash)
	}

	fn say(&self, step: &str, text: String) {
		self.output.event("register.step", json!({ "step": step, "text": text.clone() }), text);
	}

	/// Sends a call; what got lost can no longer land and is made anew.
	async fn send(&self, by: &Submitter, call: &Call) -> Result<Landed, CliError> {
		let mut lost = String::new();
		for _ in 0..ATTEMPTS {
			match by.submit("register", call).await {
				Err(e @ SubmitError::Lost { .. }) => lost = e.to_string(),
				outcome => return Ok(outcome?),
			}
		}
		Err(CliError::Failed(lost))
	}

	async fn site(&self) -> Result<SiteId, CliError> {
		if let Some(site) = self.args.site {
			return Ok(site);
		}
		let name = self.args.site_name.as_deref().ok_or_else(|| {
			CliError::Usage(
				"this machine is not registered yet: say where it stands, with --site ID, or with --site-name NAME for a site of yours"
					.into(),
			)
		})?;
		if name.is_empty() || name.len() > 64 {
			return Err(CliError::Usage(format!(
				"--site-name `{name}` has {} bytes: give 1 to 64",
				name.len()
			)));
		}
		if self.args.region.len() > 16 {
			return Err(CliError::Usage(format!(
				"--region `{}` has {} bytes: give at most 16",
				self.args.region,
				self.args.region.len()
			)));
		}
		if let Some(site) = self.chain.site_of(self.heads.finalised_now(), self.owner.account(), name).await?
		{
			self.say("site", format!("site {site} `{name}` is registered already"));
			return Ok(site);
		}
		self.say("site", format!("registering site `{name}` for {}", self.owner.account()));
		let call = Call::RegisterSite {
			name: name.to_string(),
			region: self.args.region.clone(),
			energy: self.args.energy.into(),
		};
		let landed = self.send(&self.owner, &call).await?;
		let site = landed.number("Hardware", "SiteRegistered", "site").and_then(|n| SiteId::try_from(n).ok());
		site.ok_or_else(|| CliError::Failed("the chain did not report the new site's number".into()))
	}

	async fn device(&self) -> Result<(), CliError> {
		let mut device = self.chain.device_of(&self.me, self.now()).await?;
		if device.is_none() {
			let site = self.site().await?;
			self.say("device", format!("registering this machine at site {site}"));
			let call = Call::RegisterDevice {
				site,
				account: self.me,
				class: self.args.class.into(),
				memory_mib: self.args.memory_mib.unwrap_or_else(system_memory_mib),
			};
			self.send(&self.owner, &call).await?;
			device = self.chain.device_of(&self.me, self.now()).await?;
		}
		let device = device.ok_or_else(|| {
			CliError::Failed(
				"the device is not in the registry although its registration landed: try again".into(),
			)
		})?;
		self.describe(&device).await?;
		let bound = device.network_key == Some(self.keys.network_key());
		match device.state {
			DeviceState::Active if bound => {
				self.say(
					"activate",
					format!("device {} at site {} is active already", device.id, device.site),
				);
				Ok(())
			},
			DeviceState::Suspended => Err(CliError::Failed(format!(
				"device {} is suspended. If it missed a re-check, `cairn-worker attest` brings it back; otherwise governance has to reinstate it",
				device.id
			))),
			DeviceState::Retired => {
				Err(CliError::Failed(format!("device {} is retired for good", device.id)))
			},
			DeviceState::Registered | DeviceState::Attested | DeviceState::Active => {
				self.say(
					"activate",
					format!("activating device {} with peer id {}", device.id, self.keys.peer_id()),
				);
				let call = Call::ActivateDevice {
					network_key: self.keys.network_key(),
					proof: self.keys.network_proof(&self.chain.genesis(), &self.me),
				};
				self.send(&self.worker, &call).await.map(drop)
			},
		}
	}

	/// Says what the machine is, where the flags say something else than the chain.
	async fn describe(&self, device: &Device) -> Result<(), CliError> {
		let said = |flag: &str, given: &Option<String>, most: usize, known: &[u8]| match given {
			Some(text) if text.len() > most => {
				Err(CliError::Usage(format!("{flag} `{text}` has {} bytes: give at most {most}", text.len())))
			},
			Some(text) => Ok(text.as_bytes().to_vec()),
			None => Ok(known.to_vec()),
		};
		let vendor = said("--vendor", &self.args.vendor, 32, &device.vendor)?;
		let model = said("--model", &self.args.model, 64, &device.model)?;
		let memory_mib = self.args.memory_mib.unwrap_or(device.memory_mib);
		let image = self.args.image.or(device.image);
		if (&vendor, &model, memory_mib, image)
			== (&device.vendor, &device.model, device.memory_mib, device.image)
		{
			return Ok(());
		}
		if matches!(device.state, DeviceState::Retired) {
			// What follows says so.
			return Ok(());
		}
		self.say("describe", format!("describing device {}", device.id));
		let call = Call::DescribeDevice { device: device.id, vendor, model, memory_mib, image };
		self.send(&self.worker, &call).await.map(drop)
	}

	async fn bond(&self) -> Result<(), CliError> {
		let least =
			self.chain.amount_constant(self.heads.finalised_now(), "Rewards", "MinAggregatorBond").await?;
		let wanted = self.args.bond.unwrap_or(least);
		if wanted < least {
			return Err(CliError::Usage(format!(
				"--bond {} is too small: aggregators bond at least {}",
				format_amount(wanted),
				format_amount(least)
			)));
		}
		let bonded = self.chain.bonded(&self.me, self.now()).await?;
		if bonded < wanted {
			let amount = wanted - bonded;
			self.say("bond", format!("bonding {}", format_amount(amount)));
			self.send(&self.worker, &Call::Bond { amount }).await?;
		} else {
			self.say("bond", format!("{} are bonded already", format_amount(bonded)));
		}
		Ok(())
	}

	async fn enlist(&self) -> Result<(), CliError> {
		if self.chain.aggregators(self.now()).await?.contains(&self.me) {
			self.say("enlist", "enlisted for committees already".into());
		} else {
			self.say("enlist", "enlisting for committees".into());
			self.send(&self.worker, &Call::EnlistAggregator).await?;
		}
		Ok(())
	}

	async fn summary(&self) -> Result<(), CliError> {
		let device = self.chain.device_of(&self.me, self.now()).await?;
		let bonded = self.chain.bonded(&self.me, self.now()).await?;
		let enlisted = self.chain.aggregators(self.now()).await?.contains(&self.me);
		let value = json!({
			"account": self.me,
			"device": device.as_ref().map(|d| d.id),
			"site": device.as_ref().map(|d| d.site),
			"networkKey": hex(self.keys.network_key()),
			"peerId": self.keys.peer_id().to_string(),
			"bonded": bonded.to_string(),
			"enlisted": enlisted,
		});
		let place = device.map_or_else(String::new, |d| format!(" as device {} at site {}", d.id, d.site));
		let role = if enlisted { ", enlisted for committees" } else { "" };
		let text = format!("{} is registered{place}{role}. Next: `cairn-worker run`", self.me);
		self.output.result(&value, text);
		Ok(())
	}
}

/// Memory of this machine in MiB, or 0 where the system does not say.
fn system_memory_mib() -> u32 {
	let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
	let line = info.lines().find_map(|l| l.strip_prefix("MemTotal:"));
	let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
	u32::try_from(kib / 1024).unwrap_or(u32::MAX)
}
