//! Consoles over real sockets, with a websocket client that others wrote.

use std::sync::{Arc, Mutex};

use crate::support::https::{Connection, MemoryDriver, ROOT, call, start, task};
use crate::support::seed::{ALPINE, solo};
use crate::support::sim::escape;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use proximity_pve_emulator::core::ConsoleMode;
use proximity_pve_emulator::core::guest::{GuestCommand, GuestDone, GuestKey};
use proximity_pve_emulator::shell::{GuestDriver, RunningShell, Terminal, TerminalInput, terminal};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Guests whose terminals give back what is typed, with its size; `exit` ends one.
#[derive(Debug, Default)]
struct Echoing {
    guests: MemoryDriver,
    /// Is told when what ran behind the next terminal has ended.
    ended: Mutex<Option<oneshot::Sender<()>>>,
}

#[async_trait]
impl GuestDriver for Echoing {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        self.guests.run(command).await
    }

    async fn open_console(&self, guest: &GuestKey, mode: ConsoleMode) -> Result<Terminal, String> {
        let (user, mut end) = terminal();
        let greeting = format!("{} {mode:?}", guest.vmid);
        let told = self.ended.lock().unwrap().take();
        tokio::spawn(async move {
            end.output.send(Bytes::from(greeting)).await.unwrap();
            while let Some(input) = end.input.recv().await {
                let shown = match input {
                    TerminalInput::Bytes(bytes) if bytes.as_ref() == b"exit" => break,
                    TerminalInput::Bytes(bytes) => bytes,
                    TerminalInput::Size { columns, rows } => format!("{columns}x{rows}").into(),
                };
                if end.output.send(shown).await.is_err() {
                    break;
                }
            }
            drop(end);
            told.map(|told| told.send(()));
        });
        Ok(user)
    }
}

type Client = WebSocketStream<crate::support::https::Stream>;

/// A lab with a container, and what its console answered when it was asked for.
async fn lab(directory: &tempfile::TempDir, driver: Arc<Echoing>) -> RunningShell {
    let shell = start(directory.path(), solo(), driver).await;
    let form = format!("vmid=100&ostemplate={ALPINE}&rootfs=local%3A1");
    assert_eq!(task(&shell, "POST", "/nodes/solo/lxc", &form).await, "OK");
    shell
}

async fn asked(shell: &RunningShell) -> Value {
    let answer = call(shell, "POST", "/nodes/solo/lxc/100/termproxy", "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.payload()
}

fn path(row: &Value) -> String {
    let ticket = escape(row["ticket"].as_str().unwrap());
    let port = row["port"].as_str().unwrap();
    format!("/nodes/solo/lxc/100/vncwebsocket?port={port}&vncticket={ticket}")
}

/// Upgrades a verified connection.
async fn upgraded(shell: &RunningShell, row: &Value) -> Client {
    let connection = Connection::open(shell, 0).await;
    let mut request = format!("wss://127.0.0.1/api2/json{}", path(row))
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("authorization", connection.token.parse().unwrap());
    headers.insert("sec-websocket-protocol", "binary".parse().unwrap());
    let stream = connection.into_stream();
    let (client, response) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "binary");
    client
}

async fn say(client: &mut Client, words: &str) {
    client
        .send(Message::Binary(Bytes::copy_from_slice(words.as_bytes())))
        .await
        .unwrap();
}

/// The next bytes; nothing when the server has ended the connection.
async fn hear(client: &mut Client) -> Option<String> {
    loop {
        match client.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                return Some(String::from_utf8(bytes.to_vec()).unwrap());
            }
            Some(Ok(Message::Pong(_))) => {}
            Some(Err(Error::Protocol(_) | Error::Io(_))) | None => return None,
            other => panic!("{other:?}"),
        }
    }
}

/// Is let in.
async fn entered(client: &mut Client, row: &Value) {
    say(
        client,
        &format!("{ROOT}:{}\n", row["ticket"].as_str().unwrap()),
    )
    .await;
    assert_eq!(hear(client).await.as_deref(), Some("OK"));
    assert_eq!(hear(client).await.as_deref(), Some("100 Tty"));
}

async fn status(shell: &RunningShell, row: &Value) -> Value {
    let upid = row["upid"].as_str().unwrap();
    let path = format!("/nodes/solo/tasks/{upid}/status");
    call(shell, "GET", &path, "").await.payload()
}

async fn exit(shell: &RunningShell, row: &Value) -> String {
    for _ in 0..2_000 {
        let status = status(shell, row).await;
        if let Some(exit) = status["exitstatus"].as_str() {
            return exit.to_owned();
        }
    }
    panic!("{row} does not end");
}

/// A lab and a console that somebody has entered; what comes last says that its program has ended.
async fn at_work(
    directory: &tempfile::TempDir,
) -> (RunningShell, Value, Client, oneshot::Receiver<()>) {
    let driver = Arc::new(Echoing::default());
    let shell = lab(directory, Arc::clone(&driver)).await;
    let (told, ended) = oneshot::channel();
    *driver.ended.lock().unwrap() = Some(told);
    let row = asked(&shell).await;
    let mut client = upgraded(&shell, &row).await;
    entered(&mut client, &row).await;
    (shell, row, client, ended)
}

#[tokio::test]
async fn a_client_types_and_reads_and_takes_everything_along_when_it_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let (shell, row, mut client, ended) = at_work(&directory).await;
    assert_eq!(status(&shell, &row).await["status"], "running");
    say(&mut client, "1:80:24:2").await;
    assert_eq!(hear(&mut client).await.as_deref(), Some("80x24"));
    say(&mut client, "0:2:ls").await;
    assert_eq!(hear(&mut client).await.as_deref(), Some("ls"));
    let long = "x".repeat(70_000);
    say(&mut client, &format!("0:{}:{long}", long.len())).await;
    let mut heard = String::new();
    while heard.len() < long.len() {
        heard.push_str(&hear(&mut client).await.unwrap());
    }
    assert_eq!(heard, long);
    client
        .send(Message::Ping(Bytes::from_static(b"here")))
        .await
        .unwrap();
    let pong = client.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"here")));
    drop(client);
    ended.await.unwrap();
    assert_eq!(exit(&shell, &row).await, "OK");
    shell.stop().await.unwrap();
}

#[tokio::test]
async fn a_shell_that_ends_ends_the_connection_and_so_does_a_killed_task() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory, Arc::default()).await;
    let row = asked(&shell).await;
    let mut client = upgraded(&shell, &row).await;
    entered(&mut client, &row).await;
    say(&mut client, "0:4:exit").await;
    assert_eq!(hear(&mut client).await, None);
    assert!(exit(&shell, &row).await.ends_with("failed: exit code 1"));
    let row = asked(&shell).await;
    let mut client = upgraded(&shell, &row).await;
    entered(&mut client, &row).await;
    let kill = format!("/nodes/solo/tasks/{}", row["upid"].as_str().unwrap());
    let (killed, heard) = tokio::join!(call(&shell, "DELETE", &kill, ""), hear(&mut client));
    assert_eq!((killed.status, heard), (200, None));
}

#[tokio::test]
async fn the_lab_s_end_ends_what_runs_behind_a_console() {
    let directory = tempfile::tempdir().unwrap();
    let (shell, _, mut client, ended) = at_work(&directory).await;
    shell.stop().await.unwrap();
    ended.await.unwrap();
    assert_eq!(hear(&mut client).await, None);
}

#[tokio::test]
async fn a_wrong_ticket_is_turned_away_after_the_upgrade() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory, Arc::default()).await;
    let row = asked(&shell).await;
    let mut client = upgraded(&shell, &row).await;
    say(&mut client, "root@pam:PVEVNC:0::x\n").await;
    assert_eq!(hear(&mut client).await, None);
    assert!(exit(&shell, &row).await.ends_with("failed: exit code 1"));
}

/// Headers of an upgrade, and how it is answered.
const UPGRADES: [(&str, u16, &str); 5] = [
    (
        "Upgrade: h2c\r\n",
        500,
        "unable to upgrade to protocol 'h2c'",
    ),
    (
        "Upgrade: WebSocket\r\n",
        500,
        "unsupported websocket-version ''",
    ),
    (
        "Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n",
        500,
        "unsupported websocket-version '8'",
    ),
    (
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        500,
        "missing websocket-key",
    ),
    ("", 200, "OK"),
];

#[tokio::test]
async fn what_is_no_websocket_is_refused_in_proxmoxs_words() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory, Arc::default()).await;
    let row = asked(&shell).await;
    for (headers, status, reason) in UPGRADES {
        let mut connection = Connection::open(&shell, 0).await;
        let request = format!(
            "GET /api2/json{} HTTP/1.1\r\nAuthorization: {}\r\n{headers}\r\n",
            path(&row),
            connection.token
        );
        assert!(connection.write(request.as_bytes()).await);
        let answer = connection.read().await.unwrap();
        assert_eq!(
            (answer.status, answer.reason.as_str()),
            (status, reason),
            "{headers}"
        );
    }
    // The example of RFC 6455.
    let mut connection = Connection::open(&shell, 0).await;
    let request = format!(
        "GET /api2/json{} HTTP/1.1\r\nAuthorization: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        path(&row),
        connection.token
    );
    assert!(connection.write(request.as_bytes()).await);
    let answer = connection.read().await.unwrap();
    assert_eq!(
        (answer.status, answer.all("sec-websocket-accept")),
        (101, vec!["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="])
    );
    assert!(answer.all("sec-websocket-protocol").is_empty());
}
