//! What the helper was asked and what came of it: a file on the node that the callers cannot reach.
//!
//! One line of JSON for each request that is acted on, before it is, and one at its end: without the first nothing is done. What is
//! refused goes into a file of its own, so that whoever is refused often does not push out what was done.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::answer::End;
use crate::clock::now_ms;
use crate::ground::{Ground, private};
use crate::limits;
use crate::refusal::{Code, Trouble};
use crate::request::{Owner, Verb};

/// A file of it, and how many of those before it are kept.
struct Kept {
    name: &'static str,
    before: u32,
}

const DONE: Kept = Kept {
    name: "audit.log",
    before: limits::AUDITS_KEPT,
};
const REFUSED: Kept = Kept {
    name: "refused.log",
    before: limits::REFUSALS_KEPT,
};

/// The audit.
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
        self.write(&DONE, "begins", Some(asked(verb)), None)
            .map_err(|e| Trouble::new(Code::Node, format!("the audit cannot be written: {e}")))
    }

    /// Writes what came of it. That this failed changes nothing any more.
    pub fn ends(&self, end: &End) {
        let _ = self.write(&DONE, "ends", None, Some(end));
    }

    /// Writes that something was refused.
    pub fn refused(&self, verb: Option<&Verb>, end: &End) {
        let short = match end {
            End::Refused(trouble) => Some(End::Refused(Trouble {
                message: beginning(&trouble.message).to_owned(),
                ..trouble.clone()
            })),
            End::Version { .. }
            | End::Probe { .. }
            | End::Ended { .. }
            | End::Pushed {}
            | End::Pulled {}
            | End::Failed(_) => None,
        };
        let end = short.as_ref().unwrap_or(end);
        let _ = self.write(&REFUSED, "refused", verb.map(asked), Some(end));
    }

    fn write(
        &self,
        kept: &Kept,
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
        let path = self.ground.state_dir.join(kept.name);
        if std::fs::metadata(&path).is_ok_and(|file| file.len() > limits::AUDIT_BYTES) {
            put_aside(&path, kept.before)?;
        }
        private()
            .create(true)
            .append(true)
            .open(&path)?
            .write_all(&text)
    }
}

/// Makes room for a new file: each one before becomes one older, the oldest goes.
fn put_aside(path: &Path, before: u32) -> std::io::Result<()> {
    let older = |number: u32| match number {
        0 => path.to_owned(),
        number => path.with_extension(format!("log.{number}")),
    };
    for number in (0..before).rev() {
        match std::fs::rename(older(number), older(number + 1)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn asked(verb: &Verb) -> Asked<'_> {
    let guest = verb.guest();
    let (argv, path) = match verb {
        Verb::Version {} | Verb::Probe { .. } => (&[][..], None),
        Verb::Exec(exec) => (exec.argv.as_slice(), None),
        Verb::Push(push) => (&[][..], Some(push.path.as_str())),
        Verb::Pull(pull) => (&[][..], Some(pull.path.as_str())),
    };
    let mut room = limits::AUDITED_BYTES;
    let argv = argv.iter().take(limits::AUDITED_ARGUMENTS);
    let argv = argv.map(|word| cut(word, limits::AUDITED_ARGUMENT_BYTES));
    let argv = argv.map_while(|word| {
        room = room.checked_sub(word.len())?;
        Some(word)
    });
    Asked {
        verb: verb.name(),
        vmid: guest.map(|guest| guest.vmid.get()),
        owner: guest.map(|guest| match &guest.owner {
            Owner::Made { mark, .. } => beginning(mark),
            Owner::Adopted {} => "adopted",
        }),
        argv: argv.collect(),
        path: path.map(beginning),
        body_bytes: verb.body_bytes(),
    }
}

/// So much of a text as is kept.
fn beginning(text: &str) -> &str {
    cut(text, limits::AUDITED_BYTES)
}

/// So many bytes of a text, or fewer: cut between characters.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_before_become_older_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        for number in 0..5 {
            std::fs::write(&path, number.to_string()).unwrap();
            put_aside(&path, 3).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        let kept = [
            "audit.log",
            "audit.log.1",
            "audit.log.2",
            "audit.log.3",
            "audit.log.4",
        ];
        assert_eq!(kept.map(read), ["", "4", "3", "2", ""]);
    }

    #[test]
    fn of_a_text_is_kept_what_fits_in_whole_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("", 3), "");
    }
}
