//! What comes next in the making of a template, and at its end, by its stage and by what was seen just now. Whatever was cut off
//! where: who looks again is told what is left to do.

use super::{Kept, Prepared, Stage, is_over};
use crate::guest::{Conflict, ObservedContainer, Ownership};
use crate::names::Volid;

/// What was seen at a template's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// No container has it, by the word of the whole cluster.
    Absent,
    /// Proxmox VE is making one there, and has not written whose it is.
    BeingCreated,
    /// Ours.
    Ours(Sight),
    /// Another one, or not provably ours.
    Other(Conflict),
}

/// A template's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Volume of its root file system.
    pub rootfs_volid: Volid,
    /// Whether it runs.
    pub running: bool,
    /// Whether Proxmox VE made it a template.
    pub template: bool,
    /// Whether all that belongs into it is there, and what must not be the same in two clones is out, since it was started last; false
    /// where that is not known.
    pub filled: bool,
    /// Whether somebody else than us has started it while it was made, as the tasks of its node tell: what was taken out may be there
    /// again. It counts for one that is being made a template.
    pub woken: bool,
    /// Whether a lock of Proxmox VE is on it: some task is at work.
    pub locked: bool,
}

/// What to do next. All that changes Proxmox VE is sent after its intent is on record, and is looked for before it is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Send the create call, with mark, MAC and number as recorded.
    Create,
    /// A task is at work: look again when it has ended.
    Wait,
    /// Record what its root volume is.
    Learn(Volid),
    /// Record this stage.
    Advance(Stage),
    /// Start it.
    Start,
    /// Fetch what belongs into it, take out what must not be the same in two clones, and shut it down.
    Fill,
    /// Shut it down.
    Stop,
    /// Make it a template.
    Convert,
    /// Destroy it, by a permit.
    Destroy,
    /// Prove that it is gone, and end its record.
    ProveAbsent,
    /// Nothing, until something else changes.
    Rest,
    /// Send nothing: what is there is not what is on record. A person decides.
    LeaveAlone(Conflict),
}

impl Prepared {
    /// Whose the container is that was seen at its number. `template` says what its configuration says of that.
    ///
    /// Every factor has to be as recorded. The one exception is the root volume, which gets another name when the container becomes a
    /// template: it counts as well in the stages that this may have happened in, if it is the name that the recorded volume gets then, of
    /// a configuration that says it is a template.
    #[must_use]
    pub fn owns(&self, seen: &ObservedContainer, template: bool) -> Ownership {
        let whole = self.identity.owns(self.spot.host, seen);
        let may_be_converted = matches!(self.stage, Stage::Converting | Stage::Leaving);
        let (Some(recorded), Some(shown)) = (&self.identity.rootfs_volid, &seen.rootfs_volid)
        else {
            return whole;
        };
        let is_converted = template && may_be_converted && self.is_its_base(recorded, shown);
        // What an earlier look recorded is no new name.
        if recorded == shown || !is_converted {
            return whole;
        }
        let mut identity = self.identity.clone();
        identity.rootfs_volid = None;
        identity.owns(self.spot.host, seen)
    }

    /// Neither the mark nor the MAC that were drawn for this template is on `seen`, and another mark or MAC is: it is somebody else's.
    #[must_use]
    pub fn shares_nothing_with(&self, seen: &ObservedContainer) -> bool {
        self.identity.shares_nothing_with(seen)
    }

    /// Whether a volume has the name that Proxmox VE gives the recorded one when its container becomes a template: `vm-…` becomes
    /// `base-…`, and `subvol-…` of a pool of ZFS `basevol-…`, and nothing else of it changes. One that has such a name gets no other.
    fn is_its_base(&self, recorded: &Volid, shown: &Volid) -> bool {
        let text = recorded.as_str();
        let name_at = text.rfind(['/', ':']).map_or(0, |at| at + 1);
        let (before, name) = text.split_at(name_at);
        let vmid = self.identity.vmid;
        let kinds = [("vm", "base"), ("subvol", "basevol")];
        kinds.iter().any(|(own, base)| {
            let rest = name.strip_prefix(&format!("{own}-{vmid}-"));
            rest.is_some_and(|rest| shown.as_str() == format!("{before}{base}-{vmid}-{rest}"))
        })
    }
}

/// What to do next with a template.
#[must_use]
pub fn next(kept: &Kept, seen: &Seen) -> Act {
    let prepared = &kept.prepared;
    let sight = match seen {
        Seen::Other(conflict) => return Act::LeaveAlone(conflict.clone()),
        Seen::BeingCreated => return Act::Wait,
        Seen::Absent => return without_it(prepared.stage),
        Seen::Ours(sight) => sight,
    };
    if sight.locked {
        return Act::Wait;
    }
    if prepared.identity.rootfs_volid.as_ref() != Some(&sight.rootfs_volid) {
        return Act::Learn(sight.rootfs_volid.clone());
    }
    match prepared.stage {
        Stage::Creating => Act::Advance(Stage::Filling),
        Stage::Filling => match (sight.running, sight.filled) {
            (false, true) => Act::Advance(Stage::Converting),
            (false, false) => Act::Start,
            (true, _) => Act::Fill,
        },
        // It was shut down before this stage: where it was started since, it has an identity of its own again.
        Stage::Converting => match (sight.template, sight.running || sight.woken) {
            (_, true) => Act::Advance(Stage::Leaving),
            (true, false) => Act::Advance(Stage::Ready),
            (false, false) => Act::Convert,
        },
        Stage::Ready => Act::Rest,
        Stage::Leaving if !is_over(kept) => Act::Rest,
        Stage::Leaving if sight.running => Act::Stop,
        Stage::Leaving => Act::Destroy,
    }
}

/// Nothing is there: it was not made yet, or somebody else took it away.
fn without_it(stage: Stage) -> Act {
    match stage {
        Stage::Creating => Act::Create,
        Stage::Filling | Stage::Converting | Stage::Ready => Act::Advance(Stage::Leaving),
        Stage::Leaving => Act::ProveAbsent,
    }
}
