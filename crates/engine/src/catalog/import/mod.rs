//! Entries of the JSON catalog that Proximity's ancestor had, as entries of ours. Pure.
//!
//! There an app was a set of container images; here it is installed with Debian's own means. So what is carried is what a file says
//! of the app and what it needs; how it is installed comes from a table of images whose software we know how to install
//! ([`carriers`]). Whatever is not carried is told, each with its place and what to do about it, and nothing is guessed. No value of the
//! environment is repeated anywhere.

mod carriers;
mod judge;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use proximity_domain::names::CatalogId;
use serde::{Serialize, Serializer};

use super::load::{MAX_FILE_BYTES, lint_text};

/// Notes that are told of one entry; the rest is counted by one more.
const MOST_NOTES: usize = 60;

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportFate {
    /// It is an entry of ours, with all that it said.
    Whole,
    /// It is an entry of ours, and the notes say what of it is not.
    Part,
    /// The program has an entry for the same software.
    There,
    /// It is none, and the notes say why.
    Refused,
}

impl ImportFate {
    /// Its word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Whole => "imported",
            Self::Part => "in_part",
            Self::There => "there",
            Self::Refused => "refused",
        }
    }
}

impl Serialize for ImportFate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// What a note is about. A code never gets another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ImportCode {
    /// The text is no JSON object, or too large.
    Unreadable,
    /// A field that is not known is not carried.
    UnknownField,
    /// A value is of another kind.
    WrongType,
    /// A field is missing.
    MissingField,
    /// A value is not carried as it is.
    BadValue,
    /// Two files have one id.
    Twice,
    /// It is made of several containers.
    SeveralServices,
    /// A container asks for another one by a name that nothing resolves.
    PeerByName,
    /// It has the Docker of its machine in its hands.
    DockerSocket,
    /// It needs devices, rights or namespaces of its machine.
    NeedsMachine,
    /// The program has an entry for the same software.
    Shipped,
    /// Nobody has written how its software is installed.
    NoRecipe,
    /// It was attached to the network of its machine.
    HostNetwork,
    /// Its image is no certain one.
    UnpinnedImage,
    /// A password stood in it.
    HardCodedSecret,
    /// It says nothing of ports.
    NoPorts,
    /// It listens on another port.
    OtherPort,
    /// A folder of its machine is not there.
    MachineFolder,
    /// What it keeps lies in its root file system.
    Volume,
    /// A variable of the image is not carried.
    Environment,
    /// A command of the image is not carried.
    Command,
}

impl ImportCode {
    /// All codes, in the order in which they are explained.
    pub const ALL: [Self; 21] = [
        Self::Unreadable,
        Self::UnknownField,
        Self::WrongType,
        Self::MissingField,
        Self::BadValue,
        Self::Twice,
        Self::SeveralServices,
        Self::PeerByName,
        Self::DockerSocket,
        Self::NeedsMachine,
        Self::Shipped,
        Self::NoRecipe,
        Self::HostNetwork,
        Self::UnpinnedImage,
        Self::HardCodedSecret,
        Self::NoPorts,
        Self::OtherPort,
        Self::MachineFolder,
        Self::Volume,
        Self::Environment,
        Self::Command,
    ];

    /// The word that is shown.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::UnknownField => "unknown_field",
            Self::WrongType => "wrong_type",
            Self::MissingField => "missing_field",
            Self::BadValue => "bad_value",
            Self::Twice => "twice",
            Self::SeveralServices => "several_services",
            Self::PeerByName => "peer_by_name",
            Self::DockerSocket => "docker_socket",
            Self::NeedsMachine => "needs_machine",
            Self::Shipped => "shipped",
            Self::NoRecipe => "no_recipe",
            Self::HostNetwork => "host_network",
            Self::UnpinnedImage => "unpinned_image",
            Self::HardCodedSecret => "hard_coded_secret",
            Self::NoPorts => "no_ports",
            Self::OtherPort => "other_port",
            Self::MachineFolder => "machine_folder",
            Self::Volume => "volume",
            Self::Environment => "environment",
            Self::Command => "command",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next(self) -> &'static str {
        match self {
            Self::Unreadable => "see that the file is one JSON object of at most 256 KiB",
            Self::UnknownField | Self::WrongType => "correct it, or go on without it",
            Self::MissingField => "add it",
            Self::BadValue => "look at what became of it in the entry",
            Self::Twice => "give one of the two another id",
            Self::SeveralServices => {
                "write an entry that installs all of it in one container, or deploy each part as an app of its own"
            }
            Self::PeerByName => {
                "let it ask at 127.0.0.1 where both are in one container, else at the other app's address"
            }
            Self::DockerSocket => {
                "do without it: an app here sees its own container and no other one"
            }
            Self::NeedsMachine => {
                "run it on the node itself or in a virtual machine: containers here get no devices and no rights of the node"
            }
            Self::Shipped => "deploy the entry that is named",
            Self::NoRecipe => {
                "write how it is installed: docs/reference/catalog.md says what an entry is made of"
            }
            Self::HostNetwork => "nothing: its container has an address of its own",
            Self::UnpinnedImage => "nothing: what is installed has a version of its own",
            Self::HardCodedSecret => "take another one: everybody knows the one that stood there",
            Self::NoPorts | Self::OtherPort => "see that who asks for it knows the port",
            Self::MachineFolder => "put into the container what was there",
            Self::Volume => "nothing: a backup is of the whole container",
            Self::Environment | Self::Command => {
                "see whether it matters: the software is set up by the entry's own settings"
            }
        }
    }

    /// There is no entry where this is told.
    fn refuses(self) -> bool {
        matches!(
            self,
            Self::Unreadable
                | Self::MissingField
                | Self::Twice
                | Self::SeveralServices
                | Self::PeerByName
                | Self::DockerSocket
                | Self::NeedsMachine
                | Self::Shipped
                | Self::NoRecipe
        )
    }

    /// It is told, and what is carried is whole all the same.
    fn is_harmless(self) -> bool {
        matches!(self, Self::HostNetwork | Self::UnpinnedImage | Self::Volume)
    }
}

impl fmt::Display for ImportCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Serialize for ImportCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// Something that is not carried, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportNote {
    /// What it is about.
    pub code: ImportCode,
    /// Where in the file, as names with dots between them; empty for all of it.
    pub at: String,
    /// What is so. It holds no value of the environment.
    pub message: String,
    /// What to do about it.
    pub next: String,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// What it is called.
    pub file: String,
    /// The id that the entry has or would have.
    pub id: Option<String>,
    /// What became of it.
    pub fate: ImportFate,
    /// What is not carried, or why nothing is.
    pub notes: Vec<ImportNote>,
    /// The text of the entry, where there is one: right by the rules for entries of an operator.
    #[serde(skip)]
    pub entry: Option<String>,
}

/// What becomes of these files, each given with what it is called and its text, in this order.
#[must_use]
pub fn import(files: &[(String, String)]) -> Vec<Imported> {
    let mut ids = BTreeSet::new();
    let each = files.iter().map(|(file, text)| {
        let mut one = imported(file, text);
        if let Some(id) = one.id.clone().filter(|_| one.entry.is_some())
            && !ids.insert(id.clone())
        {
            one.fate = ImportFate::Refused;
            one.entry = None;
            let message = format!("another file gave an entry {id} already");
            one.notes.insert(0, note(ImportCode::Twice, "id", message));
        }
        one
    });
    each.collect()
}

fn note(code: ImportCode, at: &str, message: impl Into<String>) -> ImportNote {
    let message: String = message.into();
    ImportNote {
        code,
        at: at.replace(char::is_control, " "),
        message: message.replace(char::is_control, " "),
        next: code.next().to_owned(),
    }
}

fn imported(file: &str, text: &str) -> Imported {
    let mut notes = Vec::new();
    let made = made(file, text, &mut notes);
    let (id, entry) = match made {
        Some((id, entry)) => (Some(id), entry),
        None => (None, None),
    };
    let fate = if notes.iter().any(|note| note.code == ImportCode::Shipped) {
        ImportFate::There
    } else if entry.is_none() {
        ImportFate::Refused
    } else if notes.iter().all(|note| note.code.is_harmless()) {
        ImportFate::Whole
    } else {
        ImportFate::Part
    };
    if notes.len() > MOST_NOTES {
        let more = notes.len() - MOST_NOTES;
        // What keeps it from being an entry is never cut off.
        notes.sort_by_key(|note| !note.code.refuses());
        notes.truncate(MOST_NOTES);
        let message = format!("{more} more are not told");
        notes.push(note(ImportCode::BadValue, "", message));
    }
    Imported {
        file: file.to_owned(),
        id: id.map(|id| id.to_string()),
        fate,
        notes,
        entry: entry.filter(|_| fate != ImportFate::There),
    }
}

/// The id and, where nothing refuses it, the entry's text.
fn made(
    file: &str,
    text: &str,
    notes: &mut Vec<ImportNote>,
) -> Option<(CatalogId, Option<String>)> {
    if text.len() as u64 > MAX_FILE_BYTES {
        let message = format!("it is larger than {MAX_FILE_BYTES} bytes");
        notes.push(note(ImportCode::Unreadable, "", message));
        return None;
    }
    let value: serde_json::Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let message = format!("it is no JSON: {error}");
            notes.push(note(ImportCode::Unreadable, "", message));
            return None;
        }
    };
    let app = read::app(&value, notes)?;
    let carrier = judge::carrier(&app, notes);
    let entry = carrier
        .filter(|_| !notes.iter().any(|note| note.code.refuses()))
        .map(|carrier| write::entry(file, &app, carrier, notes));
    // What we write is held against what is read; a fault of ours is told as one.
    let entry = entry.filter(|entry| match lint_text(file, entry, false).first() {
        None => true,
        Some(problem) => {
            let message = format!("what came of it is no right entry: {}", problem.message);
            notes.push(note(ImportCode::BadValue, "", message));
            false
        }
    });
    Some((app.id, entry))
}
