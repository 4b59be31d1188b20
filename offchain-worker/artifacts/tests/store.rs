//! The store: durability, corruption, crashes, and several processes at once.
#![allow(clippy::unwrap_used)]

use cairn_artifacts::{artifact_hash, ArtifactHash, Store, StoreError};
use std::{
	fs,
	os::unix::process::ExitStatusExt,
	path::{Path, PathBuf},
	process::{Command, Stdio},
	thread,
};
use tempfile::TempDir;

fn store() -> (TempDir, Store) {
	let dir = TempDir::new().unwrap();
	let store = Store::open(dir.path().join("store")).unwrap();
	(dir, store)
}

fn incoming(store: &Store) -> Vec<PathBuf> {
	fs::read_dir(store.root().join("incoming")).unwrap().map(|e| e.unwrap().path()).collect()
}

fn quarantined(store: &Store) -> Vec<PathBuf> {
	fs::read_dir(store.root().join("quarantine")).unwrap().map(|e| e.unwrap().path()).collect()
}

/// Spoils the stored file, keeping its length.
fn corrupt(store: &Store, hash: &ArtifactHash) {
	let path = store.path(hash);
	let mut bytes = fs::read(&path).unwrap();
	bytes[0] ^= 1;
	fs::write(path, bytes).unwrap();
}

/// Runs one of the functions below, which do nothing in an ordinary test run, in a process of its own.
fn in_other_process(test: &str, root: &Path) -> Command {
	let mut command = Command::new(std::env::current_exe().unwrap());
	command
		.args(["--exact", test, "--include-ignored"])
		.env("CAIRN_TEST_STORE", root)
		.stdout(Stdio::null())
		.stderr(Stdio::null());
	command
}

#[test]
fn artifact_is_returned_as_it_was_put() {
	let (_dir, store) = store();
	let hash = store.put(b"some bytes").unwrap();
	assert_eq!(hash, artifact_hash(b"some bytes"));
	assert_eq!(store.get(&hash).unwrap().as_deref(), Some(&b"some bytes"[..]));
	assert_eq!(store.size(&hash).unwrap(), Some(10));
	assert!(store.contains(&hash));
	let name = hex::encode(hash.as_bytes());
	assert_eq!(store.path(&hash), store.root().join(&name[..2]).join(&name[2..]));
	assert!(incoming(&store).is_empty());
	// The same to another handle, and to a reader.
	for other in [Store::open(store.root()).unwrap(), Store::open_read_only(store.root()).unwrap()] {
		assert_eq!(other.get(&hash).unwrap().as_deref(), Some(&b"some bytes"[..]));
	}
}

#[test]
fn absent_artifact_is_none_and_not_an_error() {
	let (_dir, store) = store();
	let hash = artifact_hash(b"absent");
	assert_eq!(store.get(&hash).unwrap(), None);
	assert_eq!(store.size(&hash).unwrap(), None);
	assert!(!store.contains(&hash));
	assert!(!store.remove(&hash).unwrap());
}

#[test]
fn putting_twice_changes_nothing() {
	use std::os::unix::fs::MetadataExt;
	let (_dir, store) = store();
	let hash = store.put(b"twice").unwrap();
	let inode = fs::metadata(store.path(&hash)).unwrap().ino();
	assert_eq!(store.put(b"twice").unwrap(), hash);
	assert_eq!(fs::metadata(store.path(&hash)).unwrap().ino(), inode);
	assert_eq!(store.list().unwrap(), [hash]);
}

#[test]
fn bytes_that_are_not_the_expected_artifact_are_not_stored() {
	let (_dir, store) = store();
	let expected = artifact_hash(b"right");
	let found = artifact_hash(b"wrong");
	let error = store.put_expected(&expected, b"wrong").unwrap_err();
	assert!(matches!(error, StoreError::Mismatch { expected: e, found: f } if e == expected && f == found));
	assert!(error.to_string().contains(&format!("{expected:?}")));
	let mut writer = store.writer().unwrap();
	writer.append(b"wrong").unwrap();
	assert!(matches!(writer.finish_expected(&expected), Err(StoreError::Mismatch { .. })));
	assert!(store.list().unwrap().is_empty() && incoming(&store).is_empty());
	store.put_expected(&expected, b"right").unwrap();
	assert_eq!(store.list().unwrap(), [expected]);
}

#[test]
fn corrupt_artifact_is_quarantined_and_can_be_put_again() {
	let (_dir, store) = store();
	let hash = store.put(b"precious").unwrap();
	corrupt(&store, &hash);
	let error = store.get(&hash).unwrap_err();
	let StoreError::Corrupt { quarantined: Some(to), path, .. } = &error else { panic!("{error:?}") };
	assert_eq!(*path, store.path(&hash));
	assert_eq!(&quarantined(&store)[..], std::slice::from_ref(to));
	let said = error.to_string();
	assert!(said.contains(&path.display().to_string()) && said.contains("again"), "{said}");
	// Absent from now on, and restored by putting it again.
	assert_eq!(store.get(&hash).unwrap(), None);
	store.put(b"precious").unwrap();
	assert_eq!(store.get(&hash).unwrap().as_deref(), Some(&b"precious"[..]));
	// A second corruption does not overwrite the first's evidence.
	corrupt(&store, &hash);
	assert!(matches!(store.get(&hash), Err(StoreError::Corrupt { .. })));
	assert_eq!(quarantined(&store).len(), 2);
}

#[test]
fn mapped_artifact_is_what_was_put_and_outlives_its_name() {
	let (_dir, store) = store();
	for bytes in [&b"some bytes"[..], b""] {
		let hash = store.put(bytes).unwrap();
		for handle in [store.clone(), Store::open_read_only(store.root()).unwrap()] {
			let file = handle.map(&hash).unwrap().unwrap();
			assert_eq!((&file[..], file.hash()), (bytes, hash));
		}
		let file = store.map(&hash).unwrap().unwrap();
		store.remove(&hash).unwrap();
		assert_eq!(&file.clone()[..], bytes);
		assert!(store.map(&hash).unwrap().is_none());
	}
}

#[test]
fn corrupt_artifact_is_not_mapped_but_quarantined_and_can_be_put_again() {
	let (_dir, store) = store();
	let hash = store.put(b"some bytes").unwrap();
	let before = store.map(&hash).unwrap().unwrap();
	// Another file under the name: writing to the mapped one would change what is mapped.
	fs::remove_file(store.path(&hash)).unwrap();
	fs::write(store.path(&hash), b"other bytes").unwrap();
	let reader = Store::open_read_only(store.root()).unwrap();
	assert!(matches!(reader.map(&hash), Err(StoreError::Corrupt { quarantined: None, .. })));
	assert!(matches!(store.map(&hash), Err(StoreError::Corrupt { quarantined: Some(_), .. })));
	assert_eq!(quarantined(&store).len(), 1);
	assert!(store.map(&hash).unwrap().is_none());
	assert_eq!(store.put(b"some bytes").unwrap(), hash);
	assert_eq!(store.map(&hash).unwrap().unwrap()[..], before[..]);
}

#[test]
fn putting_over_a_corrupt_artifact_heals_it() {
	let (_dir, store) = store();
	let hash = store.put(b"precious").unwrap();
	corrupt(&store, &hash);
	assert_eq!(store.put(b"precious").unwrap(), hash);
	assert_eq!(store.get(&hash).unwrap().as_deref(), Some(&b"precious"[..]));
	assert_eq!(quarantined(&store).len(), 1);
	// Cut short rather than changed.
	fs::write(store.path(&hash), b"prec").unwrap();
	store.put(b"precious").unwrap();
	assert_eq!(store.get(&hash).unwrap().as_deref(), Some(&b"precious"[..]));
}

#[test]
fn read_only_store_changes_nothing() {
	let (_dir, store) = store();
	let hash = store.put(b"evidence").unwrap();
	corrupt(&store, &hash);
	let reader = Store::open_read_only(store.root()).unwrap();
	let error = reader.get(&hash).unwrap_err();
	assert!(matches!(&error, StoreError::Corrupt { quarantined: None, .. }));
	assert!(error.to_string().contains("left in place"));
	assert!(reader.contains(&hash) && quarantined(&store).is_empty());
	assert!(matches!(reader.put(b"x"), Err(StoreError::ReadOnly { .. })));
	assert!(matches!(reader.remove(&hash), Err(StoreError::ReadOnly { .. })));
	assert!(matches!(reader.writer(), Err(StoreError::ReadOnly { .. })));
}

#[test]
fn folder_that_is_absent_or_no_folder_is_named() {
	let dir = TempDir::new().unwrap();
	let absent = dir.path().join("absent");
	let error = Store::open_read_only(&absent).unwrap_err();
	assert!(matches!(&error, StoreError::NotAStore { path, .. } if *path == absent), "{error}");
	let file = dir.path().join("file");
	fs::write(&file, b"").unwrap();
	assert!(matches!(Store::open_read_only(&file), Err(StoreError::NotAStore { .. })));
	assert!(matches!(Store::open(&file), Err(StoreError::NotAStore { .. })));
}

#[test]
fn list_is_sorted_and_passes_over_strangers() {
	let (_dir, store) = store();
	let mut hashes: Vec<_> = (0u8..50).map(|i| store.put(&[i]).unwrap()).collect();
	hashes.sort();
	let root = store.root();
	let shard = root.join("ab");
	fs::create_dir_all(&shard).unwrap();
	fs::write(root.join("notes.txt"), b"").unwrap();
	fs::write(root.join("cd"), b"a file where a folder would be").ok();
	fs::write(shard.join("short"), b"").unwrap();
	fs::write(shard.join("C".repeat(62)), b"upper case").unwrap();
	fs::create_dir(shard.join("0".repeat(62))).unwrap();
	fs::create_dir(root.join("zz")).unwrap();
	assert_eq!(store.list().unwrap(), hashes);
}

#[test]
fn removed_artifact_is_gone() {
	let (_dir, store) = store();
	let hash = store.put(b"short-lived").unwrap();
	assert!(store.remove(&hash).unwrap());
	assert_eq!(store.get(&hash).unwrap(), None);
	assert!(!store.remove(&hash).unwrap());
}

#[test]
fn file_is_copied_in_as_it_is() {
	let (dir, store) = store();
	// Longer than one chunk, and not a whole number of them.
	let bytes: Vec<u8> = (0..3_000_001u32).map(|i| (i * 7 % 251) as u8).collect();
	let file = dir.path().join("big");
	fs::write(&file, &bytes).unwrap();
	let hash = store.put_file(&file).unwrap();
	assert_eq!(hash, artifact_hash(&bytes));
	assert!(store.get(&hash).unwrap() == Some(bytes));
	let absent = dir.path().join("absent");
	let error = store.put_file(&absent).unwrap_err();
	assert!(error.to_string().contains(&absent.display().to_string()), "{error}");
	assert!(incoming(&store).is_empty());
}

#[test]
fn pieces_become_one_artifact() {
	let (_dir, store) = store();
	let mut writer = store.writer().unwrap();
	assert!(writer.is_empty());
	for piece in [&b"one "[..], b"", b"two ", b"three"] {
		writer.append(piece).unwrap();
	}
	assert_eq!(writer.len(), 13);
	let hash = writer.finish().unwrap();
	assert_eq!(store.get(&hash).unwrap().as_deref(), Some(&b"one two three"[..]));
	drop(store.writer().unwrap());
	assert!(incoming(&store).is_empty());
}

/// Not a test by itself: starts writing and dies.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_dies_while_writing() {
	let Some(root) = std::env::var_os("CAIRN_TEST_STORE") else { return };
	let store = Store::open(PathBuf::from(root)).unwrap();
	let mut writer = store.writer().unwrap();
	writer.append(b"half an art").unwrap();
	std::process::abort();
}

#[test]
fn file_left_by_a_dead_process_is_removed_and_that_of_a_live_one_is_kept() {
	let (_dir, store) = store();
	let mut alive = store.writer().unwrap();
	alive.append(b"still ").unwrap();
	let status = in_other_process("child_dies_while_writing", store.root()).status().unwrap();
	// Aborted, as told, and not for want of the function.
	assert_eq!(status.signal(), Some(6));
	let stranger = store.root().join("incoming/stranger");
	fs::write(&stranger, b"").unwrap();
	assert_eq!(incoming(&store).len(), 3);
	Store::open(store.root()).unwrap();
	assert_eq!(incoming(&store).len(), 2);
	assert!(stranger.exists());
	alive.append(b"writing").unwrap();
	let hash = alive.finish().unwrap();
	assert_eq!(store.get(&hash).unwrap().as_deref(), Some(&b"still writing"[..]));
}

/// Not a test by itself: puts the same artifacts as the others, opening the store anew for each.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_puts_many() {
	let Some(root) = std::env::var_os("CAIRN_TEST_STORE") else { return };
	put_many(Path::new(&root));
}

fn put_many(root: &Path) {
	for i in 0u32..40 {
		let store = Store::open(root).unwrap();
		let bytes = vec![i as u8; 10_000];
		let hash = store.put(&bytes).unwrap();
		if i % 5 == 0 {
			// Whoever comes upon it heals it; a reader in between may see the artifact absent or corrupt.
			match store.get(&hash) {
				Ok(_) | Err(StoreError::Corrupt { .. }) => {},
				Err(e) => panic!("{e}"),
			}
		}
	}
}

#[test]
fn several_processes_and_threads_share_one_store() {
	let (_dir, store) = store();
	let mut children: Vec<_> =
		(0..3).map(|_| in_other_process("child_puts_many", store.root()).spawn().unwrap()).collect();
	thread::scope(|s| {
		for _ in 0..3 {
			s.spawn(|| put_many(store.root()));
		}
		s.spawn(|| {
			// Spoils files while the others write them.
			for i in (0u32..40).step_by(5) {
				let hash = artifact_hash(&vec![i as u8; 10_000]);
				fs::write(store.path(&hash), b"spoilt").ok();
			}
		});
	});
	for child in &mut children {
		assert!(child.wait().unwrap().success());
	}
	assert!(incoming(&store).is_empty());
	for i in 0u32..40 {
		let bytes = vec![i as u8; 10_000];
		let hash = store.put(&bytes).unwrap();
		assert!(store.get(&hash).unwrap() == Some(bytes));
	}
	assert_eq!(store.list().unwrap().len(), 40);
}

#[test]
fn artifact_in_a_folder_that_cannot_be_written_is_named() {
	let (_dir, store) = store();
	// A file stands where the artifact's folder has to be; this fails for every user, root included.
	let hash = artifact_hash(b"blocked");
	let shard = store.path(&hash).parent().unwrap().to_owned();
	fs::write(&shard, b"").unwrap();
	let error = store.put(b"blocked").unwrap_err();
	assert!(error.to_string().contains(&shard.display().to_string()), "{error}");
	assert!(incoming(&store).is_empty());
}
