//! A node's places on the lab's machine: home, temporary files, `pct`, host key; and its SSH listener.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use super::announce::NodeAddress;
use super::error::LabError;
use super::file::write_atomically;
use super::options::Guests;
use crate::lxc::Place;
use crate::ssh::{HostKey, NodeShell, NodeSsh};

/// Hidden subcommand of this program that `pct` calls.
pub const PCT_SUBCOMMAND: &str = "lab-pct";

/// Prepares the node's directory below `state` and listens for SSH at `address`.
///
/// # Errors
/// A file cannot be written, or the address is taken.
pub(crate) async fn open(
    state: &Path,
    node: &str,
    place: &Place,
    guests: Guests,
    address: SocketAddr,
) -> Result<(NodeSsh, NodeAddress), LabError> {
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
    write_pct(&shell.bin, state, node, place, guests)?;
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
    let authorized_keys = state.join("authorized_keys");
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

/// Writes the `pct` script: it calls this very program back with the lab's and the node's names.
fn write_pct(
    bin: &Path,
    state: &Path,
    node: &str,
    place: &Place,
    guests: Guests,
) -> Result<(), LabError> {
    let program = std::env::current_exe().map_err(LabError::io("find this program's file"))?;
    let text = pct_script(&program, state, node, place, guests);
    let path = bin.join("pct");
    write_atomically(&path, text.as_bytes(), 0o755)
        .map_err(LabError::io(format!("write {}", path.display())))
}

fn pct_script(program: &Path, state: &Path, node: &str, place: &Place, guests: Guests) -> String {
    let mut words: Vec<PathBuf> = vec![program.into(), PCT_SUBCOMMAND.into()];
    words.extend(["--state".into(), state.into(), "--node".into(), node.into()]);
    words.extend(["--lab".into(), place.id().into()]);
    if guests == Guests::Simulated {
        words.extend(["--guests".into(), guests.word().into()]);
    }
    if let Some(scope) = place.scope() {
        words.extend(["--scope".into(), scope.into()]);
    }
    let quoted: Vec<String> = words
        .iter()
        .map(|word| quote(&word.to_string_lossy()))
        .collect();
    format!("#!/bin/sh\nexec {} -- \"$@\"\n", quoted.join(" "))
}

/// One word for a shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_calls_back_with_any_path() {
        let place = Place::new("a1b2", Some("ffee00".to_owned()));
        let text = pct_script(
            Path::new("/x/my 'lab'"),
            Path::new("/st"),
            "pve1",
            &place,
            Guests::Lxc,
        );
        assert_eq!(
            text,
            "#!/bin/sh\nexec '/x/my '\\''lab'\\''' 'lab-pct' '--state' '/st' '--node' 'pve1' \
             '--lab' 'a1b2' '--scope' 'ffee00' -- \"$@\"\n"
        );
    }
}
