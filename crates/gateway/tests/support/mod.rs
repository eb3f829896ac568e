//! A gateway on loopback, guests that misbehave on request, and clients.
#![allow(dead_code)] // each test binary uses a part

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use proximity_gateway::client::GatewayClient;
use proximity_gateway::{Endpoint, Gateway, GatewayError, GatewayOptions, Generation, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A loopback address of this process alone, so that tests running side by side never want the
/// same port.
pub(crate) fn own_ip() -> IpAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(
        127,
        16 + high % 64 + middle / 128,
        middle,
        low.max(1),
    ))
}

/// A port that is free on [`own_ip`], asked from the system.
pub(crate) fn free_port() -> NonZeroU16 {
    let listener = std::net::TcpListener::bind((own_ip(), 0)).unwrap();
    NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap()
}

/// A running gateway and a client of it.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) client: GatewayClient,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut GatewayOptions)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), adjust)
            .await
            .unwrap()
    }

    pub(crate) async fn start_in(
        folder: tempfile::TempDir,
        adjust: impl FnOnce(&mut GatewayOptions),
    ) -> Result<Self, GatewayError> {
        let shutdown = CancellationToken::new();
        let mut options = options_in(&folder, shutdown.clone());
        adjust(&mut options);
        let client = GatewayClient::new(&options.control_socket);
        let gateway = Gateway::start(options).await?;
        let serving = tokio::spawn(gateway.serve());
        Ok(Self {
            folder,
            client,
            shutdown,
            serving,
        })
    }

    pub(crate) fn route_file(&self) -> PathBuf {
        self.folder.path().join("routes.json")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Ends the gateway in order and hands back its folder.
    pub(crate) async fn end(self) -> tempfile::TempDir {
        self.shutdown.cancel();
        within(self.serving).await.unwrap();
        self.folder
    }

    pub(crate) fn ask_to_end(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn ended(self) {
        within(self.serving).await.unwrap();
    }
}

pub(crate) fn options_in(
    folder: &tempfile::TempDir,
    shutdown: CancellationToken,
) -> GatewayOptions {
    let routes = folder.path().join("routes.json");
    let mut options = GatewayOptions::new(routes, folder.path().join("control.sock"), shutdown);
    options.public_bind = own_ip();
    options.internal_bind = own_ip();
    options.limits.listen_retry = Duration::from_millis(20);
    options
}

/// A route on two free ports.
pub(crate) fn route_to(app: &str, generation: u64, target: Option<SocketAddr>) -> Route {
    Route {
        app_id: app.parse().unwrap(),
        owner: Some("control-plane".parse().unwrap()),
        generation: Generation(generation),
        public: Endpoint::on_default(free_port()),
        internal: Endpoint::on_default(free_port()),
        target,
    }
}

/// The route in its next generation, leading elsewhere.
pub(crate) fn next(route: &Route, target: Option<SocketAddr>) -> Route {
    Route {
        generation: Generation(route.generation.0 + 1),
        target,
        ..route.clone()
    }
}

pub(crate) fn public(route: &Route) -> SocketAddr {
    SocketAddr::new(own_ip(), route.public.port.get())
}

pub(crate) fn internal(route: &Route) -> SocketAddr {
    SocketAddr::new(own_ip(), route.internal.port.get())
}

/// A guest whose connections are each given to `act`; ends when dropped.
pub(crate) struct Guest {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Guest {
    pub(crate) async fn start<F, Act>(act: Act) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        Act: Fn(TcpStream) -> F + Send + 'static,
    {
        let listener = TcpListener::bind((own_ip(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(act(stream));
            }
        });
        Self { address, accepting }
    }

    /// Says its name, then gives back what it gets.
    pub(crate) async fn echo(name: &'static str) -> Self {
        Self::start(move |mut stream| async move {
            let greeted = stream.write_all(name.as_bytes()).await;
            let (mut input, mut output) = stream.split();
            if greeted.is_ok() && tokio::io::copy(&mut input, &mut output).await.is_ok() {
                let _peer_may_be_gone = output.shutdown().await;
            }
        })
        .await
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("took too long")
}

/// Connects and reads the guest's name.
pub(crate) async fn greeted_by(address: SocketAddr, name: &str) -> TcpStream {
    let mut stream = within(TcpStream::connect(address)).await.unwrap();
    expect(&mut stream, name.as_bytes()).await;
    stream
}

pub(crate) async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    within(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

/// Sends something through an echoing guest and waits until it is back.
pub(crate) async fn assert_echoes(stream: &mut TcpStream) {
    within(stream.write_all(b"ping")).await.unwrap();
    expect(stream, b"ping").await;
}

pub(crate) async fn assert_refused(address: SocketAddr) {
    let error = within(TcpStream::connect(address)).await.unwrap_err();
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::ConnectionRefused,
        "{error}"
    );
}

/// The connection is aborted, not regularly ended.
pub(crate) async fn assert_reset(stream: &mut TcpStream) {
    let error = within(stream.read_to_end(&mut Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
}

/// Asks again until `holds` says yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let mut again = tokio::time::interval(Duration::from_millis(5));
    within(async {
        while !holds().await {
            again.tick().await;
        }
    })
    .await;
}
