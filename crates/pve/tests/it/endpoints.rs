//! Several endpoints: which one is asked, and when the next one.

use std::sync::Arc;
use std::time::Duration;

use proximity_pve::client::ReadClient;
use proximity_pve::error::Error;
use proximity_pve::transport::{Method, Request, Transport, TransportError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::https::{good, nobody, request, transport};
use crate::tls_server::{Script, TlsServer, answer};

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
    for _ in 0..3 {
        both.send(hasty(Method::Get)).await.unwrap();
    }
    assert_eq!(
        (silent.seen.requests().len(), second.seen.requests().len()),
        (1, 3)
    );
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
    let slow = TlsServer::start(Script::AnswerAndStall(Vec::new())).await;
    let one = transport([slow.pinned()]);
    let patient = Request {
        timeout_ms: 30_000,
        answer_ms: Some(400),
        ..request(Method::Get, &[])
    };
    let begin = Instant::now();
    let ahead = || async { one.send(hasty(Method::Post)).await.unwrap_err() };
    let (_, _, patient) = tokio::join!(ahead(), ahead(), one.send(patient));
    let took = begin.elapsed();
    assert_eq!(
        patient,
        Err(TransportError::MaybeApplied(
            "it has not answered within 0.4 s".to_owned()
        ))
    );
    let (turns, all) = (Duration::from_millis(1_500), Duration::from_millis(1_900));
    assert!(took >= all && took < turns * 4, "{took:?}");
    assert_eq!(slow.seen.requests().len(), 3, "it was sent in its turn");
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
