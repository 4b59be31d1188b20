//! The blob protocol on the wire, version 2.
//!
//! One stream carries one request and one response; both sides close their half after writing, and trailing bytes
//! are an error. Integers are little-endian.
//!
//! | message | bytes |
//! |---|---|
//! | request | `hash: [u8; 32]`, `offset: u64`, `max_len: u32` |
//! | slice | `0u8`, `total_len: u64`, `len: u32`, `len` bytes |
//! | refusal | one byte: 1 not found, 2 not yet, 3 busy, 4 not admitted, 5 out of range, 6 allowance used up |
//!
//! `offset` is a multiple of 16 KiB ([`BLOCK`]), and so is `max_len`, at most 1 MiB ([`MAX_CHUNK`]). A slice holds the
//! asked bytes, or those up to the artifact's end, and before and between them the hashes that prove them against the
//! name: BLAKE3's tree in pre-order with blocks of 16 KiB as leaves, as the crate `bao-tree` encodes it. A `max_len` of
//! 0 asks for the last block whatever `offset` says: it proves `total_len`. Each slice is judged on its own, by the
//! name alone, so slices of one artifact may come from many peers and in any order.
//!
//! Version 1, without proofs, is no longer spoken.

use crate::counters::Counted;
use async_trait::async_trait;
use cairn_primitives::{ArtifactHash, H256};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{request_response, StreamProtocol};
use std::{fmt, io, sync::Arc};

/// The most bytes that one chunk may carry: 1 MiB.
pub const MAX_CHUNK: u32 = 1 << 20;

/// Bytes of a block: offsets and lengths of chunks are multiples of it. 16 KiB.
pub const BLOCK: u32 = crate::tree::BLOCK_LEN as u32;

/// The most bytes that a slice may have: a chunk, and what proves it.
pub const MAX_SLICE: u32 = MAX_CHUNK + crate::tree::MAX_PROOF;

/// Bytes of a request.
const REQUEST_LEN: usize = 32 + 8 + 4;

/// The blob protocol of one chain.
#[derive(Clone, Debug)]
pub struct BlobProtocol(String);

impl BlobProtocol {
	/// Version 2 on the chain with this genesis hash.
	pub fn v2(genesis: &H256) -> Self {
		Self(format!("{}/blob/2", chain_prefix(genesis)))
	}
}

impl AsRef<str> for BlobProtocol {
	fn as_ref(&self) -> &str {
		&self.0
	}
}

/// What all protocol names of a chain begin with. The genesis hash is in it, so that workers of different chains
/// cannot even negotiate a stream.
fn chain_prefix(genesis: &H256) -> String {
	format!("/cairn/{}", crate::identity::hex(genesis.as_bytes()))
}

/// The name of the Kademlia protocol of a chain.
pub fn kademlia_protocol(genesis: &H256) -> StreamProtocol {
	StreamProtocol::try_from_owned(format!("{}/kad/1", chain_prefix(genesis)))
		.expect("the name starts with a slash; qed")
}

/// What a node says of itself in identify: which chain it is on.
pub fn identify_version(genesis: &H256) -> String {
	format!("{}/1", chain_prefix(genesis))
}

/// Asks for a part of an artifact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlobRequest {
	/// The artifact.
	pub hash: ArtifactHash,
	/// The first byte wanted, a multiple of [`BLOCK`].
	pub offset: u64,
	/// The most bytes wanted, at most [`MAX_CHUNK`]; 0 for the proof of the length.
	pub max_len: u32,
}

/// Why no bytes are given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
	/// The holder does not have it.
	NotFound,
	/// The holder has it but gives it out only when the round's commit window has closed.
	NotYet,
	/// The holder serves as many as it can at present.
	Busy,
	/// The asker is no active registered device, as far as the holder knows, and the holder takes no guests.
	NotAdmitted,
	/// The range is not in the artifact, or not one of whole blocks.
	OutOfRange,
	/// The asker has had as many bytes as the holder gives to one peer for the time being.
	Allowance,
}

impl fmt::Display for Refusal {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::NotFound => "does not have it",
			Self::NotYet => "does not give it out before the commit window closes",
			Self::Busy => "is busy",
			Self::NotAdmitted => "does not admit this device (is it registered and active on chain?)",
			Self::OutOfRange => "says that it is asked for a range that is not in it",
			Self::Allowance => "has given this node as many bytes as it gives one peer for now",
		})
	}
}

/// The answer to a [`BlobRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlobResponse {
	/// Bytes of the artifact and what proves them.
	Slice {
		/// The length of the whole artifact, bytes. Believed only when the last block proves it.
		total_len: u64,
		/// The asked bytes, with the hashes that prove them.
		bytes: Vec<u8>,
	},
	/// No bytes.
	Refused(Refusal),
}

fn invalid(message: impl Into<String>) -> io::Error {
	io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Reads and writes the messages of [`BlobProtocol`].
#[derive(Clone, Default, Debug)]
pub struct BlobCodec {
	/// Where requests that cannot be read are counted: libp2p does not report them.
	counted: Arc<Counted>,
}

impl BlobCodec {
	pub(crate) fn new(counted: Arc<Counted>) -> Self {
		Self { counted }
	}
}

async fn read_request_bytes<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<BlobRequest> {
	let mut bytes = [0u8; REQUEST_LEN];
	io.read_exact(&mut bytes).await?;
	expect_end(io, "request").await?;
	let (hash, rest) = bytes.split_at(32);
	let (offset, max_len) = rest.split_at(8);
	Ok(BlobRequest {
		hash: H256::from_slice(hash),
		offset: u64::from_le_bytes(offset.try_into().expect("8 of 44 bytes; qed")),
		max_len: u32::from_le_bytes(max_len.try_into().expect("4 of 44 bytes; qed")),
	})
}

async fn expect_end<T: AsyncRead + Unpin + Send>(io: &mut T, what: &str) -> io::Result<()> {
	match io.read(&mut [0u8; 1]).await? {
		0 => Ok(()),
		_ => Err(invalid(format!("bytes after the end of a {what}"))),
	}
}

#[async_trait]
impl request_response::Codec for BlobCodec {
	type Protocol = BlobProtocol;
	type Request = BlobRequest;
	type Response = BlobResponse;

	async fn read_request<T>(&mut self, _: &BlobProtocol, io: &mut T) -> io::Result<BlobRequest>
	where
		T: AsyncRead + Unpin + Send,
	{
		read_request_bytes(io).await.inspect_err(|error| {
			if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) {
				self.counted.requests_malformed.add(1);
			}
		})
	}

	async fn read_response<T>(&mut self, _: &BlobProtocol, io: &mut T) -> io::Result<BlobResponse>
	where
		T: AsyncRead + Unpin + Send,
	{
		let mut tag = [0u8; 1];
		io.read_exact(&mut tag).await?;
		let response = match tag[0] {
			0 => {
				let (mut total, mut len) = ([0u8; 8], [0u8; 4]);
				io.read_exact(&mut total).await?;
				io.read_exact(&mut len).await?;
				let (total_len, len) = (u64::from_le_bytes(total), u32::from_le_bytes(len));
				// Before anything is allocated for it.
				if len > MAX_SLICE {
					return Err(invalid(format!("a slice of {len} bytes; the most is {MAX_SLICE}")));
				}
				let mut bytes = vec![0u8; len as usize];
				io.read_exact(&mut bytes).await?;
				BlobResponse::Slice { total_len, bytes }
			},
			1 => BlobResponse::Refused(Refusal::NotFound),
			2 => BlobResponse::Refused(Refusal::NotYet),
			3 => BlobResponse::Refused(Refusal::Busy),
			4 => BlobResponse::Refused(Refusal::NotAdmitted),
			5 => BlobResponse::Refused(Refusal::OutOfRange),
			6 => BlobResponse::Refused(Refusal::Allowance),
			tag => return Err(invalid(format!("a response that begins with the unknown byte {tag}"))),
		};
		expect_end(io, "response").await?;
		Ok(response)
	}

	async fn write_request<T>(&mut self, _: &BlobProtocol, io: &mut T, request: BlobRequest) -> io::Result<()>
	where
		T: AsyncWrite + Unpin + Send,
	{
		let mut bytes = Vec::with_capacity(REQUEST_LEN);
		bytes.extend_from_slice(request.hash.as_bytes());
		bytes.extend_from_slice(&request.offset.to_le_bytes());
		bytes.extend_from_slice(&request.max_len.to_le_bytes());
		io.write_all(&bytes).await
	}

	async fn write_response<T>(
		&mut self,
		_: &BlobProtocol,
		io: &mut T,
		response: BlobResponse,
	) -> io::Result<()>
	where
		T: AsyncWrite + Unpin + Send,
	{
		match response {
			BlobResponse::Slice { total_len, bytes } => {
				let len = u32::try_from(bytes.len())
					.ok()
					.filter(|len| *len <= MAX_SLICE)
					.ok_or_else(|| invalid("a slice over the limit was about to be sent"))?;
				let mut head = Vec::with_capacity(13);
				head.push(0);
				head.extend_from_slice(&total_len.to_le_bytes());
				head.extend_from_slice(&len.to_le_bytes());
				io.write_all(&head).await?;
				io.write_all(&bytes).await
			},
			BlobResponse::Refused(refusal) => {
				let tag = match refusal {
					Refusal::NotFound => 1u8,
					Refusal::NotYet => 2,
					Refusal::Busy => 3,
					Refusal::NotAdmitted => 4,
					Refusal::OutOfRange => 5,
					Refusal::Allowance => 6,
				};
				io.write_all(&[tag]).await
			},
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use futures::{executor::block_on, io::Cursor};
	use libp2p::request_response::Codec;
	use proptest::prelude::*;

	fn protocol() -> BlobProtocol {
		BlobProtocol::v2(&H256([0xab; 32]))
	}

	fn write_request(request: &BlobRequest) -> Vec<u8> {
		let mut out = Cursor::new(Vec::new());
		block_on(BlobCodec::default().write_request(&protocol(), &mut out, request.clone())).expect("memory");
		out.into_inner()
	}

	fn read_request(bytes: &[u8]) -> io::Result<BlobRequest> {
		block_on(BlobCodec::default().read_request(&protocol(), &mut Cursor::new(bytes)))
	}

	fn write_response(response: &BlobResponse) -> Vec<u8> {
		let mut out = Cursor::new(Vec::new());
		block_on(BlobCodec::default().write_response(&protocol(), &mut out, response.clone()))
			.expect("memory");
		out.into_inner()
	}

	fn read_response(bytes: &[u8]) -> io::Result<BlobResponse> {
		block_on(BlobCodec::default().read_response(&protocol(), &mut Cursor::new(bytes)))
	}

	fn responses() -> impl Strategy<Value = BlobResponse> {
		prop_oneof![
			(proptest::collection::vec(any::<u8>(), 0..300), any::<u32>())
				.prop_map(|(bytes, more)| { BlobResponse::Slice { total_len: u64::from(more), bytes } }),
			prop_oneof![
				Just(Refusal::NotFound),
				Just(Refusal::NotYet),
				Just(Refusal::Busy),
				Just(Refusal::NotAdmitted),
				Just(Refusal::OutOfRange),
				Just(Refusal::Allowance),
			]
			.prop_map(BlobResponse::Refused),
		]
	}

	proptest! {
		#[test]
		fn request_round_trips(hash: [u8; 32], offset: u64, max_len: u32) {
			let request = BlobRequest { hash: H256(hash), offset, max_len };
			prop_assert_eq!(read_request(&write_request(&request)).expect("what was written"), request);
		}

		#[test]
		fn response_round_trips(response in responses()) {
			prop_assert_eq!(read_response(&write_response(&response)).expect("what was written"), response);
		}

		#[test]
		fn response_is_refused_when_cut_or_extended(response in responses(), cut: prop::sample::Index) {
			let bytes = write_response(&response);
			prop_assert!(read_response(&bytes[..cut.index(bytes.len())]).is_err());
			let mut longer = bytes;
			longer.push(0);
			prop_assert!(read_response(&longer).is_err());
		}

		#[test]
		fn what_is_read_from_any_bytes_is_what_those_bytes_say(
			bytes in proptest::collection::vec(any::<u8>(), 0..100),
		) {
			if let Ok(request) = read_request(&bytes) {
				prop_assert_eq!(write_request(&request), bytes.clone());
			}
			if let Ok(response) = read_response(&bytes) {
				prop_assert_eq!(write_response(&response), bytes);
			}
		}
	}

	#[test]
	fn slice_over_the_limit_is_refused_before_its_bytes_are_read() {
		let mut bytes = vec![0u8];
		bytes.extend_from_slice(&u64::MAX.to_le_bytes());
		bytes.extend_from_slice(&(MAX_SLICE + 1).to_le_bytes());
		let error = read_response(&bytes).expect_err("too long");
		assert_eq!(error.kind(), io::ErrorKind::InvalidData);
		assert!(error.to_string().contains(&(MAX_SLICE + 1).to_string()), "{error}");
	}

	#[test]
	fn names_hold_the_genesis_hash_so_that_chains_differ() {
		let (a, b) = (H256([0xab; 32]), H256([0xcd; 32]));
		for name in
			[BlobProtocol::v2(&a).as_ref(), kademlia_protocol(&a).as_ref(), identify_version(&a).as_str()]
		{
			assert!(name.contains(&"ab".repeat(32)), "{name}");
		}
		assert_ne!(BlobProtocol::v2(&a).as_ref(), BlobProtocol::v2(&b).as_ref());
		assert_ne!(kademlia_protocol(&a), kademlia_protocol(&b));
		assert_ne!(identify_version(&a), identify_version(&b));
	}
}
