//! What figure R27 measures: a corpus of texts that mean something to shells, through each way into a guest.
//!
//! `guest-figures ORDER` reads a file of JSON and prints one JSON object. An example, because little more than the client is
//! built for it, and it shares the corpus and OpenSSH's server with the tests.
#![allow(missing_docs, unreachable_pub, dead_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

mod guests;
#[path = "../../tests/it/helped.rs"]
mod helped;
#[path = "../../tests/it/injection/mod.rs"]
mod injection;
mod local;
#[path = "../../tests/it/sshd.rs"]
mod sshd;

use std::path::{Path, PathBuf};

use injection::corpus::payloads;
use injection::{Found, POSSIBLE, Portion, SPOILED, Then};
use serde::Deserialize;
use serde_json::json;

/// Values that the shared files expect.
mod world {
    use proximity_domain::ids::Vmid;
    use proximity_domain::names::NodeName;

    pub(crate) fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    pub(crate) fn vmid(number: u32) -> Vmid {
        Vmid::try_from(number).unwrap()
    }
}

/// What is to be measured.
#[derive(Debug, Deserialize)]
pub struct Order {
    /// The helper as it is shipped.
    pub helper: PathBuf,
    /// Many texts in one command, and some of them as files.
    pub quick: bool,
    /// What reads a command takes quoting off first.
    pub sabotage: bool,
    /// A node with a real container.
    pub node: Option<guests::Node>,
}

impl Order {
    fn portion(&self) -> Portion {
        match self.quick {
            true => Portion::Many,
            false => Portion::Each,
        }
    }

    /// What becomes of files before they are compared.
    fn then(&self) -> Then {
        match self.sabotage {
            true => Then::Spoil,
            false => Then::Compare,
        }
    }

    fn one_file_of(&self) -> usize {
        match self.quick {
            true => 8,
            false => 1,
        }
    }
}

/// What came of one way.
pub struct Passed {
    pub(crate) way: String,
    pub(crate) arguments: Found,
    pub(crate) files: Found,
    /// The files that texts left behind.
    pub canaries: Vec<String>,
}

/// The files of a folder of this machine.
pub fn left_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[tokio::main]
async fn main() {
    let order = std::env::args().nth(1).expect("guest-figures ORDER");
    let order = std::fs::read(order).unwrap();
    let order: Order = serde_json::from_slice(&order).unwrap();
    let canaries = tempfile::tempdir().unwrap();
    let texts = payloads(canaries.path().to_str().unwrap());
    // The control needs some, each by itself: what one breaks would hide the others.
    let texts = match order.sabotage {
        true => texts.get(..60).unwrap_or(&texts),
        false => &texts,
    };
    let (mut passed, skipped) = local::run_local(&order, texts, canaries.path()).await;
    if let Some(node) = &order.node {
        passed.extend(guests::run_in_guest(&order, node, texts, canaries.path()).await);
    }
    let (refused, accepted) = local::refusals(&order).await;
    let ways: Vec<_> = passed
        .iter()
        .map(|passed| {
            let parts = [&passed.arguments, &passed.files];
            let told = parts.iter().flat_map(|part| part.wrong.iter().take(5));
            json!({
                "way": passed.way,
                "arguments": passed.arguments.asked, "arguments_wrong": passed.arguments.wrong.len(),
                "files": passed.files.asked, "files_wrong": passed.files.wrong.len(),
                "canaries": passed.canaries.len(), "told": told.collect::<Vec<_>>(),
            })
        })
        .collect();
    let verdict = json!({
        "payloads": texts.len(), "ways": ways, "skipped": skipped,
        "refusals": refused, "accepted": accepted,
        // What the control has to see at least.
        "spoiled": SPOILED, "possible": POSSIBLE * local::ACCESSES,
    });
    println!("{verdict}");
}
