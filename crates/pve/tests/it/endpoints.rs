//! Several endpoints: which one is asked, and when the next one.

use std::sync::Arc;
use std::time::Duration;

use proximity_pve::client::ReadClient;
use proximity_pve::error::Error;
use proximity_pve::transport::https::{CALLS_PER_CLUSTER, CALLS_PER_NODE};
use proximity_pve::transport::{Method, Request, Transport, TransportError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::https::{good, nobody, request, transport};
use crate::tls_server::{Reply, Script, TlsServer, answer};

/// Until so many requests have arrived.
async fn arrived(server: &TlsServer, requests: usize) {
    while server.seen.requests().len() < requests {
        tokio::task::yield_now().await;
    }
}

/// Lets the clock of the runtime jump.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_change_goes_to_another_endpoint_only_if_nothing_was_sent() {
    let second = TlsServer::start(Script::Answer(good())).await;
    transport([nobody().await, second.pinned()])
        .send(request(Method::Post, &[]))
        .await
        .unwrap();
    assert_eq!(second.seen.requests().len(), 1);

    let first = TlsServer::start(Script::ReadAndHangUp).await;
    let error = transport([first.pinned(), second.pinned()])
        .send(request(Method::Post, &[]))
        .await
        .unwrap_err();
    assert!(
        matches!(error, TransportError::MaybeApplied(_)),
        "{error:?}"
    );
    assert_eq!(
        (first.seen.requests().len(), second.seen.requests().len()),
        (1, 1)
    );
}

#[tokio::test]
async fn a_read_goes_to_another_endpoint_and_stays_there() {
    let first = TlsServer::start(Script::ReadAndHangUp).await;
    let second = TlsServer::start(Script::Answer(good())).await;
    let both = transport([first.pinned(), second.pinned()]);
    for _ in 0..3 {
        both.send(request(Method::Get, &[])).await.unwrap();
    }
    assert_eq!(
        (first.seen.requests().len(), second.seen.requests().len()),
        (1, 3)
    );
}

fn hasty(method: Method) -> Request {
    Request {
        timeout_ms: 1_500,
        ..request(method, &[])
    }
}

/// As a node whose API hangs: the system accepts, and nobody says anything.
#[tokio::test]
async fn an_endpoint_that_accepts_and_says_nothing_costs_its_share_once() {
    let silent = TlsServer::start(Script::Mute).await;
    let second = TlsServer::start(Script::Answer(good())).await;
    for method in [Method::Get, Method::Post] {
        let both = transport([silent.pinned(), second.pinned()]);
        let before = silent.seen.connections();
        for _ in 0..3 {
            both.send(hasty(method)).await.unwrap();
        }
        assert_eq!(silent.seen.connections(), before + 1, "{method}");
    }
    assert_eq!(second.seen.requests().len(), 6);
}

#[tokio::test]
async fn a_read_that_stays_without_an_answer_is_answered_by_the_next_endpoint() {
    let silent = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let second = TlsServer::start(Script::Answer(good())).await;
    let both = transport([silent.pinned(), second.pinned()]);
    assert_eq!(both.first(), 0);
    for _ in 0..3 {
        both.send(hasty(Method::Get)).await.unwrap();
    }
    assert_eq!(
        (silent.seen.requests().len(), second.seen.requests().len()),
        (1, 3)
    );
    assert_eq!(both.first(), 1);
}

#[tokio::test]
async fn a_change_without_an_answer_is_sent_once_and_the_next_one_goes_elsewhere() {
    let silent = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let second = TlsServer::start(Script::Answer(good())).await;
    let both = transport([silent.pinned(), second.pinned()]);
    let error = both.send(hasty(Method::Post)).await.unwrap_err();
    assert!(
        matches!(error, TransportError::MaybeApplied(_)),
        "{error:?}"
    );
    assert_eq!(
        (silent.seen.requests().len(), second.seen.requests().len()),
        (1, 0)
    );
    both.send(hasty(Method::Post)).await.unwrap();
    assert_eq!(
        (silent.seen.requests().len(), second.seen.requests().len()),
        (1, 1)
    );
}

/// PVE says that it gives a node up after half a minute: no other endpoint would say it sooner.
#[tokio::test]
async fn the_first_endpoint_may_still_answer_when_the_next_one_is_asked() {
    let bell = Arc::new(Notify::new());
    let gives_up = answer("596 Connection timed out", "");
    let first = TlsServer::start(Script::AnswerWhenRung(bell.clone(), gives_up)).await;
    let second = TlsServer::start(Script::RingAndStall(bell)).await;
    let both = transport([first.pinned(), second.pinned()]);
    let got = both.send(hasty(Method::Get)).await.unwrap();
    assert_eq!(got.status, 596);
    let seen = || (first.seen.requests().len(), second.seen.requests().len());
    assert_eq!(seen(), (1, 1));
    // The silence was the node's: whoever passes calls on to it is not left for that, perhaps for the very node that hangs.
    let again = both.send(hasty(Method::Post)).await;
    assert_eq!(seen(), (2, 1), "{again:?}");
}

/// Whoever waits for turns that our own calls have is not kept waiting by the node; from the turn on it is the node's time.
#[tokio::test]
async fn patience_with_an_answer_begins_with_the_turn() {
    let bell = Arc::new(Notify::new());
    let slow = TlsServer::start(Script::AnswerWhenRung(bell.clone(), good())).await;
    let one = transport([slow.pinned()]);
    let waits = |method| Request {
        timeout_ms: 30_000,
        ..request(method, &[])
    };
    let patient = Request {
        answer_ms: Some(400),
        ..waits(Method::Get)
    };
    let ahead = || one.send(waits(Method::Post));
    let ring = async {
        arrived(&slow, 2).await;
        pass(Duration::from_millis(1_500)).await;
        // For these two alone.
        bell.notify_waiters();
    };
    let (first, second, patient, ()) = tokio::join!(ahead(), ahead(), one.send(patient), ring);
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert_eq!(
        patient,
        Err(TransportError::MaybeApplied(
            "it has not answered within 0.4 s".to_owned()
        ))
    );
    assert_eq!(slow.seen.requests().len(), 3, "it was sent in its turn");
}

/// PVE takes no notice of a caller that hangs up: what was given up is still at work there, and a third call would take the
/// last worker.
#[tokio::test]
async fn calls_that_were_given_up_keep_the_turns_of_their_node_and_of_no_other() {
    let reply = |request: &str| {
        let hangs = request.contains("/nodes/pve1/");
        if hangs { Vec::new() } else { good() }
    };
    let server = TlsServer::start(Script::Converse(Reply::new(reply))).await;
    let one = transport([server.pinned()]);
    let read = |path: &str, answer_ms| {
        one.send(Request {
            path: path.to_owned(),
            timeout_ms: 30_000,
            answer_ms,
            ..request(Method::Get, &[])
        })
    };
    let both = async { tokio::join!(read("/nodes/pve1/lxc", None), read("/nodes/pve1/lxc", None)) };
    tokio::select! {
        answers = both => panic!("{answers:?}"),
        () = arrived(&server, 2) => {}
    }
    let third = read("/nodes/pve1/lxc", Some(300)).await;
    let silent = "it has not answered within 0.3 s".to_owned();
    assert_eq!(third, Err(TransportError::NotSent(silent)));
    assert_eq!(server.seen.requests().len(), 2);
    for elsewhere in ["/nodes/pve2/lxc", "/version"] {
        assert_eq!(read(elsewhere, None).await.unwrap().status, 200);
    }
}

/// The first one says nothing at all, also of itself: what it was to pass on is at no node.
#[tokio::test]
async fn two_reads_of_a_node_are_answered_behind_an_endpoint_that_is_silent() {
    let silent = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let second = TlsServer::start(Script::Answer(good())).await;
    let both = transport([silent.pinned(), second.pinned()]);
    let read = |path: &str| {
        both.send(Request {
            path: path.to_owned(),
            timeout_ms: 35_000,
            ..request(Method::Get, &[])
        })
    };
    let shares_pass = async {
        arrived(&silent, 3).await;
        pass(Duration::from_millis(5_001)).await;
    };
    let (one, other, version, ()) = tokio::join!(
        read("/nodes/pve1/lxc"),
        read("/nodes/pve1/lxc"),
        read("/version"),
        shares_pass
    );
    for answer in [one, other, version] {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(second.seen.requests().len(), 3);
}

/// That the first one is silent is found by a call that nobody waits for any longer: none of the reads has a turn for another.
#[tokio::test]
async fn as_many_reads_as_there_may_be_are_answered_behind_an_endpoint_that_is_silent() {
    let silent = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let second = TlsServer::start(Script::Answer(good())).await;
    let both = transport([silent.pinned(), second.pinned()]);
    let read = |path: &str| {
        both.send(Request {
            path: path.to_owned(),
            timeout_ms: 35_000,
            ..request(Method::Get, &[])
        })
    };
    tokio::select! {
        answer = read("/version") => panic!("{answer:?}"),
        () = arrived(&silent, 1) => {}
    }
    let of_node = |i: usize| format!("/nodes/n{}/lxc", i / CALLS_PER_NODE);
    let paths: Vec<String> = (0..CALLS_PER_CLUSTER).map(of_node).collect();
    let reads = futures::future::join_all(paths.iter().map(|path| read(path)));
    let shares_pass = async {
        arrived(&silent, 1 + CALLS_PER_CLUSTER).await;
        pass(Duration::from_millis(5_001)).await;
    };
    let (answers, ()) = tokio::join!(reads, shares_pass);
    for answer in answers {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(second.seen.requests().len(), CALLS_PER_CLUSTER);
}

#[tokio::test]
async fn a_read_goes_past_two_endpoints_that_are_silent() {
    let silent = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let also = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let third = TlsServer::start(Script::Answer(good())).await;
    let all = transport([silent.pinned(), also.pinned(), third.pinned()]);
    let read = Request {
        path: "/version".to_owned(),
        ..hasty(Method::Get)
    };
    assert_eq!(all.send(read).await.unwrap().status, 200);
    assert_eq!(also.seen.requests().len(), 1);
}

/// The one in the middle is still waited for when the last one is asked, which says nothing.
#[tokio::test]
async fn an_endpoint_in_the_middle_may_still_answer_when_the_last_one_is_asked() {
    let bell = Arc::new(Notify::new());
    let silent = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let slow = TlsServer::start(Script::AnswerWhenRung(bell.clone(), good())).await;
    let last = TlsServer::start(Script::RingAndStall(bell)).await;
    let all = transport([silent.pinned(), slow.pinned(), last.pinned()]);
    let read = Request {
        path: "/version".to_owned(),
        ..hasty(Method::Get)
    };
    assert_eq!(all.send(read).await.unwrap().status, 200);
    let seen = [&silent, &slow, &last].map(|server| server.seen.requests().len());
    assert_eq!(seen, [1, 1, 1]);
}

#[tokio::test]
async fn a_node_is_heard_when_it_answers_itself() {
    let pve1 = "pve1".parse().unwrap();
    let away = TlsServer::start(Script::Answer(answer("595 No route to host", ""))).await;
    let one = transport([away.pinned()]);
    one.send(request(Method::Get, &[])).await.unwrap();
    assert_eq!(one.heard(&pve1), None, "it was the endpoint that spoke");
    let well = TlsServer::start(Script::Answer(answer("403 Forbidden", ""))).await;
    let one = transport([well.pinned()]);
    let begin = Instant::now();
    one.send(request(Method::Get, &[])).await.unwrap();
    assert!(one.heard(&pve1).is_some_and(|at| at >= begin));
    assert_eq!(one.heard(&"pve2".parse().unwrap()), None);
}

/// PVE has three workers for each node; further copies of a call to a slow one would take those of others.
#[tokio::test]
async fn a_read_that_stays_without_an_answer_is_not_sent_beyond_the_turns_of_its_node() {
    let slow = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let second = TlsServer::start(Script::Answer(good())).await;
    let both = transport([slow.pinned(), second.pinned()]);
    let other = Request {
        path: "/nodes/pve1/vzdump".to_owned(),
        ..hasty(Method::Post)
    };
    let (read, change) = tokio::join!(both.send(hasty(Method::Get)), both.send(other));
    // The change and the first copy of the read have the node's two turns until both end.
    assert!(read.is_err() && change.is_err(), "{read:?} {change:?}");
    assert_eq!(second.seen.requests().len(), 0);
}

/// Without a turn for a second copy the read waits for the first one; when that breaks, its turn is there for the next.
#[tokio::test]
async fn a_read_that_breaks_after_its_share_still_goes_to_the_next_endpoint() {
    let bell = Arc::new(Notify::new());
    let garbage = b"not HTTP\r\n\r\n".to_vec();
    let breaks = TlsServer::start(Script::AnswerWhenRung(bell.clone(), garbage)).await;
    let second = TlsServer::start(Script::Answer(good())).await;
    let both = transport([breaks.pinned(), second.pinned()]);
    let read = Request {
        timeout_ms: 2_400,
        ..request(Method::Get, &[])
    };
    // It has the node's other turn for longer than the read's share.
    let change = async {
        let ended = both.send(hasty(Method::Post)).await;
        bell.notify_waiters();
        ended
    };
    let (read, change) = tokio::join!(both.send(read), change);
    assert!(change.is_err(), "{change:?}");
    assert_eq!(read.unwrap().status, 200);
}

/// The first one breaks after its share, so that the second is still being waited for when the third answers.
#[tokio::test]
async fn who_answers_first_of_several_is_asked_first_from_then_on() {
    let (asked, bell) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let garbage = b"not HTTP\r\n\r\n".to_vec();
    let breaks = TlsServer::start(Script::AnswerWhenRung(bell.clone(), garbage)).await;
    let slow = TlsServer::start(Script::RingAndStall(asked.clone())).await;
    let third = TlsServer::start(Script::Answer(good())).await;
    let all = transport([breaks.pinned(), slow.pinned(), third.pinned()]);
    let read = Request {
        path: "/version".to_owned(),
        timeout_ms: 6_000,
        ..request(Method::Get, &[])
    };
    let break_then = async {
        asked.notified().await;
        bell.notify_one();
    };
    let (first, ()) = tokio::join!(all.send(read.clone()), break_then);
    assert_eq!(first.unwrap().status, 200);
    assert_eq!(all.send(read).await.unwrap().status, 200);
    let seen = [&breaks, &slow, &third].map(|s| s.seen.requests().len());
    assert_eq!(seen, [1, 1, 2]);
}

fn status_answer(quorate: u8) -> Vec<u8> {
    let body = format!(
        r#"{{"data":[{{"type":"cluster","name":"lab","quorate":{quorate}}},{{"type":"node","name":"pve1","online":1}}]}}"#
    );
    answer("200 OK", &body)
}

/// An endpoint that answers, but is cut off from the others, does not speak for the cluster.
#[tokio::test]
async fn the_word_of_a_quorate_endpoint_is_taken_and_it_is_asked_first_from_then_on() {
    let alone = TlsServer::start(Script::Answer(status_answer(0))).await;
    let silent = TlsServer::start(Script::Mute).await;
    let quorate = TlsServer::start(Script::Answer(status_answer(1))).await;
    let ways = [alone.pinned(), silent.pinned(), quorate.pinned()];
    let read = ReadClient::new(Arc::new(transport(ways)));
    let status = read.cluster_status_by(|s| s.quorate).await.unwrap();
    assert!(status.quorate);
    assert!(read.cluster_status().await.unwrap().quorate);
    assert_eq!(
        quorate.seen.requests().len(),
        2,
        "nobody else is asked any more"
    );
}

/// The first one says nothing at all, and the one that is asked in its place is cut off from the others.
#[tokio::test]
async fn the_word_of_a_quorate_endpoint_is_had_behind_one_that_is_silent() {
    // It takes the request: one that does not even do that ends with its share, and then both others are asked at once.
    let silent = TlsServer::start(Script::RingAndStall(Arc::default())).await;
    let alone = TlsServer::start(Script::Answer(status_answer(0))).await;
    let quorate = TlsServer::start(Script::Answer(status_answer(1))).await;
    let ways = [silent.pinned(), alone.pinned(), quorate.pinned()];
    let read = ReadClient::new(Arc::new(transport(ways)));
    let begin = Instant::now();
    let status = read.cluster_status_by(|s| s.quorate).await.unwrap();
    assert!(status.quorate);
    assert!(begin.elapsed() < Duration::from_secs(10), "its share, once");
    let seen = alone.seen.requests().len();
    assert!(read.cluster_status().await.unwrap().quorate);
    assert_eq!(alone.seen.requests().len(), seen, "nobody else is asked");
}

/// As a node that lost the cluster's file system: its API runs, and fails at everything.
#[tokio::test]
async fn an_endpoint_that_refuses_does_not_speak_for_the_cluster() {
    let failing = TlsServer::start(Script::Answer(answer("500 ipcc_send_rec failed", ""))).await;
    let quorate = TlsServer::start(Script::Answer(status_answer(1))).await;
    let read = ReadClient::new(Arc::new(transport([failing.pinned(), quorate.pinned()])));
    assert!(read.cluster_status_by(|s| s.quorate).await.unwrap().quorate);
    assert!(read.cluster_status().await.unwrap().quorate);

    let also = TlsServer::start(Script::Answer(answer("401 No ticket", ""))).await;
    let read = ReadClient::new(Arc::new(transport([failing.pinned(), also.pinned()])));
    let error = read.cluster_status_by(|s| s.quorate).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn where_no_endpoint_is_quorate_the_first_ones_word_is_all_there_is() {
    let first = TlsServer::start(Script::Answer(status_answer(0))).await;
    let second = TlsServer::start(Script::Answer(status_answer(0))).await;
    let read = ReadClient::new(Arc::new(transport([first.pinned(), second.pinned()])));
    let status = read.cluster_status_by(|s| s.quorate).await.unwrap();
    assert!(!status.quorate);
    assert_eq!(second.seen.requests().len(), 1);
}

/// Nobody's word stands for another's: who has no quorum is heard too, and who says nothing holds up no one.
#[tokio::test]
async fn each_endpoint_is_heard_for_itself() {
    let alone = TlsServer::start(Script::Answer(status_answer(0))).await;
    let failing = TlsServer::start(Script::Answer(answer("500 ipcc_send_rec failed", ""))).await;
    let quorate = TlsServer::start(Script::Answer(status_answer(1))).await;
    let ways = [alone.pinned(), failing.pinned(), quorate.pinned()];
    let read = ReadClient::new(Arc::new(transport(ways)));
    let said = read.cluster_status_of_each().await;
    let mut quorate: Vec<bool> = said.iter().map(|status| status.quorate).collect();
    quorate.sort_unstable();
    assert_eq!(quorate, [false, true]);
}

/// A list is the word of one node: each is asked for its own, whichever is asked first otherwise.
#[tokio::test]
async fn a_client_of_one_endpoint_reads_there_and_nowhere_else() {
    let alone = TlsServer::start(Script::Answer(status_answer(0))).await;
    let quorate = TlsServer::start(Script::Answer(status_answer(1))).await;
    let ways = [alone.pinned(), nobody().await, quorate.pinned()];
    let each = ReadClient::new(Arc::new(transport(ways))).each();
    let mut said = Vec::new();
    for read in &each {
        said.push(read.cluster_status().await.map(|status| status.quorate));
    }
    let [Ok(false), Err(Error::NotSent { .. }), Ok(true)] = said.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(alone.seen.requests().len(), 1);
    assert_eq!(quorate.seen.requests().len(), 1);
}
