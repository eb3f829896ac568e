//! The destroy call: its permit's time, its cluster, and that it is sent at most once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proximity_domain::backup::Keep;
use proximity_domain::destroy::PERMIT_VALID_MS;
use proximity_domain::ids::HostId;
use proximity_domain::time::{Clock, Monotonic};
use proximity_pve::lxc::{Addresses, RestoreLxc};
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::transport::{RawResponse, TransportError};
use proximity_pve::{Client, Error, Warrant};
use tokio::time::{Duration, Instant};

use crate::world::{
    SetClock, backup_permit, guest_snapshot_permit, host, permit, prune_permit, warrant,
};

const UPID: &str = "UPID:pve1:0000205B:00085654:6B0021EC:vzdestroy:144:root@pam!gold:";

/// A client whose transport counts, and answers by `answer`.
fn client(
    clock: Arc<SetClock>,
    cluster: HostId,
    answer: impl Fn() -> Result<RawResponse, TransportError> + Send + Sync + 'static,
) -> (Client, Arc<AtomicUsize>, Arc<Mutex<Option<Instant>>>) {
    let (calls, limit) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
    let (counted, noted) = (calls.clone(), limit.clone());
    let transport = InProcess::new(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        *noted.lock().unwrap() = request.send_before;
        let answer = answer();
        async move { answer }
    });
    (
        Client::new(Arc::new(transport), clock, cluster, warrant()),
        calls,
        limit,
    )
}

fn accepted() -> Result<RawResponse, TransportError> {
    let body = Bytes::from(format!("{{\"data\":\"{UPID}\"}}"));
    Ok(RawResponse {
        status: 200,
        reason: "OK".to_owned(),
        body,
    })
}

#[tokio::test(start_paused = true)]
async fn the_time_that_is_left_goes_with_the_call() {
    let clock = Arc::new(SetClock::default());
    let (client, _, limit) = client(clock.clone(), host(), accepted);
    let permit = permit("pve1", 144, clock.monotonic());
    clock.advance(1_200);
    let before = Instant::now();
    assert_eq!(client.destroy_lxc(permit).await.unwrap().to_string(), UPID);
    let left = Duration::from_millis(PERMIT_VALID_MS - 1_200);
    assert_eq!(*limit.lock().unwrap(), Some(before + left));
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_permit_and_warrant_counts() {
    let clock = Arc::new(SetClock::default());
    let (mut client, calls, limit) = client(clock.clone(), host(), accepted);
    client = client.under(Warrant {
        send_by: Monotonic(300),
        reference: "test".to_owned(),
    });
    let before = Instant::now();
    client
        .destroy_lxc(permit("pve1", 144, clock.monotonic()))
        .await
        .unwrap();
    assert_eq!(
        *limit.lock().unwrap(),
        Some(before + Duration::from_millis(300))
    );
    // The permit is good for seconds; the warrant is over.
    let permit = permit("pve1", 144, clock.monotonic());
    clock.advance(300);
    let error = client.destroy_lxc(permit).await.unwrap_err();
    assert!(error.is_not_sent(), "{error}");
    let error = client
        .start(&"pve1".parse().unwrap(), "144".parse().unwrap())
        .await;
    assert!(error.unwrap_err().is_not_sent());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_expired_permit_sends_nothing() {
    let clock = Arc::new(SetClock::default());
    let (client, calls, _) = client(clock.clone(), host(), accepted);
    let permit = permit("pve1", 144, clock.monotonic());
    clock.advance(PERMIT_VALID_MS);
    assert_eq!(client.destroy_lxc(permit).await, Err(Error::PermitExpired));
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_permit_that_expires_while_connecting_is_told_from_a_node_that_is_off() {
    let clock = Arc::new(SetClock::default());
    let slow = clock.clone();
    let (client, calls, _) = client(clock.clone(), host(), move || {
        slow.advance(PERMIT_VALID_MS);
        Err(TransportError::NotSent("no connection in time".to_owned()))
    });
    assert_eq!(
        client
            .destroy_lxc(permit("pve1", 144, clock.monotonic()))
            .await,
        Err(Error::PermitExpired)
    );
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_destroy_in_doubt_is_not_repeated() {
    let clock = Arc::new(SetClock::default());
    let (client, calls, _) = client(clock.clone(), host(), || {
        Err(TransportError::MaybeApplied("cut".to_owned()))
    });
    let error = client
        .destroy_lxc(permit("pve1", 144, clock.monotonic()))
        .await
        .unwrap_err();
    assert!(error.is_maybe_applied(), "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_permit_for_another_cluster_sends_nothing() {
    let clock = Arc::new(SetClock::default());
    let other = "0190a000-0000-7000-8000-0000000000ff".parse().unwrap();
    let (client, calls, _) = client(clock, other, accepted);
    let error = client
        .destroy_lxc(permit("pve1", 144, Monotonic(0)))
        .await
        .unwrap_err();
    assert!(error.is_not_sent(), "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

/// Every other call that takes a permit, made at a moment of the clock.
const PERMITTED: [&str; 5] = [
    "rollback",
    "delete snapshot",
    "restore over",
    "delete backup",
    "prune",
];

async fn send(call: &str, client: &Client, read_started: Monotonic) -> Result<(), Error> {
    let backup = "local:backup/vzdump-lxc-144-2026_11_20-10_20_15.tar.zst"
        .parse()
        .unwrap();
    let keep = Keep {
        last: 2,
        daily: 7,
        ..Keep::default()
    };
    let upid = match call {
        "rollback" => {
            let permit = guest_snapshot_permit("pve1", 144, "before", read_started);
            client.rollback(permit).await?
        }
        "delete snapshot" => {
            let permit = guest_snapshot_permit("pve1", 144, "before", read_started);
            client.delete_guest_snapshot(permit).await?
        }
        "restore over" => {
            let restore = RestoreLxc {
                backup,
                storage: "local".parse().unwrap(),
                hostname: None,
                description: "notes".to_owned(),
                addresses: Addresses::Same,
                pool: None,
                protection: true,
            };
            let permit = permit("pve1", 144, read_started);
            client.restore_lxc_over(permit, restore).await?
        }
        "delete backup" => {
            let permit = backup_permit("pve1", &backup, 144, read_started);
            client.delete_backup(permit).await?
        }
        "prune" => {
            let permit = prune_permit("pve1", &backup, 144, keep, read_started);
            client.prune_backups(permit).await?
        }
        other => panic!("{other}"),
    };
    assert_eq!(upid.to_string(), UPID);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn every_permit_is_sent_within_its_time_to_its_cluster_and_once() {
    for call in PERMITTED {
        let clock = Arc::new(SetClock::default());
        let (right, calls, limit) = client(clock.clone(), host(), accepted);
        clock.advance(1_200);
        let before = Instant::now();
        send(call, &right, Monotonic(0)).await.unwrap();
        let left = Duration::from_millis(PERMIT_VALID_MS - 1_200);
        assert_eq!(*limit.lock().unwrap(), Some(before + left), "{call}");

        clock.advance(PERMIT_VALID_MS - 1_200);
        let late = send(call, &right, Monotonic(0)).await;
        assert_eq!(late, Err(Error::PermitExpired), "{call}");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{call}");

        let other = "0190a000-0000-7000-8000-0000000000ff".parse().unwrap();
        let (wrong, calls, _) = client(clock.clone(), other, accepted);
        let elsewhere = send(call, &wrong, clock.monotonic()).await.unwrap_err();
        assert!(elsewhere.is_not_sent(), "{call}: {elsewhere}");
        assert_eq!(calls.load(Ordering::SeqCst), 0, "{call}");

        let (cut, calls, _) = client(clock.clone(), host(), || {
            Err(TransportError::MaybeApplied("cut".to_owned()))
        });
        let doubt = send(call, &cut, clock.monotonic()).await.unwrap_err();
        assert!(doubt.is_maybe_applied(), "{call}: {doubt}");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{call}");
    }
}

/// Code that must not compile: copying, storing or making permits, and destroying without one.
#[test]
fn there_is_no_way_around_the_permit() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
