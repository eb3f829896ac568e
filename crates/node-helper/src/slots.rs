//! How many commands are at work on the node: one lock of so many, each let go by the kernel when its holder ends.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use crate::ground::{Ground, private};
use crate::limits;
use crate::refusal::{Code, Trouble};

/// A place at work, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    _held: File,
}

impl Slot {
    /// Takes a free place.
    ///
    /// # Errors
    /// [`Code::Busy`] if all are taken; [`Code::Node`] if that cannot be told.
    pub fn take(ground: &Ground) -> Result<Self, Trouble> {
        let node = |e: std::io::Error| {
            Trouble::new(
                Code::Node,
                format!("the places at work cannot be told: {e}"),
            )
        };
        ground.make_state_dir().map_err(node)?;
        for number in 0..limits::AT_WORK {
            let path = ground.state_dir.join(format!("at-work.{number}"));
            let mut options = private();
            let file = options.create(true).truncate(false).write(true).open(path);
            let file = file.map_err(node)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _held: file }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(e) => return Err(node(e.into())),
            }
        }
        Err(Trouble::new(
            Code::Busy,
            format!("{} commands are at work on this node", limits::AT_WORK),
        ))
    }
}
