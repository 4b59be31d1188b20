//! The worker's two keys.
//!
//! The **account** (sr25519) signs transactions and is paid. The **network key** (ed25519) is the libp2p identity;
//! registering binds it to the account. Both lie under `<base-path>/keys`, readable by the owner only; neither is
//! ever logged.

use crate::base::{write_atomically, BaseError, BasePath};
use libp2p::identity;
use rand_core::{OsRng, RngCore};
use std::{
	fmt, fs, io,
	os::unix::fs::{DirBuilderExt, PermissionsExt},
	path::{Path, PathBuf},
	str::FromStr,
};
use subxt::utils::AccountId32;
use subxt_signer::{bip39::Mnemonic, sr25519, SecretUri};

const ACCOUNT_FILE: &str = "account.suri";
const NETWORK_FILE: &str = "network.key";

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
	/// The file system refused.
	#[error(transparent)]
	Base(#[from] BaseError),
	/// There are no keys yet.
	#[error("there are no keys in {path}: make them with `cairn-worker keys generate`", path = .0.display())]
	Missing(PathBuf),
	/// There are keys already.
	#[error(
		"{path} has keys already, and they are kept: whoever loses them loses the account. \
		 `cairn-worker keys show` shows them; --force replaces them for good",
		path = .0.display()
	)]
	Exists(PathBuf),
	/// Others can read the file.
	#[error("{path} can be read by others (mode {mode:o}): run `chmod 600 {path}`, and think about replacing the key", path = path.display())]
	Exposed {
		/// The file.
		path: PathBuf,
		/// Its permission bits.
		mode: u32,
	},
	/// The text is no secret URI.
	#[error(
		"this is no secret URI ({0}): give a mnemonic of 12 to 24 words, 0x and 64 hexadecimal digits, \
		 a development key such as //Alice, or the path of a file that holds one of these"
	)]
	Suri(String),
	/// The network key file is not 32 bytes of hexadecimal.
	#[error("{path} does not hold 32 bytes of hexadecimal: {}", new_network_key(.0), path = .0.display())]
	DamagedNetworkKey(PathBuf),
	/// There is an account without a network key.
	#[error("{path} is missing: {}", new_network_key(.0), path = .0.display())]
	NoNetworkKey(PathBuf),
}

/// How the account gets another network key.
fn new_network_key(path: &Path) -> String {
	format!(
		"restore it from your backup, or make another for the same account with `cairn-worker keys generate --force \
		 --suri {}`, then run `cairn-worker register`, which binds it",
		path.with_file_name(ACCOUNT_FILE).display()
	)
}

/// The worker's keys.
#[derive(Clone)]
pub struct Keys {
	account: sr25519::Keypair,
	network: identity::ed25519::Keypair,
}

impl fmt::Debug for Keys {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		// Never the secrets.
		write!(f, "Keys({})", self.account_id())
	}
}

/// Reads a signing key from a secret URI, or from a file that holds one.
///
/// # Errors
/// [`KeyError::Suri`] when it is neither.
pub fn account_from_suri(suri_or_file: &str) -> Result<sr25519::Keypair, KeyError> {
	let path = Path::new(suri_or_file);
	if !suri_or_file.starts_with("//") && path.is_file() {
		let text = fs::read_to_string(path).map_err(BaseError::io("cannot read", path))?;
		return parse_suri(text.trim());
	}
	parse_suri(suri_or_file.trim())
}

fn parse_suri(suri: &str) -> Result<sr25519::Keypair, KeyError> {
	// The reasons must not repeat the text: it may be a secret with one typing error.
	let uri = SecretUri::from_str(suri).map_err(|_| KeyError::Suri("it has no readable form".into()))?;
	sr25519::Keypair::from_uri(&uri).map_err(|e| {
		KeyError::Suri(match e {
			sr25519::Error::Phrase(_) => "the words are no valid mnemonic".into(),
			sr25519::Error::Hex(_) => "the hexadecimal digits are not 32 bytes".into(),
			_ => "the seed is not valid".into(),
		})
	})
}

impl Keys {
	/// Makes keys and keeps them. The account is new, or the one of `suri`; the network key is always new.
	///
	/// # Errors
	/// [`KeyError::Exists`] when there is an account and `force` is not set; nothing is changed then.
	pub fn generate(base: &BasePath, suri: Option<&str>, force: bool) -> Result<Self, KeyError> {
		let folder = base.keys();
		let (account_path, network_path) = (folder.join(ACCOUNT_FILE), folder.join(NETWORK_FILE));
		if !force && account_path.exists() {
			return Err(KeyError::Exists(folder));
		}
		let secret = match suri {
			Some(suri) if !suri.starts_with("//") && Path::new(suri).is_file() => fs::read_to_string(suri)
				.map_err(BaseError::io("cannot read", Path::new(suri)))?
				.trim()
				.to_string(),
			Some(suri) => suri.trim().to_string(),
			None => {
				let mut entropy = [0u8; 32];
				OsRng.fill_bytes(&mut entropy);
				let mnemonic =
					Mnemonic::from_entropy(&entropy).expect("32 bytes make a 24-word mnemonic; qed");
				mnemonic.to_string()
			},
		};
		let account = parse_suri(&secret)?;
		let network = identity::ed25519::Keypair::generate();
		fs::DirBuilder::new()
			.recursive(true)
			.mode(0o700)
			.create(&folder)
			.map_err(BaseError::io("cannot make the key folder", &folder))?;
		// The account last: if this ends in between, there is none yet, and keys can be made again.
		write_atomically(&network_path, hex::encode(network.secret()).as_bytes(), 0o600)?;
		write_atomically(&account_path, secret.as_bytes(), 0o600)?;
		Ok(Self { account, network })
	}

	/// Reads the keys.
	///
	/// # Errors
	/// When they are missing, damaged, or readable by others.
	pub fn load(base: &BasePath) -> Result<Self, KeyError> {
		let folder = base.keys();
		let account = parse_suri(read_secret(&folder, ACCOUNT_FILE)?.trim())?;
		let path = folder.join(NETWORK_FILE);
		let text = read_secret(&folder, NETWORK_FILE).map_err(|e| match e {
			KeyError::Missing(_) => KeyError::NoNetworkKey(path.clone()),
			other => other,
		})?;
		let mut bytes = [0u8; 32];
		hex::decode_to_slice(text.trim(), &mut bytes)
			.map_err(|_| KeyError::DamagedNetworkKey(path.clone()))?;
		let secret = identity::ed25519::SecretKey::try_from_bytes(&mut bytes)
			.map_err(|_| KeyError::DamagedNetworkKey(path))?;
		Ok(Self { account, network: secret.into() })
	}

	/// The key that signs transactions.
	pub fn signer(&self) -> &sr25519::Keypair {
		&self.account
	}

	/// The account that is paid.
	pub fn account_id(&self) -> AccountId32 {
		AccountId32(self.account.public_key().0)
	}

	/// The libp2p identity.
	pub fn network(&self) -> identity::Keypair {
		self.network.clone().into()
	}

	/// The libp2p identity, in the form that the network layer takes.
	pub fn network_keypair(&self) -> identity::ed25519::Keypair {
		self.network.clone()
	}

	/// The public half of the libp2p identity, as the chain has it.
	pub fn network_key(&self) -> [u8; 32] {
		self.network.public().to_bytes()
	}

	/// The libp2p peer id.
	pub fn peer_id(&self) -> libp2p::PeerId {
		self.network().public().to_peer_id()
	}

	/// The network key's signature that it belongs to `account` on the chain `genesis`.
	pub fn network_proof(&self, genesis: &cairn_primitives::H256, account: &AccountId32) -> [u8; 64] {
		let message = cairn_primitives::network_key_message(genesis, &account.0);
		self.network.sign(&message).try_into().expect("an ed25519 signature is 64 bytes; qed")
	}
}

fn read_secret(folder: &Path, name: &str) -> Result<String, KeyError> {
	let path = folder.join(name);
	let text = match fs::read_to_string(&path) {
		Ok(text) => text,
		Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(KeyError::Missing(folder.to_path_buf())),
		Err(e) => return Err(BaseError::io("cannot read", &path)(e).into()),
	};
	let metadata = fs::metadata(&path).map_err(BaseError::io("cannot read", &path))?;
	let mode = metadata.permissions().mode() & 0o777;
	if mode & 0o077 != 0 {
		return Err(KeyError::Exposed { path, mode });
	}
	Ok(text)
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	fn base() -> (tempfile::TempDir, BasePath) {
		let dir = tempfile::tempdir().unwrap();
		let base = BasePath::open(dir.path()).unwrap();
		(dir, base)
	}

	#[test]
	fn generated_keys_read_back_and_are_private() {
		let (_dir, base) = base();
		let made = Keys::generate(&base, None, false).unwrap();
		let read = Keys::load(&base).unwrap();
		assert_eq!(made.account_id(), read.account_id());
		assert_eq!(made.peer_id(), read.peer_id());
		for file in [ACCOUNT_FILE, NETWORK_FILE] {
			let mode = fs::metadata(base.keys().join(file)).unwrap().permissions().mode();
			assert_eq!(mode & 0o777, 0o600, "{file}");
		}
		let words = fs::read_to_string(base.keys().join(ACCOUNT_FILE)).unwrap();
		assert_eq!(words.split_whitespace().count(), 24);
	}

	#[test]
	fn keys_are_not_overwritten_without_force() {
		let (_dir, base) = base();
		let first = Keys::generate(&base, None, false).unwrap();
		let message = Keys::generate(&base, None, false).unwrap_err().to_string();
		assert!(message.contains("--force"), "{message}");
		assert_eq!(Keys::load(&base).unwrap().account_id(), first.account_id());
		let second = Keys::generate(&base, None, true).unwrap();
		assert_ne!(second.account_id(), first.account_id());
	}

	#[test]
	fn suri_is_read_as_development_key_seed_mnemonic_or_file() {
		let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
		let account = |suri: &str| AccountId32(account_from_suri(suri).unwrap().public_key().0).to_string();
		assert_eq!(account("//Alice"), alice);
		assert_eq!(
			account("bottom drive obey lake curtain smoke basket hold race lonely fit walk//Alice"),
			alice
		);
		assert_eq!(account("0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"), alice);
		let dir = tempfile::tempdir().unwrap();
		let file = dir.path().join("suri");
		fs::write(&file, "//Alice\n").unwrap();
		assert_eq!(account(file.to_str().unwrap()), alice);
	}

	#[test]
	fn malformed_suri_is_refused_without_repeating_it() {
		let secret = "bottom drive obey lake curtain smoke basket hold race lonely fit wolk";
		for text in [secret, "0x12", "hello"] {
			let message = account_from_suri(text).unwrap_err().to_string();
			assert!(!message.contains(text) && !message.contains("wolk"), "{message}");
			assert!(message.contains("//Alice"), "{message}");
		}
	}

	#[test]
	fn keys_that_others_can_read_are_refused_with_the_remedy() {
		let (_dir, base) = base();
		Keys::generate(&base, None, false).unwrap();
		let path = base.keys().join(ACCOUNT_FILE);
		fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
		let message = Keys::load(&base).unwrap_err().to_string();
		assert!(message.contains("chmod 600"), "{message}");
	}

	#[test]
	fn missing_and_damaged_keys_are_told_apart() {
		let (_dir, base) = base();
		assert!(matches!(Keys::load(&base), Err(KeyError::Missing(_))));
		Keys::generate(&base, None, false).unwrap();
		fs::write(base.keys().join(NETWORK_FILE), "abcd").unwrap();
		assert!(matches!(Keys::load(&base), Err(KeyError::DamagedNetworkKey(_))));
	}

	#[test]
	fn keys_are_made_again_after_a_crash_between_the_two() {
		let (_dir, base) = base();
		Keys::generate(&base, None, false).unwrap();
		fs::remove_file(base.keys().join(ACCOUNT_FILE)).unwrap();
		assert!(matches!(Keys::load(&base), Err(KeyError::Missing(_))));
		let made = Keys::generate(&base, None, false).unwrap();
		assert_eq!(Keys::load(&base).unwrap().peer_id(), made.peer_id());
	}

	#[test]
	fn lost_network_key_is_replaced_for_the_same_account_as_the_message_says() {
		let (_dir, base) = base();
		let first = Keys::generate(&base, None, false).unwrap();
		fs::remove_file(base.keys().join(NETWORK_FILE)).unwrap();
		let message = Keys::load(&base).unwrap_err().to_string();
		let account = base.keys().join(ACCOUNT_FILE).display().to_string();
		let remedy = format!("--force --suri {account}");
		assert!(message.contains(&remedy) && message.contains("cairn-worker register"), "{message}");
		let second = Keys::generate(&base, Some(&account), true).unwrap();
		assert_eq!(second.account_id(), first.account_id());
		assert_ne!(second.peer_id(), first.peer_id());
		assert_eq!(Keys::load(&base).unwrap().peer_id(), second.peer_id());
	}

	#[test]
	fn debug_form_shows_no_secret() {
		let (_dir, base) = base();
		let keys = Keys::generate(&base, Some("//Alice"), false).unwrap();
		assert!(!format!("{keys:?}").contains("//Alice"));
	}

	#[test]
	fn network_proof_is_bound_to_chain_and_account() {
		let (_dir, base) = base();
		let keys = Keys::generate(&base, None, false).unwrap();
		let genesis = cairn_primitives::H256([7; 32]);
		let proof = keys.network_proof(&genesis, &keys.account_id());
		let message = cairn_primitives::network_key_message(&genesis, &keys.account_id().0);
		let public = identity::ed25519::PublicKey::try_from_bytes(&keys.network_key()).unwrap();
		assert!(public.verify(&message, &proof));
		let other =
			cairn_primitives::network_key_message(&cairn_primitives::H256([8; 32]), &keys.account_id().0);
		assert!(!public.verify(&other, &proof));
	}
}
