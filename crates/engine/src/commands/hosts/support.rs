//! Which versions of Proxmox VE are known to work.

use proximity_pve::cluster::Version;

/// The oldest.
pub(super) const OLDEST: &str = "9.0";
/// The newest that was tested.
pub(super) const NEWEST: &str = "9.2";

/// What is known of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    Tested,
    TooOld,
    /// It is newer than the newest that was tested.
    Untested,
    /// It is no version number.
    Unreadable,
}

impl Support {
    /// Of a version as PVE says it, e.g. `9.2.11`.
    pub(super) fn of(version: &str) -> Self {
        let version = Version {
            version: version.to_owned(),
            release: String::new(),
        };
        match version.major_minor() {
            Some((9, 0..=2)) => Self::Tested,
            Some((major, _)) if major < 9 => Self::TooOld,
            Some(_) => Self::Untested,
            None => Self::Unreadable,
        }
    }
}
