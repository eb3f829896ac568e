//! The world's own faults, seen through the in-process transport.
#![allow(clippy::unwrap_used)] // helpers of tests may fail the test

use proximity_pve::transport::{Method, Request, Transport, TransportError};
use proximity_pve_emulator::core::{Access, Calls, FaultKind, FaultWish, Release};

use super::{Pve, stranger};

fn hit(kind: FaultKind) -> FaultWish {
    FaultWish {
        calls: Calls {
            verb: Some("POST".to_owned()),
            path: Some("/nodes/{node}/lxc".to_owned()),
            ..Calls::default()
        },
        nth: 1,
        times: Some(1),
        kind,
    }
}

fn guests(pve: &Pve) -> usize {
    pve.meddle(|world| world.guests().count())
}

#[tokio::test]
async fn what_is_cut_may_have_been_applied() {
    let pve = Pve::start(Access::Full);
    for effect in [false, true] {
        let wish = hit(FaultKind::Cut { effect });
        pve.meddle(|world| world.add_fault(wish)).unwrap();
        let cut = pve.send(stranger("pve1", 100)).await;
        assert!(
            matches!(cut, Err(TransportError::MaybeApplied(_))),
            "{cut:?}"
        );
        assert_eq!(guests(&pve), usize::from(effect));
    }
}

#[tokio::test]
async fn a_call_hangs_until_the_world_releases_it() {
    let pve = Pve::start(Access::Full);
    let wish = hit(FaultKind::Hang {
        after_effect: false,
    });
    let id = pve.meddle(|world| world.add_fault(wish)).unwrap();
    let asking = tokio::spawn({
        let pve = pve.clone();
        async move { pve.send(stranger("pve1", 100)).await }
    });
    pve.calls_arrived(1).await;
    let version = Request {
        method: Method::Get,
        path: "/version".to_owned(),
        params: Vec::new(),
        ..stranger("pve1", 100)
    };
    assert_eq!(pve.send(version).await.unwrap().status, 200);
    assert_eq!((guests(&pve), asking.is_finished()), (0, false));
    assert_eq!(pve.meddle(|world| world.release(id, Release::GoOn)), 1);
    assert_eq!(asking.await.unwrap().unwrap().status, 200);
    assert_eq!(guests(&pve), 1);
}

#[tokio::test]
async fn who_stops_waiting_is_no_longer_in_flight() {
    let pve = Pve::start(Access::Full);
    let wish = hit(FaultKind::Timeout {});
    pve.meddle(|world| world.add_fault(wish)).unwrap();
    let asking = tokio::spawn({
        let pve = pve.clone();
        async move { pve.send(stranger("pve1", 100)).await }
    });
    pve.calls_arrived(1).await;
    let held = |pve: &Pve| pve.meddle(|world| world.faults().next().map(|f| f.held.len()));
    while held(&pve) != Some(1) {
        tokio::task::yield_now().await;
    }
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    assert_eq!(held(&pve), Some(0));
}
