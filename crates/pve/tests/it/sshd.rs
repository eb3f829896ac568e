//! OpenSSH's own server for one test, with a `pct` that acts on a folder instead of a container.
//!
//! Each connection gets an `sshd -i` of its own, so that the port is ours from the start and nothing stays running.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proximity_pve::guest::ssh::{HostKey, KeyPair, NodeAddress, PlainSsh, generate_keypair};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::world::node;

const SSHD: &str = "/usr/sbin/sshd";

/// Containers 100 and up run, 200 is stopped, 999 is none. Records its arguments, each ended by NUL.
const PCT: &str = r#"#!/bin/sh
for word in "$@"; do printf '%s\0' "$word" >> "$STATE/pct.log"; done
printf '\0' >> "$STATE/pct.log"
verb=$1 vmid=$2
shift 2
if [ "$vmid" = 999 ]; then
    echo "Configuration file 'nodes/pve1/lxc/999.conf' does not exist" >&2
    exit 255
fi
case $verb in
exec)
    if [ "$vmid" = 200 ]; then echo "container '200' not running!" >&2; exit 255; fi
    [ "$1 $2 $3" = "--keep-env 0 --" ] || { echo "400 unexpected options: $*" >&2; exit 255; }
    shift 3
    env -i PATH="$PATH" "$@" ;;
push)
    if [ "$vmid" = 200 ]; then echo "can only push files to a running container" >&2; exit 255; fi
    source=$1 target=$STATE/guest$2
    shift 2
    ls -l "$source" | cut -c1-10 >> "$STATE/sources"
    cp "$source" "$target" || { echo "failed to create file" >&2; exit 255; }
    while [ $# -gt 0 ]; do
        case $1 in
        --perms) perms=$2 ;;
        --user) user=$2 ;;
        --group) group=$2 ;;
        esac
        shift 2
    done
    if [ "$(id -u)" = 0 ]; then chown "${user:-0}:${group:-0}" "$target"; fi
    chmod "$perms" "$target" ;;
pull)
    if [ "$vmid" = 200 ]; then echo "can only pull files from a running container" >&2; exit 255; fi
    cp "$STATE/guest$1" "$2" || { echo "failed to open file" >&2; exit 255; } ;;
esac
"#;

pub(crate) struct Sshd {
    pub(crate) address: SocketAddr,
    pub(crate) key: KeyPair,
    host_key: HostKey,
    folder: TempDir,
    connections: Arc<AtomicUsize>,
    children: Arc<Mutex<Vec<Child>>>,
    task: JoinHandle<()>,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.task.abort();
        self.cut_all();
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn config(folder: &Path) -> String {
    let at = folder.display();
    let path = format!("{at}/bin:/usr/bin:/bin");
    [
        format!("HostKey {at}/host_key"),
        format!("AuthorizedKeysFile {at}/authorized_keys"),
        // A home of its own: what the user's shell does at its start is none of the test's business.
        format!("SetEnv HOME={at} PATH={path} STATE={at}/state TMPDIR={at}/tmp"),
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password"
            .to_owned(),
        "PrintMotd no\nPrintLastLog no\nMaxSessions 10\n".to_owned(),
    ]
    .join("\n")
}

/// The line of a key whose commands this shell reads, as the login shell of a node would.
pub(crate) fn read_by(shell: &str, key: &str) -> String {
    format!("command=\"exec {shell} -c \\\"$SSH_ORIGINAL_COMMAND\\\"\",restrict {key}")
}

/// Likewise, but it reads them twice, which takes off what quoting put on.
pub(crate) fn read_twice_by(shell: &str, key: &str) -> String {
    format!("command=\"exec {shell} -c \\\"eval $SSH_ORIGINAL_COMMAND\\\"\",restrict {key}")
}

pub(crate) fn user() -> String {
    let output = std::process::Command::new("id")
        .arg("-un")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The server for one connection. Root's needs a folder in `/run`, given to it in a mount namespace of its own.
fn one_connection(folder: &Path, socket: std::net::TcpStream) -> Child {
    let script = "if [ \"$(id -u)\" = 0 ]; then mount -t tmpfs none /run && mkdir -m 755 /run/sshd; fi; exec \"$@\"";
    let mut command = if user() == "root" {
        Command::new("unshare")
    } else {
        Command::new("env")
    };
    if user() == "root" {
        command.args(["--mount", "--propagation", "private"]);
    }
    socket.set_nonblocking(false).unwrap();
    let reading: OwnedFd = socket.try_clone().unwrap().into();
    let writing: OwnedFd = socket.into();
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("sshd.log"))
        .unwrap();
    command
        .args(["sh", "-c", script, "sh", SSHD, "-i", "-e", "-f"])
        .arg(folder.join("sshd_config"))
        .stdin(Stdio::from(reading))
        .stdout(Stdio::from(writing))
        .stderr(Stdio::from(log))
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

impl Sshd {
    /// Starts a server. Tests that do are named `real_openssh_…`, by which they are left out, and counted, where there is none.
    pub(crate) async fn start() -> Self {
        Self::with_key_line(|_, key| key.to_owned()).await
    }

    /// Likewise, with a line for the key that knows the server's folder.
    pub(crate) async fn with_key_line(line: impl Fn(&Path, &str) -> String) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing: apt-get install openssh-server"
        );
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for name in ["bin", "state", "state/guest", "tmp"] {
            std::fs::create_dir(at.join(name)).unwrap();
        }
        let (key, host) = (generate_keypair().unwrap(), generate_keypair().unwrap());
        write(
            &at.join("host_key"),
            host.private_pem.expose_secret(),
            0o600,
        );
        let line = line(at, &key.public_line);
        write(&at.join("authorized_keys"), &line, 0o600);
        write(&at.join("bin/pct"), PCT, 0o755);
        write(&at.join("sshd_config"), &config(at), 0o644);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, children) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (counted, kept, at) = (connections.clone(), children.clone(), at.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                kept.lock()
                    .unwrap()
                    .push(one_connection(&at, socket.into_std().unwrap()));
            }
        });
        let host_key = host.public_line.parse().unwrap();
        Self {
            address,
            key,
            host_key,
            folder,
            connections,
            children,
            task,
        }
    }

    pub(crate) fn at(&self) -> NodeAddress {
        NodeAddress {
            address: self.address.to_string(),
            host_key: self.host_key.clone(),
        }
    }

    /// The server's folder, gone with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a program into the folder that the users find programs in first.
    pub(crate) fn write_program(&self, name: &str, text: &str) {
        write(&self.folder.path().join("bin").join(name), text, 0o755);
    }

    pub(crate) fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    pub(crate) fn access(&self) -> PlainSsh {
        PlainSsh::new(&user(), &self.key.private_pem, [(node("pve1"), self.at())]).unwrap()
    }

    /// A file of the pretended guest.
    pub(crate) fn guest_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("state/guest").join(name)
    }

    pub(crate) fn state_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("state").join(name)
    }

    /// What is left in the folder for temporary files.
    pub(crate) fn temporary_files(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.folder.path().join("tmp")).unwrap();
        folder
            .map(|f| f.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends every connection from the server's side.
    pub(crate) fn cut_all(&self) {
        for child in self.children.lock().unwrap().iter_mut() {
            // One that has ended already cannot be ended.
            let _ = child.start_kill();
        }
    }
}
