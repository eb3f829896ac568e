//! What a hostile caller sends: the helper refuses, stays small, and enters nothing.
// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use proximity_node_helper::answer::End;
use proximity_node_helper::ground::Ground;
use proximity_node_helper::serve::serve;
use serde_json::{Value, json};
use support::{INSTALLATION, Node, answers, exchange, exec, guest, request};

/// Requests that are sent.
const REQUESTS: usize = 10_000;
/// The helper's whole address space may be so large, in KiB.
const MOST_KIB: u64 = 64 * 1024;

/// A session of a helper that may not have more memory than that.
fn small(node: &Node) -> Command {
    let helper = node.command(&["serve", INSTALLATION]);
    let mut command = Command::new("/bin/sh");
    let limited = format!("ulimit -v {MOST_KIB}; exec \"$@\"");
    command.args(["-c", &limited, "small"]);
    command.arg(helper.get_program()).args(helper.get_args());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// One session of such a helper.
fn session(node: &Node, pieces: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Vec<u8> {
    exchange(small(node).spawn().unwrap(), pieces)
}

/// JSON that is near to a request: some of its places have something else.
fn twisted() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop_oneof![
        Just(json!(null)),
        Just(json!(-1)),
        Just(json!(u64::MAX)),
        Just(json!(1e308)),
        Just(json!("")),
        Just(json!("\u{0}")),
        Just(json!("../../etc/shadow")),
        Just(json!([])),
        Just(json!({})),
        Just(json!(["sh", "-c", "touch canary"])),
        any::<String>().prop_map(Value::String),
        any::<u32>().prop_map(|n| json!(n)),
    ];
    let verbs = prop_oneof![
        Just(exec(&guest(), &["true"], 0)),
        Just(json!({ "version": {} })),
        Just(json!({ "probe": { "guest": guest() } })),
        Just(
            json!({ "push": { "guest": guest(), "path": "/x", "content_bytes": 3, "timeout_ms": 1,
            "what": { "file": { "mode": 0o644, "owner": "root:root" } } } })
        ),
        Just(
            json!({ "pull": { "guest": guest(), "path": "/x", "max_bytes": 1, "timeout_ms": 1 } })
        ),
    ];
    (
        verbs,
        proptest::collection::vec((any::<prop::sample::Index>(), odd), 1..4),
    )
        .prop_map(|(verb, changes)| {
            let mut whole = json!({ "protocol": 1, "do": verb });
            for (place, value) in changes {
                let mut pointers = Vec::new();
                collect(&whole, "", &mut pointers);
                let pointer = place.get(&pointers);
                if let Some(found) = whole.pointer_mut(pointer) {
                    *found = value;
                }
            }
            format!("{whole}\n").into_bytes()
        })
}

fn collect(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                collect(inner, &format!("{at}/{key}"), into);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                collect(inner, &format!("{at}/{index}"), into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Bytes that are no request at all, and requests that are cut off or overwritten somewhere.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let whole = request(&exec(&guest(), &["true"], 0));
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        (0..whole.len(), any::<u8>()).prop_map(move |(at, byte)| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            bytes
        }),
    ]
}

/// One session in this very process, so that ten thousand of them take no minutes.
fn within(ground: &Ground, sent: &[u8]) -> Vec<u8> {
    let (read, mut write) = std::io::pipe().unwrap();
    let (mut answers, output) = std::io::pipe().unwrap();
    // A pipe takes so much without a reader.
    assert!(sent.len() < 60_000);
    write.write_all(sent).unwrap();
    drop(write);
    serve(
        ground,
        INSTALLATION.parse().unwrap(),
        String::new(),
        read,
        output,
    );
    let mut bytes = Vec::new();
    answers.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn ten_thousand_hostile_requests_are_each_answered() {
    let node = Node::new();
    // Whatever is run by chance does nothing.
    node.write_attach("exit 0\n");
    let algorithm = proptest::test_runner::RngAlgorithm::ChaCha;
    let chance = proptest::test_runner::TestRng::deterministic_rng(algorithm);
    let mut runner = TestRunner::new_with_rng(Config::default(), chance);
    let (twisted, broken) = (twisted().boxed(), broken().boxed());
    let mut refused = 0;
    for number in 0..REQUESTS {
        let strategy = if number % 4 == 3 { &broken } else { &twisted };
        let mut sent = strategy.new_tree(&mut runner).unwrap().current();
        sent.push(b'\n');
        let answers = answers(&within(&node.ground(), &sent));
        assert!(
            !answers.is_empty(),
            "no answer to {:?}",
            String::from_utf8_lossy(&sent)
        );
        refused += usize::from(matches!(answers[0].end, End::Refused(_)));
    }
    // The others were twisted where it does no harm.
    assert!(refused > REQUESTS / 2, "only {refused} were refused");
    assert!(!node.at("canary").exists());
}

#[test]
fn a_request_of_fifty_megabytes_is_refused_without_being_kept() {
    let node = Node::new();
    let pieces = (0..50).map(|_| vec![b'a'; 1 << 20]);
    let bytes = session(
        &node,
        std::iter::once(b"{\"protocol\":".to_vec()).chain(pieces),
    );
    let answers = answers(&bytes);
    assert_eq!(answers.len(), 1);
    assert!(format!("{:?}", answers[0].end).contains("BadRequest"));
    assert_eq!(node.entered(), 0);
}

#[test]
fn fifty_megabytes_of_input_are_kept_on_disk_and_not_in_memory() {
    let node = Node::new();
    let size = 50 << 20;
    let line = request(&exec(&guest(), &["wc", "-c"], size));
    let pieces = (0..50).map(|_| vec![0; 1 << 20]);
    let bytes = session(&node, std::iter::once(line).chain(pieces));
    let answers = answers(&bytes);
    assert_eq!(
        String::from_utf8_lossy(&answers[0].out).trim(),
        size.to_string()
    );
}

#[test]
fn json_as_deep_as_it_is_long_is_refused() {
    let node = Node::new();
    for (open, close) in [("[", "]"), ("{\"do\":", "}")] {
        let depth = 200_000 / open.len();
        let line = format!("{}1{}\n", open.repeat(depth), close.repeat(depth));
        let line = line.get(..250_000).unwrap_or(&line).to_owned() + "\n";
        let answers = answers(&session(&node, std::iter::once(line.into_bytes())));
        assert!(format!("{:?}", answers[0].end).contains("BadRequest"));
    }
}
