//! What is recorded: plain maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use proximity_domain::access::UserName;
use proximity_domain::adoption::AdoptionRecord;
use proximity_domain::app::{AppClass, Status};
use proximity_domain::audit::Link;
use proximity_domain::desired::Documents;
use proximity_domain::identity::{Learned, Shown};
use proximity_domain::ids::{
    AppId, ApplyId, GuestId, HostId, OperationId, PlanId, PreparedId, SessionId, TokenId,
};
use proximity_domain::names::{Hostname, SecretName, SourceName};
use proximity_domain::notify::{ChannelName, Waiting};
use proximity_domain::ports::{PortPair, PortRange};
use proximity_domain::prepared::{BaseKey, Prepared, Sent, Spot};
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::resource::{ResourceId, Snapshot};
use proximity_domain::saga::StepRecord;
use proximity_domain::time::Timestamp;
use secrecy::SecretString;

use super::MemoryOptions;
use super::table::Table;
use crate::accounts::AccountRecord;
use crate::alarms::{Alarm, AlarmKey};
use crate::applies::{ApplyRecord, KeptChange};
use crate::clearing::Journal;
use crate::desired::DesiredRecord;
use crate::drifts::DesiredDrift;
use crate::entry_sources::{EntrySourceRecord, TakenFile};
use crate::guards::GuardedApp;
use crate::identities::GuestLooks;
use crate::interfaces::SeenInterfaces;
use crate::notices::NoticeChannel;
use crate::observation::{BrakeRecord, KeptSuspicion};
use crate::plans::PlanRecord;
use crate::records::{
    AppRecord, AppSite, HostRecord, LogLine, NewApp, OperationRecord, TokenRecord,
};
use crate::rejections::RejectedRevision;
use crate::resources::ResourceRecord;
use crate::secrets::SecretRecord;
use crate::sessions::SessionRecord;
use crate::sources::{SourceRecord, SourceSecrets};
use crate::views::{ArchivedApp, AuditRow, EventRow, PortSide};

/// An app, live or archived.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// As it was asked for; the node follows the guest.
    pub(crate) asked: NewApp,
    /// The revision of its entry that it is made from by now.
    pub(crate) entry_hash: Option<String>,
    pub(crate) class: AppClass,
    pub(crate) exposed: bool,
    pub(crate) status: Status,
    pub(crate) status_changed_at: Timestamp,
    pub(crate) url: Option<String>,
    pub(crate) site: Option<AppSite>,
    /// What it holds.
    pub(crate) ports: Option<PortPair>,
    pub(crate) created_at: Timestamp,
    pub(crate) archived: Option<ArchivedApp>,
}

/// A port that was ever given out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port {
    pub(crate) side: PortSide,
    pub(crate) use_of: PortUse,
}

/// Who has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PortUse {
    Held(AppId),
    Free {
        since: Timestamp,
        rests_until: Option<Timestamp>,
    },
}

/// An operation and what is kept beside its record.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) record: OperationRecord,
    /// How long the holder of the lease may be silent.
    pub(crate) lease_ms: i64,
    /// What the app was before it was asked for, if asking changed it.
    pub(crate) status_before: Option<Status>,
    /// What it was given beside its input, until it has ended.
    pub(crate) sealed: Option<SecretString>,
    /// How many lines it has said, those included that were left out.
    pub(crate) lines_said: i64,
    /// By index. Shared, so that a copy of the operation costs little: most writes change one step of many.
    pub(crate) steps: BTreeMap<u32, Arc<StepRecord>>,
}

/// An identity row.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) guest: RecordedGuest,
    pub(crate) recorded_at: Timestamp,
    pub(crate) gone_at: Option<Timestamp>,
    /// What it shows instead of what is recorded.
    pub(crate) learned: Option<Learned>,
    /// What a person accepted in place of what it was born with.
    pub(crate) accepted: Option<Shown>,
    pub(crate) looks: GuestLooks,
    /// What it showed when it was looked at last.
    pub(crate) interfaces: Option<SeenInterfaces>,
}

/// A prepared template.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) prepared: Prepared,
    pub(crate) sent: Option<Sent>,
    pub(crate) gone_at: Option<Timestamp>,
}

/// What a guest is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CloneOf {
    pub(crate) template: PreparedId,
    pub(crate) linked: bool,
}

/// What came of a request that may come twice.
#[derive(Debug, Clone)]
pub(crate) struct KeptKey {
    pub(crate) fingerprint: String,
    pub(crate) resource: String,
    pub(crate) created_at: Timestamp,
}

/// A secret.
#[derive(Debug, Clone)]
pub(crate) struct KeptSecret {
    pub(crate) record: SecretRecord,
    pub(crate) value: SecretString,
}

/// A source of documents.
#[derive(Debug, Clone)]
pub(crate) struct KeptSource {
    pub(crate) record: SourceRecord,
    pub(crate) secrets: SourceSecrets,
}

/// A repository with entries of the catalog.
#[derive(Debug, Clone)]
pub(crate) struct KeptEntrySource {
    pub(crate) record: EntrySourceRecord,
    pub(crate) credential: Option<SecretString>,
    /// What was taken, by path.
    pub(crate) files: Vec<TakenFile>,
}

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct KeptAccount {
    pub(crate) record: AccountRecord,
    /// The hash of its password.
    pub(crate) password: Option<String>,
    /// SHA-256 of its link.
    pub(crate) link: Option<[u8; 32]>,
}

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct KeptSession {
    pub(crate) record: SessionRecord,
    pub(crate) secret_sha256: [u8; 32],
}

/// One line of an app's log.
#[derive(Debug, Clone)]
pub(crate) struct AppLine {
    pub(crate) app: AppId,
    pub(crate) line: LogLine,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) public: PortRange,
    pub(crate) internal: PortRange,
    pub(crate) rest_ms: i64,
    pub(crate) hosts: Table<HostId, HostRecord>,
    pub(crate) tokens: Table<TokenId, TokenRecord>,
    pub(crate) accounts: Table<UserName, KeptAccount>,
    pub(crate) sessions: Table<SessionId, KeptSession>,
    pub(crate) apps: Table<AppId, App>,
    pub(crate) ports: Table<u16, Port>,
    pub(crate) operations: Table<OperationId, Operation>,
    /// The operation of each app that is not final.
    pub(crate) live: Table<AppId, OperationId>,
    pub(crate) guests: Table<GuestId, Guest>,
    pub(crate) suspicions: Table<GuestId, KeptSuspicion>,
    /// One row at most.
    pub(crate) brake: Table<(), BrakeRecord>,
    pub(crate) adoptions: Table<AppId, AdoptionRecord>,
    pub(crate) alarms: Table<AlarmKey, Alarm>,
    pub(crate) guards: Table<AppId, GuardedApp>,
    pub(crate) drifts: Table<AppId, DesiredDrift>,
    /// By account and key.
    pub(crate) keys: Table<(String, String), KeptKey>,
    pub(crate) log: Table<i64, AppLine>,
    pub(crate) events: Table<i64, EventRow>,
    pub(crate) audit: Table<i64, AuditRow>,
    /// How many rows of a journal are gone.
    pub(crate) clearings: Table<Journal, u64>,
    /// Of each audit entry.
    pub(crate) links: Table<i64, Link>,
    /// Of each event.
    pub(crate) event_links: Table<i64, Link>,
    /// Of the last event that is gone; one row at most.
    pub(crate) cut: Table<(), Link>,
    pub(crate) channels: Table<ChannelName, NoticeChannel>,
    pub(crate) notices: Table<(ChannelName, i64), Waiting>,
    /// When a channel was told of a subject.
    pub(crate) subjects: Table<(ChannelName, String), Timestamp>,
    pub(crate) plans: Table<PlanId, PlanRecord>,
    /// What the documents of each plan want.
    pub(crate) documents: Table<PlanId, Documents>,
    /// Without their counts.
    pub(crate) applies: Table<ApplyId, ApplyRecord>,
    /// By apply and position.
    pub(crate) changes: Table<(ApplyId, u32), KeptChange>,
    /// By name and revision.
    pub(crate) desired: Table<(Hostname, u64), DesiredRecord>,
    pub(crate) secrets: Table<SecretName, KeptSecret>,
    pub(crate) sources: Table<SourceName, KeptSource>,
    pub(crate) entry_sources: Table<SourceName, KeptEntrySource>,
    /// Texts of entries, by what stands for them.
    pub(crate) entry_revisions: Table<String, String>,
    /// By name and content.
    pub(crate) rejected: Table<(Hostname, String), RejectedRevision>,
    pub(crate) resources: Table<ResourceId, ResourceRecord>,
    /// By resource and number.
    pub(crate) snapshots: Table<(ResourceId, i64), Snapshot>,
    pub(crate) templates: Table<PreparedId, Template>,
    /// How often a base was deployed in a place, and when last.
    pub(crate) bases: Table<(Spot, BaseKey), (u32, Timestamp)>,
    pub(crate) clones: Table<GuestId, CloneOf>,
}

/// What every table can do at the end of a write, whatever is in it.
trait Undecided {
    fn keep(&mut self);
    fn take_back(&mut self);
}

impl<K: Ord + Clone, V: Clone> Undecided for Table<K, V> {
    fn keep(&mut self) {
        Self::keep(self);
    }

    fn take_back(&mut self) {
        Self::take_back(self);
    }
}

impl State {
    pub(crate) fn new(options: &MemoryOptions) -> Self {
        Self {
            public: options.public,
            internal: options.internal,
            rest_ms: options.rest_ms,
            hosts: Table::default(),
            tokens: Table::default(),
            accounts: Table::default(),
            sessions: Table::default(),
            apps: Table::default(),
            ports: Table::default(),
            operations: Table::default(),
            live: Table::default(),
            guests: Table::default(),
            suspicions: Table::default(),
            brake: Table::default(),
            adoptions: Table::default(),
            alarms: Table::default(),
            guards: Table::default(),
            drifts: Table::default(),
            keys: Table::default(),
            log: Table::default(),
            events: Table::default(),
            audit: Table::default(),
            clearings: Table::default(),
            links: Table::default(),
            event_links: Table::default(),
            cut: Table::default(),
            channels: Table::default(),
            notices: Table::default(),
            subjects: Table::default(),
            plans: Table::default(),
            documents: Table::default(),
            applies: Table::default(),
            changes: Table::default(),
            desired: Table::default(),
            secrets: Table::default(),
            sources: Table::default(),
            entry_sources: Table::default(),
            entry_revisions: Table::default(),
            rejected: Table::default(),
            resources: Table::default(),
            snapshots: Table::default(),
            templates: Table::default(),
            bases: Table::default(),
            clones: Table::default(),
        }
    }
    /// What was changed stays.
    pub(crate) fn keep(&mut self) {
        for table in self.tables() {
            table.keep();
        }
    }

    /// What was changed and not kept is as it was.
    pub(crate) fn take_back(&mut self) {
        for table in self.tables() {
            table.take_back();
        }
    }

    /// All tables; one that is forgotten here does not compile.
    #[rustfmt::skip] // several in a line
    fn tables(&mut self) -> [&mut dyn Undecided; 41] {
        let Self {
            public: _,
            internal: _,
            rest_ms: _,
            hosts,
            tokens,
            accounts,
            sessions,
            apps,
            ports,
            operations,
            live,
            guests,
            suspicions,
            brake,
            adoptions,
            alarms,
            guards,
            drifts,
            keys,
            log,
            events,
            audit,
            clearings,
            links,
            event_links,
            cut,
            channels,
            notices,
            subjects,
            plans,
            documents,
            applies,
            changes,
            desired,
            secrets,
            sources,
            entry_sources,
            entry_revisions,
            rejected,
            resources,
            snapshots,
            templates,
            bases,
            clones,
        } = self;
        [
            hosts, tokens, apps, ports, operations, live, guests, suspicions, brake, adoptions,
            alarms, guards, drifts, keys, log, events, audit, clearings, links, event_links, cut,
            channels, notices, subjects, plans, documents, applies, changes, desired, secrets, sources,
            entry_sources, entry_revisions, rejected, resources, snapshots, templates, bases, clones,
            accounts, sessions,
        ]
    }
}

impl App {
    pub(crate) fn is_live(&self) -> bool {
        self.archived.is_none()
    }

    /// What is told of it, with the live operation it has.
    pub(crate) fn record(&self, operation: Option<OperationId>) -> AppRecord {
        let asked = &self.asked;
        AppRecord {
            id: asked.id,
            class: self.class,
            owner: asked.owner.clone(),
            hostname: asked.hostname.clone(),
            catalog_id: asked.catalog_id.clone(),
            catalog_version: asked.catalog_version.clone(),
            entry_hash: self.entry_hash.clone(),
            host: asked.host,
            node: asked.node.clone(),
            status: self.status.clone(),
            resources: asked.resources,
            environment: asked.environment.clone(),
            ports: self.ports,
            guest_port: asked.guest_port,
            exposed: self.exposed,
            url: self.url.clone(),
            site: self.site.clone(),
            made_with: asked.made_with.clone(),
            operation,
            created_at: self.created_at,
            status_changed_at: self.status_changed_at,
        }
    }
}
