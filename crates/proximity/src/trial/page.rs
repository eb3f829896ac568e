//! Looking at an app from outside, as its users do.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proximity_engine::probe::HttpProbe;
use proximity_engine::seams::Probe;
use tokio::net::TcpStream;

use crate::failed::Failed;

/// Longest time one fetch may take, milliseconds.
const FETCH_MS: u64 = 2_000;
/// Pause between two fetches.
const PAUSE: Duration = Duration::from_millis(50);

/// An app's page, at its public port on this machine.
#[derive(Debug)]
pub(crate) struct Page {
    probe: HttpProbe,
    address: SocketAddr,
    marker: String,
}

/// What was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) has_marker: bool,
}

impl Page {
    pub(crate) fn new(port: u16, marker: String) -> Result<Self, Failed> {
        let probe = HttpProbe::new().map_err(|e| {
            Failed::error(
                "internal",
                format!("cannot prepare to fetch pages: {e}"),
                "report it",
            )
        })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self {
            probe,
            address,
            marker,
        })
    }

    /// Fetches until the page is the app's own, or the time is up; gives the last that was fetched.
    pub(crate) async fn wait(&self, limit: Duration) -> Option<Fetched> {
        let mut last = None;
        let waiting = async {
            loop {
                if let Ok(answer) = self.probe.http_get(self.address, "/", FETCH_MS).await {
                    let has_marker = answer.body.contains(&self.marker);
                    last = Some(Fetched {
                        status: answer.status,
                        has_marker,
                    });
                    if answer.status == 200 && has_marker {
                        return;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        // Whether it came in time shows in what was fetched last.
        drop(tokio::time::timeout(limit, waiting).await);
        last
    }

    /// Connections are refused, which says that nobody listens.
    pub(crate) async fn refuses(&self) -> bool {
        refuses(self.address).await
    }
}

/// Connections are refused, which says that nobody listens.
pub(crate) async fn refuses(address: SocketAddr) -> bool {
    match TcpStream::connect(address).await {
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
    }
}
