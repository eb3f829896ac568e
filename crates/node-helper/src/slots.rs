//! How many commands are at work on the node: one lock of so many, each let go by the kernel when its holder ends. Each installation
//! has fewer places than the node, so that none takes them all.

use std::fs::File;

use proximity_domain::ids::InstallationId;
use rustix::fs::{FlockOperation, flock};

use crate::ground::{Ground, private};
use crate::limits;
use crate::refusal::{Code, Trouble};

/// A place at work, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    _of_one: File,
    _of_all: File,
}

impl Slot {
    /// Takes a free place of the installation's, and one of the node's.
    ///
    /// # Errors
    /// [`Code::Busy`] if all are taken; [`Code::Node`] if that cannot be told.
    pub fn take(ground: &Ground, installation: InstallationId) -> Result<Self, Trouble> {
        let node = |e: std::io::Error| {
            Trouble::new(
                Code::Node,
                format!("the places at work cannot be told: {e}"),
            )
        };
        ground.make_state_dir().map_err(node)?;
        let busy = |count: usize, whose: &str| {
            let text = format!("{count} commands {whose} are at work on this node");
            Trouble::new(Code::Busy, text)
        };
        let name = format!("at-work-of-{installation}");
        let of_one = free(ground, &name, limits::AT_WORK_OF_ONE).map_err(node)?;
        let of_one = of_one.ok_or_else(|| busy(limits::AT_WORK_OF_ONE, "of this installation"))?;
        let of_all = free(ground, "at-work", limits::AT_WORK).map_err(node)?;
        Ok(Self {
            _of_one: of_one,
            _of_all: of_all.ok_or_else(|| busy(limits::AT_WORK, "of all installations"))?,
        })
    }
}

/// Takes one of so many locks, if one is free.
fn free(ground: &Ground, name: &str, count: usize) -> std::io::Result<Option<File>> {
    for number in 0..count {
        let path = ground.state_dir.join(format!("{name}.{number}"));
        let mut options = private();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(None)
}
