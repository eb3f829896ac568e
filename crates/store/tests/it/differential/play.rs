//! Carries a sequence out on both stores, call by call.

use proximity_domain::ids::{AppId, HolderId, HostId, OperationId};
use proximity_domain::time::Timestamp;
use proximity_store::applies::{ApplyFence, ClaimableApply};
use proximity_store::records::{Actor, Claimable, Fence};
use uuid::Uuid;

use super::Seen;
use super::calls::Call;
use super::look::{self, Copies, Known};
use super::pair::{Pair, both};

/// The newest numbers that were compared.
#[derive(Debug, Default)]
struct Compared {
    events: i64,
    audit: i64,
}

pub struct Play {
    pub pair: Pair,
    pub known: Known,
    pub claims: Vec<Fence>,
    /// What was there to claim, now or a while ago.
    pub looked: Vec<Claimable>,
    /// Applies that were claimed, and what there was to claim, now or a while ago.
    pub fences: Vec<ApplyFence>,
    pub applies: Vec<ClaimableApply>,
    pub vmid: u32,
    pub ids: u128,
    now: i64,
    compared: Compared,
    copies: Copies,
    seen: Seen,
}

/// Whether a call was refused; `None` if there was nothing to do.
pub type Told = Option<bool>;

impl Play {
    pub async fn new() -> Self {
        let pair = Pair::new().await;
        let mut play = Self {
            copies: Copies::of(&pair),
            pair,
            known: Known::default(),
            claims: Vec::new(),
            looked: Vec::new(),
            fences: Vec::new(),
            applies: Vec::new(),
            vmid: 100,
            ids: 1000,
            now: 1_700_000_000_000,
            compared: Compared::default(),
            seen: Seen::default(),
        };
        play.call(&Call::AddHost { host: 1, key: None }).await;
        play
    }

    pub async fn call(&mut self, call: &Call) {
        let told = match *call {
            Call::Pass(ms) => {
                self.now += i64::from(ms);
                None
            }
            Call::Claim { .. } | Call::ClaimAsSeen { .. } => self.claim(call).await,
            Call::ClaimAllAsSeen { seen, holder } => self.claim_all(seen, holder).await,
            Call::Next { n, change } => {
                let next = self.next(n, change).await;
                // One level deep: what is next is never `Next`.
                return Box::pin(self.call(&next)).await;
            }
            _ => match self.people(call).await {
                Some(told) => told,
                None => self.worker(call).await,
            },
        };
        if let Some(refused) = told {
            self.seen.note(call.name(), refused);
        }
        look::at_what_is_live(&self.pair).await;
        self.copies.look(&self.pair, &self.known).await;
        self.compare_journals().await;
    }

    /// What was written since the last look.
    async fn compare_journals(&mut self) {
        let (event, entry) = (self.compared.events, self.compared.audit);
        let events = both!(self.pair, store => store.events(event, 1000)).unwrap();
        let entries = both!(self.pair, store => store.audit(1000, entry)).unwrap();
        both!(self.pair, store => store.audit_head()).unwrap();
        both!(self.pair, store => store.events_head()).unwrap();
        self.compared.events = events.last().map_or(event, |e| e.0);
        self.compared.audit = entries.last().map_or(entry, |e| e.seq);
    }

    /// Compares everything; gives what was seen.
    pub async fn end(self) -> Seen {
        look::at_everything(&self.pair, &self.known, self.at()).await;
        self.pair.sqlite.close().await;
        Seen {
            refusals: self.pair.refusals.into_inner(),
            ..self.seen
        }
    }

    pub fn at(&self) -> Timestamp {
        Timestamp(self.now)
    }

    pub fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    pub fn actor(&self) -> Actor {
        Actor {
            account: "admin".to_owned(),
            token: None,
            request: None,
        }
    }

    pub fn app(&self, n: u8) -> Option<AppId> {
        pick(&self.known.apps, n)
    }

    pub fn host(&self, n: u8) -> Option<HostId> {
        pick(&self.known.hosts, n)
    }

    /// A live operation, sometimes one that has ended.
    pub async fn operation(&self, n: u8) -> Option<OperationId> {
        if n >= 200 {
            return pick(&self.known.operations, n);
        }
        let live = both!(self.pair, store => store.live_operations()).unwrap();
        let live: Vec<OperationId> = live.iter().map(|operation| operation.id).collect();
        pick(&live, n)
    }

    async fn claim(&mut self, call: &Call) -> Told {
        let (at, lease_ms) = (self.at(), 10_000);
        let looked = both!(self.pair, store => store.claimable()).unwrap();
        self.looked.extend(looked);
        let claimed = match *call {
            Call::Claim {
                holder: n,
                exclusive,
            } => {
                both!(self.pair, store => store.claim(holder(n), lease_ms, exclusive, at))
            }
            Call::ClaimAsSeen { seen, holder: n } => {
                let looked = pick(&self.looked, seen)?;
                both!(self.pair, store => store.claim_as_seen(&looked, holder(n), lease_ms + 1, at))
            }
            _ => unreachable!("only claims come here"),
        };
        let (_, fence) = claimed.unwrap()?;
        self.claims.push(fence);
        Some(false)
    }

    /// Several in one commit, some of them as they were a while ago.
    async fn claim_all(&mut self, seen: u8, n: u8) -> Told {
        let at = self.at();
        let looked = both!(self.pair, store => store.claimable()).unwrap();
        self.looked.extend(looked);
        let newest = self.looked.iter().rev().take(usize::from(seen % 6));
        let newest: Vec<Claimable> = newest.cloned().collect();
        let claimed = both!(self.pair, store =>
            store.claim_all_as_seen(&newest, holder(n), 10_000, at));
        let claimed = claimed.unwrap();
        let fences = claimed.iter().map(|(_, fence)| *fence);
        self.claims.extend(fences);
        (!claimed.is_empty()).then_some(false)
    }
}

pub fn holder(n: u8) -> HolderId {
    HolderId(Uuid::from_u128(u128::from(n) + 1))
}

/// One of a list, counted from the newest, which is the likeliest to be alive.
pub fn pick<T: Clone>(list: &[T], n: u8) -> Option<T> {
    let last = list.len().checked_sub(1)?;
    list.get(last - usize::from(n % 4) % list.len()).cloned()
}
