//! What came into doubt and could not be read: it stays in doubt, and keeps no other waiting.

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
