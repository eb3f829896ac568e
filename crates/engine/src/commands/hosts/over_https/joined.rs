//! The SSH of a node that joined its cluster after the host was added.

use super::*;

/// A world whose host entry has guest access, but knows no way into its node: as if that had joined later.
async fn joined_later(world: &World, node: &Node) {
    let mut request = world.request();
    request.ssh = Some(ssh(node, Some(node.key.private_pem.clone())));
    let mut host = world.engine.add_host(&admin(), request).await.unwrap();
    host.ssh.as_mut().unwrap().nodes.clear();
    // What is refused for its template is refused for nothing before it.
    host.placement.templates_by_hand = true;
    let at = Timestamp(1_001);
    let store = world.engine.store();
    store.update_host(host, &admin(), at).await.unwrap();
}

#[tokio::test]
async fn a_node_that_joined_later_gets_its_ssh_entry() {
    let world = World::start().await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    joined_later(&world, &node).await;
    let deploy = crate::commands::CreateApp {
        catalog_id: "nginx".to_owned(),
        hostname: "web".to_owned(),
        ..crate::commands::CreateApp::default()
    };
    let refused = world.engine.create_app(&admin(), deploy.clone()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "nodes_without_ssh");
    assert!(
        refused.hint().contains("proximity hosts ssh"),
        "{}",
        refused.hint()
    );

    let entry = SshEntry {
        address: Some(node.address.to_string()),
        ..SshEntry::default()
    };
    let set = |name: &'static str, entry: SshEntry| {
        let engine = world.engine.clone();
        async move { engine.set_host_ssh(&admin(), "home", name, entry).await }
    };
    let only_look = SshEntry {
        dry_run: true,
        ..entry.clone()
    };
    let would_be = set("pve1", only_look).await.unwrap();
    let would_be = would_be.ssh.unwrap().nodes;
    let untouched = world.engine.named_host("home").await.unwrap();
    assert_eq!(untouched.ssh.unwrap().nodes, []);

    let host = set("pve1", entry.clone()).await.unwrap();
    let known = &host.ssh.as_ref().unwrap().nodes;
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].host_key, node.host_key);
    assert_eq!(*known, would_be);
    let stored = world.engine.named_host("home").await.unwrap();
    assert_eq!(stored.ssh.unwrap().nodes, *known);
    set("pve1", SshEntry::default()).await.unwrap();
    let refused = world.engine.create_app(&admin(), deploy).await;
    let lacks = refused.unwrap_err().fields()["nodes.home/pve1"].clone();
    assert_eq!(lacks, "does not have the template debian-12-standard");

    let unknown = set("pve9", entry).await.unwrap_err();
    assert_eq!(unknown.code(), "invalid_value");
    assert!(unknown.to_string().ends_with("its nodes are: pve1"));
    let nowhere = SshEntry {
        address: Some("not an address".to_owned()),
        ..SshEntry::default()
    };
    let fields = set("pve1", nowhere).await.unwrap_err().fields();
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["address"]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = SshEntry {
        address: Some(closed.local_addr().unwrap().to_string()),
        ..SshEntry::default()
    };
    drop(closed);
    let refused = set("pve1", nobody).await.unwrap_err();
    assert_eq!(refused.code(), "ssh_unreachable");
    assert!(
        refused.hint().ends_with("--address HOST:PORT"),
        "{}",
        refused.hint()
    );
}

/// What is pinned is not given up for what somebody shows.
#[tokio::test]
async fn a_pinned_host_key_is_only_replaced_by_one_that_is_given() {
    let world = World::start().await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    joined_later(&world, &node).await;
    let entry = |host_key: &str| SshEntry {
        address: Some(node.address.to_string()),
        host_key: Some(host_key.to_owned()),
        dry_run: false,
    };
    let set = |entry: SshEntry| {
        let engine = world.engine.clone();
        async move { engine.set_host_ssh(&admin(), "home", "pve1", entry).await }
    };
    let other = generate_keypair().unwrap().public_line;
    let refused = set(entry(&other)).await.unwrap_err();
    assert_eq!(refused.code(), "ssh_host_key_mismatch");
    assert!(refused.hint().contains("--host-key"), "{}", refused.hint());

    let mut host = set(entry(&node.host_key)).await.unwrap();
    let ssh = host.ssh.as_mut().unwrap();
    ssh.nodes[0].host_key = other;
    let at = Timestamp(1_002);
    let store = world.engine.store();
    store.update_host(host, &admin(), at).await.unwrap();
    let refused = set(SshEntry::default()).await.unwrap_err();
    assert_eq!(refused.code(), "ssh_host_key_mismatch");
    let host = set(entry(&node.host_key)).await.unwrap();
    assert_eq!(host.ssh.unwrap().nodes[0].host_key, node.host_key);
}
