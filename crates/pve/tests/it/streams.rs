//! What both ways into guests do alike: what a command prints is heard while it runs, and folders go in and out whole.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use proximity_pve::guest::{
    GuestAccess, GuestError, GuestTarget, Listener, PullTree, PushTree, Stream,
};

use crate::helped::{HelpedNode, identity, target};
use crate::helper::key_line;
use crate::ssh::{exec, guest};
use crate::sshd::Sshd;

/// Lets a command go on once it has heard of it.
struct Doorman {
    door: PathBuf,
    heard: Mutex<[String; 2]>,
}

impl Listener for Doorman {
    fn heard(&self, stream: Stream, bytes: &[u8]) {
        let mut heard = self.heard.lock().unwrap();
        let at = usize::from(stream == Stream::Stderr);
        heard[at].push_str(&String::from_utf8_lossy(bytes));
        if heard.iter().all(|text| text.contains("ready")) {
            std::fs::write(&self.door, "").unwrap();
        }
    }
}

/// The command ends only after both its streams were heard.
async fn is_heard_while_it_runs(access: &dyn GuestAccess, target: &GuestTarget, folder: &Path) {
    let listener = Doorman {
        door: folder.join("door"),
        heard: Mutex::default(),
    };
    let door = listener.door.to_str().unwrap();
    let script = "echo ready; echo ready >&2; until [ -e \"$1\" ]; do sleep 0.05; done; echo done";
    let mut command = exec(&["sh", "-c", script, "x", door]);
    command.max_output_bytes = 6;
    let output = access.exec_heard(target, command, &listener).await.unwrap();
    let heard = listener.heard.into_inner().unwrap();
    assert_eq!((output.exit_code, output.truncated), (0, true));
    assert_eq!(output.stdout, "ready\n", "what is kept has its limit");
    assert!(heard[0].starts_with("ready\n") && heard[1] == "ready\n");
}

/// A folder with an executable, a link and a deep name.
fn tree(at: &Path) {
    std::fs::create_dir_all(at.join("bin/deep er")).unwrap();
    std::fs::write(at.join("bin/run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(at.join("bin/run"), Permissions::from_mode(0o750)).unwrap();
    std::fs::write(at.join("bin/deep er/it's"), [0_u8, 255, 10]).unwrap();
    std::os::unix::fs::symlink("../run", at.join("bin/deep er/link")).unwrap();
}

async fn folders_go_in_and_out(access: &dyn GuestAccess, target: &GuestTarget, folder: &Path) {
    let (from, to) = (folder.join("from"), folder.join("to it"));
    tree(&from);
    std::fs::create_dir(&to).unwrap();
    let fetch = |max_bytes| PullTree {
        path: from.to_str().unwrap().to_owned(),
        max_bytes,
        timeout_ms: 20_000,
    };
    let archive = access.pull_tree(target, fetch(1 << 20)).await.unwrap();
    let put = |path: &Path, archive: Bytes| PushTree {
        path: path.to_str().unwrap().to_owned(),
        archive,
        timeout_ms: 20_000,
        send_before: None,
    };
    access
        .push_tree(target, put(&to, archive.clone()))
        .await
        .unwrap();
    assert_eq!(
        std::fs::read(to.join("bin/deep er/it's")).unwrap(),
        [0, 255, 10]
    );
    let mode = to.join("bin/run").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750);
    let link = std::fs::read_link(to.join("bin/deep er/link")).unwrap();
    assert_eq!(link, Path::new("../run"));

    let small = access
        .pull_tree(target, fetch(archive.len() as u64 - 1))
        .await;
    assert!(
        matches!(small, Err(GuestError::TooLarge { .. })),
        "{small:?}"
    );
    let broken = access
        .push_tree(target, put(&to, Bytes::from_static(b"no archive")))
        .await;
    assert!(
        matches!(broken, Err(GuestError::Failed { .. })),
        "{broken:?}"
    );
    let nowhere = put(&folder.join("missing"), archive.clone());
    let nowhere = access.push_tree(target, nowhere).await;
    assert!(
        matches!(nowhere, Err(GuestError::Failed { .. })),
        "{nowhere:?}"
    );
    let relative = access
        .push_tree(target, put(Path::new("to"), archive))
        .await;
    assert!(
        matches!(relative, Err(GuestError::Impossible(_))),
        "{relative:?}"
    );
}

#[tokio::test]
async fn real_openssh_plain_access_tells_what_is_printed_while_it_is() {
    let sshd = Sshd::start().await;
    is_heard_while_it_runs(&sshd.access(), &guest(100), sshd.folder()).await;
}

#[tokio::test]
async fn real_openssh_the_helper_tells_what_is_printed_while_it_is() {
    let mut helped = HelpedNode::with_key_line(key_line).await;
    helped.add(&identity(100, 7), true);
    let ours = target(identity(100, 7));
    is_heard_while_it_runs(&helped.access(), &ours, helped.folder()).await;
}

#[tokio::test]
async fn real_openssh_folders_go_in_and_out_whole_by_plain_access() {
    let sshd = Sshd::start().await;
    folders_go_in_and_out(&sshd.access(), &guest(100), sshd.folder()).await;
}

#[tokio::test]
async fn real_openssh_folders_go_in_and_out_whole_through_the_helper() {
    let mut helped = HelpedNode::with_key_line(key_line).await;
    helped.add(&identity(100, 7), true);
    let ours = target(identity(100, 7));
    folders_go_in_and_out(&helped.access(), &ours, helped.folder()).await;
}
