//! `pct exec`: becomes `lxc-attach`.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use super::{Answer, Call, Died, Question, ask, inside};
use crate::lab::SEARCH_PATH;

/// What the real tool leaves in the command's environment, whatever the caller's path was.
const PATH_INSIDE: &str = "/sbin:/bin:/usr/sbin:/usr/bin";

/// Runs the command in the guest with this process's streams and (unless `--keep-env 0`) environment.
///
/// # Errors
/// No such guest here, it does not run, or there is no command.
pub(super) fn exec(call: Call) -> Result<u8, Died> {
    let question = Question::Config {
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
    pause(Duration::from_millis(exec_ms));
    let keep = call.parsed.flag("keep-env").unwrap_or(true);
    if call.is_simulated() {
        return inside::exec(&call, keep);
    }
    let failed = Command::new(find_attach())
        .arg("-P")
        .arg(call.site.place.lxcpath(&call.guest.node))
        .args(["-n", &call.guest.vmid.to_string()])
        .arg(if keep { "--keep-env" } else { "--clear-env" })
        .arg("--")
        .args(&call.parsed.extra)
        .env("PATH", PATH_INSIDE)
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .exec();
    Err(Died::new(format!("lxc-attach: {failed}")))
}

/// The emulated path above is the guest's; the program is the machine's.
fn find_attach() -> std::path::PathBuf {
    SEARCH_PATH
        .split(':')
        .map(|directory| std::path::Path::new(directory).join("lxc-attach"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| "lxc-attach".into())
}

/// Waits as long as a real node needs to load its tools; this process has nothing else to do.
fn pause(time: Duration) {
    #[allow(
        clippy::disallowed_methods,
        reason = "a process of one thread that has no runtime"
    )]
    std::thread::sleep(time);
}
