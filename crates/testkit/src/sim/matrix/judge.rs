//! What a case leaves, and whether it says what was hit.

use std::collections::BTreeSet;

use super::super::fault::WORDS;
use super::super::perform::Stage;
use super::super::rest::text;
use super::{Case, End, Hit, Played};
use crate::sim::Saga;

/// What is said of a container that its create left half made.
const HALF: &str = "by a create that no longer runs";

/// Keys of a configuration that operations change, or that say whose it is.
const KEYS: [&str; 9] = [
    "description",
    "hostname",
    "lock",
    "net0",
    "onboot",
    "protection",
    "rootfs",
    "tags",
    "unused0",
];

/// What there is, on the cluster and on record: a line for each part of it.
#[derive(Debug)]
pub(super) struct Left {
    /// Containers, where they are, and their configuration.
    made: BTreeSet<String>,
    /// Which of them run.
    power: BTreeSet<String>,
    /// Recorded guests.
    record: BTreeSet<String>,
    /// Pairs of ports that somebody holds.
    ports: BTreeSet<String>,
}

impl Left {
    pub(super) async fn of(stage: &Stage) -> Result<Self, String> {
        let store = &stage.machine.store;
        let guests = store.recorded_guests_of_host(stage.host).await;
        let guests = guests.map_err(text)?;
        let record = guests.iter().map(|guest| format!("{guest:?}")).collect();
        let held = store.ports().await.map_err(text)?.held;
        let (mut made, mut power) = (BTreeSet::new(), BTreeSet::new());
        let inner = stage.machine.cluster.lock();
        for (vmid, guest) in inner.world.guests() {
            made.insert(format!("{vmid} is on {}", guest.node));
            made.extend(
                KEYS.iter()
                    .filter_map(|key| Some((key, guest.config.get(key)?)))
                    .map(|(key, value)| format!("{vmid} has {key}: {value:?}")),
            );
            power.insert(format!("{vmid} runs: {}", guest.is_running()));
        }
        Ok(Self {
            made,
            power,
            record,
            ports: held.iter().map(|held| format!("{held:?}")).collect(),
        })
    }

    /// What is otherwise than before. An operation that switches a container on or off takes that back no more than a person
    /// would, and one that brings keys back as little; the app says what is so, which is looked at when all has come to rest.
    fn differs_from(&self, before: &Self, saga: Saga) -> Vec<String> {
        let mut differs = Vec::new();
        let mut compare = |is: &BTreeSet<String>, was: &BTreeSet<String>| {
            differs.extend(was.difference(is).map(|line| format!("no more: {line}")));
            differs.extend(is.difference(was).map(|line| format!("new: {line}")));
        };
        // What is destroyed cannot be taken back; cluster and record have to say the same then.
        let is_destroyed = saga == Saga::Remove && self.is_without_one_of(before);
        if !is_destroyed && saga != Saga::RestoreKeys {
            compare(&self.made, &before.made);
        }
        if !is_destroyed {
            compare(&self.record, &before.record);
        }
        match saga {
            Saga::Adopt | Saga::RestoreKeys | Saga::Forget => {
                compare(&self.power, &before.power);
                compare(&self.ports, &before.ports);
            }
            // One that failed stays as an app that can be retried, with the ports it has.
            Saga::Deploy => compare(&self.power, &before.power),
            Saga::Start
            | Saga::Stop
            | Saga::Restart
            | Saga::Remove
            | Saga::StartAdopted
            | Saga::StopAdopted
            | Saga::RestartAdopted => compare(&self.ports, &before.ports),
        }
        differs
    }

    /// A container is gone, and its record with it.
    fn is_without_one_of(&self, before: &Self) -> bool {
        self.power.len() + 1 == before.power.len() && self.record.len() + 1 == before.record.len()
    }
}

/// Adds what is wrong with how it ended.
pub(super) fn judge(case: &Case, end: &End, (before, left): (&Left, &Left), played: &mut Played) {
    let (failure, undone) = match end {
        End::Succeeded => (None, false),
        End::Refused(failure) | End::Failed(failure) => (Some(failure), true),
        End::Stuck(failure) => (Some(failure), false),
        End::Never(why) => {
            let what = format!("no end within its deadline: {why}");
            played.faults.push(what);
            (None, false)
        }
    };
    played.named = failure.map(|failure| says(case, &failure.message));
    if let (Some(failure), Some(false)) = (failure, played.named) {
        let (code, message) = (&failure.code, &failure.message);
        let what = format!("another cause is on record: {code}: {message}");
        played.faults.push(what);
    }
    if undone {
        played.faults.extend(left.differs_from(before, case.saga));
    }
}

/// Whether a text names what was hit, or has the very words it was hit with.
fn says(case: &Case, message: &str) -> bool {
    match case.hit {
        Hit::Call(call, _) => {
            call.is_named_in(message)
                || WORDS.iter().any(|words| message.contains(words))
                // A task that is lost has no words but its name.
                || call.task().is_some_and(|task| message.contains(task))
                || call.task() == Some("vzcreate") && message.contains(HALF)
                || call.is_about_task() && message.contains("UPID:")
        }
        Hit::Way(_, snag) => message.contains(snag.words()),
    }
}
