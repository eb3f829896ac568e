//! Commands that follow end with whoever reads them, and say when there is nothing to follow.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1\nid: 0\n\n";

/// A command that runs; it is ended when dropped.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Follower {
    /// Runs the command against the server there.
    fn start(server: SocketAddr, line: &str) -> (Self, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        let mut file = std::fs::OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&token);
        file.unwrap().write_all(b"t\n").unwrap();
        let config = dir.path().join("config.yaml");
        std::fs::write(&config, "").unwrap();
        let mut command = crate::program::proximity();
        command
            .arg("--config")
            .arg(&config)
            .arg("--token-file")
            .arg(&token)
            .args(["--url", &format!("http://{server}")])
            .args(line.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        (Self(command.spawn().unwrap()), dir)
    }

    fn stdout(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().unwrap())
    }

    /// The exit code, and what it said on stderr.
    fn end(mut self) -> (i32, String) {
        let mut text = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        (self.0.wait().unwrap().code().unwrap(), text)
    }
}

/// A server that gives each request to `answer`, until that says it was the last one.
fn server(answer: impl Fn(&str, &mut TcpStream) -> bool + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let request = read(&client);
            if !answer(&request, &mut client) {
                return;
            }
        }
    });
    address
}

/// The first line of a request; the rest is read and left.
fn read(client: &TcpStream) -> String {
    let lines = BufReader::new(client).lines().map(Result::unwrap);
    let mut head = lines.take_while(|line| !line.is_empty());
    let first = head.next().unwrap_or_default();
    head.for_each(drop);
    first
}

fn event(seq: i64) -> String {
    format!(
        "id: {seq}\nevent: HostAdded\ndata: {{\"seq\":{seq},\"at\":\"2026-01-01T00:00:00Z\",\"kind\":\"HostAdded\",\
         \"app_id\":null,\"operation_id\":null,\"body\":{{}}}}\n\n"
    )
}

/// A server that streams one event, and then is silent until the test is over.
fn quiet_server() -> (SocketAddr, SyncSender<()>) {
    let (over, ended): (_, Receiver<()>) = sync_channel(0);
    let address = server(move |_, client| {
        client
            .write_all((STREAM.to_owned() + &event(1)).as_bytes())
            .unwrap();
        // Until the sender is dropped.
        ended.recv().is_ok()
    });
    (address, over)
}

fn first_line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    line
}

#[test]
fn events_end_when_nobody_reads_them_any_more_though_nothing_happens() {
    let (server, _over) = quiet_server();
    let (mut follower, _dir) = Follower::start(server, "events --follow");
    let mut stdout = follower.stdout();
    assert!(first_line(&mut stdout).contains("HostAdded"));
    drop(stdout);
    assert_eq!(follower.end(), (0, String::new()));
}

#[test]
fn events_that_go_on_end_when_nobody_reads_them_any_more() {
    let server = server(|_, client| {
        client.write_all(STREAM.as_bytes()).unwrap();
        (1..).all(|seq| client.write_all(event(seq).as_bytes()).is_ok())
    });
    let (mut follower, _dir) = Follower::start(server, "events --follow --json");
    let mut stdout = follower.stdout();
    assert!(first_line(&mut stdout).starts_with("{\"seq\":1,"));
    drop(stdout);
    assert_eq!(follower.end(), (0, String::new()));
}

#[test]
fn a_log_ends_when_nobody_reads_it_any_more() {
    let server = server(|request, client| {
        let body = if request.contains("/logs") {
            "{\"lines\":[{\"seq\":1,\"at\":\"2026-01-01T00:00:00Z\",\"level\":\"info\",\"message\":\"m\"}],\"next_after\":1}"
        } else {
            "{}"
        };
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        client.write_all(answer.as_bytes()).is_ok()
    });
    let (mut follower, _dir) = Follower::start(server, "logs web --follow");
    let mut stdout = follower.stdout();
    assert!(first_line(&mut stdout).ends_with("m\n"));
    drop(stdout);
    assert_eq!(follower.end(), (0, String::new()));
}

#[test]
fn without_a_server_there_is_nothing_to_follow() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let (follower, _dir) = Follower::start(nobody, "events --follow");
    let (code, said) = follower.end();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("start it with `proximity serve`"), "{said}");
}

#[test]
fn a_server_that_went_away_while_it_is_followed_is_told_of() {
    let server = server(|_, client| {
        client
            .write_all((STREAM.to_owned() + &event(1)).as_bytes())
            .unwrap();
        false
    });
    let (mut follower, _dir) = Follower::start(server, "events --follow");
    let mut stdout = follower.stdout();
    assert!(first_line(&mut stdout).contains("HostAdded"));
    let mut stderr = BufReader::new(follower.0.stderr.take().unwrap());
    let mut told = String::new();
    stderr.read_line(&mut told).unwrap();
    assert!(
        told.starts_with("events are not followed for now: "),
        "{told}"
    );
}
