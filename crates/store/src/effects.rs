//! What a worker's commit changes besides its step: all in the same transaction.

use proximity_domain::adoption::AdoptionRecord;
use proximity_domain::app::Status;
use proximity_domain::create::Resources;
use proximity_domain::event::EventKind;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::GuestId;
use proximity_domain::names::{NodeName, Volid};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::records::LogLevel;

/// Changes that are committed together with a step or the end of an operation. Default: none.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// Identity rows.
    pub guests: Vec<GuestChange>,
    /// The app's new status.
    pub status: Option<Status>,
    /// The app's URL: `Some(None)` takes it away.
    pub url: Option<Option<String>>,
    /// What the app was changed to in place.
    pub change: Option<AppChange>,
    /// What was read of an adopted guest: written once.
    pub adoption: Option<AdoptionRecord>,
    /// The app is gone: its record, steps, guests and logs stay readable in the archive, its host name and ports are free.
    pub archive: bool,
    /// With `archive`: the app was an orphan, so its ports rest before they are given out again.
    pub rest_ports: bool,
    /// Progress of the operation, 0 to 100.
    pub percent: Option<u8>,
    /// Lines for the app's log.
    pub log: Vec<NewLogLine>,
    /// Events, in order.
    pub events: Vec<NewEvent>,
}

/// What is on record of an app from now on, in place of what it was made with.
#[derive(Debug, Clone)]
pub struct AppChange {
    /// Memory, cores and disk.
    pub resources: Resources,
    /// All of its settings, if one of them has another value.
    pub settings: Option<NewSettings>,
    /// The revision of its entry that it is moved to, if to another one.
    pub entry: Option<NewEntry>,
}

/// The revision of an entry that an app is moved to. Its text is kept already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Stands for what it says.
    pub hash: String,
    /// Its version.
    pub version: String,
}

/// Settings of an app, as they are kept.
#[derive(Debug, Clone)]
pub struct NewSettings {
    /// Without secrets.
    pub open: serde_json::Value,
    /// With secrets, JSON object text. Sealed at rest.
    pub sealed: SecretString,
}

/// A change of one identity row.
#[derive(Debug, Clone)]
pub enum GuestChange {
    /// Committed with the intent, before the create call.
    Insert(NativeGuest),
    /// *unconfirmed* → *confirmed*: the volume is recorded, once.
    Confirm {
        /// Row.
        guest: GuestId,
        /// What was read back.
        rootfs_volid: Volid,
    },
    /// Seen on another node.
    Moved {
        /// Row.
        guest: GuestId,
        /// Where it is now.
        node: NodeName,
    },
    /// An adopted one is given back: it is no longer ours to look after, and was not touched. Of another class it is refused.
    Released {
        /// Row.
        guest: GuestId,
    },
    /// Proven absent (after our own destroy, or because it never came to be).
    Gone {
        /// Row.
        guest: GuestId,
    },
}

/// A line for the app's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLogLine {
    /// Level.
    pub level: LogLevel,
    /// Step.
    pub step: Option<String>,
    /// Text for people.
    pub message: String,
    /// Progress when it was written.
    pub percent: Option<u8>,
}

/// An event: a fact that happened, written with its change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// The fields its kind lists; no secrets.
    pub body: serde_json::Value,
}

/// One call that changes something on PVE or in a guest, written before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutationAudit {
    /// e.g. `POST /nodes/pve1/lxc` or `exec`.
    pub call: String,
    /// What it is done to, e.g. `lab/pve1/101`.
    pub target: String,
    /// Parameters without secrets.
    pub details: serde_json::Value,
}
