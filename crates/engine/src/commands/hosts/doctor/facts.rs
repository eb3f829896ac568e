//! What is known of a host for doctor. What could not be read is there too, with why.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::accounts::AccountMark;
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::access::Privileges;
use proximity_pve::accounts::{Grant, RoleRow, UserRow};
use proximity_pve::cluster::{ClusterStatus, ResourceRow};
use proximity_pve::network::Bridge;
use proximity_pve::pool::Pool;
use proximity_pve::storage::Storage;
use proximity_pve::transport::https::ShownCertificate;
use proximity_store::records::{Endpoint, HostRecord};

/// What was read, or why not.
pub(super) type Read<T> = Result<T, String>;

/// All that is known of one host.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) record: HostRecord,
    pub(super) mark: AccountMark,
    /// Milliseconds since 1970, here.
    pub(super) now_ms: i64,
    pub(super) endpoints: Vec<EndpointFacts>,
    pub(super) status: Read<ClusterStatus>,
    pub(super) nodes: Vec<NodeFacts>,
    pub(super) tokens: Vec<TokenFacts>,
    pub(super) directory: Read<Directory>,
    /// None: PVE has no pool of that name.
    pub(super) pool: Read<Option<Pool>>,
    pub(super) guests: Read<Vec<ResourceRow>>,
    /// Numbers that were recorded for guests of ours before the look at the cluster's guests, or after it: a deploy or a removal
    /// may be in between.
    pub(super) recorded: BTreeSet<Vmid>,
    /// Those that were recorded before and after, with what was found at each. What neither the list nor the pool has is left
    /// out: nothing stands there, or nobody may see it.
    pub(super) own: BTreeMap<Vmid, Found>,
}

/// What stands at the number of a guest of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Our guest, proven by its mark, MAC and volume.
    Ours,
    /// PVE is making it, or it is locked for that still: it comes into the pool as the last of all.
    BeingCreated,
    /// Something else; what is different.
    Other(String),
    /// Its configuration could not be read, so whose it is is not known.
    Unread(String),
}

/// One endpoint.
#[derive(Debug, Clone)]
pub(super) struct EndpointFacts {
    pub(super) endpoint: Endpoint,
    pub(super) certificate: Read<ShownCertificate>,
    pub(super) answer: Answer,
}

/// What came of calls to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Median of the times, in microseconds. Any answer of PVE's is one, also a refusal.
    After(u64),
    /// The same, where it does not take our token, and what it says.
    RefusesToken(u64, String),
    /// It is reached, and answers with an error or not at all, as is said.
    Fails(String),
    /// Its certificate is not trusted, so nothing was sent.
    Untrusted(String),
    /// Nobody, or not in time.
    None(String),
}

/// One node.
#[derive(Debug, Clone)]
pub(super) struct NodeFacts {
    pub(super) name: NodeName,
    pub(super) version: Read<String>,
    pub(super) clock: Read<ClockRead>,
    pub(super) storages: Read<Vec<Storage>>,
    pub(super) bridges: Read<Vec<Bridge>>,
    pub(super) way: Way,
}

/// A node's clock beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockRead {
    /// How much it is ahead of ours, in the middle of what is possible.
    pub(super) ahead_ms: i64,
    /// By so much it may be more or less: half the way there and back, and half of a whole second.
    pub(super) give_ms: i64,
}

/// What came of entering a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// The entry has no SSH at all.
    Off,
    /// The entry has none of this node.
    NotRecorded,
    /// The node is off, so it was not tried.
    NotTried,
    /// Root's shell, which has `pct`.
    Root,
    /// The helper: its version, and whom it serves.
    Helper {
        version: String,
        installation: String,
    },
    /// Another host key than the recorded one.
    OtherKey(String),
    /// It did not let us in, or did not answer.
    Failed(String),
}

/// One recorded token.
#[derive(Debug, Clone)]
pub(super) struct TokenFacts {
    pub(super) id: String,
    /// What it is for here; never empty.
    pub(super) purposes: BTreeSet<TokenPurpose>,
    pub(super) rights: TokenRights,
}

/// What a token says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenRights {
    Told(Held),
    /// PVE does not take it.
    Refused(String),
    Unread(String),
}

/// Effective privileges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// On all paths where there are some, as PVE lists them.
    pub(super) all: BTreeMap<String, Privileges>,
    /// On the paths where some are due, each asked for by itself; one without any is left out.
    pub(super) due: BTreeMap<String, Privileges>,
}

/// Who may do what, as the token that looks sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    pub(super) roles: Vec<RoleRow>,
    pub(super) users: Vec<UserRow>,
    pub(super) grants: Vec<Grant>,
}
