//! What the helper was asked and what came of it: a file on the node that the callers cannot reach.
//!
//! One line of JSON for each request that is acted on, before it is, and one at its end; one for each that is refused.
//! Without the first line nothing is done.

use std::io::Write as _;

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::answer::End;
use crate::clock::now_ms;
use crate::ground::{Ground, private};
use crate::limits;
use crate::refusal::{Code, Trouble};
use crate::request::{Owner, Verb};

/// The audit file.
#[derive(Debug)]
pub struct Audit<'a> {
    ground: &'a Ground,
    /// `SSH_CONNECTION`: where the caller is.
    from: String,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    at_ms: u64,
    from: &'a str,
    process: u32,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Asked<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'a End>,
}

#[derive(Debug, Serialize)]
struct Asked<'a> {
    verb: &'static str,
    vmid: Option<u32>,
    owner: Option<&'a str>,
    argv: Vec<&'a str>,
    path: Option<&'a str>,
    body_bytes: u64,
}

impl<'a> Audit<'a> {
    /// For a caller from there.
    #[must_use]
    pub fn new(ground: &'a Ground, from: String) -> Self {
        Self { ground, from }
    }

    /// Writes that this is about to be done.
    ///
    /// # Errors
    /// [`Code::Node`]: it must not be done then.
    pub fn begins(&self, verb: &Verb) -> Result<(), Trouble> {
        self.write("begins", Some(asked(verb)), None)
            .map_err(|e| Trouble::new(Code::Node, format!("the audit cannot be written: {e}")))
    }

    /// Writes what came of it. That this failed changes nothing any more.
    pub fn ends(&self, end: &End) {
        let _ = self.write("ends", None, Some(end));
    }

    /// Writes that something was refused.
    pub fn refused(&self, verb: Option<&Verb>, end: &End) {
        let _ = self.write("refused", verb.map(asked), Some(end));
    }

    fn write(
        &self,
        what: &'static str,
        asked: Option<Asked<'_>>,
        end: Option<&End>,
    ) -> std::io::Result<()> {
        let line = Line {
            at_ms: now_ms(),
            from: &self.from,
            process: std::process::id(),
            what,
            asked,
            end,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.ground.make_state_dir()?;
        // Of several helpers one alone puts a full file aside: a second one would write over it.
        let lock = self.ground.state_dir.join("audit.lock");
        let lock = private()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let path = self.ground.state_dir.join("audit.log");
        if std::fs::metadata(&path).is_ok_and(|file| file.len() > limits::AUDIT_BYTES) {
            std::fs::rename(&path, path.with_extension("log.1"))?;
        }
        private()
            .create(true)
            .append(true)
            .open(&path)?
            .write_all(&text)
    }
}

fn asked(verb: &Verb) -> Asked<'_> {
    let guest = verb.guest();
    let (argv, path) = match verb {
        Verb::Version {} | Verb::Probe { .. } => (&[][..], None),
        Verb::Exec(exec) => (exec.argv.as_slice(), None),
        Verb::Push(push) => (&[][..], Some(push.path.as_str())),
        Verb::Pull(pull) => (&[][..], Some(pull.path.as_str())),
    };
    let argv = argv.iter().take(limits::AUDITED_ARGUMENTS);
    Asked {
        verb: verb.name(),
        vmid: guest.map(|guest| guest.vmid.get()),
        owner: guest.map(|guest| match &guest.owner {
            Owner::Made { mark, .. } => mark.as_str(),
            Owner::Adopted {} => "adopted",
        }),
        argv: argv.map(|word| beginning(word)).collect(),
        path,
        body_bytes: verb.body_bytes(),
    }
}

/// So much of a text as is kept, cut between characters.
fn beginning(text: &str) -> &str {
    let mut end = text.len().min(limits::AUDITED_ARGUMENT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
