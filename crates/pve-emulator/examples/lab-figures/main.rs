//! What the figure `lab` measures: how fast the emulator hands out the list of 10,000 guests, beside a TLS server that does
//! nothing but send the same bytes, and what it takes of the machine while somebody fetches and reads that list.
//!
//! `lab-figures FOLDER [--quick] [--sabotage]` prints one JSON object. Three processes: both servers are children, so that
//! their processor time can be told from the client's.
#![allow(missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod client;
mod servers;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use client::Target;

/// How often the emulator's nodes tell what runs on them, which changes all rows: what it takes of the processor is
/// measured over a whole number of such rounds.
const ROUND: Duration = Duration::from_secs(10);

/// Connections that ask at the same time.
const CONNECTIONS: usize = 2;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|known| known == word);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match words
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["emulator", folder, ..] => {
            runtime.block_on(servers::emulator(Path::new(folder), has("--sabotage")));
        }
        ["bare", folder, ..] => runtime.block_on(servers::bare(Path::new(folder))),
        [folder, ..] => {
            let folder = Path::new(folder);
            let found = measure(&runtime, folder, has("--quick"), has("--sabotage"));
            println!("{found}");
        }
        [] => panic!("lab-figures FOLDER [--quick] [--sabotage]"),
    }
}

/// A server in a process of its own; it ends when its standard input does.
struct Server {
    child: Child,
    target: Target,
}

impl Server {
    fn start(role: &str, folder: &Path, sabotage: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(role)
            .arg(folder)
            .args(sabotage.then_some("--sabotage"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = child.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        let target = serde_json::from_str(&line).unwrap();
        Self { child, target }
    }

    /// Processor time it has used, in ticks.
    fn ticks(&self) -> u64 {
        ticks(&self.child.id().to_string())
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// User and system time of a process, in ticks (proc(5), fields 14 and 15).
fn ticks(process: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, after_name) = text.rsplit_once(')').unwrap();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}

fn measure(runtime: &tokio::runtime::Runtime, folder: &Path, quick: bool, sabotage: bool) -> Value {
    let (rounds, seconds, told) = if quick { (5, 1, 1) } else { (11, 2, 3) };
    let emulator = Server::start("emulator", folder, sabotage);
    let body = runtime.block_on(client::fetch(&emulator.target));
    let guests = client::read(&body);
    std::fs::write(folder.join("body.json"), &body).unwrap();
    let bare = Server::start("bare", folder, false);
    let span = Duration::from_secs(seconds);
    let rate = |server: &Server| runtime.block_on(client::rate(&server.target, CONNECTIONS, span));
    let mut rates: Vec<(f64, f64)> = Vec::new();
    for round in 0..rounds {
        // Who comes first changes.
        let pair = if round % 2 == 0 {
            let ours = rate(&emulator);
            (ours, rate(&bare))
        } else {
            let bare = rate(&bare);
            (rate(&emulator), bare)
        };
        rates.push(pair);
    }
    let (server_before, client_before) = (emulator.ticks(), ticks("self"));
    let loops = runtime.block_on(client::fetch_and_read(&emulator.target, ROUND * told));
    let server = emulator.ticks() - server_before;
    let client = ticks("self") - client_before;
    emulator.end();
    bare.end();
    #[allow(clippy::cast_precision_loss)]
    let share = server as f64 / (server + client) as f64;
    json!({
        "guests": guests, "bytes": body.len(), "rates": rates, "loops": loops,
        "of_bare": median(rates.iter().map(|(ours, bare)| ours / bare).collect()),
        "per_second": median(rates.iter().map(|(ours, _)| *ours).collect()),
        "cpu_share": share, "server_ticks": server, "client_ticks": client,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
