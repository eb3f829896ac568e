//! Writes the heads of the chains, the audit's and that of the events, down elsewhere than where they are: into the log, which systemd
//! gives to the journal.
//!
//! Whoever can write to the database can make all links anew, or cut the end off, and the chain is whole. The lines that were
//! written meanwhile do not fit it then: `proximity audit verify --anchor` holds it against them.

use std::time::Duration;

use proximity_domain::audit::{Anchor, Chain, Head, LOG_TARGET};
use proximity_store::{Reader, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// What the lines are logged under. They are let through whatever else is not.
pub const TARGET: &str = LOG_TARGET;

/// From one line to the next at least, and from an entry to its line at most.
const EVERY: Duration = Duration::from_secs(60);

impl Engine {
    /// Writes the heads of the audit and of the events into the log, as [`run`] says them.
    pub async fn anchor_audit(self, ended: CancellationToken) {
        run(self.store().clone(), log, ended).await;
    }
}

/// The heads that were said last.
struct Anchored {
    audit: Head,
    events: Head,
}

/// Says each head at once, whenever it has moved, once a minute at most, and a last time at the end, with all that is written
/// then: `ended` is cancelled when nothing is written any more. While nothing is written it sleeps.
pub async fn run(store: Store, mut say: impl FnMut(&Anchor), ended: CancellationToken) {
    let reader = store.reader();
    let mut commits = reader.commits();
    let mut anchored = Anchored {
        audit: Head::NONE,
        events: Head::NONE,
    };
    loop {
        commits.mark_unchanged();
        let read = look(&reader, &mut anchored, &mut say).await;
        let failed = read.is_err();
        if let Err(error) = read {
            tracing::warn!(%error, "the heads of the audit and the events cannot be read, so they are not anchored; trying again");
        }
        let rest = async {
            tokio::time::sleep(EVERY).await;
            // What could not be read is read again though nobody writes.
            failed || commits.changed().await.is_ok()
        };
        tokio::select! {
            biased;
            () = ended.cancelled() => break,
            goes_on = rest => if !goes_on { break },
        }
    }
    // On PostgreSQL what was written last may have no number yet, and the head does not go as far then.
    if let Err(error) = store.journal_numbered().await {
        tracing::warn!(%error, "the last entries of the audit and the last events could not be numbered, so they are not anchored");
    }
    if let Err(error) = look(&reader, &mut anchored, &mut say).await {
        tracing::warn!(%error, "the heads of the audit and the events cannot be read, so the last of them are not anchored");
    }
}

/// Says each head that is another one than the last that was said.
async fn look(
    reader: &Reader,
    anchored: &mut Anchored,
    say: &mut impl FnMut(&Anchor),
) -> Result<(), StoreError> {
    let installation = reader.installation();
    for chain in Chain::ALL {
        let (head, before) = match chain {
            Chain::Audit => (reader.audit_head().await?, &mut anchored.audit),
            Chain::Events => (reader.events_head().await?, &mut anchored.events),
        };
        if head == *before {
            continue;
        }
        if head.seq <= before.seq {
            let (is, was) = (head.seq, before.seq);
            tracing::error!(
                ?chain,
                is,
                was,
                "what was anchored is not there any more, or was changed: proximity audit verify --anchor"
            );
        }
        *before = head;
        if head.seq > 0 {
            say(&Anchor {
                chain,
                installation,
                head,
            });
        }
    }
    Ok(())
}

/// Into the log, as one line of a form that stays.
pub fn log(anchor: &Anchor) {
    tracing::info!(target: TARGET, "{anchor}");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proximity_domain::event::EventKind;
    use proximity_domain::ids::InstallationId;
    use proximity_domain::ports::PortRange;
    use proximity_domain::time::Timestamp;
    use proximity_store::effects::NewEvent;
    use proximity_store::records::Actor;
    use proximity_store::{MemoryOptions, Store};
    use tokio::task::JoinHandle;
    use tokio::time::sleep;
    use uuid::Uuid;

    use super::*;

    const INSTALLATION: InstallationId = InstallationId(Uuid::from_u128(3));

    struct Stand {
        store: Store,
        said: Arc<Mutex<Vec<i64>>>,
        ended: CancellationToken,
        running: JoinHandle<()>,
    }

    impl Stand {
        fn new(store: Store) -> Self {
            Self::of(Chain::Audit, store)
        }

        /// That hears the anchors of this chain.
        fn of(chain: Chain, store: Store) -> Self {
            let (said, ended) = (Arc::<Mutex<Vec<i64>>>::default(), CancellationToken::new());
            let told = Arc::clone(&said);
            let say = move |anchor: &Anchor| {
                assert_eq!(anchor.installation, INSTALLATION);
                if anchor.chain == chain {
                    told.lock().unwrap().push(anchor.head.seq);
                }
            };
            let running = tokio::spawn(run(store.clone(), say, ended.clone()));
            Self {
                store,
                said,
                ended,
                running,
            }
        }

        async fn write(&self) {
            let actor = Actor {
                account: "admin".to_owned(),
                token: None,
                request: None,
            };
            let noted = self
                .store
                .note_host_act("lab", "host.init", "x", &actor, Timestamp(0));
            noted.await.unwrap();
        }

        /// A moment in which whoever was rung gets to work.
        async fn said(&self) -> Vec<i64> {
            sleep(Duration::from_millis(1)).await;
            self.said.lock().unwrap().clone()
        }
    }

    fn store() -> Store {
        Store::in_memory(&MemoryOptions {
            installation: INSTALLATION,
            public: PortRange::PUBLIC,
            internal: PortRange::INTERNAL,
            rest_ms: 0,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_head_is_said_once_a_minute_and_when_it_moved_alone() {
        let stand = Stand::new(store());
        assert_eq!(stand.said().await, [0_i64; 0], "there is nothing yet");
        sleep(10 * EVERY).await;
        stand.write().await;
        assert_eq!(stand.said().await, [1], "after a long rest at once");
        stand.write().await;
        stand.write().await;
        assert_eq!(stand.said().await, [1], "not within the minute");
        sleep(EVERY).await;
        assert_eq!(stand.said().await, [1, 3]);
        sleep(10 * EVERY).await;
        assert_eq!(stand.said().await, [1, 3], "it did not move");
    }

    /// What was written in the last moment is anchored, too, and a server that begins says where it begins.
    #[tokio::test(start_paused = true)]
    async fn it_is_said_at_the_beginning_and_at_the_end() {
        let stand = Stand::new(store());
        stand.write().await;
        stand.write().await;
        stand.ended.cancel();
        stand.running.await.unwrap();
        assert_eq!(*stand.said.lock().unwrap(), [2]);
        let next = Stand::new(stand.store.clone());
        assert_eq!(next.said().await, [2]);
        next.ended.cancel();
        next.running.await.unwrap();
        assert_eq!(*next.said.lock().unwrap(), [2]);
    }
    #[tokio::test(start_paused = true)]
    async fn the_head_of_the_events_is_said_beside_it() {
        let stand = Stand::of(Chain::Events, store());
        let event = NewEvent {
            kind: EventKind::PortsFreed,
            body: serde_json::json!({ "ports": [] }),
        };
        assert_eq!(stand.said().await, [0_i64; 0]);
        sleep(EVERY).await;
        for _ in 0..2 {
            stand.store.announce(&event, Timestamp(0)).await.unwrap();
        }
        assert_eq!(stand.said().await, [2]);
        stand.write().await;
        sleep(2 * EVERY).await;
        assert_eq!(stand.said().await, [2], "an entry of the audit is no event");
        stand.ended.cancel();
        stand.running.await.unwrap();
    }
}
