//! TCP with byte counters, DNS names, Noise and Yamux.

use crate::{config::StartError, counters::Counted};
use futures::{AsyncRead, AsyncWrite};
use libp2p::{
	core::{muxing::StreamMuxerBox, transport::Boxed, upgrade},
	dns, identity, noise, tcp, yamux, PeerId, Transport,
};
use std::{
	io,
	pin::Pin,
	sync::Arc,
	task::{Context, Poll},
	time::Duration,
};

/// A TCP stream that counts what passes through it.
struct CountedStream {
	inner: tcp::tokio::TcpStream,
	counted: Arc<Counted>,
}

impl AsyncRead for CountedStream {
	fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
		let result = Pin::new(&mut self.inner).poll_read(cx, buf);
		if let Poll::Ready(Ok(n)) = &result {
			self.counted.wire_in.add(*n as u64);
		}
		result
	}
}

impl AsyncWrite for CountedStream {
	fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
		let result = Pin::new(&mut self.inner).poll_write(cx, buf);
		if let Poll::Ready(Ok(n)) = &result {
			self.counted.wire_out.add(*n as u64);
		}
		result
	}

	fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
		Pin::new(&mut self.inner).poll_flush(cx)
	}

	fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
		Pin::new(&mut self.inner).poll_close(cx)
	}
}

fn secured<T>(
	transport: T,
	keypair: &identity::Keypair,
	timeout: Duration,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, StartError>
where
	T: Transport<Output = CountedStream> + Send + Unpin + 'static,
	T::Dial: Send,
	T::ListenerUpgrade: Send,
	T::Error: Send + Sync,
{
	let noise =
		noise::Config::new(keypair).map_err(|error| StartError::Internal { message: error.to_string() })?;
	Ok(transport
		.upgrade(upgrade::Version::V1Lazy)
		.authenticate(noise)
		.multiplex(yamux::Config::default())
		.timeout(timeout)
		.boxed())
}

/// The transport of a node. `timeout` bounds a dial with its handshakes.
pub(crate) fn build(
	keypair: &identity::Keypair,
	counted: Arc<Counted>,
	timeout: Duration,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, StartError> {
	let tcp = || {
		let counted = counted.clone();
		tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
			.map(move |inner, _| CountedStream { inner, counted: counted.clone() })
	};
	match dns::tokio::Transport::system(tcp()) {
		Ok(transport) => secured(transport, keypair, timeout),
		Err(error) => {
			// A container without /etc/resolv.conf still reaches its peers by number.
			tracing::warn!(%error, "the system's DNS configuration cannot be read; only addresses with IP numbers will work");
			secured(tcp(), keypair, timeout)
		},
	}
}
