//! `pct exec`: becomes `lxc-attach`.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use super::{Answer, Call, Died, Question, ask, inside};
use crate::lab::ASKED_AT;
use crate::lab::bin::find;
use crate::shell::now_ms;

/// What the real tool leaves in the command's environment, whatever the caller's path was.
const PATH_INSIDE: &str = "/sbin:/bin:/usr/sbin:/usr/bin";

/// What the kernel's clocks of processes may be off by, and a shell takes to start this process.
const SLACK: Duration = Duration::from_millis(25);

/// How long ago it was that the node was asked to enter the guest: coming up is part of it. Nothing where the kernel does not say.
fn age() -> Duration {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let own = age_of(&read("/proc/self/stat"), &read("/proc/uptime")).unwrap_or_default();
    #[allow(
        clippy::disallowed_methods,
        reason = "the lab's SSH server hands it to the commands it starts, like a clock"
    )]
    let asked_ms = std::env::var(ASKED_AT).ok();
    let asked_ms = asked_ms.and_then(|text| text.parse::<u64>().ok());
    let since = asked_ms.map(|at_ms| Duration::from_millis(now_ms().saturating_sub(at_ms)));
    since_asked(since, own)
}

/// The time since the call to the node, unless this process was started a while later, by somebody in a shell.
fn since_asked(since: Option<Duration>, own: Duration) -> Duration {
    since.filter(|since| *since <= own + SLACK).unwrap_or(own)
}

/// From `/proc/PID/stat`, whose 22nd field is the start in hundredths of a second since boot, and `/proc/uptime` (proc(5)).
fn age_of(stat: &str, uptime: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let begun: u64 = after_name.split_whitespace().nth(19)?.parse().ok()?;
    let now = uptime.split_whitespace().next()?.replace('.', "");
    let hundredths = now.parse::<u64>().ok()?.saturating_sub(begun);
    Some(Duration::from_millis(hundredths * 10))
}

/// Runs the command in the guest with this process's streams and (unless `--keep-env 0`) environment.
///
/// # Errors
/// No such guest here, it does not run, or there is no command.
pub(super) fn exec(call: Call) -> Result<u8, Died> {
    let question = Question::Enter {
        vmid: call.guest.vmid,
    };
    let exec_ms = match ask(&call.site, &question)? {
        Answer::Config {
            config: Some(_),
            exec_ms,
        } => exec_ms,
        Answer::Config { config: None, .. } => return Err(Died::not_found(&call.guest)),
        Answer::List { .. } | Answer::Unlocked { .. } | Answer::Inside(_) => {
            return Err(Died::new("unexpected answer"));
        }
    };
    if !call.is_running() {
        return Err(Died::new(format!(
            "container '{}' not running!",
            call.guest.vmid
        )));
    }
    if call.parsed.extra.is_empty() {
        return Err(Died::new(
            "missing command at /usr/share/perl5/PVE/CLI/pct.pm",
        ));
    }
    pause(Duration::from_millis(exec_ms).saturating_sub(age()));
    let keep = call.parsed.flag("keep-env").unwrap_or(true);
    if call.is_simulated() {
        return inside::exec(&call, keep);
    }
    // The emulated path is the guest's; the program is the machine's.
    let failed = Command::new(find("lxc-attach"))
        .arg("-P")
        .arg(call.site.place.lxcpath(&call.guest.node))
        .args(["-n", &call.guest.vmid.to_string()])
        .arg(if keep { "--keep-env" } else { "--clear-env" })
        .arg("--")
        .args(&call.parsed.extra)
        .env("PATH", PATH_INSIDE)
        .env_remove(ASKED_AT)
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .exec();
    Err(Died::new(format!("lxc-attach: {failed}")))
}

/// Waits as long as a real node needs to load its tools; this process has nothing else to do.
fn pause(time: Duration) {
    #[allow(
        clippy::disallowed_methods,
        reason = "a process of one thread that has no runtime"
    )]
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_counts_from_its_arrival_and_a_later_one_of_a_shell_from_its_own_start() {
        let ms = Duration::from_millis;
        assert_eq!(since_asked(Some(ms(27)), ms(10)), ms(27));
        assert_eq!(since_asked(Some(ms(60_000)), ms(10)), ms(10));
        assert_eq!(since_asked(None, ms(10)), ms(10));
    }

    #[test]
    fn the_age_of_a_process_is_read_as_the_kernel_writes_it() {
        let stat = "7 (p c) t) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1 1";
        assert_eq!(
            age_of(stat, "123.98 200.00\n"),
            Some(Duration::from_millis(530))
        );
        assert_eq!(age_of(stat, "1.00 2.00\n"), Some(Duration::ZERO));
        assert_eq!(age_of("", "1.00 2.00\n"), None);
        assert!(age() < Duration::from_secs(3_600));
    }
}
