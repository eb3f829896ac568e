//! The words of a cluster's nodes, each through an endpoint of its own: one node alone may serve an old copy of the cluster's files
//! (ADR 0015). Who does not speak for the cluster is told from who does and whose list is not to be had.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{CompleteInventory, Lacking, Sight, Unread, Whose};
use proximity_pve::cluster::ClusterStatus;
use proximity_pve::guest_list::GuestList;
use proximity_pve::transport::says_out_of_files;
use proximity_pve::{Error as PveError, ReadClient};
use proximity_store::records::HostRecord;
use tokio::time::{Instant, timeout_at};

use super::look::{answered_by, complete, may_see, node_at, sight};
use crate::reached::Reached;
use crate::view::is_word_of;

/// For who is in its cluster, with the connection that takes. More than one may take to connect (5 s): one that is not reached is
/// told from one that is, and says nothing.
const PATIENCE_WITH_STATUS: Duration = Duration::from_secs(6);
/// What is longer under way than this keeps those waiting who ask, whatever comes of it.
const QUICK: Duration = Duration::from_secs(1);
/// For the token's rights and the whole list, once it has answered.
const PATIENCE_WITH_LIST: Duration = Duration::from_secs(8);
/// For the same in a cluster whose lists take long: what the call itself has.
const PATIENCE_WITH_LONG_LIST: Duration = Duration::from_secs(15);
/// So many times as long as the list at hand took may another one take.
const TIMES: u32 = 3;
/// For all endpoints together in a pass, which is for other clusters too; more where lists take long.
const IN_ALL: Duration = Duration::from_secs(15);
/// So many are read at the same time: the list of a large cluster is some megabytes.
const AT_ONCE: usize = 2;

/// How long is waited for the words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the token's rights and the whole list of each.
    list: Duration,
    /// When all of it has to be over.
    end: Option<Instant>,
}

impl Patience {
    /// For those that have the time, where the list at hand took so long. What is as large elsewhere takes about as long there.
    fn long(took: Duration) -> Self {
        let long = took.saturating_mul(TIMES);
        Self {
            list: long.clamp(PATIENCE_WITH_LIST, PATIENCE_WITH_LONG_LIST),
            end: None,
        }
    }

    /// For a pass, from now on, whose own look at the cluster took so long: at least two of the others are waited for as long as
    /// [`Self::long`] says.
    pub(super) fn of_pass(took: Duration) -> Self {
        let Self { list, .. } = Self::long(took);
        let in_all = IN_ALL.max(PATIENCE_WITH_STATUS + list);
        Self {
            list,
            end: Some(Instant::now() + in_all),
        }
    }

    /// Until when what may take so long is waited for, from now on.
    fn until(&self, most: Duration) -> Instant {
        let until = Instant::now() + most;
        self.end.map_or(until, |end| end.min(until))
    }
}

/// What is looked for in the lists, which the token that looks has to be allowed to see.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// All guests.
    All,
    /// This one.
    Guest(Vmid),
}

/// What one node says of its cluster, which is the entry's, and has quorum.
#[derive(Debug)]
pub(crate) struct Word {
    /// The node, as it calls itself.
    pub(crate) by: NodeName,
    /// The endpoint that was asked.
    endpoint: usize,
    /// Who is in the cluster.
    pub(crate) status: ClusterStatus,
    /// The whole list, as far as it was wanted.
    list: GuestList,
}

/// What came of asking one endpoint.
#[derive(Debug)]
pub(super) enum Heard {
    /// A node's word.
    Word(Box<Word>),
    /// A node speaks for the cluster, and its list was not read; or somebody is reached who does not say whether it does ([`Reached`]).
    Unread(Unread),
    /// It did not say in time who is in its cluster: whether it speaks for it is not known.
    Silent {
        /// There was time to ask it, and there were files.
        was_asked: bool,
    },
    /// Nobody is reached there, or nobody who speaks for the cluster, or it is the one whose word is at hand.
    Nothing {
        /// No connection or answer came, and that took its time.
        is_late: bool,
    },
}

/// What all endpoints say.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Of each node that gave it.
    pub(crate) said: Vec<Word>,
    /// Nodes that answer or are online by what another one says, whoever is silent of whom it is not known which node it is, and whoever is
    /// reached and says nothing of use: their lists were not read.
    pub(crate) unread: Vec<Unread>,
}

/// What whoever asks for words has already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtHand<'w> {
    /// Who is in the cluster.
    pub(crate) status: &'w ClusterStatus,
    /// How long a list of it took.
    pub(crate) took: Duration,
}

impl Word {
    /// Whether any guest has this number, wherever it is.
    pub(crate) fn lists(&self, vmid: Vmid) -> bool {
        self.list.guests.iter().any(|guest| guest.vmid == vmid)
    }

    /// The whole list.
    pub(crate) fn into_list(self) -> GuestList {
        self.list
    }

    /// As the list of its node without a guest, which the caller has seen not to be in it. `host` is the entry as it was asked.
    pub(crate) fn lacking(&self, host: &HostRecord) -> Lacking<'_> {
        let at = host.endpoints.get(self.endpoint).and_then(node_at);
        let online = self.status.nodes.iter().filter(|node| node.online);
        Lacking {
            by: Some(&self.by),
            own: (at.as_ref() == Some(&self.by)).then_some(&self.by),
            online: online.map(|node| &node.name).collect(),
        }
    }

    /// As a complete look, if [`Wanted::All`] was wanted of it.
    ///
    /// # Errors
    /// It lacks something.
    pub(super) fn into_look(self, host: &HostRecord) -> Result<CompleteInventory, Unread> {
        // It is no word where the token may not see what was wanted.
        let look = complete(host, self.endpoint, self.status, Sight::All, self.list);
        look.map_err(|why| Unread {
            whose: Whose::Node(self.by),
            why: why.to_string(),
        })
    }
}

/// What each endpoint says. Nothing where there is one alone, for what that says is at hand. `host` is the entry that the client
/// `read` was made of.
pub(crate) async fn words_of_each(
    host: &HostRecord,
    read: &ReadClient,
    wanted: Wanted,
    at_hand: AtHand<'_>,
) -> Words {
    let mut words = Words::default();
    let endpoints = read.each();
    if endpoints.len() == 1 {
        return words;
    }
    let endpoints = endpoints.into_iter().enumerate().collect();
    let mut silent = Vec::new();
    let patience = Patience::long(at_hand.took);
    for (endpoint, heard) in hear(host, None, wanted, patience, endpoints).await {
        match heard {
            Heard::Word(word) => words.said.push(*word),
            Heard::Unread(unread) => words.unread.push(unread),
            Heard::Silent { .. } => silent.push(endpoint),
            Heard::Nothing { .. } => {}
        }
    }
    let said = words.said.iter().map(|word| &word.status);
    let online: Vec<&NodeName> = said
        .chain([at_hand.status])
        .flat_map(|status| &status.nodes)
        .filter(|node| node.online)
        .map(|node| &node.name)
        .collect();
    for endpoint in silent {
        let unread = silent_at(host, endpoint, |node| online.contains(&node));
        words.unread.extend(unread);
    }
    words
}

/// What it means that this endpoint was silent, which is not that it was not reached: a node that is online and slow may have what
/// the others lack, as one that is late with its list, and so may one of which nobody can tell which it is. `None` if only a node
/// can be there that is not online.
pub(super) fn silent_at(
    host: &HostRecord,
    endpoint: usize,
    is_online: impl Fn(&NodeName) -> bool,
) -> Option<Unread> {
    let known = host.endpoints.get(endpoint);
    let whose = match known.and_then(|known| known.node.as_ref()) {
        Some(node) if is_online(node) => Whose::Node(node.clone()),
        Some(_) if known.and_then(node_at).is_some() => return None,
        Some(_) | None => Whose::Address(address(host, endpoint)),
    };
    let why = "it has not said in time who is in its cluster".to_owned();
    Some(Unread { whose, why })
}

/// What it means that somebody was reached at this endpoint, and did not say who is in its cluster, for this reason: whoever it is may
/// have what the others lack, also where they have its node off.
fn reached_at(host: &HostRecord, endpoint: usize, why: String) -> Unread {
    let whose = match host.endpoints.get(endpoint).and_then(node_at) {
        Some(node) => Whose::Node(node),
        None => Whose::Address(address(host, endpoint)),
    };
    Unread { whose, why }
}

/// Where this endpoint is, for people.
fn address(host: &HostRecord, endpoint: usize) -> String {
    let known = host.endpoints.get(endpoint);
    known.map_or_else(
        || format!("endpoint {}", endpoint.saturating_add(1)),
        |known| known.url.clone(),
    )
}

/// What is said at each of these endpoints by others than `but`: at most three requests to each, a few at the same time, as long as
/// there is patience. In the order of the endpoints.
pub(super) async fn hear(
    host: &HostRecord,
    but: Option<&NodeName>,
    wanted: Wanted,
    patience: Patience,
    endpoints: Vec<(usize, ReadClient)>,
) -> Vec<(usize, Heard)> {
    // Made before anything is awaited: a closure held over an await would bind the lifetimes of a spawned task.
    let mut asked = Vec::with_capacity(endpoints.len());
    for (endpoint, read) in endpoints {
        asked.push(hear_one(host, but, wanted, patience, endpoint, read));
    }
    let mut heard: Vec<_> = stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    heard.sort_unstable_by_key(|(endpoint, _)| *endpoint);
    heard
}

async fn hear_one(
    host: &HostRecord,
    but: Option<&NodeName>,
    wanted: Wanted,
    patience: Patience,
    endpoint: usize,
    read: ReadClient,
) -> (usize, Heard) {
    let nothing = |why: String, is_late: bool| {
        tracing::debug!(host = %host.label, endpoint, why, "nobody speaks for the cluster there");
        (endpoint, Heard::Nothing { is_late })
    };
    let silent = |was_asked: bool| {
        tracing::debug!(host = %host.label, endpoint, was_asked, "it says nothing in time");
        (endpoint, Heard::Silent { was_asked })
    };
    // Its time begins when it is its turn.
    let (begun, until) = (Instant::now(), patience.until(PATIENCE_WITH_STATUS));
    if until <= begun {
        return silent(false);
    }
    let status = match timeout_at(until, read.cluster_status()).await {
        Ok(Ok(status)) => status,
        // For want of files here it was not asked, whoever is there.
        Ok(Err(PveError::NotSent { why, .. })) if says_out_of_files(&why) => return silent(false),
        Ok(Err(error)) => {
            if let Some(reached) = Reached::of(&error) {
                let unread = reached_at(host, endpoint, format!("{reached}: {error}"));
                tracing::debug!(host = %host.label, endpoint, why = %unread.why, "it is reached");
                return (endpoint, Heard::Unread(unread));
            }
            let is_silent = matches!(error, PveError::NotSent { .. });
            let is_late = is_silent && begun.elapsed() >= QUICK;
            return nothing(error.to_string(), is_late);
        }
        Err(_) => return silent(true),
    };
    let Some(by) = answered_by(&status).cloned() else {
        return nothing("it does not say which node it is".to_owned(), false);
    };
    if but == Some(&by) {
        return nothing("it is the one whose word is at hand".to_owned(), false);
    }
    if let Err(gap) = is_word_of(host, &status) {
        return nothing(gap.text(host.label.as_str()), false);
    }
    let begun = Instant::now();
    let why = match timeout_at(patience.until(patience.list), list(&read, wanted)).await {
        Ok(Ok(list)) => {
            let word = Word {
                by,
                endpoint,
                status,
                list,
            };
            return (endpoint, Heard::Word(Box::new(word)));
        }
        Ok(Err(why)) => why,
        Err(_) => {
            let waited = begun.elapsed().as_secs();
            format!("the list has not come within {waited} s")
        }
    };
    tracing::debug!(host = %host.label, node = %by, why, "a node that answers gave no list");
    let whose = Whose::Node(by);
    (endpoint, Heard::Unread(Unread { whose, why }))
}

async fn list(read: &ReadClient, wanted: Wanted) -> Result<GuestList, String> {
    let held = match wanted {
        Wanted::All => sight(read, "/").await,
        Wanted::Guest(vmid) => may_see(read, vmid).await,
    };
    match held.map_err(|e| e.to_string())? {
        Sight::All => read.guest_list().await.map_err(|e| e.to_string()),
        Sight::NotAll => Err("by its word the token may not see all of it".to_owned()),
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
