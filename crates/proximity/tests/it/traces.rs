//! Traces of a real server. The collector reads them with the messages that OpenTelemetry's own definitions were made into, and
//! knows nothing of what sent them.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::Child;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use crate::shutdown::{TOKEN, World, tell, world};

/// The value of a header that nobody but the collector may see.
const CANARY: &str = "canary-4d1f0c";
/// What is said of a collector that fails.
const LOST: &str = "the collector of traces does not take spans";

/// What a collector does with what it is sent.
#[derive(Debug, Clone, Copy)]
enum Answers {
    Takes,
    Fails,
    Hangs,
}

#[derive(Debug, Clone)]
struct Came {
    head: String,
    body: Vec<u8>,
}

/// It listens as long as its runtime runs.
#[derive(Debug, Clone)]
struct Collector {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Collector {
    async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            address: listener.local_addr().unwrap(),
            came: Arc::default(),
        };
        let taking = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(taking.clone().take(stream, answers));
            }
        });
        collector
    }

    async fn take(self, mut stream: TcpStream, answers: Answers) {
        let mut read = Vec::new();
        let came = loop {
            if let Some(came) = whole(&read) {
                break came;
            }
            match stream.read_buf(&mut read).await {
                Ok(count) if count > 0 => {}
                // Who sent it has ended.
                Ok(_) | Err(_) => return,
            }
        };
        self.came.lock().unwrap().push(came);
        let status = match answers {
            Answers::Takes => "200 OK",
            Answers::Fails => "500 Internal Server Error",
            Answers::Hangs => return std::future::pending().await,
        };
        let said = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        // Who asked may have heard enough.
        let _gone = stream.write_all(said.as_bytes()).await;
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let all = self.came().into_iter();
        all.map(|came| ExportTraceServiceRequest::decode(came.body.as_slice()).unwrap())
            .collect()
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|r| r.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

/// A request, once all of it is there.
fn whole(read: &[u8]) -> Option<Came> {
    let at = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = read.split_at(at + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.trim().parse::<usize>().unwrap())
    });
    let body = body.to_vec();
    (body.len() >= length.unwrap_or(0)).then_some(Came { head, body })
}

fn value<'v>(attributes: &'v [KeyValue], key: &str) -> Option<&'v Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text<'v>(attributes: &'v [KeyValue], key: &str) -> &'v str {
    match value(attributes, key) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

fn number(span: &Span, key: &str) -> i64 {
    match value(&span.attributes, key) {
        Some(Value::IntValue(number)) => *number,
        other => panic!("{key} is {other:?}"),
    }
}

/// The spans of this name.
fn named<'s>(spans: &'s [Span], name: &'s str) -> impl Iterator<Item = &'s Span> {
    spans.iter().filter(move |span| span.name == name)
}

/// From now on a server sends its traces there.
fn send_to(w: &World, address: SocketAddr) {
    let header = w.config.with_file_name("header");
    std::fs::write(&header, format!("{CANARY}\n")).unwrap();
    let config = std::fs::read_to_string(&w.config).unwrap();
    let otlp = format!(
        "otlp:\n  endpoint: http://{address}\n  headers: {{x-canary: 'file:{}'}}\n",
        header.display()
    );
    std::fs::write(&w.config, config + &otlp).unwrap();
}

/// Starts a server that sends spans soon, and gives what it logs. Returns when it serves.
async fn serve(w: &World) -> (Child, Receiver<String>) {
    let mut server = w
        .command("serve")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let (told, mut log) = channel(10_000);
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            // The test may have heard enough.
            let _heard = told.send(line).await;
        }
    });
    until(&mut log, "serving").await;
    (server, log)
}

/// Returns when this is logged.
async fn until(log: &mut Receiver<String>, words: &str) {
    let told = async { while !log.recv().await.unwrap().contains(words) {} };
    timeout(Duration::from_secs(30), told).await.unwrap();
}

/// Ends the server; within the time that its end has.
async fn end(mut server: Child) {
    tell(&server, Signal::TERM);
    let ended = timeout(Duration::from_secs(9), server.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
}

/// What the server answers: a whole response.
async fn ask(w: &World, path: &str, headers: &str) -> String {
    let config = std::fs::read_to_string(&w.config).unwrap();
    let mut lines = config.lines();
    let address = lines.find_map(|line| line.trim().strip_prefix("listen: "));
    let mut stream = TcpStream::connect(address.unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    // There is no gateway, and the health page says so.
    let status = if path == "/api/health" { 503 } else { 200 };
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{path}: {answer}"
    );
    answer
}

fn admin_token(w: &World) -> String {
    let token = std::fs::read_to_string(w.data_dir().join("admin.token")).unwrap();
    token.trim().to_owned()
}

#[tokio::test]
async fn an_operation_and_its_calls_are_one_trace_without_a_secret() {
    let collector = Collector::start(Answers::Takes).await;
    let w = world(600_000).await;
    drop(w.serve().await.kill().await);
    w.add_host().await;
    send_to(&w, collector.address);
    let (server, _log) = serve(&w).await;
    w.deploy_is_under_way().await;
    // The wait for the create is a safe point: the operation is let go, and what was done until then is told.
    end(server).await;

    let spans = collector.spans();
    let operation = named(&spans, "operation").next().unwrap();
    assert_eq!(text(&operation.attributes, "kind"), "deploy");
    let is_below = |span: &&Span| span.parent_span_id == operation.span_id;
    let mut calls = named(&spans, "pve_call").filter(is_below);
    let create = calls.find(|call| text(&call.attributes, "call") == "POST /nodes/pve1/lxc");
    let create = create.unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!(create.trace_id, operation.trace_id);
    assert_eq!(number(create, "status"), 200);
    assert!(named(&spans, "store_call").any(|call| is_below(&call)));
    assert!(named(&spans, "store_call").all(|call| !call.parent_span_id.is_empty()));

    let id = text(&operation.attributes, "operation");
    let is_it = |request: &&Span| {
        value(&request.attributes, "operation").is_some()
            && text(&request.attributes, "http.request.method") == "POST"
    };
    let request = named(&spans, "request").find(is_it).unwrap();
    assert_eq!(text(&request.attributes, "operation"), id);
    assert_eq!(text(&request.attributes, "http.route"), "/api/apps/");
    assert_eq!(number(request, "http.response.status_code"), 202);
    assert_eq!(
        text(&request.attributes, "request_id"),
        text(&operation.attributes, "request_id")
    );

    for request in collector.requests() {
        let resource = request.resource_spans[0].resource.clone().unwrap();
        assert_eq!(text(&resource.attributes, "service.name"), "proximity");
        assert!(!text(&resource.attributes, "service.instance.id").is_empty());
    }
    let secrets = [
        CANARY.to_owned(),
        admin_token(&w),
        w.pve.token_secret(TOKEN).unwrap().to_owned(),
    ];
    for came in collector.came() {
        assert!(came.head.starts_with("POST /v1/traces HTTP/1.1\r\n"));
        assert!(came.head.contains(&format!("x-canary: {CANARY}\r\n")));
        let body = String::from_utf8_lossy(&came.body);
        assert!(
            secrets.iter().all(|secret| !body.contains(secret)),
            "{body}"
        );
    }
    w.pve.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_is_a_part_of_the_trace_that_it_names() {
    let collector = Collector::start(Answers::Takes).await;
    let w = world(0).await;
    send_to(&w, collector.address);
    let (server, _log) = serve(&w).await;
    let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    ask(&w, "/api/health", parent).await;
    ask(&w, "/api/health", "traceparent: 00-zz-1\r\n").await;
    end(server).await;
    let spans = collector.spans();
    let mut requests = named(&spans, "request");
    let (first, other) = (requests.next().unwrap(), requests.next().unwrap());
    assert_eq!(
        first.parent_span_id,
        0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()
    );
    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128;
    assert_eq!(first.trace_id, trace.to_be_bytes());
    assert!(other.parent_span_id.is_empty(), "{other:?}");
    assert_eq!(text(&other.attributes, "http.route"), "/api/health");
    w.pve.stop().await.unwrap();
}

/// A server whose collector is at `address` and takes nothing: it answers all the same, tells of it once, and ends in time.
async fn nothing_is_held_up(address: SocketAddr) {
    let w = world(0).await;
    send_to(&w, address);
    let (server, mut log) = serve(&w).await;
    ask(&w, "/api/health", "").await;
    until(&mut log, LOST).await;
    let bearer = format!("Authorization: Bearer {}\r\n", admin_token(&w));
    let figures = ask(&w, "/metrics", &bearer).await;
    let failed = "proximity_trace_spans_total{result=\"failed\"} ";
    let mut counts = figures.lines().filter_map(|line| line.strip_prefix(failed));
    let count: u64 = counts.next().unwrap().parse().unwrap();
    assert!(count > 0, "{figures}");
    assert!(
        figures.contains("proximity_trace_spans_total{result=\"sent\"} 0\n"),
        "{figures}"
    );
    end(server).await;
    while let Some(line) = log.recv().await {
        assert!(!line.contains(LOST), "it is told again: {line}");
        assert!(!line.contains(CANARY), "{line}");
    }
    w.pve.stop().await.unwrap();
}

#[tokio::test]
async fn a_collector_that_fails_holds_nothing_up() {
    let collector = Collector::start(Answers::Fails).await;
    nothing_is_held_up(collector.address).await;
    assert!(!collector.spans().is_empty());
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_nothing_up() {
    let collector = Collector::start(Answers::Hangs).await;
    nothing_is_held_up(collector.address).await;
    assert!(!collector.spans().is_empty());
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_nothing_up() {
    // It is kept from others, and nobody listens there.
    let kept = TcpSocket::new_v4().unwrap();
    kept.bind(([127, 0, 0, 1], 0).into()).unwrap();
    nothing_is_held_up(kept.local_addr().unwrap()).await;
}
