//! The life of a console's task: its program listens, is shown the ticket, and opens what it leads to.

use std::collections::BTreeSet;

use super::super::access::permissions;
use super::super::console::{self, Console, ConsoleStage, ConsoleTarget};
use super::super::task::{Task, TaskState, Work};
use super::super::upid::Upid;
use super::super::world::World;
use super::conclude;

/// How long the program waits for a client, and then for its ticket.
const PATIENCE_MS: u64 = 10_000;
/// First port that is given to consoles, and the one after the last.
const PORTS: std::ops::Range<u16> = 5_900..6_000;
/// A port is nobody else's for so long after it was given away, whatever became of it.
const RESERVED_S: u64 = 5;
/// What the program says when a ticket is not what it wants, or not worth anything any more.
const REFUSED: &str = "authentication request failed";

/// The program listens from now on.
pub(super) fn listen(world: &mut World, at: usize, now_ms: u64) {
    let until_ms = now_ms + PATIENCE_MS;
    world.tasks[at].state = TaskState::Console(ConsoleStage::Listening { until_ms });
}

/// Nobody came, or said who he is.
pub(super) fn give_up(world: &mut World, at: usize, stage: ConsoleStage, now_ms: u64) {
    let what = match stage {
        ConsoleStage::Listening { .. } => "waiting for client",
        ConsoleStage::Greeting { .. } => "reading ticket",
        ConsoleStage::Open => return,
    };
    fail(world, at, &format!("failed {what}: timed out"), now_ms);
}

/// The program says why and ends with 1.
fn fail(world: &mut World, at: usize, why: &str, now_ms: u64) {
    let Some(console) = console_of(&world.tasks[at]) else {
        return;
    };
    let error = format!("command '{}' failed: exit code 1", console.command);
    world.tasks[at].say(why);
    conclude::end(world, at, Some(error), now_ms);
}

fn console_of(task: &Task) -> Option<&Console> {
    match &task.work {
        Work::Console(console) => Some(console),
        _ => None,
    }
}

/// After a restart of the emulator: whoever was at a console has gone.
pub(crate) fn cut_off(world: &mut World, now_ms: u64) {
    for at in 0..world.tasks.len() {
        if let TaskState::Console(ConsoleStage::Greeting { .. } | ConsoleStage::Open) =
            world.tasks[at].state
        {
            conclude::end(world, at, None, now_ms);
        }
    }
}

/// The next free port of a node for a console.
pub(crate) fn take_port(world: &mut World, node: &str, now_s: u64) -> Option<u16> {
    let listened: BTreeSet<u16> = world
        .tasks
        .iter()
        .filter(|task| task.upid.node == node)
        .filter(|task| {
            matches!(
                task.state,
                TaskState::Console(ConsoleStage::Listening { .. }) | TaskState::Waiting { .. }
            )
        })
        .filter_map(|task| Some(console_of(task)?.port))
        .collect();
    let reserved = world.reserved_ports.entry(node.to_owned()).or_default();
    reserved.retain(|_, at_s| *at_s + RESERVED_S > now_s);
    let port = { PORTS }.find(|port| !reserved.contains_key(port) && !listened.contains(port))?;
    reserved.insert(port, now_s);
    Some(port)
}

/// Why a console is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleEnd {
    /// Its client went away.
    Left,
    /// The client went away, or was silent, before it had shown its ticket.
    NeverGreeted,
    /// What it led to has ended.
    Ended,
}

impl World {
    /// A client connects to a port of a node: the task of the console that listens there, if any.
    pub fn meet_console(&mut self, node: &str, port: u16, now_ms: u64) -> Option<Upid> {
        let at = self.tasks.iter().position(|task| {
            task.upid.node == node
                && matches!(
                    task.state,
                    TaskState::Console(ConsoleStage::Listening { .. })
                )
                && console_of(task).is_some_and(|console| console.port == port)
        })?;
        let from = 32_768 + self.random.below(28_000);
        let task = &mut self.tasks[at];
        task.say(format!("client connection: 127.0.0.1:{from}"));
        let until_ms = now_ms + PATIENCE_MS;
        task.state = TaskState::Console(ConsoleStage::Greeting { until_ms });
        Some(task.upid.clone())
    }

    /// The client shows `user:ticket`: what is opened to it, or nothing when the program ends instead.
    pub fn greet_console(
        &mut self,
        upid: &Upid,
        line: &[u8],
        now_ms: u64,
    ) -> Option<ConsoleTarget> {
        let at = self.console_at(upid)?;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            let why = "failed reading ticket: authentication data is invalid";
            fail(self, at, why, now_ms);
            return None;
        };
        let user = String::from_utf8_lossy(&line[..colon]).into_owned();
        let ticket = String::from_utf8_lossy(&line[colon + 1..]).into_owned();
        let console = console_of(&self.tasks[at])?.clone();
        let right = ticket == console.ticket
            && self
                .keys
                .verify_vnc(&ticket, &user, (&console.path, Some(console.port)), now_ms)
            && permissions(self, &user, &console.path).contains_key(console.privilege.as_str());
        if !right {
            fail(self, at, REFUSED, now_ms);
            return None;
        }
        self.tasks[at].state = TaskState::Console(ConsoleStage::Open);
        Some(self.reached(upid, console.target))
    }

    /// What a console leads to as its node reaches it now.
    fn reached(&self, upid: &Upid, target: ConsoleTarget) -> ConsoleTarget {
        let ConsoleTarget::Guest { guest, .. } = &target else {
            return target;
        };
        match console::unreachable(self, &upid.node, &guest.node) {
            Some(says) => ConsoleTarget::Nothing { says },
            None => target,
        }
    }

    /// A console is over.
    pub fn end_console(&mut self, upid: &Upid, how: ConsoleEnd, now_ms: u64) {
        let Some(at) = self.console_at(upid) else {
            return;
        };
        match how {
            ConsoleEnd::Left => conclude::end(self, at, None, now_ms),
            ConsoleEnd::NeverGreeted => {
                let why = "failed reading ticket: connection closed before authentication";
                fail(self, at, why, now_ms);
            }
            ConsoleEnd::Ended => {
                let why = "error reading from pty: Input/output error (os error 5)";
                fail(self, at, why, now_ms);
            }
        }
    }

    fn console_at(&self, upid: &Upid) -> Option<usize> {
        self.tasks
            .iter()
            .position(|task| task.upid == *upid && matches!(task.state, TaskState::Console(_)))
    }

    /// Consoles that have a client.
    pub fn consoles(&self) -> BTreeSet<Upid> {
        let used = self.tasks.iter().filter(|task| {
            matches!(
                task.state,
                TaskState::Console(ConsoleStage::Greeting { .. } | ConsoleStage::Open)
            )
        });
        used.map(|task| task.upid.clone()).collect()
    }
}
