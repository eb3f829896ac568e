//! What reading gives beyond plain rows, and what it can be narrowed by.

use proximity_domain::app::StatusLabel;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, Epoch, HostId, OperationId, TokenId};
use proximity_domain::names::NodeName;
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::{PortPair, PortRange};
use proximity_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::effects::NewEvent;
use crate::records::AppRecord;

/// Which live apps to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppFilter {
    /// Only with this status.
    pub status: Option<StatusLabel>,
    /// Only those whose host name or catalog id contains this text, whatever its case.
    pub search: Option<String>,
    /// Only of this account.
    pub owner: Option<String>,
    /// Only apps after this one in the order of the list; it may have been removed since.
    pub after: Option<AppId>,
    /// Page, from 1 (0 is taken for 1), of what is left.
    pub page: u32,
    /// Apps per page; 0 means [`AppFilter::DEFAULT_PER_PAGE`], more than [`AppFilter::MAX_PER_PAGE`] means that.
    pub per_page: u32,
}

impl AppFilter {
    /// Page size unless asked otherwise.
    pub const DEFAULT_PER_PAGE: u32 = 50;
    /// Largest page.
    pub const MAX_PER_PAGE: u32 = 500;
}

/// Which operations to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperationFilter {
    /// Only of this app.
    pub app: Option<AppId>,
    /// Only in this state (a label of `OperationState`).
    pub state: Option<String>,
    /// How many at most; 0 means [`OperationFilter::DEFAULT_LIMIT`], more than [`OperationFilter::MAX_LIMIT`] means that.
    pub limit: u32,
    /// Only older ones than this operation.
    pub before: Option<OperationId>,
    /// Only of this kind.
    pub kind: Option<OperationKind>,
    /// Only those whose app's host name contains this text, whatever its case.
    pub search: Option<String>,
    /// Only those of apps of this account.
    pub owner: Option<String>,
}

impl OperationFilter {
    /// Rows unless asked otherwise.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Most rows of one answer.
    pub const MAX_LIMIT: u32 = 500;
}

/// How many live apps are alike in all of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCount {
    /// `native` or `adopted`.
    pub class: String,
    /// Label of the status.
    pub status: String,
    /// Label of the host entry.
    pub host: String,
    /// Node.
    pub node: String,
    /// Entry of the catalog.
    pub catalog_id: String,
    /// The gateway listens for it.
    pub exposed: bool,
    /// How many.
    pub apps: u64,
}

/// What apps that are being deployed take on one node when they are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promised {
    /// Host entry.
    pub host: HostId,
    /// Node.
    pub node: NodeName,
    /// Memory of all of them.
    pub memory_mib: u64,
    /// Root disks of all of them.
    pub disk_gib: u64,
}

/// A removed app as the archive keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivedApp {
    /// The record as it was last, without ports and live operation.
    pub record: AppRecord,
    /// The ports it had.
    pub ports: Option<PortPair>,
    /// Who put it there.
    pub by: ArchivedBy,
    /// When.
    pub archived_at: Timestamp,
}

/// A container that an app has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastGuest {
    /// Where it was last.
    pub place: ContainerRef,
    /// When it was recorded as gone, or given back; `None` while the app has it.
    pub gone_at: Option<Timestamp>,
}

/// Who put an app into the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchivedBy {
    /// The operation that removed it.
    Operation(OperationId),
    /// The reconciler: its container was proven absent.
    Reconciler,
    /// A person, who said that its container was lost with its node.
    Person,
}

impl ArchivedBy {
    const RECONCILER: &'static str = "reconciler";
    const PERSON: &'static str = "person";

    /// The operation, if it was one.
    #[must_use]
    pub fn operation(self) -> Option<OperationId> {
        match self {
            Self::Operation(id) => Some(id),
            Self::Reconciler | Self::Person => None,
        }
    }
}

impl std::fmt::Display for ArchivedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operation(id) => id.fmt(f),
            Self::Reconciler => f.write_str(Self::RECONCILER),
            Self::Person => f.write_str(Self::PERSON),
        }
    }
}

impl std::str::FromStr for ArchivedBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            Self::RECONCILER => Ok(Self::Reconciler),
            Self::PERSON => Ok(Self::Person),
            operation => {
                let operation = operation.parse().map_err(|e| format!("{e}"))?;
                Ok(Self::Operation(operation))
            }
        }
    }
}

/// Which archived apps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchiveFilter {
    /// Of this account only.
    pub owner: Option<String>,
    /// Those only that had this host name.
    pub hostname: Option<String>,
    /// Those archived before this one.
    pub before: Option<AppId>,
    /// At most so many; 0 for [`ArchiveFilter::DEFAULT_LIMIT`].
    pub limit: u32,
}

impl ArchiveFilter {
    /// Rows of one answer if none are asked for.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Most rows of one answer.
    pub const MAX_LIMIT: u32 = 500;

    /// How many rows.
    pub(crate) fn rows(&self) -> u32 {
        match self.limit {
            0 => Self::DEFAULT_LIMIT,
            n => n.min(Self::MAX_LIMIT),
        }
    }
}

/// One event: order, moment, fact, and what it is about.
pub type EventRow = (i64, Timestamp, NewEvent, Option<AppId>, Option<OperationId>);

/// What an audit entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// Somebody's request that changed our records.
    Request,
    /// A call that changes something on PVE or in a guest, written before it was sent.
    Mutation,
}

impl AuditKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Request, Self::Mutation];

    /// Stable text, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Mutation => "mutation",
        }
    }

    /// The kind with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.label() == label)
    }
}

/// One audit entry: who did what to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Order; gapless, grows.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Account that acted, or for which the engine acted.
    pub account: String,
    /// Its token, if one was used directly.
    pub token: Option<TokenId>,
    /// Request or mutation.
    pub kind: AuditKind,
    /// e.g. `app.create`, or the call as sent, e.g. `POST /nodes/pve1/lxc`.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// More, without secrets.
    pub details: serde_json::Value,
    /// The operation it belongs to.
    pub operation: Option<OperationId>,
    /// Its step.
    pub step: Option<u32>,
    /// The epoch it was written under.
    pub epoch: Option<Epoch>,
}

/// Which of an app's two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortSide {
    /// For everybody.
    Public,
    /// Management side.
    Internal,
}

impl PortSide {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Public, Self::Internal];

    /// Stable text, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
        }
    }

    /// The side with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.label() == label)
    }
}

/// A port that was held once and is free now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreedPort {
    /// The port.
    pub port: u16,
    /// Which side it served last.
    pub side: PortSide,
    /// When it was given back.
    pub freed_at: Timestamp,
    /// Until when it is not given out again, if it was an orphan's.
    pub rests_until: Option<Timestamp>,
}

/// All ports the store knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortsView {
    /// Range of public ports.
    pub public: PortRange,
    /// Range of internal ports.
    pub internal: PortRange,
    /// Who holds which pair.
    pub held: Vec<(AppId, PortPair)>,
    /// Given back, longest-free first.
    pub freed: Vec<FreedPort>,
}
