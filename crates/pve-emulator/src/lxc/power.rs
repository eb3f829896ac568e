//! Starting and ending a guest through LXC's own programs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::place::Place;
use crate::core::guest::{GuestError, GuestKey};
use crate::lab::{Program, lock_exclusive};

/// Longest time a start may take before it is given up.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Longest time between the end of init and the end of its monitor.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// How often the socket table is read while waiting.
const POLL: Duration = Duration::from_millis(10);

pub(super) fn lxc(name: &str, place: &Place, guest: &GuestKey) -> Program {
    Program::new(name)
        .args(["-P".as_ref(), place.lxcpath(&guest.node).as_os_str()])
        .args(["-n", &guest.vmid.to_string()])
}

/// Waits for a start that an earlier lab, killed meanwhile, left under way.
///
/// # Errors
/// It takes longer than a start may.
pub(crate) async fn wait_for_other_start(
    place: &Place,
    guest: &GuestKey,
) -> Result<(), GuestError> {
    let path = start_lock(place, guest);
    if !path.exists() {
        return Ok(());
    }
    let wait = lock_exclusive(&path, "a start from before is under way; waiting");
    match tokio::time::timeout(START_LIMIT, wait).await {
        Ok(Ok(_lock)) => Ok(()),
        Ok(Err(error)) => Err(GuestError::Failed(error.to_string())),
        Err(_) => Err(GuestError::TimedOut),
    }
}

fn start_lock(place: &Place, guest: &GuestKey) -> PathBuf {
    place.directory(guest).join("start.lock")
}

/// Boots the guest; done when LXC says RUNNING.
///
/// # Errors
/// LXC's own messages.
pub(crate) async fn start(place: &Place, guest: &GuestKey) -> Result<(), GuestError> {
    let log = place.directory(guest).join("lxc.log");
    if let Err(error) = std::fs::remove_file(&log)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(GuestError::Failed(format!(
            "remove {}: {error}",
            log.display()
        )));
    }
    // The lock is held by a process that outlives a killed lab, until the start has ended one way or the other.
    // The monitor stays behind in the background, so its streams must not be pipes somebody reads to the end.
    let status = tokio::process::Command::new("flock")
        .args(["--close", "--exclusive"])
        .arg(start_lock(place, guest))
        .args(["lxc-start", "-P"])
        .arg(place.lxcpath(&guest.node))
        .args(["-n", &guest.vmid.to_string(), "-l", "WARN", "-o"])
        .arg(&log)
        .env("PATH", crate::lab::SEARCH_PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status();
    let status = tokio::time::timeout(START_LIMIT, status)
        .await
        .map_err(|_| GuestError::Failed("lxc-start did not end in time".to_owned()))?
        .map_err(|error| GuestError::Failed(format!("run lxc-start: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(GuestError::Failed(format!(
        "startup for container '{}' failed{}",
        guest.vmid,
        why(&log)
    )))
}

/// Asks init to halt and waits.
///
/// # Errors
/// [`GuestError::TimedOut`] when it still runs after `limit`; it is not killed.
pub(crate) async fn shutdown(
    place: &Place,
    guest: &GuestKey,
    limit: Duration,
) -> Result<(), GuestError> {
    let seconds = limit.as_millis().div_ceil(1000).max(1).to_string();
    let stop = lxc("lxc-stop", place, guest)
        .args(["--nokill", "-t", &seconds])
        .limit(limit);
    // Its answer does not matter: what counts is whether the guest runs.
    drop(stop.run().await);
    if !place.is_running(guest) {
        return Ok(());
    }
    // Init may have ended in time with its monitor still tidying up.
    match init_pid(place, guest).await {
        Some(_) => Err(GuestError::TimedOut),
        None => settle(place, guest).await,
    }
}

/// Ends the guest at once.
///
/// # Errors
/// It still runs afterwards.
pub(crate) async fn kill(place: &Place, guest: &GuestKey) -> Result<(), GuestError> {
    let ran = lxc("lxc-stop", place, guest)
        .args(["-k"])
        .limit(SETTLE_LIMIT)
        .run()
        .await;
    match settle(place, guest).await {
        Ok(()) => Ok(()),
        Err(_) => Err(GuestError::Failed(match ran {
            Ok(ran) => format!("lxc-stop: {}", ran.complaint()),
            Err(error) => error.to_string(),
        })),
    }
}

/// Stops all processes of a running guest where they are.
///
/// # Errors
/// LXC's own message.
pub(super) async fn freeze(place: &Place, guest: &GuestKey) -> Result<(), String> {
    run("lxc-freeze", place, guest).await
}

/// Lets them go on.
///
/// # Errors
/// LXC's own message.
pub(super) async fn thaw(place: &Place, guest: &GuestKey) -> Result<(), String> {
    run("lxc-unfreeze", place, guest).await
}

/// Sets a limit of the guest's control group.
///
/// # Errors
/// The kernel refuses it.
pub(super) async fn set_limit(
    place: &Place,
    guest: &GuestKey,
    key: &str,
    value: &str,
) -> Result<(), String> {
    // A value may begin with a minus.
    let told = ["--", key, value];
    let ran = lxc("lxc-cgroup", place, guest).args(told).succeed();
    ran.await.map(drop).map_err(|error| error.to_string())
}

async fn run(name: &str, place: &Place, guest: &GuestKey) -> Result<(), String> {
    let ran = lxc(name, place, guest).succeed().await;
    ran.map(drop).map_err(|error| error.to_string())
}

async fn settle(place: &Place, guest: &GuestKey) -> Result<(), GuestError> {
    let wait = async {
        while place.is_running(guest) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(SETTLE_LIMIT, wait)
        .await
        .map_err(|_| GuestError::TimedOut)
}

/// Host pid of the guest's init; `None` when it does not run.
pub(crate) async fn init_pid(place: &Place, guest: &GuestKey) -> Option<u32> {
    let ran = lxc("lxc-info", place, guest)
        .args(["-p", "-H"])
        .run()
        .await
        .ok()?;
    ran.text().trim().parse().ok().filter(|pid| *pid > 0)
}

/// The last complaints of LXC's log, for an error text.
fn why(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(" ERROR "))
        .collect();
    let last: Vec<&str> = lines
        .iter()
        .rev()
        .take(4)
        .rev()
        .map(|line| message_of(line))
        .collect();
    if last.is_empty() {
        String::new()
    } else {
        format!(": {}", last.join("; "))
    }
}

fn message_of(line: &str) -> &str {
    line.split_once(" - ")
        .map_or(line, |(_, message)| message)
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_gives_its_last_errors() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("lxc.log");
        std::fs::write(
            &log,
            "lxc-start 1 2 WARN x - y:1 - no\nlxc-start 1 2 ERROR n - n.c:f:1 - bad\n",
        )
        .unwrap();
        assert_eq!(why(&log), ": n.c:f:1 - bad");
        assert_eq!(why(&dir.path().join("none")), "");
    }
}
