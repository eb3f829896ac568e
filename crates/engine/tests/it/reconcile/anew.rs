//! Containers that were put back under their numbers between two looks, with the same faces: of several that changed their power the
//! cluster's list of tasks tells which, or each node's own.

use serde_json::json;

use super::faces::{listed, replaced};
use super::*;

/// By the clock of a test the tasks of before are long past; this one is later.
const LATE_S: u64 = 0x7FFF_FFFF;
const LIST: &str = "/cluster/tasks";
const NODES: [&str; 10] = [
    "pve1", "pve2", "pve3", "pve4", "pve5", "pve6", "pve7", "pve8", "pve9", "pve10",
];

/// What is answered to calls of this path, changed like that.
fn told(path: &'static str, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Arc<Distort> {
    Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            let answer = answer?;
            if request.path != path {
                return Ok(answer);
            }
            let mut told: Value = serde_json::from_slice(&answer.body).unwrap();
            change(&mut told["data"]);
            let body = told.to_string().into();
            Ok(RawResponse { body, ..answer })
        },
    )
}

/// A task in the list that ended late.
fn late(node: &str, kind: &str, vmid: u32) -> Value {
    let upid = format!("UPID:{node}:000002F5:0006BA26:7FFFFFF0:{kind}:{vmid}:root@pam:");
    json!({ "upid": upid, "status": "OK", "endtime": LATE_S })
}

/// Apps whose power a list tells by itself.
struct Several {
    l: Looked,
    /// Each with its node and number.
    apps: Vec<(AppRecord, String, u32)>,
}

impl Several {
    /// One on each of these nodes.
    async fn on(nodes: &[&str]) -> Self {
        let l = Looked::of(&NODES).await;
        let mut apps = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let name = format!("app{number}");
            let (app, vmid) = l.deployed_on(&name, node).await;
            listed(&l, &name, "running").await;
            apps.push((app, (*node).to_owned(), vmid));
        }
        l.left_alone().await;
        Self { l, apps }
    }

    /// A person does this to each.
    async fn power(&self, power: &str, shown: &str) {
        for (_, node, vmid) in &self.apps {
            let path = format!("/nodes/{node}/lxc/{vmid}/status/{power}");
            self.l.w.pve.as_root(Method::Post, &path, &[]).await;
        }
        for (app, ..) in &self.apps {
            listed(&self.l, app.hostname.as_str(), shown).await;
        }
    }

    /// A pass while such answers come: of how many it took the power, and how many requests it sent.
    async fn pass(&self, distort: Option<Arc<Distort>>) -> (usize, u64) {
        self.l.w.pve.distort(distort);
        let before = self.l.w.pve.calls();
        let report = self.l.pass().await;
        let sent = self.l.w.pve.calls() - before;
        self.l.w.pve.distort(None);
        (report.refreshed, sent)
    }
}

#[tokio::test]
async fn ten_that_changed_on_ten_nodes_take_one_request_more() {
    let s = Several::on(&NODES).await;
    s.power("stop", "stopped").await;
    assert_eq!(s.pass(None).await, (10, 4));
    s.power("start", "running").await;
    let row = late("pve4", "vzrestore", s.apps[3].2);
    let restored = told(LIST, move |rows| {
        rows.as_array_mut().unwrap().insert(0, row.clone());
    });
    let identified = "one was made anew: it is read, and is what it was";
    assert_eq!(s.pass(Some(restored)).await, (10, 5), "{identified}");
    s.l.assert_sound().await;
}

#[tokio::test]
async fn what_was_made_anew_among_several_is_told_and_lends_no_power() {
    let s = Several::on(&["pve2", "pve3"]).await;
    let (app, _, vmid) = &s.apps[0];
    let (other, _, its_vmid) = &s.apps[1];
    replaced(&s.l, *vmid, app.hostname.as_str()).await;
    let stop = format!("/nodes/pve3/lxc/{its_vmid}/status/stop");
    s.l.w.pve.as_root(Method::Post, &stop, &[]).await;
    listed(&s.l, other.hostname.as_str(), "stopped").await;
    let id = vmid.to_string();
    let made = told(LIST, move |rows| {
        let rows = rows.as_array_mut().unwrap().iter_mut();
        for row in rows.filter(|row| row["type"] == "vzcreate" && row["id"] == id) {
            row["endtime"] = LATE_S.into();
        }
    });
    assert_eq!(s.pass(Some(made)).await.0, 1, "the other one's");
    assert_eq!(s.l.events(EventKind::GuestConflicted).await, 1);
    for (app, expected) in [(app, Status::Running), (other, Status::Stopped)] {
        let now = s.l.w.store.app(app.id).await.unwrap().unwrap();
        assert_eq!(now.status, expected);
    }
    s.l.assert_sound().await;
}

/// A list that may have lost what it showed, that shows nothing of a node, or that the token does not see whole.
#[tokio::test]
async fn where_the_clusters_list_tells_nothing_each_node_s_own_is_asked() {
    let s = Several::on(&["pve2"; 3]).await;
    s.power("stop", "stopped").await;
    let full = told(LIST, |rows| {
        let later = (901..926).map(|vmid| late("pve2", "vzstart", vmid));
        *rows = later.collect();
    });
    assert_eq!(s.pass(Some(full)).await, (3, 6), "rights and tasks of it");
    s.power("start", "running").await;
    assert_eq!(s.pass(None).await, (3, 5), "not asked for within a minute");
    s.l.left_alone().await;
    s.power("stop", "stopped").await;
    let silent = told(LIST, |rows| *rows = json!([]));
    assert_eq!(s.pass(Some(silent)).await, (3, 6));
    s.l.left_alone().await;
    s.power("start", "running").await;
    let unseen = told("/access/permissions", |held| {
        if let Some(held) = held.get_mut("/").and_then(Value::as_object_mut) {
            held.remove("Sys.Audit");
        }
    });
    assert_eq!(s.pass(Some(unseen)).await, (3, 5), "it is not asked for");
    s.l.left_alone().await;
    s.power("stop", "stopped").await;
    assert_eq!(s.pass(None).await, (3, 4), "the list alone");
    s.l.assert_sound().await;
}

/// What was done after that would be taken for what was before.
#[tokio::test]
async fn what_was_verified_by_a_clock_that_was_set_back_since_lends_no_power() {
    let s = Several::on(&["pve2", "pve3"]).await;
    s.l.clock.set_forward(3_600_000);
    s.l.w.engine.reconciler().sweep().await.unwrap();
    s.l.clock.set_back(3_600_000);
    s.power("stop", "stopped").await;
    assert_eq!(s.pass(None).await, (2, 6), "each is identified");
    s.power("start", "running").await;
    assert_eq!(s.pass(None).await.0, 2);
    s.l.assert_sound().await;
}
