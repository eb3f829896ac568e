//! A node's places on the lab's machine: home, temporary files, tools, host key; and its SSH listener.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::TcpListener;

use super::announce::NodeAddress;
use super::bin::NodeBin;
use super::error::LabError;
use crate::ssh::{HostKey, NodeShell, NodeSsh};

/// Prepares the node's directory below `state` and listens for SSH at `address`.
///
/// # Errors
/// A file cannot be written, or the address is taken.
pub(crate) async fn open(
    tools: &NodeBin<'_>,
    address: SocketAddr,
) -> Result<(NodeSsh, NodeAddress), LabError> {
    let (state, node) = (tools.state, tools.node);
    let home = state.join("nodes").join(node);
    let shell = NodeShell {
        home: home.join("root"),
        tmp: home.join("tmp"),
        bin: home.join("bin"),
    };
    for directory in [&shell.home, &shell.tmp, &shell.bin] {
        let what = || format!("create {}", directory.display());
        std::fs::create_dir_all(directory).map_err(LabError::io(what()))?;
        std::fs::set_permissions(directory, Permissions::from_mode(0o700))
            .map_err(LabError::io(what()))?;
    }
    tools.write(&shell.bin)?;
    let authorized_keys = state.join("authorized_keys");
    link_keys(&shell.home, &authorized_keys)?;
    let host_key = HostKey::load_or_make(&home.join("ssh_host_ed25519_key")).map_err(failed)?;
    let public = host_key.public_line().map_err(failed)?;
    let taken = || LabError::io(format!("listen for SSH on {address}"));
    let listener = TcpListener::bind(address).await.map_err(taken())?;
    let bound = listener.local_addr().map_err(taken())?;
    let address = NodeAddress {
        node: node.to_owned(),
        address: bound.to_string(),
        host_key: public,
    };
    Ok((
        NodeSsh {
            listener,
            host_key,
            authorized_keys,
            shell,
        },
        address,
    ))
}

fn failed(error: crate::ssh::KeyError) -> LabError {
    LabError::Service {
        what: "SSH".to_owned(),
        reason: error.to_string(),
    }
}

/// All nodes have one list of keys, which root's home has a link to, as on PVE's nodes (`/etc/pve/priv/authorized_keys`).
fn link_keys(home: &Path, keys: &Path) -> Result<(), LabError> {
    let folder = home.join(".ssh");
    let link = folder.join("authorized_keys");
    let what = || LabError::io(format!("link {}", link.display()));
    std::fs::create_dir_all(&folder).map_err(what())?;
    std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(what())?;
    match std::os::unix::fs::symlink(keys, &link) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(what()),
    }
}
