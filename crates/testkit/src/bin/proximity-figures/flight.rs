//! The deploys that are on their way, and what the server tells of them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use jiff::Timestamp;
use proximity_api::apps::{App, CreateApp, ResourceConfig};
use proximity_api::client::{Client, Told};
use proximity_api::events::EventQuery;
use serde_json::Map;
use tokio::time::timeout;

/// Requests at the same time.
const ASKING: usize = 32;

/// Asks for `count` deploys on the host `lab`; gives the apps.
pub(crate) async fn ask(client: &Client, prefix: &str, count: usize) -> Result<Vec<App>> {
    let asked = (0..count).map(|number| async move {
        let body = body(&format!("{prefix}{number}"));
        let key = format!("{prefix}-{number}");
        client.create_app(&body, &key).await
    });
    let mut answers = futures::stream::iter(asked).buffer_unordered(ASKING);
    let mut apps = Vec::with_capacity(count);
    while let Some(app) = answers.next().await {
        apps.push(app?);
    }
    Ok(apps)
}

/// A small nginx whose page has the host name as title.
pub(crate) fn body(hostname: &str) -> CreateApp {
    let mut environment = Map::new();
    environment.insert("site_title".to_owned(), hostname.into());
    CreateApp {
        catalog_id: "nginx".to_owned(),
        hostname: hostname.to_owned(),
        config: ResourceConfig {
            memory: Some(64),
            cores: Some(1),
            disk: Some(1),
        },
        environment,
        allow_unpinned: false,
        host: Some("lab".to_owned()),
        node: None,
        network: None,
        apart_from: Vec::new(),
        root_keys: Vec::new(),
        root_password: false,
        host_name: None,
        certificate: None,
    }
}

/// Operations of which an event was told, by what it was.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Take-overs before this moment do not count.
    from: Option<Timestamp>,
    pub(crate) started: BTreeSet<String>,
    pub(crate) taken_over: BTreeSet<String>,
    pub(crate) ended: BTreeSet<String>,
    /// Take-overs in all: one that waited for its next attempt is taken over once more.
    pub(crate) take_overs: usize,
}

/// Follows what a server tells.
#[derive(Debug)]
pub(crate) struct Watch {
    client: Client,
    /// Where the next look begins.
    position: i64,
    pub(crate) seen: Seen,
}

impl Watch {
    /// From the next event on.
    pub(crate) async fn begin(client: &Client) -> Result<Self> {
        let newest = client.events(&EventQuery::default()).await?.next_after;
        Ok(Self {
            client: client.clone(),
            position: newest,
            seen: Seen::default(),
        })
    }

    /// Follows until `enough`, or the time is over, which is an error.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        patience: Duration,
        enough: impl Fn(&Seen) -> bool,
    ) -> Result<()> {
        let query = EventQuery {
            after: Some(self.position),
            ..EventQuery::default()
        };
        let mut stream = self.client.follow_events(query).give_up_after(20);
        let following = async {
            while !enough(&self.seen) {
                if let Told::Event(event) = stream.next().await? {
                    self.position = event.seq;
                    let Some(operation) = event.operation_id else {
                        continue;
                    };
                    self.seen.take(&event.kind, event.at, operation);
                }
            }
            anyhow::Ok(())
        };
        match timeout(patience, following).await {
            Ok(followed) => followed,
            Err(_) => bail!(
                "{what}: {} started, {} taken over, {} ended within {} s",
                self.seen.started.len(),
                self.seen.taken_over.len(),
                self.seen.ended.len(),
                patience.as_secs()
            ),
        }
        .context("following the events")
    }
}

impl Seen {
    /// Take-overs count from this moment on, not those that an operation had before, after a wait of its own.
    pub(crate) fn count_take_overs_from(&mut self, moment: Timestamp) {
        self.from = Some(moment);
        self.taken_over.clear();
        self.take_overs = 0;
    }

    fn take(&mut self, kind: &str, at: Timestamp, operation: String) {
        match kind {
            "OperationStarted" => {
                self.started.insert(operation);
            }
            "OperationTakenOver" if self.from.is_none_or(|from| at >= from) => {
                self.take_overs += 1;
                self.taken_over.insert(operation);
            }
            "OperationSucceeded" | "OperationFailed" | "OperationCancelled"
            | "OperationGotStuck" => {
                self.ended.insert(operation);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_overs_from_before_do_not_count() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut seen = Seen::default();
        seen.take("OperationTakenOver", at(5), "a".to_owned());
        assert_eq!((seen.taken_over.len(), seen.take_overs), (1, 1));
        seen.count_take_overs_from(at(10));
        seen.take("OperationTakenOver", at(9), "a".to_owned());
        assert_eq!((seen.taken_over.len(), seen.take_overs), (0, 0));
        seen.take("OperationTakenOver", at(10), "a".to_owned());
        assert_eq!((seen.taken_over.len(), seen.take_overs), (1, 1));
    }
}
