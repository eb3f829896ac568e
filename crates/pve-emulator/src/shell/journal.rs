//! Which calls arrived: a bounded memory for tests and curious people. Secrets never enter it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::core::{ApiRequest, RequestId, SECRETS, describe};

/// Calls that are remembered; older ones are only counted.
const REMEMBERED: usize = 4_096;
/// Longest kept parameter value, characters.
const VALUE_CHARS: usize = 300;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Counts all calls from 1, in the order they arrived.
    pub seq: u64,
    /// When, Unix ms.
    pub at_ms: u64,
    /// Node whose listener took it.
    pub node: String,
    /// Verb.
    pub method: String,
    /// Path as sent, without query.
    pub path: String,
    /// The schema's path, if it has one.
    pub template: Option<String>,
    /// The guest it is about.
    pub vmid: Option<u32>,
    /// Token id it came with; not checked.
    pub account: Option<String>,
    /// `User-Agent`, cut to a bounded length: a client may say there on whose behalf it calls.
    pub agent: Option<String>,
    /// Parameters, secrets redacted.
    pub parameters: BTreeMap<String, String>,
    /// Not a GET.
    pub mutating: bool,
    /// Status of the answer, once it was given.
    pub status: Option<u16>,
    /// The connection was cut instead of the answer.
    pub cut: bool,
    #[serde(skip)]
    request: RequestId,
}

/// How many calls arrived since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// All.
    pub total: u64,
    /// All but GETs.
    pub mutating: u64,
    /// By `VERB schema-path`.
    pub by_method: BTreeMap<String, u64>,
    /// All but GETs, by guest.
    pub mutating_by_vmid: BTreeMap<u32, u64>,
    /// Commands that were run inside guests by `pct exec` on their nodes, by guest; no calls of the API.
    pub entered_by_vmid: BTreeMap<u32, u64>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: VecDeque<Entry>,
    counters: Counters,
}

/// A handle; clones share the same memory.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Memory>>);

impl Journal {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembered calls, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.memory().entries.iter().cloned().collect()
    }

    /// Counts of all calls.
    pub fn counters(&self) -> Counters {
        self.memory().counters.clone()
    }

    /// A call arrived.
    pub(super) fn arrived(&self, request: &ApiRequest, now_ms: u64) {
        let described = describe(request);
        let mutating = request.method != "GET";
        let mut memory = self.memory();
        let counters = &mut memory.counters;
        counters.total += 1;
        counters.mutating += u64::from(mutating);
        let method = format!(
            "{} {}",
            request.method,
            described.template.as_deref().unwrap_or("?")
        );
        *counters.by_method.entry(method).or_default() += 1;
        if let Some(vmid) = described.vmid.filter(|_| mutating) {
            *counters.mutating_by_vmid.entry(vmid).or_default() += 1;
        }
        let entry = Entry {
            seq: counters.total,
            at_ms: now_ms,
            node: request.via.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            template: described.template,
            vmid: described.vmid,
            account: account(request.authorization.as_deref()),
            agent: request
                .user_agent
                .as_ref()
                .map(|agent| agent.chars().take(VALUE_CHARS).collect()),
            parameters: described.parameters.into_iter().map(redact).collect(),
            mutating,
            status: None,
            cut: false,
            request: request.id,
        };
        if memory.entries.len() >= REMEMBERED {
            memory.entries.pop_front();
        }
        memory.entries.push_back(entry);
    }

    /// A command runs inside a guest.
    pub(crate) fn entered(&self, vmid: u32) {
        let mut memory = self.memory();
        *memory.counters.entered_by_vmid.entry(vmid).or_default() += 1;
    }

    /// It was answered.
    pub(super) fn answered(&self, request: RequestId, status: u16, cut: bool) {
        let mut memory = self.memory();
        if let Some(entry) = memory
            .entries
            .iter_mut()
            .rev()
            .find(|entry| entry.request == request)
        {
            // A cut of what never had an answer has no status.
            entry.status = (status != 0).then_some(status);
            entry.cut = cut;
        }
    }
}

/// The id part of `PVEAPIToken=id=secret`.
fn account(authorization: Option<&str>) -> Option<String> {
    let given = authorization?.strip_prefix("PVEAPIToken=")?;
    Some(given.split_once('=')?.0.to_owned())
}

fn redact((name, value): (String, String)) -> (String, String) {
    let value = if SECRETS.contains(&name.as_str()) {
        "…".into()
    } else {
        value.chars().take(VALUE_CHARS).collect()
    };
    (name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_somebody_in_is_not_remembered() {
        let shown = |name: &str| redact((name.to_owned(), "text".to_owned())).1;
        for secret in [
            "password",
            "confirmation-password",
            "otp",
            "tfa-challenge",
            "totp",
            "value",
            "vncticket",
        ] {
            assert_eq!(shown(secret), "…", "{secret}");
        }
        assert_eq!(shown("hostname"), "text");
    }
}
