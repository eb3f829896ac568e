//! The line between `pct` and the lab it belongs to: one question, one answer, as JSON over a Unix socket.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::inside::{Given, Wish};
use super::{Died, Site};
use crate::lab::control::NearPath;

/// Name of the socket in the state directory.
pub(crate) const SOCKET: &str = "pct.sock";
/// Most bytes of an answer.
const LIMIT_BYTES: u64 = 160 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A question with the node it is asked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) node: String,
    pub(crate) question: Question,
}

/// What a `pct` wants to know or have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    /// A guest's configuration.
    Config { vmid: u32 },
    /// The same, of a guest in which a command is about to run.
    Enter { vmid: u32 },
    /// All guests of the node.
    List,
    /// Remove a guest's lock.
    Unlock { vmid: u32 },
    /// Do something with a simulated guest.
    Inside { vmid: u32, wish: Wish },
}

/// The lab's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The configuration as PVE's file has it; none when this node has no such guest.
    Config {
        config: Option<BTreeMap<String, String>>,
        /// How long entering a guest takes on this node, milliseconds.
        exec_ms: u64,
    },
    /// Number and configuration of each guest.
    List {
        guests: BTreeMap<u32, BTreeMap<String, String>>,
    },
    /// Whether there was such a guest.
    Unlocked { found: bool },
    /// What came of a wish.
    Inside(Given),
}

/// Asks the lab.
///
/// # Errors
/// The lab does not run or does not answer.
pub(crate) fn ask(site: &Site, question: &Question) -> Result<Answer, Died> {
    let talk = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(NearPath::open(&site.state)?.path(SOCKET))?;
        // A command inside takes as long as it takes.
        let patience = match question {
            Question::Inside { .. } => None,
            Question::Config { .. }
            | Question::Enter { .. }
            | Question::List
            | Question::Unlock { .. } => Some(TIMEOUT),
        };
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let ask = Ask {
            node: site.node.clone(),
            question: question.clone(),
        };
        let mut line = serde_json::to_vec(&ask)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(stream.take(LIMIT_BYTES)).read_line(&mut answer)?;
        Ok(answer)
    };
    // What a node without its cluster file system says.
    let lost = |reason: String| Died::new(format!("ipcc_send_rec[1] failed: {reason}"));
    let answer = talk().map_err(|error| lost(error.to_string()))?;
    serde_json::from_str(&answer).map_err(|error| lost(error.to_string()))
}
