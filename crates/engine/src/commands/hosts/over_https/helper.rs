//! The helper on a node: what is refused before anything is changed, and what is not taken for done.

use super::*;
use proximity_store::records::SshKind;

use crate::commands::{HelperProgram, HelperState, InstallHelper, RemoveHelper};

/// The header of a program for the machine with this number, and nothing behind it: no node can run it.
fn program(machine: u8) -> HelperProgram {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18] = machine;
    HelperProgram::read(bytes).unwrap()
}

/// For this machine, or for the other one.
fn for_here(here: bool) -> HelperProgram {
    let [this, other] = match std::env::consts::ARCH {
        "aarch64" => [183, 62],
        _ => [62, 183],
    };
    program(if here { this } else { other })
}

/// A host with plain access by a key that we made.
async fn plain(world: &World, node: &Node) -> String {
    let mut request = world.request();
    request.ssh = Some(ssh(node, None));
    let host = world.engine.add_host(&admin(), request).await.unwrap();
    let key = host.ssh.unwrap().public_key;
    let keys = format!("# the node's own\n{key}\n");
    std::fs::write(keys_file(world), &keys).unwrap();
    std::fs::write(
        world.folder.path().join("bin/proximity-node-helper.places"),
        "",
    )
    .unwrap();
    let link = world.folder.path().join(".ssh");
    std::fs::create_dir(&link).unwrap();
    std::os::unix::fs::symlink(keys_file(world), link.join("authorized_keys")).unwrap();
    keys
}

fn keys_file(world: &World) -> PathBuf {
    world.folder.path().join("authorized_keys")
}

fn installed(world: &World) -> bool {
    world
        .folder
        .path()
        .join("bin/proximity-node-helper")
        .exists()
}

async fn kind(world: &World) -> SshKind {
    let host = world.engine.named_host("home").await.unwrap();
    host.ssh.unwrap().kind
}

async fn refused(world: &World, request: InstallHelper) -> EngineError {
    let keys = std::fs::read_to_string(keys_file(world)).unwrap();
    let engine = world.engine.clone();
    let error = engine
        .install_helper(&admin(), "home", request)
        .await
        .unwrap_err();
    assert!(!error.hint().is_empty(), "{error}");
    assert_eq!(std::fs::read_to_string(keys_file(world)).unwrap(), keys);
    assert!(!installed(world), "{error}");
    assert_eq!(kind(world).await, SshKind::Plain);
    error
}

#[tokio::test]
async fn a_look_says_what_would_be_done_and_does_nothing() {
    let world = World::with_helper(Some(for_here(true))).await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    let keys = plain(&world, &node).await;
    let look = InstallHelper {
        dry_run: true,
        ..InstallHelper::default()
    };
    let report = world.engine.install_helper(&admin(), "home", look).await;
    let report = report.unwrap();
    let on = &report.nodes[0];
    assert_eq!((report.recorded, on.state), (false, HelperState::Seen));
    let line = on.line.as_deref().unwrap();
    assert!(line.starts_with("restrict,command=\"proximity-node-helper serve "));
    assert_eq!(on.keys_file.as_deref(), keys_file(&world).to_str());
    assert_eq!(report.sha256.as_deref(), Some(for_here(true).sha256()));
    assert!(node.host_key.starts_with(&on.host_key) && on.sha256_before.is_none());
    assert!(!installed(&world));
    assert_eq!(std::fs::read_to_string(keys_file(&world)).unwrap(), keys);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_changed() {
    let world = World::with_helper(Some(for_here(false))).await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    plain(&world, &node).await;
    let error = refused(&world, InstallHelper::default()).await;
    assert_eq!(error.code(), "helper_other_machine");
    assert!(
        error.to_string().contains(std::env::consts::ARCH),
        "{error}"
    );
    let unknown = InstallHelper {
        nodes: vec!["pve9".to_owned()],
        ..InstallHelper::default()
    };
    assert_eq!(refused(&world, unknown).await.code(), "invalid_value");
    let no_key = InstallHelper {
        private_key: Some("no key".to_owned().into()),
        ..InstallHelper::default()
    };
    let error = refused(&world, no_key).await;
    assert_eq!(error.code(), "invalid_value");
    assert!(!error.to_string().contains("no key"), "{error}");
    let mut host = world.engine.named_host("home").await.unwrap();
    let other = generate_keypair().unwrap().public_line;
    host.ssh.as_mut().unwrap().nodes[0].host_key = other;
    let store = world.engine.store();
    store
        .update_host(host, &admin(), Timestamp(2))
        .await
        .unwrap();
    let error = refused(&world, InstallHelper::default()).await;
    assert_eq!(error.code(), "ssh_host_key_mismatch");
}

#[tokio::test]
async fn a_build_without_the_helper_says_so() {
    let world = World::start().await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    plain(&world, &node).await;
    let error = refused(&world, InstallHelper::default()).await;
    assert_eq!(error.code(), "helper_not_shipped");
}

#[tokio::test]
async fn a_node_without_pct_or_down_is_told_apart_from_one_that_fits() {
    let world = World::with_helper(Some(for_here(true))).await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    let keys = plain(&world, &node).await;
    let pct = world.folder.path().join("bin/pct");
    std::fs::remove_file(&pct).unwrap();
    let error = refused(&world, InstallHelper::default()).await;
    assert_eq!(error.code(), "ssh_no_pct");
    drop(node.stop);
    let request = InstallHelper::default();
    let report = world.engine.install_helper(&admin(), "home", request).await;
    let report = report.unwrap();
    let on = &report.nodes[0];
    assert_eq!(
        (report.recorded, on.state),
        (false, HelperState::Unfinished)
    );
    assert!(on.trouble.as_deref().unwrap().contains("not reached"));
    assert!(
        report.notes[0].contains("not finished on pve1"),
        "{:?}",
        report.notes
    );
    assert_eq!(std::fs::read_to_string(keys_file(&world)).unwrap(), keys);
}

/// Program and line are there; only an answer over the new key counts.
#[tokio::test]
async fn a_helper_that_does_not_answer_is_not_gone_over_to_and_the_way_there_stays() {
    let world = World::with_helper(Some(for_here(true))).await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    let keys = plain(&world, &node).await;
    let mut lists = Vec::new();
    for _ in 0..2 {
        let request = InstallHelper {
            nodes: vec!["pve1".to_owned()],
            ..InstallHelper::default()
        };
        let report = world.engine.install_helper(&admin(), "home", request).await;
        let report = report.unwrap();
        let on = &report.nodes[0];
        assert_eq!(
            (report.recorded, on.state),
            (false, HelperState::Unfinished)
        );
        let trouble = on.trouble.as_deref().unwrap();
        assert!(
            trouble.contains("program and key are there, but"),
            "{trouble}"
        );
        assert_eq!(kind(&world).await, SshKind::Plain);
        lists.push(std::fs::read_to_string(keys_file(&world)).unwrap());
    }
    assert!(installed(&world));
    assert_ne!(lists[0], lists[1], "the key of the first try is nobody's");
    for list in lists {
        assert!(list.starts_with(&keys), "{list}");
        assert_eq!(list.lines().count(), 3, "{list}");
    }
    drop(node.stop);
}

#[tokio::test]
async fn what_is_reached_by_roots_shell_has_no_helper_to_be_removed() {
    let world = World::with_helper(Some(for_here(true))).await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    plain(&world, &node).await;
    let request = RemoveHelper {
        private_key: generate_keypair().unwrap().private_pem,
        dry_run: false,
    };
    let error = world.engine.remove_helper(&admin(), "home", request).await;
    assert_eq!(error.unwrap_err().code(), "invalid_value");
}
