//! An app at its public port, known by what its entry says of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proximity_engine::catalog::{CatalogEntry, Check};
use proximity_engine::probe::HttpProbe;
use proximity_engine::seams::{HttpAnswer, Probe};

use super::page;
use crate::failed::Failed;

/// Longest time one look may take, milliseconds.
const LOOK_MS: u64 = 5_000;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What an app is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    /// An answer of its own to a request.
    Page {
        /// What is asked for.
        path: String,
        /// The status it has.
        status: u16,
        /// A text that the body holds.
        marker: String,
    },
    /// A connection that is taken and kept.
    Connection,
}

impl Sign {
    /// The entry's own page where it has one at the port that is led to, else a connection there.
    pub(crate) fn of(entry: &CatalogEntry) -> Self {
        match &entry.health.check {
            Check::Http(http) if http.port == entry.port => Self::Page {
                path: http.path.clone(),
                status: http.expect_status,
                marker: http.body_contains.clone(),
            },
            Check::Http(_) | Check::Tcp(_) | Check::Exec(_) => Self::Connection,
        }
    }

    /// `page` or `connection`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Page { .. } => "page",
            Self::Connection => "connection",
        }
    }
}

/// An app's public port on this machine.
#[derive(Debug)]
pub(crate) struct Entrance {
    probe: HttpProbe,
    address: SocketAddr,
    sign: Sign,
}

impl Entrance {
    /// The entrance at this port.
    ///
    /// # Errors
    /// There is no way to fetch pages.
    pub(crate) fn new(port: u16, sign: Sign) -> Result<Self, Failed> {
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
            sign,
        })
    }

    /// Looks until the app shows its sign, or the time is up; whether it did.
    pub(crate) async fn answers(&self, limit: Duration) -> bool {
        let waiting = async {
            while !self.answers_now().await {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(limit, waiting).await.is_ok()
    }

    async fn answers_now(&self) -> bool {
        match &self.sign {
            Sign::Connection => self.probe.tcp_open(self.address, LOOK_MS).await.is_ok(),
            Sign::Page {
                path,
                status,
                marker,
            } => {
                let answer = self.probe.http_get(self.address, path, LOOK_MS).await;
                answer.is_ok_and(|answer| is_own(&answer, *status, marker))
            }
        }
    }

    /// Connections are refused, which says that nobody listens.
    pub(crate) async fn refuses(&self) -> bool {
        page::refuses(self.address).await
    }
}

fn is_own(answer: &HttpAnswer, status: u16, marker: &str) -> bool {
    answer.status == status && answer.body.contains(marker)
}

#[cfg(test)]
mod tests {
    use proximity_engine::catalog::Catalog;

    use super::*;

    #[test]
    fn an_app_is_known_by_its_own_page_or_by_a_connection() {
        let catalog = Catalog::load(&[]).unwrap();
        let of = |id: &str| Sign::of(catalog.get(&id.parse().unwrap()).unwrap());
        let registry = Sign::Page {
            path: "/v2/".to_owned(),
            status: 401,
            marker: "UNAUTHORIZED".to_owned(),
        };
        assert_eq!(of("docker-registry"), registry);
        // A program inside tells of one, a page at another port of the other.
        assert_eq!(of("redis"), Sign::Connection);
        assert_eq!(of("nats"), Sign::Connection);
        assert_eq!((registry.word(), of("nats").word()), ("page", "connection"));
    }

    #[test]
    fn a_page_is_the_apps_own_by_status_and_marker() {
        let answer = |status, body: &str| HttpAnswer {
            status,
            body: body.to_owned(),
        };
        assert!(is_own(
            &answer(401, "it is UNAUTHORIZED"),
            401,
            "UNAUTHORIZED"
        ));
        assert!(!is_own(
            &answer(200, "it is UNAUTHORIZED"),
            401,
            "UNAUTHORIZED"
        ));
        assert!(!is_own(&answer(401, "another page"), 401, "UNAUTHORIZED"));
    }
}
