//! The HTTP side: `GET /metrics`.

use super::Metrics;
use http_body_util::Full;
use hyper::{
	body::{Bytes, Incoming},
	header::CONTENT_TYPE,
	service::service_fn,
	Method, Request, Response, StatusCode,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
	net::{TcpListener, TcpStream},
	sync::Semaphore,
};

/// Connections at once; Prometheus needs one.
const CONNECTIONS: usize = 8;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
	/// Something else listens there.
	#[error(
		"port {port} is in use, so metrics cannot be served at {address}: stop what listens there, or choose another port with \
		 --prometheus-port", port = address.port()
	)]
	InUse {
		/// The address.
		address: SocketAddr,
	},
	/// The system refused.
	#[error("metrics cannot be served at {address} ({source}): choose another --prometheus-host or --prometheus-port")]
	Refused {
		/// The address.
		address: SocketAddr,
		/// Why.
		source: io::Error,
	},
}

/// Listens at `address`.
///
/// # Errors
/// When something else does, or the system refuses.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
	TcpListener::bind(address).await.map_err(|source| match source.kind() {
		io::ErrorKind::AddrInUse => BindError::InUse { address },
		_ => BindError::Refused { address, source },
	})
}

/// Answers for ever.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
	let places = Arc::new(Semaphore::new(CONNECTIONS));
	loop {
		// The semaphore is never closed.
		let Ok(place) = places.clone().acquire_owned().await else { return };
		match listener.accept().await {
			Ok((stream, _)) => {
				let metrics = metrics.clone();
				tokio::spawn(async move {
					// Whoever keeps the connection open without asking gives its place back.
					drop(tokio::time::timeout(6 * PATIENCE, converse(stream, metrics)).await);
					drop(place);
				});
			},
			// No file descriptor is free, for example.
			Err(e) => {
				tracing::warn!("metrics: {e}");
				tokio::time::sleep(Duration::from_secs(1)).await;
			},
		}
	}
}

async fn converse(stream: TcpStream, metrics: Arc<Metrics>) {
	let service = service_fn(move |request| answer(request, metrics.clone()));
	let serving = hyper::server::conn::http1::Builder::new()
		.timer(TokioTimer::new())
		.header_read_timeout(PATIENCE)
		.serve_connection(TokioIo::new(stream), service);
	if let Err(e) = serving.await {
		tracing::debug!("metrics: {e}");
	}
}

async fn answer(
	request: Request<Incoming>,
	metrics: Arc<Metrics>,
) -> Result<Response<Full<Bytes>>, Infallible> {
	let says = |status: StatusCode, text: &'static str| {
		let mut response = Response::new(Full::from(text));
		*response.status_mut() = status;
		response
	};
	if request.uri().path() != "/metrics" {
		return Ok(says(StatusCode::NOT_FOUND, "metrics are at /metrics\n"));
	}
	if request.method() != Method::GET {
		return Ok(says(StatusCode::METHOD_NOT_ALLOWED, "ask with GET\n"));
	}
	// Listing the store reads the disk.
	let rendered = tokio::task::spawn_blocking(move || metrics.render()).await;
	Ok(match rendered {
		Ok(Ok(text)) => {
			let mut response = Response::new(Full::from(text));
			let kind = hyper::header::HeaderValue::from_static(prometheus::TEXT_FORMAT);
			response.headers_mut().insert(CONTENT_TYPE, kind);
			response
		},
		_ => says(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n"),
	})
}
