//! Bytes go through unchanged, ends and aborts too, and a flip moves new connections only.
// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::{
    Guest, World, assert_echoes, assert_refused, assert_reset, expect, greeted_by, internal, next,
    public, route_to, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

#[tokio::test]
async fn both_ports_lead_to_the_guest() {
    let (world, guest) = (World::start().await, Guest::echo("blue").await);
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    for address in [public(&route), internal(&route)] {
        assert_echoes(&mut greeted_by(address, "blue").await).await;
    }
    support::eventually(|| async {
        let list = world.client.list_routes().await.unwrap();
        let report = &list.routes[0];
        let (totals, open) = (report.totals, report.open_connections);
        totals.connections == 2
            && totals.bytes_to_guest == 8
            && totals.bytes_to_clients == 16
            && open == 0
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn a_flip_moves_new_connections_and_keeps_open_ones() {
    let world = World::start().await;
    let (blue, green) = (Guest::echo("blue").await, Guest::echo("green").await);
    let route = route_to("a", 1, Some(blue.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut old = greeted_by(public(&route), "blue").await;
    let flipped = next(&route, Some(green.address));
    world.client.set_route(flipped.clone()).await.unwrap();
    let mut new = greeted_by(public(&route), "green").await;
    assert_echoes(&mut old).await;
    assert_echoes(&mut new).await;
    let back = next(&flipped, Some(blue.address));
    world.client.set_route(back).await.unwrap();
    greeted_by(internal(&route), "blue").await;
    assert_echoes(&mut old).await;
    assert_echoes(&mut new).await;
    drop((old, new));
    world.end().await;
}

/// A client that connects all the time while targets are flipped is never refused.
#[tokio::test]
async fn no_connection_is_lost_while_flipping() {
    let world = World::start().await;
    let guests = [Guest::echo("same").await, Guest::echo("same").await];
    let mut route = route_to("a", 1, Some(guests[0].address));
    world.client.set_route(route.clone()).await.unwrap();
    let address = public(&route);
    let knocking = tokio::spawn(async move {
        for _ in 0..300 {
            assert_echoes(&mut greeted_by(address, "same").await).await;
        }
    });
    let mut flips = 0;
    while !knocking.is_finished() {
        route = next(&route, Some(guests[flips % 2].address));
        world.client.set_route(route.clone()).await.unwrap();
        flips += 1;
    }
    knocking.await.unwrap();
    assert!(flips > 2, "only {flips} flips: the test showed nothing");
    world.end().await;
}

#[tokio::test]
async fn a_half_close_is_passed_on_in_both_directions() {
    let world = World::start().await;
    let counting = Guest::start(|mut stream| async move {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream
            .write_all(format!("{} bytes", all.len()).as_bytes())
            .await
            .unwrap();
    })
    .await;
    let (heard, mut hearing) = mpsc::channel(1);
    let hanging_up = Guest::start(move |mut stream| {
        let heard = heard.clone();
        async move {
            stream.write_all(b"bye").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            heard.send(all).await.unwrap();
        }
    })
    .await;
    let one = route_to("a", 1, Some(counting.address));
    let two = route_to("b", 1, Some(hanging_up.address));
    for route in [&one, &two] {
        world.client.set_route(route.clone()).await.unwrap();
    }

    let mut stream = within(TcpStream::connect(public(&one))).await.unwrap();
    stream.write_all(&[7; 100_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "100000 bytes");

    let mut stream = within(TcpStream::connect(public(&two))).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "bye");
    stream.write_all(b"still here").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(within(hearing.recv()).await.unwrap(), b"still here");
    world.end().await;
}

/// Bytes that repeat with no power-of-two period, so that a lost or doubled buffer shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| u8::try_from((n / 251 + n) % 251).unwrap())
        .collect()
}

#[tokio::test]
async fn large_transfers_arrive_whole_in_both_directions_at_once() {
    const LENGTH: usize = 24 * 1024 * 1024;
    let (world, guest) = (World::start().await, Guest::echo("").await);
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let stream = within(TcpStream::connect(public(&route))).await.unwrap();
    let (mut input, mut output) = stream.into_split();
    let sending = tokio::spawn(async move {
        output.write_all(&pattern(LENGTH)).await.unwrap();
        output.shutdown().await.unwrap();
    });
    let mut got = Vec::with_capacity(LENGTH);
    within(input.read_to_end(&mut got)).await.unwrap();
    sending.await.unwrap();
    assert!(
        got == pattern(LENGTH),
        "{} of {LENGTH} bytes, or not the same",
        got.len()
    );
    world.end().await;
}

#[tokio::test]
async fn an_abort_of_the_guest_does_not_look_like_an_end() {
    let world = World::start().await;
    let guest = Guest::start(|mut stream| async move {
        stream.write_all(b"half an ans").await.unwrap();
        let mut word = [0; 2];
        stream.read_exact(&mut word).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut stream = greeted_by(public(&route), "half an ans").await;
    stream.write_all(b"go").await.unwrap();
    assert_reset(&mut stream).await;
    world.end().await;
}

#[tokio::test]
async fn an_abort_of_the_client_reaches_the_guest() {
    let world = World::start().await;
    let (seen, mut seeing) = mpsc::channel(1);
    let guest = Guest::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            stream.write_all(b"hi").await.unwrap();
            let end = stream.read_to_end(&mut Vec::new()).await;
            seen.send(end.map_err(|error| error.kind())).await.unwrap();
        }
    })
    .await;
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let stream = greeted_by(public(&route), "hi").await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    let end = within(seeing.recv()).await.unwrap();
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    world.end().await;
}

#[tokio::test]
async fn an_answer_given_before_the_whole_request_was_read_is_heard() {
    let world = World::start().await;
    let guest = Guest::start(|mut stream| async move {
        stream.write_all(b"too large").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut some = [0; 10];
        stream.read_exact(&mut some).await.unwrap();
    })
    .await;
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut stream = within(TcpStream::connect(public(&route))).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "too large");
    let endless = async { while stream.write_all(&[1; 65_536]).await.is_ok() {} };
    within(endless).await;
    world.end().await;
}

#[tokio::test]
async fn a_guest_that_refuses_is_counted_and_the_client_let_go() {
    let world = World::start().await;
    let guest = Guest::echo("x").await;
    let gone = guest.address;
    drop(guest);
    let route = route_to("a", 1, Some(gone));
    world.client.set_route(route.clone()).await.unwrap();
    support::eventually(|| async { TcpStream::connect(gone).await.is_err() }).await;
    let mut stream = within(TcpStream::connect(public(&route))).await.unwrap();
    assert_reset(&mut stream).await;
    let list = world.client.list_routes().await.unwrap();
    let failure = list.routes[0].last_dial_failure.clone().unwrap();
    assert_eq!(list.routes[0].totals.dial_failures, 1);
    assert_eq!(failure.target, gone);
    assert!(failure.error.contains("refused"), "{}", failure.error);
    assert!(failure.at_unix_ms > 1_700_000_000_000);
    assert_eq!(list.routes[0].target_dial_failures, 1);
    let guest = Guest::echo("blue").await;
    let found = next(&route, Some(guest.address));
    let report = world.client.set_route(found).await.unwrap();
    assert_eq!(
        (report.target_dial_failures, report.totals.dial_failures),
        (0, 1)
    );
    greeted_by(public(&route), "blue").await;
    world.end().await;
}

/// A listener that accepts nobody and whose queue is full: the system leaves new callers waiting.
async fn deaf_guest() -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((support::own_ip(), 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    (listener, waiting)
}

#[tokio::test]
async fn a_guest_that_does_not_answer_is_given_up() {
    let patience = Duration::from_millis(200);
    let world = World::start_with(|options| options.limits.dial_timeout = patience).await;
    let (listener, _waiting) = deaf_guest().await;
    let route = route_to("a", 1, Some(listener.local_addr().unwrap()));
    world.client.set_route(route.clone()).await.unwrap();
    let mut stream = within(TcpStream::connect(public(&route))).await.unwrap();
    assert_reset(&mut stream).await;
    let list = world.client.list_routes().await.unwrap();
    let failure = list.routes[0].last_dial_failure.clone().unwrap();
    assert_eq!(failure.error, "no answer within 200 ms");
    world.end().await;
}

#[tokio::test]
async fn the_end_of_the_gateway_waits_for_open_connections_and_then_cuts_them() {
    let drain = Duration::from_millis(1500);
    let world = World::start_with(|options| options.limits.drain = drain).await;
    let guest = Guest::echo("blue").await;
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut stream = greeted_by(public(&route), "blue").await;
    world.ask_to_end();
    support::eventually(|| async { TcpStream::connect(public(&route)).await.is_err() }).await;
    assert_echoes(&mut stream).await;
    assert_reset(&mut stream).await;
    world.ended().await;
    assert_refused(public(&route)).await;
}

#[tokio::test]
async fn with_nothing_open_the_end_does_not_wait() {
    let world = World::start_with(|options| options.limits.drain = Duration::from_secs(3600)).await;
    let guest = Guest::echo("blue").await;
    let route = route_to("a", 1, Some(guest.address));
    world.client.set_route(route.clone()).await.unwrap();
    let mut stream = greeted_by(public(&route), "blue").await;
    stream.shutdown().await.unwrap();
    expect(&mut stream, b"").await;
    assert_eq!(
        within(stream.read_to_end(&mut Vec::new())).await.unwrap(),
        0
    );
    world.end().await;
}
