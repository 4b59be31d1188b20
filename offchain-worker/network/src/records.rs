//! Which provider records are kept for others: bounded in all and per peer, each for a time.
//!
//! Kademlia's own store bounds only the number of keys, lets one peer take them all, and never removes what expired.

use crate::config::Limits;
use libp2p::{kad::RecordKey, PeerId};
use std::{collections::HashMap, time::Instant};

#[derive(Debug)]
pub(crate) struct ProviderRecords {
	max: usize,
	max_per_peer: usize,
	count: usize,
	of: HashMap<PeerId, HashMap<RecordKey, Instant>>,
}

impl ProviderRecords {
	pub(crate) fn new(limits: &Limits) -> Self {
		Self {
			max: limits.max_provider_records,
			max_per_peer: limits.max_provider_records_per_peer,
			count: 0,
			of: HashMap::new(),
		}
	}

	pub(crate) fn len(&self) -> usize {
		self.count
	}

	/// Enters a record, or says that there is no room for it. One that is there already is renewed.
	pub(crate) fn admit(&mut self, peer: PeerId, key: &RecordKey, expires: Instant) -> bool {
		if let Some(known) = self.of.get_mut(&peer).and_then(|records| records.get_mut(key)) {
			*known = expires;
			return true;
		}
		if self.count >= self.max
			|| self.of.get(&peer).is_some_and(|records| records.len() >= self.max_per_peer)
		{
			return false;
		}
		self.of.entry(peer).or_default().insert(key.clone(), expires);
		self.count += 1;
		true
	}

	/// Removes all records of a peer and returns their keys.
	pub(crate) fn forget_peer(&mut self, peer: &PeerId) -> Vec<RecordKey> {
		let keys: Vec<_> = self.of.remove(peer).unwrap_or_default().into_keys().collect();
		self.count -= keys.len();
		keys
	}

	/// Removes what has expired and returns it.
	pub(crate) fn expired(&mut self, now: Instant) -> Vec<(RecordKey, PeerId)> {
		let mut expired = Vec::new();
		self.of.retain(|peer, records| {
			records.retain(|key, expires| {
				let keep = now < *expires;
				if !keep {
					expired.push((key.clone(), *peer));
				}
				keep
			});
			!records.is_empty()
		});
		self.count -= expired.len();
		expired
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::time::Duration;

	#[test]
	fn records_are_bounded_in_all_and_per_peer_and_expire() {
		let limits =
			Limits { max_provider_records: 3, max_provider_records_per_peer: 2, ..Limits::default() };
		let mut records = ProviderRecords::new(&limits);
		let (a, b, now) = (PeerId::random(), PeerId::random(), Instant::now());
		let later = now + Duration::from_secs(10);
		let key = |i: u8| RecordKey::new(&[i; 32]);
		assert!(records.admit(a, &key(1), now) && records.admit(a, &key(2), later));
		assert!(!records.admit(a, &key(3), later), "over the limit for one peer");
		assert!(records.admit(a, &key(2), later), "renewal takes no room");
		assert!(records.admit(b, &key(1), later));
		assert!(!records.admit(b, &key(2), later), "over the limit for all");
		assert_eq!(records.expired(now), [(key(1), a)]);
		assert_eq!(records.len(), 2);
		assert!(records.admit(b, &key(2), later));
		assert_eq!(records.forget_peer(&b).len(), 2);
		assert_eq!((records.len(), records.forget_peer(&b).len()), (1, 0));
	}
}
