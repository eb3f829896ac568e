//! A removal that finds its container gone, which no destroy of ours explains.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proximity_domain::operation::{OperationState, StuckWas, UnwindCause};
use proximity_engine::commands::CreateApp;
use proximity_pve::transport::{RawResponse, Request, Transport, TransportError};
use proximity_pve_emulator::core::{Access, Reach};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

use super::{assert_sound, late, remove};

/// One node has stood still since before the container was made, and the one that has it now is off. The list is that of the
/// first, and who is in the cluster another one says, to which the calls moved on meanwhile: that one's own list counts too.
#[tokio::test]
async fn what_any_list_has_is_not_gone_whichever_endpoint_is_asked_first() {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2", "pve3"], Access::Full)],
        limits: late(20),
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
