//! A client that nobody here wrote: a script around a library, which prints the number of each event on a line.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::server::Server;
use super::verdict;

/// How long it may take to catch up.
const CATCH_UP: Duration = Duration::from_secs(40);

/// Starts it, from the first event on; nothing when none was asked for.
pub(super) fn start(command: &[PathBuf], server: &Server) -> Result<Option<Child>> {
    let [program, script] = command else {
        return Ok(None);
    };
    let child = Command::new(program)
        .arg(script)
        .arg(server.url("/api/events?after=0"))
        .arg(server.token_file())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    Ok(Some(child))
}

/// Reads what it was told up to `head`, ends it, and judges.
pub(super) async fn end(child: Option<Child>, head: i64) -> Result<Value> {
    let Some(mut child) = child else {
        return Ok(Value::Null);
    };
    let out = child.stdout.take().context("it has no output")?;
    let mut lines = BufReader::new(out).lines();
    let mut events: Vec<i64> = Vec::new();
    let read = async {
        while let Some(line) = lines.next_line().await? {
            events.push(line.trim().parse()?);
            if events.last() >= Some(&head) {
                break;
            }
        }
        anyhow::Ok(())
    };
    let ended = tokio::time::timeout(CATCH_UP, read).await;
    child.kill().await?;
    if let Ok(read) = ended {
        read?;
    }
    Ok(json!({ "events": events.len(), "fault": verdict::judge(0, head, &events) }))
}
