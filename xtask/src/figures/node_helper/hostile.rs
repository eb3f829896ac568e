//! Hostile callers: each a session of the helper in 64 MB of address space that has to end well, say nothing on standard
//! error, and have answered.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::Bench;
use super::stand::{INSTALLATION, Node, Said, line, made, mark};
use crate::seed::Draws;

/// The helper's whole address space, KiB, which what is resident cannot be more than; the control gives less than a program
/// needs to start.
const MOST_KIB: u32 = 64 * 1024;
const TOO_FEW_KIB: u32 = 128;
/// What is sent where a request is larger than that space would hold besides.
const LARGE_BYTES: usize = 50 << 20;
/// How much of what went wrong is told.
const TOLD: usize = 5;

/// What came of it.
pub(super) struct Hostile {
    pub(super) sessions: usize,
    /// The first that went wrong.
    pub(super) wrong: Vec<String>,
}

/// Holds the sessions.
pub(super) fn hostile(bench: &Bench<'_>, helper: &Path) -> Result<Hostile> {
    let mut node = Node::new(bench.folder("node-helper-hostile")?, helper)?;
    let own = mark(INSTALLATION, 1);
    node.add(100, &own)?;
    let count = match (bench.mode.sabotage, bench.mode.quick) {
        (true, _) => 3,
        (false, true) => 1_000,
        (false, false) => 10_000,
    };
    let kib = if bench.mode.sabotage {
        TOO_FEW_KIB
    } else {
        MOST_KIB
    };
    let guest = made(100, &own);
    let mut fuzz = Fuzz::of(bench.seed.draws(), &guest);
    let large = [
        vec![b'x'; LARGE_BYTES],
        large_input(&guest),
        deep(),
        deep_in_a_request(),
    ];
    let fuzzed = (0..count).map(|_| fuzz.request());
    let (mut sessions, mut wrong) = (0, Vec::new());
    for sent in large.into_iter().chain(fuzzed) {
        sessions += 1;
        let said = node.session(kib, &sent)?;
        if let Some(why) = trouble(&said) {
            wrong.push(format!("{:?}: {why}", shown(&sent)));
            if wrong.len() >= TOLD {
                break;
            }
        }
    }
    Ok(Hostile { sessions, wrong })
}

/// What was wrong with a session.
fn trouble(said: &Said) -> Option<String> {
    if !said.status.success() || !said.complaint.is_empty() {
        return Some(format!("{}: {}", said.status, said.complaint));
    }
    said.ends.is_empty().then(|| "no answer".to_owned())
}

fn shown(sent: &[u8]) -> String {
    String::from_utf8_lossy(sent.get(..80).unwrap_or(sent)).into_owned()
}

/// A program that does not read what comes with it, and gets much of it.
fn large_input(guest: &Value) -> Vec<u8> {
    let exec = json!({
        "guest": guest, "argv": ["true"], "stdin_bytes": LARGE_BYTES, "timeout_ms": 10_000, "max_output_bytes": 0,
    });
    let mut sent = line(&json!({ "exec": exec }));
    sent.resize(sent.len() + LARGE_BYTES, 0);
    sent
}

fn deep() -> Vec<u8> {
    let mut bytes = vec![b'['; 200_000];
    bytes.push(b'\n');
    bytes
}

fn deep_in_a_request() -> Vec<u8> {
    let (open, close) = ("{\"a\":".repeat(20_000), "}".repeat(20_000));
    format!("{{\"protocol\":1,\"do\":{{\"probe\":{open}1{close}}}}}\n").into_bytes()
}

/// Requests made by chance.
struct Fuzz {
    draws: Draws,
    whole: [Vec<u8>; 5],
}

impl Fuzz {
    /// Near to requests about this container.
    fn of(draws: Draws, guest: &Value) -> Self {
        let file = json!({ "file": { "mode": 0o644, "owner": "root:root" } });
        let whole = [
            json!({ "version": {} }),
            json!({ "probe": { "guest": guest } }),
            json!({ "exec": {
                "guest": guest, "argv": ["true"], "stdin_bytes": 3, "timeout_ms": 1_000, "max_output_bytes": 1,
            } }),
            json!({ "push": {
                "guest": guest, "path": "/x", "what": file, "content_bytes": 3, "timeout_ms": 1_000,
            } }),
            json!({ "pull": {
                "guest": guest, "path": "/x", "tree": true, "max_bytes": 1, "timeout_ms": 1_000,
            } }),
        ];
        Self {
            draws,
            whole: whole.map(|what| line(&what)),
        }
    }

    /// A request with some bytes that are others, or fewer, or more.
    fn request(&mut self) -> Vec<u8> {
        let which = self.draws.below(self.whole.len());
        let whole = self.whole.get(which).cloned().unwrap_or_default();
        let mut bytes = whole.clone();
        for _ in 0..1 + self.draws.below(4) {
            let at = self.draws.below(bytes.len());
            let byte = u8::try_from(self.draws.below(256)).unwrap_or(0);
            match self.draws.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.extend_from_slice(&whole),
                _ => {
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
        bytes.push(b'\n');
        bytes
    }
}
