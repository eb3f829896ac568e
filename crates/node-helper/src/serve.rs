//! One caller: request after request until it has no more.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::AsFd;

use proximity_domain::ids::InstallationId;

use crate::act;
use crate::answer::{Answers, End};
use crate::audit::Audit;
use crate::clock::Deadline;
use crate::decide::may_act;
use crate::ground::Ground;
use crate::inbox::{Inbox, Line};
use crate::limits;
use crate::refusal::{Code, Trouble};
use crate::request::{self, PROTOCOL, Verb};
use crate::slots::Slot;

/// How long a caller may take to read an end.
const TO_ANSWER_MS: u64 = 60_000;

/// Serves a caller.
///
/// Flow: read a line → read whose container it is, and compare → take a place → receive the input → note it in the audit → compare again →
/// act → answer. Guarantees: nothing is done in a container of which the comparison failed, without a place, without
/// all of the input, or without a line in the audit; a request that cannot be told from the next one ends the session.
pub fn serve<R: AsFd, W: AsFd>(
    ground: &Ground,
    installation: InstallationId,
    from: String,
    input: R,
    output: W,
) {
    let audit = Audit::new(ground, from);
    let mut caller = Caller {
        ground,
        installation,
        audit: &audit,
        inbox: Inbox::new(input),
        answers: Answers::new(output),
    };
    while caller.one() {}
}

struct Caller<'a, R, W> {
    ground: &'a Ground,
    installation: InstallationId,
    audit: &'a Audit<'a>,
    inbox: Inbox<R>,
    answers: Answers<W>,
}

impl<R: AsFd, W: AsFd> Caller<'_, R, W> {
    /// Serves one request. Whether another one may come.
    fn one(&mut self) -> bool {
        let line = match self.inbox.line() {
            Ok(Line::Whole(line)) => line,
            Ok(Line::End) => return false,
            Ok(Line::TooLong) => {
                let text = format!("the request is longer than {} bytes", limits::REQUEST_BYTES);
                return self.refuse(None, Trouble::new(Code::BadRequest, text));
            }
            Err(_) => return false,
        };
        let verb = match request::parse(&line) {
            Ok(verb) => verb,
            Err(trouble) => return self.refuse(None, trouble),
        };
        let (end, acted) = match self.ready(&verb) {
            Err(trouble) => {
                // What follows the line is nobody's input now.
                if self.inbox.skip(verb.body_bytes()).is_err() {
                    return self.refuse(Some(&verb), trouble);
                }
                (End::Refused(trouble), false)
            }
            Ok(ready) => match self.receive(verb.body_bytes(), verb.timeout_ms()) {
                Err(trouble) => return self.refuse(Some(&verb), trouble),
                Ok(body) => self.act(&verb, &ready, body),
            },
        };
        if acted {
            self.audit.ends(&end);
        } else if let End::Refused(_) = end {
            self.audit.refused(Some(&verb), &end);
        }
        self.answer(&end)
    }

    /// Refuses and ends the session: where the next request begins is not known.
    fn refuse(&mut self, verb: Option<&Verb>, trouble: Trouble) -> bool {
        let end = End::Refused(trouble);
        self.audit.refused(verb, &end);
        self.answer(&end);
        false
    }

    fn answer(&mut self, end: &End) -> bool {
        self.answers.end(end, Deadline::after_ms(TO_ANSWER_MS));
        !self.answers.is_gone()
    }

    /// Whether it may be done at all, before its input is taken.
    fn ready(&self, verb: &Verb) -> Result<Ready, Trouble> {
        let Some(guest) = verb.guest() else {
            return Ok(Ready { slot: None });
        };
        let conf = self.ground.conf(guest.vmid)?;
        may_act(guest, &conf, self.installation, &self.ground.allowed()?)?;
        let slot = match verb {
            Verb::Version {} | Verb::Probe { .. } => None,
            Verb::Exec(_) | Verb::Push(_) | Verb::Pull(_) => {
                Some(Slot::take(self.ground, self.installation)?)
            }
        };
        Ok(Ready { slot })
    }

    /// Receives the input whole, in the time that the command itself may take.
    fn receive(&mut self, bytes: u64, in_ms: u64) -> Result<Option<File>, Trouble> {
        if bytes == 0 {
            return Ok(None);
        }
        let node =
            |e: io::Error| Trouble::new(Code::Node, format!("there is no room for the input: {e}"));
        let disk = rustix::fs::statvfs(&self.ground.state_dir);
        let disk = disk.map_err(|e| node(e.into()))?;
        has_room(bytes, disk.f_bavail.saturating_mul(disk.f_frsize))?;
        let mut file = nameless(self.ground).map_err(node)?;
        let in_ms = in_ms.min(limits::INPUT_MS);
        let until = Deadline::after_ms(in_ms);
        let mut left = bytes;
        while left > 0 {
            if until.has_passed() {
                let text = format!(
                    "{left} of {bytes} bytes of input did not come within {in_ms} ms; nothing was done"
                );
                return Err(Trouble::new(Code::CutShort, text));
            }
            let piece = match self.inbox.piece(left, until) {
                Err(e) if e.kind() == io::ErrorKind::TimedOut => continue,
                piece => piece.map_err(|e| {
                    Trouble::new(Code::CutShort, format!("the input did not come: {e}"))
                })?,
            };
            if piece.is_empty() {
                let text =
                    format!("{left} of {bytes} bytes of input are missing; nothing was done");
                return Err(Trouble::new(Code::CutShort, text));
            }
            left -= piece.len() as u64;
            file.write_all(&piece).map_err(node)?;
        }
        file.rewind().map_err(node)?;
        Ok(Some(file))
    }

    /// Does it. Whether it was begun, beside its end.
    fn act(&mut self, verb: &Verb, _ready: &Ready, body: Option<File>) -> (End, bool) {
        if let Verb::Version {} = verb {
            return (self.version(), false);
        }
        if let Verb::Probe { guest } = verb {
            let running = self.ground.is_running(guest.vmid);
            let end = running.map(|running| End::Probe { running });
            return (end.unwrap_or_else(End::Refused), false);
        }
        match self.runs(verb).and_then(|()| self.audit.begins(verb)) {
            Err(trouble) => (End::Refused(trouble), false),
            Ok(()) => (self.begun(verb, body), true),
        }
    }

    /// Whether the container runs, now that the input is there.
    fn runs(&self, verb: &Verb) -> Result<(), Trouble> {
        match verb.guest() {
            Some(guest) if !self.ground.is_running(guest.vmid)? => {
                let text = format!("container {} does not run", guest.vmid);
                Err(Trouble::new(Code::NotRunning, text))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Compares again, right before it is done, and does it.
    fn begun(&mut self, verb: &Verb, body: Option<File>) -> End {
        if let Err(trouble) = self.still_ours(verb) {
            return End::Refused(trouble);
        }
        match verb {
            Verb::Version {} | Verb::Probe { .. } => self.version(),
            Verb::Exec(exec) => act::exec(self.ground, exec, body, &mut self.answers),
            Verb::Push(push) => act::push(self.ground, push, body, &mut self.answers),
            Verb::Pull(pull) => act::pull(self.ground, pull, &mut self.answers),
        }
    }

    fn still_ours(&self, verb: &Verb) -> Result<(), Trouble> {
        let Some(guest) = verb.guest() else {
            return Ok(());
        };
        let conf = self.ground.conf(guest.vmid)?;
        may_act(guest, &conf, self.installation, &self.ground.allowed()?)
    }

    fn version(&self) -> End {
        End::Version {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            installation: self.installation.to_string(),
        }
    }
}

/// What is held while a request is served.
struct Ready {
    #[allow(dead_code, reason = "held until the request has been served")]
    slot: Option<Slot>,
}

/// Whether input of this length may be put where so much is free.
fn has_room(bytes: u64, free_bytes: u64) -> Result<(), Trouble> {
    let needed = bytes.saturating_add(limits::ROOM_LEFT_BYTES);
    if needed <= free_bytes {
        return Ok(());
    }
    let text = format!(
        "there is no room for {bytes} bytes of input: {free_bytes} are free, of which {} stay",
        limits::ROOM_LEFT_BYTES
    );
    Err(Trouble::new(Code::Node, text))
}

/// A file without a name, gone when it is closed.
fn nameless(ground: &Ground) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::TMPFILE.bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let mut options = crate::ground::private();
    options
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(&ground.state_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_leaves_room_on_the_node() {
        let left = limits::ROOM_LEFT_BYTES;
        assert_eq!(has_room(5, left + 5), Ok(()));
        let trouble = has_room(6, left + 5).unwrap_err();
        assert_eq!(trouble.code, Code::Node);
        assert!(has_room(u64::MAX, u64::MAX - 1).is_err());
    }
}
