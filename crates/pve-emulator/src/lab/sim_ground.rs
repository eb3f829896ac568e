//! What a lab with simulated guests stands on: its lock, its block of addresses, its guests.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::cluster::OsTemplateFile;
use super::error::LabError;
use super::ground::{BRIDGE_IN_CONFIGURATIONS, lock_state, open_leases};
use super::template::TEMPLATE_NAME;
use crate::lxc::LXC_ROOT;
use crate::sim::guest::Image;
use crate::sim::{Block, SimDriver, SimSetup};

/// Directory of the guests in the state directory.
pub(super) const GUESTS: &str = "guests";
/// Directory of backups of guests in the state directory.
pub(super) const BACKUPS: &str = "backups";

/// The ground while it is held.
#[derive(Debug)]
pub(super) struct SimGround {
    pub(super) block: Block,
    pub(super) driver: SimDriver,
    pub(super) template: OsTemplateFile,
    _lock: File,
}

/// What the nodes' paths of LXC begin with. No other lab of the machine has the block.
pub(super) fn lxc_path(block: &Block) -> PathBuf {
    Path::new(LXC_ROOT).join(block.net.gateway().to_string())
}

impl SimGround {
    /// Takes the lab at `state`; guests that ran before listen again when this returns.
    ///
    /// # Errors
    /// Another lab holds the state, no addresses are free, or the state cannot be read.
    pub(super) async fn take(state: &Path) -> Result<Self, LabError> {
        let lock = lock_state(state)?;
        let block = Block::take(state)?;
        let image = Image::shipped().map_err(|error| LabError::Refused(error.to_string()))?;
        let template = OsTemplateFile {
            bytes: image.archive_bytes,
            made_s: image.made_s,
        };
        let guests = state.join(GUESTS);
        let setup = SimSetup {
            guests: guests.clone(),
            backups: state.join(BACKUPS),
            image,
            lxc_path: lxc_path(&block),
            template: TEMPLATE_NAME.to_owned(),
            bridge_in_configurations: BRIDGE_IN_CONFIGURATIONS.to_owned(),
            leases: open_leases(state, block.net)?,
        };
        let driver = SimDriver::open(setup).await;
        let driver = driver.map_err(|reason| LabError::BadState {
            path: guests,
            reason,
        })?;
        Ok(Self {
            block,
            driver,
            template,
            _lock: lock,
        })
    }
}
