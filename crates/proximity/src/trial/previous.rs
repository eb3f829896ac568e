//! What an earlier trial left that was killed: its processes, its lab, its files.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::child::Child;
use super::place::{Place, unusable};
use crate::failed::Failed;
use crate::output::Output;
use crate::roles::private_file;

/// How long a process of an earlier trial may take to end when asked.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);

/// The processes of a trial, so that a later one can end them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Numbers mean something in this namespace only.
    pid_namespace: String,
    processes: Vec<Process>,
}

/// A process that cannot be mistaken for another: numbers are used again, the moment of its start is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    name: String,
    pid: u32,
    /// Clock ticks from boot to its start.
    started_ticks: u64,
}

impl Record {
    /// The record with the child added, on disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add(&mut self, place: &Place, child: &Child) -> Result<(), Failed> {
        self.pid_namespace = own_namespace();
        if let Some(pid) = child.pid()
            && let Some(started_ticks) = started_ticks(pid)
        {
            let name = child.name.to_owned();
            self.processes.push(Process {
                name,
                pid,
                started_ticks,
            });
        }
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        private_file::write(&place.record, &text).map_err(|e| unusable(&place.record, &e))
    }

    fn read(path: &Path) -> Self {
        // A record that cannot be read names no process; the lab's own record still does.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// Ends and removes everything of an earlier trial in this directory.
///
/// # Errors
/// Something of it cannot be removed; the text names it.
pub(crate) async fn clear(output: Output, place: &Place) -> Result<(), Failed> {
    let record = Record::read(&place.record);
    if record.pid_namespace == own_namespace() {
        for process in &record.processes {
            end(output, process).await?;
        }
    }
    if place.lab.exists() {
        output.note("taking away what an earlier run left");
        clean_lab(place).await?;
    }
    place.empty()
}

/// Runs `proximity lab clean`: a process of its own, because it moves into the lab's mount namespace.
///
/// # Errors
/// It failed; the last words of its log are in the text.
pub(crate) async fn clean_lab(place: &Place) -> Result<(), Failed> {
    let dir = place.lab.display().to_string();
    let args = ["lab", "clean", "--dir", &dir].map(str::to_owned);
    let child = Child::start(place, "clean", &args, PATIENCE)?;
    child.finished(place).await
}

async fn end(output: Output, process: &Process) -> Result<(), Failed> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    // The handle first, then the check: from there on the number cannot come to mean another process.
    let Ok(handle) = pidfd_open(pid, PidfdFlags::NONBLOCK) else {
        return Ok(());
    };
    if started_ticks(process.pid) != Some(process.started_ticks) {
        return Ok(());
    }
    output.note(&format!("ending the {} of an earlier run", process.name));
    let patience = [
        (Signal::TERM, PATIENCE),
        (Signal::KILL, Duration::from_secs(10)),
    ];
    for (signal, patience) in patience {
        // It may have ended by itself in the meantime; the wait sees that.
        let _ = pidfd_send_signal(&handle, signal);
        let ended = async {
            while started_ticks(process.pid) == Some(process.started_ticks) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        if tokio::time::timeout(patience, ended).await.is_ok() {
            return Ok(());
        }
    }
    Err(Failed::error(
        "earlier_run",
        format!(
            "the {} of an earlier run (process {}) does not end",
            process.name, process.pid
        ),
        "end it by hand",
    ))
}

fn own_namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid")
        .map(|link| link.display().to_string())
        .unwrap_or_default()
}

/// When a process started; `None` when there is none.
fn started_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in the second field may hold anything, blanks and brackets included.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // One that has ended and was not waited for yet is no process any more.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_number_and_its_start() {
        let own = started_ticks(std::process::id()).unwrap();
        assert!(own > 0);
        assert_eq!(started_ticks(std::process::id()), Some(own));
        assert_eq!(started_ticks(u32::MAX), None);
    }

    #[tokio::test]
    async fn only_the_very_process_of_the_record_is_ended() {
        let mut sleeper = tokio::process::Command::new("sleep")
            .arg("600")
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = sleeper.id().unwrap();
        let started = started_ticks(pid).unwrap();
        let output = Output {
            json: false,
            quiet: true,
        };
        let process = |started_ticks| Process {
            name: "lab".to_owned(),
            pid,
            started_ticks,
        };
        end(output, &process(started + 1)).await.unwrap();
        assert!(
            sleeper.try_wait().unwrap().is_none(),
            "a stranger was ended"
        );
        end(output, &process(started)).await.unwrap();
        assert!(!sleeper.wait().await.unwrap().success());
    }

    #[test]
    fn a_damaged_record_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("processes.json");
        assert_eq!(Record::read(&path), Record::default());
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Record::read(&path), Record::default());
    }
}
