//! `/faults`: what happens to calls.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Answer, Control, given, no_endpoint, parsed, refused};
use crate::core::{FaultId, FaultWish, Release};
use crate::shell::http::Head;

/// Longest wait, milliseconds.
const LONGEST_WAIT_MS: u64 = 600_000;

/// What is waited for.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wait {
    hits: u64,
    timeout_ms: u64,
}

/// How what is held is released.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Go {
    /// Its connection is cut; what was not let in never happens.
    cut: bool,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            hits: 1,
            timeout_ms: 10_000,
        }
    }
}

pub(super) async fn answer(head: &Head, rest: &[&str], body: &[u8], control: &Control) -> Answer {
    let id = match rest.first() {
        None => None,
        Some(text) => match text.parse() {
            Ok(id) => Some(FaultId(id)),
            Err(_) => return no_endpoint(head),
        },
    };
    let door = &control.door;
    match (head.method.as_str(), id, rest.get(1).copied()) {
        ("GET", None, None) => {
            let list = door.read(|world| json!(world.faults().collect::<Vec<_>>()));
            given(list.await)
        }
        ("POST", None, None) => match parsed::<FaultWish>(body) {
            Ok(wish) => add(wish, control).await,
            Err(answer) => answer,
        },
        ("DELETE", None, None) => {
            let end_all = |world: &mut crate::core::World| {
                let ids: Vec<FaultId> = world.faults().map(|fault| fault.rule.id).collect();
                let ended = ids.into_iter().filter(|id| world.end_fault(*id)).count();
                json!({"ended": ended})
            };
            given(door.alter(end_all).await)
        }
        ("DELETE", Some(id), None) => match door.alter(move |world| world.end_fault(id)).await {
            Ok(true) => (200, json!({"ended": 1})),
            Ok(false) => unknown(id),
            Err(error) => refused(503, error),
        },
        ("POST", Some(id), Some("release")) => match parsed::<Go>(body) {
            Ok(go) => release(id, &go, control).await,
            Err(answer) => answer,
        },
        ("POST", Some(id), Some("wait")) => match parsed::<Wait>(body) {
            Ok(wanted) => wait(id, &wanted, control).await,
            Err(answer) => answer,
        },
        _ => no_endpoint(head),
    }
}

async fn release(id: FaultId, go: &Go, control: &Control) -> Answer {
    let how = if go.cut { Release::Cut } else { Release::GoOn };
    let release = control.door.alter(move |world| {
        world.fault_hits(id)?;
        Some(world.release(id, how))
    });
    match release.await {
        Ok(Some(released)) => (200, json!({"released": released})),
        Ok(None) => unknown(id),
        Err(error) => refused(503, error),
    }
}

async fn add(wish: FaultWish, control: &Control) -> Answer {
    match control.door.alter(|world| world.add_fault(wish)).await {
        Ok(Ok(id)) => (200, json!({"id": id})),
        Ok(Err(why)) => refused(400, why),
        Err(error) => refused(503, error),
    }
}

fn unknown(id: FaultId) -> Answer {
    refused(404, format!("there is no fault {}", id.0))
}

/// Answers when the fault has hit often enough, has been ended, or the time is up.
async fn wait(id: FaultId, wanted: &Wait, control: &Control) -> Answer {
    let limit = Duration::from_millis(wanted.timeout_ms.min(LONGEST_WAIT_MS));
    let mut outside = control.door.outside();
    let hits = async {
        let reached = outside.wait_for(|now| {
            let hits = now.hits(id);
            hits.is_none_or(|hits| hits >= wanted.hits)
        });
        reached.await.map(|now| now.hits(id))
    };
    let reached = tokio::time::timeout(limit, hits).await;
    match reached {
        Ok(Ok(Some(hits))) => (200, json!({"hits": hits})),
        Ok(Ok(None)) => unknown(id),
        Ok(Err(_)) => refused(503, "the emulator stops"),
        Err(_) => {
            let hits = control.door.outside().borrow().hits(id);
            let error = format!("not hit {} times in time", wanted.hits);
            (408, json!({"error": error, "hits": hits}))
        }
    }
}
