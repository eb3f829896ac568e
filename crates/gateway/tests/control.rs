//! The control socket: who may speak, and what happens to those who do not know how.
// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proximity_gateway::client::{ClientError, GatewayClient};
use proximity_gateway::{Gateway, GatewayError, RefusalCode};
use support::{World, eventually, options_in, route_to, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

async fn connect(world: &World) -> BufReader<UnixStream> {
    BufReader::new(within(UnixStream::connect(world.socket())).await.unwrap())
}

async fn say(stream: &mut BufReader<UnixStream>, line: &[u8]) -> serde_json::Value {
    within(stream.write_all(line)).await.unwrap();
    read_answer(stream).await
}

async fn read_answer(stream: &mut BufReader<UnixStream>) -> serde_json::Value {
    let mut answer = String::new();
    within(stream.read_line(&mut answer)).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

async fn assert_closed(stream: &mut BufReader<UnixStream>) {
    assert_eq!(
        within(stream.read_to_end(&mut Vec::new())).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn the_gateway_says_who_it_is() {
    let world = World::start().await;
    let hello = world.client.hello().await.unwrap();
    assert_eq!(hello.pid, std::process::id());
    assert_eq!((hello.oldest_protocol, hello.newest_protocol), (1, 1));
    assert_eq!(hello.route_file, world.route_file());
    assert!(hello.started_at_unix_ms > 1_700_000_000_000);
    world.end().await;
}

#[tokio::test]
async fn garbage_is_answered_and_the_conversation_goes_on() {
    let world = World::start().await;
    let mut stream = connect(&world).await;
    let table: [(&[u8], &str); 5] = [
        (b"\xff\x00\xfe\n", "bad_request"),
        (b"\n", "bad_request"),
        (
            b"{\"v\":1,\"op\":\"set_route\",\"args\":{\"route\":{}}}\n",
            "bad_request",
        ),
        (b"{\"v\":7}\n", "unsupported_version"),
        (b"{\"v\":1,\"op\":\"format_disk\"}\n", "unknown_op"),
    ];
    for (line, code) in table {
        let answer = say(&mut stream, line).await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["v"], 1);
    }
    let answer = say(&mut stream, b"{\"v\":1,\"op\":\"list_routes\"}\n").await;
    assert_eq!(answer["ok"]["routes"], serde_json::json!([]));
    world.end().await;
}

#[tokio::test]
async fn requests_sent_together_are_answered_in_order() {
    let world = World::start().await;
    let mut stream = connect(&world).await;
    let both = b"{\"v\":1,\"op\":\"hello\"}\n{\"v\":1,\"op\":\"list_routes\"}\n";
    assert_eq!(say(&mut stream, both).await["ok"]["routes"], 0);
    assert_eq!(
        read_answer(&mut stream).await["ok"]["routes"],
        serde_json::json!([])
    );
    world.end().await;
}

#[tokio::test]
async fn a_line_of_a_megabyte_is_refused_and_only_its_sender_is_let_go() {
    let world = World::start().await;
    let mut other = connect(&world).await;
    let mut stream = connect(&world).await;
    let mut line = vec![b'x'; 1024 * 1024];
    line.push(b'\n');
    let answer = say(&mut stream, &line).await;
    assert_eq!(answer["error"]["code"], "line_too_long", "{answer}");
    assert_closed(&mut stream).await;
    assert_eq!(
        say(&mut other, b"{\"v\":1,\"op\":\"hello\"}\n").await["ok"]["routes"],
        0
    );
    world.end().await;
}

#[tokio::test]
async fn a_client_that_never_ends_its_line_is_let_go() {
    let idle = Duration::from_millis(100);
    let world = World::start_with(|options| options.limits.control_idle = idle).await;
    let mut stream = connect(&world).await;
    within(stream.write_all(b"{\"v\":1,")).await.unwrap();
    assert_closed(&mut stream).await;
    world.end().await;
}

#[tokio::test]
async fn control_clients_beyond_the_limit_are_told_so_and_places_come_back() {
    let world = World::start_with(|options| options.limits.control_clients = 1).await;
    let mut first = connect(&world).await;
    say(&mut first, b"{\"v\":1,\"op\":\"hello\"}\n").await;
    let refused = world.client.hello().await.unwrap_err();
    assert!(
        matches!(
            &refused,
            ClientError::Refused {
                code: RefusalCode::TooManyClients,
                ..
            }
        ),
        "{refused}"
    );
    assert!(!refused.may_have_applied());
    drop(first);
    eventually(|| async { world.client.hello().await.is_ok() }).await;
    world.end().await;
}

/// A crowd of operations asks through one client: it waits for its turns instead of taking all places.
#[tokio::test]
async fn one_client_leaves_places_to_others_however_many_ask_through_it() {
    let world = World::start_with(|options| options.limits.control_clients = 9).await;
    let mut other = connect(&world).await;
    say(&mut other, b"{\"v\":1,\"op\":\"hello\"}\n").await;
    let asked = (0..200).map(|_| world.client.hello());
    for answer in futures::future::join_all(asked).await {
        answer.unwrap();
    }
    world.end().await;
}

/// Who got no turn in time has sent nothing.
#[tokio::test]
async fn calls_that_hang_take_the_turns_of_others_who_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let silent = UnixListener::bind(&socket).unwrap();
    let client = GatewayClient::new(&socket).with_patience(Duration::from_secs(1));
    let hasty = client.clone().with_patience(Duration::from_millis(100));
    let first = futures::future::join_all((0..8).map(|_| client.hello()));
    let (first, ninth) = futures::future::join(first, hasty.hello()).await;
    assert!(!ninth.unwrap_err().may_have_applied());
    assert!(
        first
            .into_iter()
            .all(|answer| answer.unwrap_err().may_have_applied())
    );
    drop(silent);
}

#[tokio::test]
async fn the_end_closes_silent_clients_and_takes_the_socket_away() {
    let world = World::start().await;
    let mut stream = connect(&world).await;
    say(&mut stream, b"{\"v\":1,\"op\":\"hello\"}\n").await;
    let client = world.client.clone();
    let folder = world.end().await;
    assert_closed(&mut stream).await;
    assert!(!folder.path().join("control.sock").exists());
    let error = client.hello().await.unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    assert!(error.to_string().contains("control.sock"), "{error}");
}

#[tokio::test]
async fn the_socket_is_for_its_owner_alone() {
    let world = World::start().await;
    let mode = std::fs::metadata(world.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    world.end().await;
}

#[tokio::test]
async fn a_second_gateway_on_the_same_file_or_socket_is_refused() {
    let world = World::start().await;
    let same_file = options_in(&world.folder, CancellationToken::new());
    let refused = Gateway::start(same_file.clone()).await.unwrap_err();
    assert!(
        matches!(refused, GatewayError::AlreadyRunning { .. }),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string()),
        "{refused}"
    );
    let mut same_socket = same_file;
    same_socket.route_file = world.folder.path().join("others.json");
    let refused = Gateway::start(same_socket).await.unwrap_err();
    assert!(
        matches!(refused, GatewayError::SocketInUse { .. }),
        "{refused}"
    );
    world.client.hello().await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn what_is_not_ours_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let options = options_in(&folder, CancellationToken::new());
    std::fs::write(&options.control_socket, "precious").unwrap();
    let refused = Gateway::start(options.clone()).await.unwrap_err();
    assert!(
        matches!(refused, GatewayError::NotASocket { .. }),
        "{refused}"
    );
    assert_eq!(std::fs::read(&options.control_socket).unwrap(), b"precious");
    std::fs::remove_file(&options.control_socket).unwrap();
    let foreign = UnixListener::bind(&options.control_socket).unwrap();
    let refused = Gateway::start(options.clone()).await.unwrap_err();
    assert!(
        matches!(refused, GatewayError::SocketInUse { .. }),
        "{refused}"
    );
    drop(foreign);
    Gateway::start(options)
        .await
        .expect("a dead socket is no obstacle");
}

/// A peer that takes the request and does something else than answer.
async fn answered_with(answer: &'static [u8]) -> ClientError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let peer = tokio::spawn(async move {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        stream.read_line(&mut String::new()).await.unwrap();
        stream.write_all(answer).await.unwrap();
    });
    let client = GatewayClient::new(&path);
    let outcome = client.set_route(route_to("a", 1, None)).await;
    peer.await.unwrap();
    outcome.unwrap_err()
}

#[tokio::test]
async fn the_client_says_what_it_does_not_know() {
    for nothing in [&b""[..], b"{\"v\":1,\"ok\":"] {
        let error = answered_with(nothing).await;
        assert!(matches!(error, ClientError::NoAnswer { .. }), "{error}");
        assert!(error.may_have_applied());
    }
    for nonsense in [
        &b"hello\n"[..],
        b"{\"v\":9,\"ok\":{}}\n",
        b"{\"v\":1,\"ok\":{}}\n",
    ] {
        let error = answered_with(nonsense).await;
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
        assert!(error.may_have_applied());
    }
}

#[tokio::test]
async fn the_client_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let _silent = UnixListener::bind(&path).unwrap();
    let client = GatewayClient::new(&path).with_patience(Duration::from_millis(100));
    let error = within(client.hello()).await.unwrap_err();
    assert!(matches!(error, ClientError::NoAnswer { .. }), "{error}");
}
