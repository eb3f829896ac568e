//! What a caller may ask for: one line of JSON, then as many bytes as it says.

use proximity_domain::ids::Vmid;
use proximity_domain::mark::Mark;
use proximity_domain::names::{Mac, Volid};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::refusal::{Code, Trouble};

/// The version of the protocol that this program speaks.
pub const PROTOCOL: u32 = 1;

/// One request. What it does not know it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The version of the protocol.
    pub protocol: u32,
    /// What is to be done.
    #[serde(rename = "do")]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// Which program is this?
    Version {},
    /// Is the container there, the caller's, and does it run? Nothing is done.
    Probe {
        /// The container.
        guest: Guest,
    },
    /// Run a program in the container, as its root.
    Exec(Exec),
    /// Put a file, or a tree of files, into the container.
    Push(Push),
    /// Fetch a file, or a tree of files, from the container.
    Pull(Pull),
}

/// A container, and why the caller may act in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Its number.
    pub vmid: Vmid,
    /// Whose it is.
    pub owner: Owner,
}

/// Why the caller may act in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Owner {
    /// The caller made it: the node's configuration must show the same.
    Made {
        /// The last line of its description.
        mark: String,
        /// The address of its first network device.
        mac: Mac,
        /// Its root volume, if the caller has seen it.
        rootfs: Option<Volid>,
    },
    /// It was there before: root on the node must have allowed it.
    Adopted {},
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Where.
    pub guest: Guest,
    /// Program and arguments, passed as they are.
    pub argv: Vec<String>,
    /// How many bytes of input follow the line. Without all of them it does not run.
    #[serde(default)]
    pub stdin_bytes: u64,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
    /// How much of its output is passed on, of each kind; the rest is read and dropped.
    pub max_output_bytes: u64,
}

/// A file or a tree to put into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Where.
    pub guest: Guest,
    /// Absolute path; for a tree, of a folder that is there.
    pub path: String,
    /// What follows the line.
    pub what: Pushed,
    /// How many bytes follow the line.
    pub content_bytes: u64,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
}

/// What is put into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pushed {
    /// The content of one file, which takes its place whole.
    File {
        /// Permission bits, e.g. `0o644`.
        mode: u32,
        /// `OWNER:GROUP`, names or numbers of the container.
        owner: String,
    },
    /// A `tar` archive, with owners and modes in it.
    Tree {},
}

/// A file or a tree to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// Where.
    pub guest: Guest,
    /// Absolute path.
    pub path: String,
    /// Whether it is a folder, which comes as a `tar` archive.
    #[serde(default)]
    pub tree: bool,
    /// What is larger is refused.
    pub max_bytes: u64,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
}

impl Verb {
    /// The container it is about.
    #[must_use]
    pub fn guest(&self) -> Option<&Guest> {
        match self {
            Self::Version {} => None,
            Self::Probe { guest } => Some(guest),
            Self::Exec(exec) => Some(&exec.guest),
            Self::Push(push) => Some(&push.guest),
            Self::Pull(pull) => Some(&pull.guest),
        }
    }

    /// Its name, as in a request.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Version {} => "version",
            Self::Probe { .. } => "probe",
            Self::Exec(_) => "exec",
            Self::Push(_) => "push",
            Self::Pull(_) => "pull",
        }
    }

    /// How long it may take, milliseconds, and before that its input to come; nothing for what has none.
    #[must_use]
    pub fn timeout_ms(&self) -> u64 {
        match self {
            Self::Version {} | Self::Probe { .. } => 0,
            Self::Exec(exec) => exec.timeout_ms,
            Self::Push(push) => push.timeout_ms,
            Self::Pull(pull) => pull.timeout_ms,
        }
    }

    /// How many bytes follow the line.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        match self {
            Self::Version {} | Self::Probe { .. } | Self::Pull(_) => 0,
            Self::Exec(exec) => exec.stdin_bytes,
            Self::Push(push) => push.content_bytes,
        }
    }
}

/// Reads a line, and refuses what no process could get or what is beyond the limits.
///
/// # Errors
/// [`Code::BadRequest`] or [`Code::OtherProtocol`], with what is wrong.
pub fn parse(line: &[u8]) -> Result<Verb, Trouble> {
    let bad = |why: String| Trouble::new(Code::BadRequest, why);
    let request: Request = serde_json::from_slice(line).map_err(|e| match protocol_of(line) {
        Some(other) if other != PROTOCOL => other_protocol(other),
        _ => bad(format!("the request cannot be read: {e}")),
    })?;
    if request.protocol != PROTOCOL {
        return Err(other_protocol(request.protocol));
    }
    check(&request.verb).map_err(bad)?;
    Ok(request.verb)
}

fn other_protocol(theirs: u32) -> Trouble {
    Trouble::new(
        Code::OtherProtocol,
        format!(
            "this helper speaks version {PROTOCOL} of the protocol, the request is of version {theirs}"
        ),
    )
}

/// The version in a request that is of another one, so that what else it says need not be known.
fn protocol_of(line: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Only {
        protocol: u32,
    }
    serde_json::from_slice::<Only>(line)
        .ok()
        .map(|only| only.protocol)
}

fn check(verb: &Verb) -> Result<(), String> {
    if let Some(Guest {
        owner: Owner::Made { mark, .. },
        ..
    }) = verb.guest()
        && Mark::find(mark).is_none_or(|found| found.to_string() != *mark)
    {
        return Err("the mark is none".to_owned());
    }
    if verb.body_bytes() > limits::BODY_BYTES {
        return Err(format!(
            "it has {} bytes of input, at most {} are taken",
            verb.body_bytes(),
            limits::BODY_BYTES
        ));
    }
    match verb {
        Verb::Version {} | Verb::Probe { .. } => Ok(()),
        Verb::Exec(exec) => {
            check_argv(&exec.argv)?;
            check_time(exec.timeout_ms)?;
            check_output(exec.max_output_bytes)
        }
        Verb::Push(push) => {
            check_path(&push.path)?;
            check_time(push.timeout_ms)?;
            check_pushed(&push.what)
        }
        Verb::Pull(pull) => {
            check_path(&pull.path)?;
            check_time(pull.timeout_ms)?;
            check_output(pull.max_bytes)
        }
    }
}

/// Refuses arguments that no process could get.
///
/// # Errors
/// What is wrong with them.
pub fn check_argv(argv: &[String]) -> Result<(), String> {
    if argv.first().is_none_or(String::is_empty) {
        return Err("there is no program to run".to_owned());
    }
    if argv.iter().any(|word| word.contains('\0')) {
        return Err("an argument holds a NUL character".to_owned());
    }
    if argv.iter().any(|word| word.len() > limits::ARGUMENT_BYTES) {
        return Err(format!(
            "an argument is longer than {} bytes",
            limits::ARGUMENT_BYTES
        ));
    }
    Ok(())
}

fn check_time(timeout_ms: u64) -> Result<(), String> {
    if (1..=limits::TIMEOUT_MS).contains(&timeout_ms) {
        return Ok(());
    }
    Err(format!(
        "timeout_ms is {timeout_ms}, it may be 1 to {}",
        limits::TIMEOUT_MS
    ))
}

fn check_output(max_bytes: u64) -> Result<(), String> {
    if max_bytes <= limits::OUTPUT_BYTES {
        return Ok(());
    }
    Err(format!(
        "{max_bytes} bytes of output are asked for, at most {} are given",
        limits::OUTPUT_BYTES
    ))
}

/// Refuses what is no absolute path, or leads upwards.
///
/// # Errors
/// What is wrong with it.
pub fn check_path(path: &str) -> Result<(), String> {
    if path.contains('\0') {
        return Err("the path holds a NUL character".to_owned());
    }
    let absolute = path.starts_with('/') && path.len() < 4_096;
    if absolute && path.split('/').all(|part| part != "..") {
        return Ok(());
    }
    Err("the path is not absolute, is too long, or leads upwards".to_owned())
}

/// Whether this may be the name or the number of a file's owner or group.
#[must_use]
pub fn is_owner(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn check_pushed(what: &Pushed) -> Result<(), String> {
    match what {
        Pushed::Tree {} => Ok(()),
        Pushed::File { mode, .. } if *mode > 0o7777 => Err(format!("{mode:o} is no file mode")),
        Pushed::File { owner, .. } => match owner.split_once(':') {
            Some((user, group)) if is_owner(user) && is_owner(group) => Ok(()),
            _ => Err("the owner is not OWNER:GROUP".to_owned()),
        },
    }
}
