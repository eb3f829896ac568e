//! A removal that finds its container gone, which no destroy of ours explains.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proximity_domain::operation::{OperationState, StuckWas, UnwindCause};
use proximity_engine::commands::CreateApp;
use proximity_pve::transport::{Method, RawResponse, Request, Transport, TransportError};
use proximity_pve_emulator::core::{Access, Reach};
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

use super::{assert_sound, late, remove};

/// A cluster of three nodes with one app, whose container is on the second one, and its number. On record is an endpoint of each
/// node, or one of which the node is not known.
async fn deployed(endpoint_of_each_node: bool) -> (TestWorld, AppRecord, u32) {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2", "pve3"], Access::Full)],
        limits: late(20),
        endpoint_of_each_node,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        node: Some("pve2".to_owned()),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let [vmid]: [u32; 1] = w.pve.guests.vmids().try_into().unwrap();
    (w, app, vmid)
}

/// Somebody deletes the container on the second node.
async fn delete_by_hand(w: &TestWorld, vmid: u32) {
    let path = format!("/nodes/pve2/lxc/{vmid}");
    let config = format!("{path}/config");
    w.pve.put(&config, &[("protection", "0")]).await;
    let gone = w.pve.as_root(Method::Delete, &path, &[("force", "1")]);
    assert_eq!(gone.await.status, 200);
    let is_gone = async || {
        w.pve
            .meddle(|world| world.guests().all(|(id, _)| id != vmid))
    };
    w.until(is_gone).await.unwrap();
}

/// As a node does that hangs: it says nothing of this container.
fn silence(w: &TestWorld, node: &str, vmid: u32) {
    let config = format!("/nodes/{node}/lxc/{vmid}/config");
    w.pve.refuse(Method::Get, &config, "got timeout", u32::MAX);
}

/// The lists of the container's own node and of one more tell what it would say, and the log whose word was done without.
#[tokio::test]
async fn a_node_that_says_nothing_keeps_no_removal_of_what_was_on_another_one() {
    let (w, app, vmid) = deployed(true).await;
    delete_by_hand(&w, vmid).await;
    silence(&w, "pve3", vmid);
    let op = remove(&w, false).await;
    assert_eq!(op.state, OperationState::Succeeded, "{op:?}");
    assert!(w.store.app(app.id).await.unwrap().is_none());
    let told = w.store.log_tail(app.id, 100).await.unwrap();
    let told: Vec<&str> = told.iter().map(|line| line.message.as_str()).collect();
    let done_without = format!("container {vmid} is gone: the lists of pve1, pve2, pve3 lack it");
    let said = told.iter().find(|line| line.starts_with(&done_without));
    assert!(
        said.is_some_and(|line| line.ends_with("but for pve3, not heard")),
        "{told:?}"
    );
    assert_sound(&w).await;
}

/// Nothing stands in for the node that may run it still.
#[tokio::test]
async fn the_container_s_own_node_is_done_without_by_no_removal() {
    let (w, app, vmid) = deployed(true).await;
    delete_by_hand(&w, vmid).await;
    silence(&w, "pve2", vmid);
    let op = remove(&w, false).await;
    assert_ne!(op.state, OperationState::Succeeded);
    assert!(w.store.app(app.id).await.unwrap().is_some());
    assert_sound(&w).await;
}

/// Without the list of the container's own node no other one tells what the silent node has.
#[tokio::test]
async fn without_two_lists_a_removal_waits_for_the_word_of_every_node() {
    let (w, app, vmid) = deployed(true).await;
    delete_by_hand(&w, vmid).await;
    silence(&w, "pve3", vmid);
    // Nobody says which node gives its list.
    let unnamed = |request: &Request, answer: Result<RawResponse, TransportError>| match answer {
        Ok(told) if request.path == "/cluster/status" => {
            let text = String::from_utf8(told.body.to_vec()).unwrap();
            let body = text.replace("\"local\":1", "\"local\":0").into();
            Ok(RawResponse { body, ..told })
        }
        answer => answer,
    };
    w.pve.distort(Some(Arc::new(unnamed)));
    let op = remove(&w, false).await;
    w.pve.distort(None);
    let OperationState::Failed { failure } = &op.state else {
        panic!("{op:?}");
    };
    let asked = format!("asking node pve3 whether it has container {vmid}");
    assert!(failure.message.contains(&asked), "{failure:?}");
    assert!(w.store.app(app.id).await.unwrap().is_some());
    assert_sound(&w).await;
}

/// One node has stood still since before the container was made, and the one that has it now is off. The list is that of the
/// first, and who is in the cluster another one says, to which the calls moved on meanwhile: that one's own list counts too.
#[tokio::test]
async fn what_any_list_has_is_not_gone_whichever_endpoint_is_asked_first() {
    let (w, app, vmid) = deployed(false).await;
    w.pve.meddle(|world| {
        world.move_guest(vmid, "pve3");
        world.node_mut("pve3").unwrap().reach = Reach::Refused;
    });
    w.pve.stand_still("pve1", vmid);
    let (pve, is_proof) = (w.pve.clone(), AtomicBool::new(false));
    let moves = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        // A proof asks for the token's rights beside the list.
        if request.path == "/access/permissions" {
            pve.prefer(0);
            is_proof.store(true, Ordering::Relaxed);
        }
        if request.path == "/cluster/resources" && is_proof.swap(false, Ordering::Relaxed) {
            pve.prefer(1);
        }
        answer
    };
    w.pve.distort(Some(Arc::new(moves)));
    let op = remove(&w, false).await;
    w.pve.distort(None);
    // It turned back for that, and then waits for the node that is off, where the container may be.
    let OperationState::Stuck {
        was: StuckWas::Unwinding { cause },
        failure,
    } = &op.state
    else {
        panic!("{op:?}");
    };
    let UnwindCause::Failure { failure: why } = cause else {
        panic!("{op:?}");
    };
    let codes = (why.code.as_str(), failure.code.as_str());
    assert_eq!(codes, ("container_elsewhere", "pve_node_unreachable"));
    assert!(w.store.app(app.id).await.unwrap().is_some());
    assert_sound(&w).await;
}
