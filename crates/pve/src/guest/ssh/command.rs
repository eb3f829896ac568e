//! What is sent to a node's shell, and what its answer means: decided purely.

use bytes::Bytes;
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_node_helper::limits::ARGUMENT_BYTES;
use proximity_node_helper::request::{check_argv, check_path, is_owner};
use tokio::time::Instant;

use super::super::quote;
use super::super::{Exec, ExecOutput, GuestError, Pull, Push};
use crate::wording;

/// A command line for the node, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) line: String,
    pub(super) stdin: Option<Bytes>,
    pub(super) timeout_ms: u64,
    pub(super) send_before: Option<Instant>,
    pub(super) max_stdout_bytes: usize,
    pub(super) max_stderr_bytes: usize,
}

/// What is kept of the messages of `pct` and of the shell.
pub(super) const MESSAGE_BYTES: usize = 16 * 1024;
/// The whole line is one argument of the node's shell, which `sshd` starts with `-c`.
const LONGEST_LINE_BYTES: usize = ARGUMENT_BYTES;

/// Exit codes of the scripts below; PVE's own tools end with 255 or less than 64.
const NODE_TROUBLE: i32 = 91;
const CUT_SHORT: i32 = 92;
const PCT_FAILED: i32 = 93;
const TOO_LARGE: i32 = 94;

/// `pct`'s exit code when it dies with a message.
const DIED: i32 = 255;
/// The shell's exit code for a program that is not there.
const NO_SUCH_PROGRAM: i32 = 127;

/// A private file that is gone when the shell ends, however it ends.
const PRIVATE_FILE: &str = r#"umask 077
f=$(mktemp "${TMPDIR:-/tmp}/proximity.XXXXXXXXXX") || exit 91
trap 'rm -f -- "$f"' EXIT
trap 'exit 91' HUP INT TERM PIPE
"#;

/// Arguments: length, VMID, the command. As with a file, one that gets only a part of its input must not run.
const FEED: &str = r#"len=$1 vmid=$2
shift 2
cat > "$f" || exit 91
[ "$(wc -c < "$f")" -eq "$len" ] || exit 92
pct exec "$vmid" --keep-env 0 -- "$@" < "$f"
"#;

/// Arguments: length, VMID, path in the guest, options. A cut connection ends the input early, hence the length.
const PUSH: &str = r#"len=$1 vmid=$2 path=$3
shift 3
cat > "$f" || exit 91
[ "$(wc -c < "$f")" -eq "$len" ] || exit 92
pct push "$vmid" "$f" "$path" "$@" < /dev/null >&2 || exit 93
"#;

/// Arguments: largest size, VMID, path in the guest. The limit of the shell keeps a huge file from filling the disk.
const PULL: &str = r#"max=$1 vmid=$2 path=$3
ulimit -f $((max / 512 + 2048)) || exit 91
pct pull "$vmid" "$path" "$f" < /dev/null >&2 || exit 93
size=$(wc -c < "$f") || exit 91
if [ "$size" -gt "$max" ]; then echo "$size" >&2; exit 94; fi
cat "$f"
"#;

fn impossible(why: impl Into<String>) -> GuestError {
    GuestError::Impossible(why.into())
}

fn line<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<String, GuestError> {
    let line = quote::line(words);
    if line.len() > LONGEST_LINE_BYTES {
        return Err(impossible(format!(
            "the command is longer than {LONGEST_LINE_BYTES} bytes"
        )));
    }
    Ok(line)
}

/// `pct exec` with an environment of its own; everything after `--` is the command's. Input is kept on the node until all of
/// it is there.
pub(super) fn exec(vmid: Vmid, exec: Exec) -> Result<Job, GuestError> {
    check_argv(&exec.argv).map_err(impossible)?;
    let vmid = vmid.to_string();
    let argv = exec.argv.iter().map(String::as_str);
    let line = match &exec.stdin {
        None => {
            let fixed = ["pct", "exec", &vmid, "--keep-env", "0", "--"];
            line(fixed.into_iter().chain(argv))?
        }
        Some(input) => {
            let length = input.len().to_string();
            let arguments: Vec<&str> = [length.as_str(), &vmid].into_iter().chain(argv).collect();
            private_line(FEED, &arguments)?
        }
    };
    Ok(Job {
        line,
        stdin: exec.stdin,
        timeout_ms: exec.timeout_ms,
        send_before: exec.send_before,
        max_stdout_bytes: exec.max_output_bytes,
        max_stderr_bytes: exec.max_output_bytes,
    })
}

fn private_line(script: &str, arguments: &[&str]) -> Result<String, GuestError> {
    script_line(&format!("{PRIVATE_FILE}{script}"), arguments)
}

/// A fixed script and its arguments.
pub(super) fn script_line(script: &str, arguments: &[&str]) -> Result<String, GuestError> {
    line(
        ["sh", "-c", script, "proximity"]
            .into_iter()
            .chain(arguments.iter().copied()),
    )
}

pub(super) fn push(vmid: Vmid, push: Push) -> Result<Job, GuestError> {
    check_path(&push.path).map_err(impossible)?;
    if push.mode > 0o7777 {
        return Err(impossible(format!("{:o} is no file mode", push.mode)));
    }
    let (length, vmid, mode) = (
        push.content.len().to_string(),
        vmid.to_string(),
        format!("0{:o}", push.mode),
    );
    let mut arguments = vec![length.as_str(), &vmid, &push.path, "--perms", &mode];
    for (option, owner) in [("--user", &push.user), ("--group", &push.group)] {
        if let Some(owner) = owner {
            if !is_owner(owner) {
                return Err(impossible(format!("{owner:?} is no owner of a file")));
            }
            arguments.extend([option, owner.as_str()]);
        }
    }
    Ok(Job {
        line: private_line(PUSH, &arguments)?,
        stdin: Some(push.content),
        timeout_ms: push.timeout_ms,
        send_before: push.send_before,
        max_stdout_bytes: 0,
        max_stderr_bytes: MESSAGE_BYTES,
    })
}

pub(super) fn pull(vmid: Vmid, pull: Pull) -> Result<Job, GuestError> {
    check_path(&pull.path).map_err(impossible)?;
    let max_stdout_bytes =
        usize::try_from(pull.max_bytes).map_err(|_| impossible("the size limit is too large"))?;
    Ok(Job {
        line: private_line(
            PULL,
            &[&pull.max_bytes.to_string(), &vmid.to_string(), &pull.path],
        )?,
        stdin: None,
        timeout_ms: pull.timeout_ms,
        send_before: None,
        max_stdout_bytes,
        max_stderr_bytes: MESSAGE_BYTES,
    })
}

fn message(output: &ExecOutput) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// What `pct`'s own message means, if it is one of those that say that nothing ran in the guest.
fn pct_refusal(node: &NodeName, vmid: Vmid, message: &str) -> Option<GuestError> {
    let node = node.to_string();
    let own_message = message.to_owned();
    let not_running = [
        format!("container '{vmid}' not running!"),
        "can only push files to a running container".to_owned(),
        "can only pull files from a running container".to_owned(),
    ];
    if not_running.iter().any(|text| message.starts_with(text))
        || wording::says_not_running(message)
    {
        return Some(GuestError::NotRunning {
            node,
            message: own_message,
        });
    }
    if message.starts_with("Configuration file 'nodes/") && wording::says_missing_config(message) {
        return Some(GuestError::NotThere {
            node,
            message: own_message,
        });
    }
    None
}

/// Tells a failure of `pct` itself from one of the command, whose exit code is passed on.
pub(super) fn judge_exec(
    node: &NodeName,
    vmid: Vmid,
    output: ExecOutput,
) -> Result<ExecOutput, GuestError> {
    let text = message(&output);
    if output.exit_code == DIED
        && output.stdout.is_empty()
        && let Some(refusal) = pct_refusal(node, vmid, &text)
    {
        return Err(refusal);
    }
    if output.exit_code == NO_SUCH_PROGRAM && text.contains("pct: ") && text.contains("not found") {
        return Err(GuestError::Failed {
            node: node.to_string(),
            message: format!("it has no pct: {text}"),
        });
    }
    Ok(output)
}

pub(super) fn judge_push(
    node: &NodeName,
    vmid: Vmid,
    output: &ExecOutput,
) -> Result<(), GuestError> {
    match output.exit_code {
        0 => Ok(()),
        _ => Err(transfer_failure(node, vmid, output)),
    }
}

pub(super) fn judge_pull(
    node: &NodeName,
    vmid: Vmid,
    max_bytes: u64,
    output: ExecOutput,
) -> Result<Bytes, GuestError> {
    match output.exit_code {
        0 if !output.truncated => Ok(output.stdout),
        TOO_LARGE => {
            let size_bytes = message(&output).parse().unwrap_or(u64::MAX);
            Err(GuestError::TooLarge {
                size_bytes,
                max_bytes,
            })
        }
        _ => Err(transfer_failure(node, vmid, &output)),
    }
}

fn transfer_failure(node: &NodeName, vmid: Vmid, output: &ExecOutput) -> GuestError {
    let text = message(output);
    if output.exit_code == PCT_FAILED
        && let Some(refusal) = pct_refusal(node, vmid, &text)
    {
        return refusal;
    }
    let message = match output.exit_code {
        NODE_TROUBLE => format!("no room for a temporary file: {text}"),
        CUT_SHORT => {
            "the content did not arrive whole, nothing was written into the guest".to_owned()
        }
        PCT_FAILED => format!("pct failed: {text}"),
        code => format!("the transfer ended with exit code {code}: {text}"),
    };
    GuestError::Failed {
        node: node.to_string(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vmid() -> Vmid {
        "140".parse().unwrap()
    }

    fn node() -> NodeName {
        "pve1".parse().unwrap()
    }

    fn request(argv: &[&str]) -> Exec {
        Exec {
            argv: argv.iter().map(ToString::to_string).collect(),
            stdin: None,
            timeout_ms: 1,
            max_output_bytes: 1,
            send_before: None,
        }
    }

    fn ended(exit_code: i32, stdout: &'static str, stderr: &'static str) -> ExecOutput {
        ExecOutput {
            exit_code,
            stdout: stdout.into(),
            stderr: stderr.into(),
            truncated: false,
        }
    }

    #[test]
    fn requests_that_no_process_could_get_are_refused() {
        for argv in [&[][..], &[""], &["a\0b"], &["sh", "-c", "x\0"]] {
            assert!(
                matches!(exec(vmid(), request(argv)), Err(GuestError::Impossible(_))),
                "{argv:?}"
            );
        }
        let long = "x".repeat(LONGEST_LINE_BYTES);
        assert!(matches!(
            exec(vmid(), request(&["echo", &long])),
            Err(GuestError::Impossible(_))
        ));
        for path in ["", "relative", "/a\0b", "/a/../b", "/.."] {
            let bad = Pull {
                path: path.to_owned(),
                max_bytes: 1,
                timeout_ms: 1,
            };
            assert!(
                matches!(pull(vmid(), bad), Err(GuestError::Impossible(_))),
                "{path:?}"
            );
        }
    }

    #[test]
    fn a_file_belongs_to_a_name_or_a_number_and_to_nothing_else() {
        let pushed = |owner: &str| {
            let file = Push {
                path: "/a".to_owned(),
                content: Bytes::new(),
                mode: 0o644,
                user: Some(owner.to_owned()),
                group: None,
                timeout_ms: 1,
                send_before: None,
            };
            push(vmid(), file)
        };
        assert!(pushed("www-data").is_ok() && pushed("1000").is_ok());
        for owner in ["", "-x", "a b", "a:b", "$(id)", "a\0"] {
            let refused = pushed(owner);
            assert!(
                matches!(refused, Err(GuestError::Impossible(_))),
                "{owner:?}"
            );
        }
    }

    /// What the node's shell makes of this line, with so much of its input, where `pct` notes that it ran.
    fn on_a_node(job: &Job, input: &[u8]) -> (Option<i32>, String, bool) {
        use std::io::Write as _;
        use std::os::unix::fs::PermissionsExt as _;
        use std::process::{Command, Stdio};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let pct = format!(
            "#!/bin/sh\ntouch '{}'\nshift 5\nexec \"$@\"\n",
            at("ran").display()
        );
        std::fs::write(at("pct"), pct).unwrap();
        std::fs::set_permissions(at("pct"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut node = Command::new("/bin/sh")
            .args(["-c", &job.line])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("TMPDIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        node.stdin.take().unwrap().write_all(input).unwrap();
        let output = node.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said, at("ran").exists())
    }

    #[test]
    fn a_command_runs_with_the_whole_of_its_input_or_not_at_all() {
        let script = "cat; echo \"$1\"; exit 7";
        let job = exec(
            vmid(),
            Exec {
                stdin: Some(Bytes::from_static(b"one\ntwo\n")),
                ..request(&["sh", "-c", script, "x", "it's"])
            },
        )
        .unwrap();
        let whole = on_a_node(&job, b"one\ntwo\n");
        assert_eq!(whole, (Some(7), "one\ntwo\nit's\n".to_owned(), true));
        let (code, said, ran) = on_a_node(&job, b"one\n");
        assert_eq!((code, said.as_str(), ran), (Some(CUT_SHORT), "", false));
    }

    #[test]
    fn a_failure_of_pct_is_told_from_one_of_the_command() {
        let judged = |output| judge_exec(&node(), vmid(), output);
        assert!(matches!(
            judged(ended(255, "", "container '140' not running!\n")),
            Err(GuestError::NotRunning { .. })
        ));
        let gone = "Configuration file 'nodes/pve1/lxc/140.conf' does not exist\n";
        assert!(matches!(
            judged(ended(255, "", gone)),
            Err(GuestError::NotThere { .. })
        ));
        assert!(matches!(
            judged(ended(127, "", "sh: 1: pct: not found\n")),
            Err(GuestError::Failed { .. })
        ));
        for own in [
            ended(255, "", "lost"),
            ended(1, "", gone),
            ended(255, "out", gone),
            ended(127, "", "sh: 1: x: not found"),
        ] {
            assert_eq!(judged(own.clone()), Ok(own));
        }
    }
}
