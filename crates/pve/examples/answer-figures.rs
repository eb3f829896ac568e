//! What figure R26 measures of Proxmox VE's answers: spoilt ones, each with what reading it took and whether the client says what
//! it could not understand.
//!
//! `answer-figures list` names the ones that were made by hand, `one NAME` reads one of them, and `drawn SEED FROM COUNT` reads
//! good ones that were spoilt by chance. An answer is handed to every read that may get one of its kind.
#![allow(missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../../manifest/examples/manifest-figures/measured.rs"]
mod measured;

use std::sync::Arc;

use bytes::Bytes;
use measured::{Draw, Found, case, spoilt};
use proximity_pve::network::NetDevice;
use proximity_pve::task::TaskFilter;
use proximity_pve::transport::RawResponse;
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::upid::NotAUpid;
use proximity_pve::{Error, ReadClient, Upid};

/// Answers and texts as Proxmox VE sends them.
const GOOD: &[&str] = &[
    // A container's configuration.
    r#"{"data":{"digest":"0a1b2c3d4e5f60718293a4b5c6d7e8f901234567","arch":"amd64","cores":2,"memory":"512","swap":0,
        "hostname":"web","unprivileged":1,"protection":"0","onboot":0,"ostype":"debian","tags":"proximity;web",
        "description":"proximity-mark:v1:a\n","rootfs":"local-lvm:vm-100-disk-0,size=4G",
        "net0":"name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp,type=veth","lxc":[["lxc.apparmor.profile","x"]]}}"#,
    // A cluster's list.
    r#"{"data":[{"id":"lxc/100","type":"lxc","vmid":100,"node":"pve1","status":"running","name":"web","tags":"a;b",
        "pool":"apps","uptime":17,"maxdisk":4294967296,"maxmem":536870912,"maxcpu":2,"cpu":0.01,"template":0,"lock":"backup"},
        {"id":"qemu/101","type":"qemu","vmid":"101","node":"pve2","status":"stopped","template":1,"hastate":"started"}]}"#,
    // A cluster's status.
    r#"{"data":[{"type":"cluster","id":"cluster","name":"lab","quorate":1,"nodes":2,"version":3},
        {"type":"node","id":"node/pve1","name":"pve1","online":1,"local":1,"nodeid":1,"ip":"10.0.0.1","level":""}]}"#,
    // Tasks.
    r#"{"data":[{"upid":"UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold:","node":"pve1","pid":757,
        "pstart":440870,"starttime":1795169741,"endtime":1795169742,"type":"vzstart","id":"140","user":"root@pam","status":"OK"}]}"#,
    // A refusal.
    r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"vmid":"invalid format\n","x":7}}"#,
    "UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold:",
    "name=eth0,bridge=vmbr0,gw=10.0.0.1,hwaddr=BC:24:11:00:00:01,ip=10.0.0.7/24,tag=7,type=veth",
];

/// What means something to JSON, to property strings, or to nobody.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\",
    "\\u",
    "\\ud800",
    "null",
    "true",
    "-1",
    "1e999",
    "0.5",
    "NaN",
    "=",
    ",,",
    ";",
    "\0",
    "\n",
    "\u{feff}",
    "ä",
    "😀",
    "UPID:",
    "99999999999999999999",
    "\"vmid\":\"x\",",
    "\"digest\":\"\",",
    "\"data\":",
];

const NAMES: &[&str] = &[
    "deep",
    "deep-config",
    "long-text",
    "long-upid",
    "many-pairs",
    "many-rows",
    "many-flags",
];

fn made(name: &str) -> Vec<u8> {
    let text = match name {
        "deep" => {
            let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
            format!("{{\"data\":{open}1{close}}}")
        }
        "deep-config" => {
            let (open, close) = ("{\"a\":".repeat(100_000), "}".repeat(100_002));
            format!("{{\"data\":{{\"digest\":{open}1{close}")
        }
        "long-text" => format!("{{\"data\":{{\"digest\":\"{}\"}}}}", "a".repeat(2 << 20)),
        "long-upid" => format!("UPID:{}", "a:".repeat(2 << 20)),
        "many-pairs" => "a=b,".repeat(100_000),
        "many-rows" => format!("{{\"data\":[{}7]}}", "{\"type\":\"lxc\"},".repeat(50_000)),
        "many-flags" => format!(
            "{{\"data\":{{{}\"digest\":7}}}}",
            "\"a\":1,".repeat(100_000)
        ),
        other => panic!("nobody made {other}"),
    };
    text.into_bytes()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            for name in NAMES {
                println!("{name}");
            }
        }
        ["one", name] => measure(name, made(name)),
        ["drawn", seed, from, count] => {
            let (seed, from): (u64, u64) = (seed.parse().unwrap(), from.parse().unwrap());
            let count: u64 = count.parse().unwrap();
            for number in from..from + count {
                let bytes = spoilt(GOOD, WORDS, &mut Draw::of(seed, number));
                measure(&format!("drawn {number}"), bytes);
            }
        }
        _ => panic!("list, one NAME, or drawn SEED FROM COUNT, not {words:?}"),
    }
}

/// What became of one answer: what each read said of it, and of its text as the name of a task.
struct Read {
    answers: Vec<Option<Error>>,
    upid: Option<NotAUpid>,
}

fn measure(name: &str, bytes: Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = Bytes::from(bytes);
    case(
        name,
        || {
            // It keeps what it knows and refuses nothing.
            drop(NetDevice::parse(&text));
            Read {
                answers: runtime.block_on(read_all(&body)),
                upid: text.parse::<Upid>().err(),
            }
        },
        judged,
    );
}

/// Each read that may get such an answer, told with 200 and with 500.
async fn read_all(body: &Bytes) -> Vec<Option<Error>> {
    let (node, vmid) = ("pve1".parse().unwrap(), 100_u32.try_into().unwrap());
    let mut answers = Vec::new();
    for status in [200, 500] {
        let read = client(status, body);
        answers.extend([
            read.lxc_config(&node, vmid).await.err(),
            read.guest_list().await.err(),
            read.resources_vm().await.err(),
            read.cluster_status().await.err(),
            read.cluster_tasks().await.err(),
            read.node_tasks(&node, &TaskFilter::default()).await.err(),
        ]);
    }
    answers
}

/// A client to which everything is answered so.
fn client(status: u16, body: &Bytes) -> ReadClient {
    let body = body.clone();
    let transport = InProcess::new(move |_| {
        let body = body.clone();
        async move {
            Ok(RawResponse {
                status,
                reason: "as it was spoilt".to_owned(),
                body,
            })
        }
    });
    ReadClient::new(Arc::new(transport))
}

/// Whoever refuses has to say the call and why, and no more of the answer than people read.
fn judged(read: &Read) -> Found {
    let mut found = Found::default();
    for error in read.answers.iter().flatten() {
        found.refused = true;
        found.problems += 1;
        let (call, words) = match error {
            Error::Unreadable { call, why } => (call, why.as_str()),
            Error::Refused { call, message, .. } => (call, message.as_str()),
            other => {
                found.misplaced = Some(format!("neither unreadable nor refused: {other:?}"));
                continue;
            }
        };
        if !call.starts_with("GET /") || words.is_empty() {
            found.misplaced = Some(format!("{call:?}: {words:?}"));
        } else if words.len() > LONGEST_WORDS {
            found.misplaced = Some(format!("{call}: {} bytes of words", words.len()));
        }
    }
    if let Some(NotAUpid(text)) = &read.upid
        && text.len() > LONGEST_SAID
    {
        found.misplaced = Some(format!("{} bytes of no UPID", text.len()));
    }
    found
}

/// Bytes of a text that is no UPID, of which 512 characters are said.
const LONGEST_SAID: usize = 4 * 512;
/// Bytes of why: a part of the answer, each of its characters escaped, and what is wrong.
const LONGEST_WORDS: usize = 4096;
