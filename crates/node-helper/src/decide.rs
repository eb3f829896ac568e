//! Whether the caller may act in a container: decided from its configuration on this node, purely.

use proximity_domain::ids::InstallationId;

use crate::allowed::Allowed;
use crate::conf::Conf;
use crate::refusal::{Code, Trouble};
use crate::request::{Guest, Owner};

/// Compares what the caller says with what the node has.
///
/// # Errors
/// [`Code::NotYours`] or [`Code::NotAllowed`]. What differs is not said: a caller learns nothing of containers that
/// are not its own.
pub fn may_act(
    guest: &Guest,
    conf: &Conf,
    installation: InstallationId,
    allowed: &Allowed,
) -> Result<(), Trouble> {
    match &guest.owner {
        Owner::Made { mark, mac, rootfs } => {
            let ours = conf.mark.is_some_and(|found| {
                found.installation == installation && found.to_string() == *mark
            });
            let same_volume = rootfs.is_none() || *rootfs == conf.rootfs;
            if ours && conf.mac == Some(*mac) && same_volume {
                return Ok(());
            }
            Err(Trouble::new(
                Code::NotYours,
                format!(
                    "container {} does not carry the mark, address and volume of the request",
                    guest.vmid
                ),
            ))
        }
        Owner::Adopted {} if allowed.covers(guest.vmid, conf) => Ok(()),
        Owner::Adopted {} => Err(Trouble::new(
            Code::NotAllowed,
            format!(
                "container {0} is not allowed on this node; as root there: proximity-node-helper allow {0}",
                guest.vmid
            ),
        )),
    }
}
