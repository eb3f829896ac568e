//! Users who log in.

use std::sync::Arc;

use proximity_pve::{Error, ReadClient};

use crate::lab::{Hands, Lab, PASSWORD, USER, login, vmid};

#[tokio::test]
async fn a_user_who_logs_in_reads_and_changes() {
    let lab = Lab::start().await;
    lab.add_user().await;
    let hands = Hands::new(lab.transport(login(PASSWORD)), lab.node.clone());
    hands.create(101, "local").await;
    let config = hands.read.lxc_config(&lab.node, vmid(101)).await.unwrap();
    assert_eq!(config.hostname.as_deref(), Some("web"));
    let tasks = hands.read.cluster_tasks().await.unwrap();
    assert_eq!(tasks[0].upid.user(), USER);
    let others = lab.hands().read.lxc_list(&lab.node).await.unwrap();
    assert_eq!(others.len(), 1);
}

/// The key that tickets are signed with goes, as it does each day: what it signed is refused, and a change is made all the
/// same, once.
#[tokio::test]
async fn a_ticket_that_is_refused_is_replaced_and_the_change_made_once() {
    let lab = Lab::start().await;
    lab.add_user().await;
    let hands = Hands::new(lab.transport(login(PASSWORD)), lab.node.clone());
    hands.create(101, "local").await;
    lab.shell
        .change(|world| world.set_key("another".to_owned()))
        .await
        .unwrap();
    hands.create(102, "local").await;
    let list = hands.read.lxc_list(&lab.node).await.unwrap();
    assert_eq!(list.len(), 2);
    let tasks = hands.read.cluster_tasks().await.unwrap();
    let creates = tasks.iter().filter(|task| task.upid.kind() == "vzcreate");
    assert_eq!(creates.count(), 2);
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_silent_node() {
    let lab = Lab::start().await;
    lab.add_user().await;
    let wrong = ReadClient::new(Arc::new(lab.transport(login("wrong"))));
    let error = wrong.version().await.unwrap_err();
    assert!(
        matches!(&error, Error::Unauthorized { reason, .. } if reason == "authentication failure"),
        "{error:?}"
    );
}
