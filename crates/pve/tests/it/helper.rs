//! Guest access through the helper, behind OpenSSH's server and a key with a forced command.
//!
//! This binary is the helper itself: a test of it serves when it is told to, and is empty otherwise.

use std::path::Path;

use bytes::Bytes;
use proximity_domain::ids::InstallationId;
use proximity_node_helper::serve::serve;
use proximity_pve::guest::ssh::NodeHelper;
use proximity_pve::guest::{GuestAccess, GuestError, GuestOwner, GuestTarget};

use crate::helped::{HelpedNode, INSTALLATION, ground, identity, target};
use crate::ssh::{binary, exec, pull, push};
use crate::sshd::{Sshd, user};
use crate::world::node;

/// Says where the helper's node is, to the child that is the helper.
const GROUND: &str = "PROXIMITY_TEST_HELPER_GROUND";

#[test]
fn is_the_helper_when_told_to() {
    #[allow(
        clippy::disallowed_methods,
        reason = "the only way to tell a test of the same binary that it is the child"
    )]
    let Ok(at) = std::env::var(GROUND) else {
        return;
    };
    // The test runner writes to standard output, so the way back is another one.
    let back = std::fs::File::options()
        .write(true)
        .open("/dev/fd/3")
        .unwrap();
    let installation = InstallationId(uuid::Uuid::from_u128(INSTALLATION));
    serve(
        &ground(Path::new(&at)),
        installation,
        String::new(),
        std::io::stdin(),
        back,
    );
}

/// The line of a key that leads to the helper alone.
pub(crate) fn key_line(at: &Path, key: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let command = format!(
        "exec 3>&1 >/dev/null; {GROUND}={} {} --exact helper::is_the_helper_when_told_to --nocapture",
        at.display(),
        program.display()
    );
    format!("command=\"{command}\",restrict {key}")
}

#[tokio::test]
async fn real_openssh_commands_and_files_go_through_the_helper_over_one_connection() {
    let mut helped = HelpedNode::with_key_line(key_line).await;
    helped.add(&identity(100, 7), true);
    let (access, ours) = (helped.access(), target(identity(100, 7)));
    let version = access.version(&node("pve1")).await.unwrap();
    assert_eq!(
        version.installation,
        uuid::Uuid::from_u128(INSTALLATION).to_string()
    );
    let mut command = exec(&[
        "sh",
        "-c",
        "cat; printf '%s' \"$1\" >&2; exit 9",
        "x",
        "it's $(id)",
    ]);
    command.stdin = Some(binary(200_000));
    let output = access.exec(&ours, command).await.unwrap();
    assert_eq!((output.exit_code, output.truncated), (9, false));
    assert_eq!(
        (output.stdout, output.stderr),
        (binary(200_000), Bytes::from_static(b"it's $(id)"))
    );
    let file = helped.sshd.guest_file("a b");
    let path = file.to_str().unwrap();
    access
        .push(&ours, push(path, binary(70_000), 0o640))
        .await
        .unwrap();
    assert_eq!(
        access.pull(&ours, pull(path, 70_000)).await.unwrap(),
        binary(70_000)
    );
    let error = access.pull(&ours, pull(path, 69_999)).await.unwrap_err();
    assert_eq!(
        error,
        GuestError::TooLarge {
            size_bytes: 70_000,
            max_bytes: 69_999
        }
    );
    assert_eq!(helped.sshd.connections(), 1);
}

#[tokio::test]
async fn real_openssh_whatever_else_the_key_is_used_for_leads_to_the_helper() {
    let helped = HelpedNode::with_key_line(key_line).await;
    // Plain access with this key: the helper gets the input of another protocol, and runs nothing.
    let error = helped
        .sshd
        .access()
        .exec(&target(identity(100, 7)), exec(&["true"]))
        .await;
    let output = error.unwrap();
    assert_eq!((output.exit_code, output.stdout.is_empty()), (0, true));
    assert!(!helped.sshd.state_file("pct.log").exists());
}

#[tokio::test]
async fn real_openssh_what_the_helper_refuses_was_not_done_and_says_why() {
    let mut helped = HelpedNode::with_key_line(key_line).await;
    helped.add(&identity(100, 7), true);
    helped.add(&identity(101, 8), true);
    helped.add(&identity(102, 7), false);
    let access = helped.access();
    let refusal = async |target: GuestTarget| {
        let error = access.exec(&target, exec(&["true"])).await.unwrap_err();
        assert!(error.is_not_sent(), "{error:?}");
        error
    };
    let others = refusal(target(identity(101, 7))).await;
    assert!(matches!(others, GuestError::Refused { .. }), "{others:?}");
    let adopted = GuestTarget {
        owner: GuestOwner::Adopted,
        ..target(identity(100, 7))
    };
    let adopted = refusal(adopted).await;
    assert!(
        matches!(adopted, GuestError::NotAllowed { .. }),
        "{adopted:?}"
    );
    assert!(
        adopted
            .to_string()
            .contains("proximity-node-helper allow 100"),
        "{adopted}"
    );
    let stopped = refusal(target(identity(102, 7))).await;
    assert!(
        matches!(stopped, GuestError::NotRunning { .. }),
        "{stopped:?}"
    );
    let gone = refusal(target(identity(103, 7))).await;
    assert!(matches!(gone, GuestError::NotThere { .. }), "{gone:?}");
    let upwards = access
        .pull(&target(identity(100, 7)), pull("/a/../b", 1))
        .await
        .unwrap_err();
    assert!(matches!(upwards, GuestError::Impossible(_)), "{upwards:?}");
}

#[tokio::test]
async fn real_openssh_a_node_without_the_helper_says_so() {
    let sshd = Sshd::start().await;
    let access =
        NodeHelper::new(&user(), &sshd.key.private_pem, [(node("pve1"), sshd.at())]).unwrap();
    let error = access
        .exec(&target(identity(100, 7)), exec(&["true"]))
        .await
        .unwrap_err();
    assert!(matches!(&error, GuestError::NoHelper { .. }), "{error:?}");
}
