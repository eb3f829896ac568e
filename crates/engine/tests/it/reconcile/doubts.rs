//! What came into doubt and could not be read: it stays in doubt, and keeps no other waiting.

use std::sync::atomic::{AtomicU32, Ordering};

use proximity_engine::reconcile::SweepReport;

use super::faces::listed;
use super::*;

/// An app whose container shows another face than in the look before, beside these; with the container's number.
async fn in_doubt(others: &[&str]) -> (Looked, u32) {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    for name in others {
        l.deployed(name).await;
    }
    for name in others.iter().chain(&["web"]) {
        listed(&l, name, "running").await;
    }
    l.left_alone().await;
    l.w.pve.put(&config(vmid), &[("tags", "mine")]).await;
    l.pass().await;
    (l, vmid)
}

fn config(vmid: u32) -> String {
    format!("/nodes/pve2/lxc/{vmid}/config")
}

async fn doubtful(l: &Looked) -> SweepReport {
    l.w.engine.reconciler().sweep_doubtful().await.unwrap()
}

/// It is read in front, and in its turn, and Proxmox VE has an answer: that says nothing of the node.
#[tokio::test]
async fn one_that_cannot_be_read_keeps_no_other_waiting() {
    let (l, vmid) = in_doubt(&["one", "two", "three"]).await;
    let refuse = |times| {
        let why = "unable to parse the file";
        l.w.pve.refuse(Method::Get, &config(vmid), why, times);
    };
    refuse(100);
    let swept = l.w.engine.reconciler().sweep().await.unwrap();
    assert_eq!((swept.recognised, swept.unread), (3, 2), "{swept:?}");
    refuse(0);
    assert_eq!(doubtful(&l).await.recognised, 1, "it is in doubt still");
}

#[tokio::test]
async fn what_could_not_be_read_is_read_in_the_next_round() {
    let (l, vmid) = in_doubt(&[]).await;
    l.w.pve.refuse(Method::Get, &config(vmid), "no answer", 1);
    let unread = SweepReport {
        unread: 1,
        ..SweepReport::default()
    };
    assert_eq!(doubtful(&l).await, unread);
    assert_eq!(doubtful(&l).await.recognised, 1);
    assert_eq!(doubtful(&l).await, SweepReport::default());
}

/// Another container is under the number, and the read that is to make sure of that is lost.
#[tokio::test]
async fn a_doubt_outlives_a_second_read_that_is_lost() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    let stop = Action::Stop { force: false };
    let op = l.w.engine.act(&l.w.actor, "web", stop).await.unwrap();
    l.w.settled(op.id).await.unwrap();
    listed(&l, "web", "stopped").await;
    l.left_alone().await;
    let net0 = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:BB:CC,ip=dhcp,type=veth";
    let others = [
        ("tags", "mine"),
        ("description", "another one"),
        ("net0", net0),
    ];
    l.w.pve.put(&config(vmid), &others).await;
    l.pass().await;
    let reads = AtomicU32::new(0);
    let lose_second = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.path == config(vmid) && reads.fetch_add(1, Ordering::Relaxed) == 1 {
            return Err(TransportError::NotSent("it is lost".to_owned()));
        }
        answer
    };
    l.w.pve.distort(Some(Arc::new(lose_second)));
    let unread = SweepReport {
        unread: 1,
        ..SweepReport::default()
    };
    assert_eq!(doubtful(&l).await, unread);
    l.w.pve.distort(None);
    let conflict = SweepReport {
        conflicts: 1,
        ..SweepReport::default()
    };
    assert_eq!(doubtful(&l).await, conflict);
}

#[tokio::test]
async fn a_doubt_outlives_work_on_its_app() {
    let (mut l, _) = in_doubt(&[]).await;
    l.w.crash_worker().await;
    let stop = Action::Stop { force: false };
    l.w.engine.act(&l.w.actor, "web", stop).await.unwrap();
    let left = SweepReport {
        left: 1,
        ..SweepReport::default()
    };
    for _ in 0..2 {
        assert_eq!(doubtful(&l).await, left);
    }
}
