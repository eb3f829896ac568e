//! Carries out one verb in a container that was checked.

use std::fs::File;
use std::os::fd::AsFd;

use proximity_domain::ids::Vmid;

use crate::answer::{Answers, End};
use crate::ground::Ground;
use crate::inside::{Job, Ran, run};
use crate::limits;
use crate::refusal::{Code, Trouble};
use crate::request::{Exec, Pull, Push, Pushed};

/// Arguments: path, its folder, `OWNER:GROUP`, mode. The file takes its place whole, and until then nobody else may read it.
const PUT_FILE: &str = r#"
if [ -d "$1" ]; then echo "it is a folder" >&2; exit 1; fi
umask 077
new=$2/.proximity-unfinished.$$
rm -f -- "$new" || exit
{ cat > "$new" && chown -- "$3" "$new" && chmod -- "$4" "$new" && mv -f -- "$new" "$1"; } || {
  code=$?
  rm -f -- "$new"
  exit "$code"
}
"#;

/// Argument: a folder that is there. Owners and modes are those of the archive.
const PUT_TREE: &str = r#"cd -- "$1" && exec tar -x -p -f -"#;

/// Arguments: path, largest size.
const GET_FILE: &str = r#"
if [ -d "$1" ]; then echo "it is a folder" >&2; exit 1; fi
size=$(wc -c < "$1") || exit 1
if [ "$size" -gt "$2" ]; then echo "$size" >&2; exit 94; fi
exec cat -- "$1"
"#;

/// Argument: a folder.
const GET_TREE: &str = r#"cd -- "$1" && exec tar -c -f - ."#;

/// Exit code of [`GET_FILE`] for a file that is larger than the caller takes.
const TOO_LARGE: i32 = 94;
/// Exit code of `lxc-attach`, and of a shell, for a program that is not there.
const NO_SUCH_PROGRAM: i32 = 127;

/// Runs the program.
pub fn exec<W: AsFd>(
    ground: &Ground,
    exec: &Exec,
    stdin: Option<File>,
    answers: &mut Answers<W>,
) -> End {
    let job = Job {
        vmid: exec.guest.vmid,
        argv: &exec.argv,
        stdin,
        timeout_ms: exec.timeout_ms,
        max_output_bytes: exec.max_output_bytes,
    };
    match run(ground, job, answers) {
        Ok(ran) => End::Ended {
            exit_code: ran.exit_code,
            truncated: ran.output_dropped || ran.complaint_dropped,
        },
        Err(trouble) => ended_by(trouble),
    }
}

/// What did not start has done nothing.
fn ended_by(trouble: Trouble) -> End {
    match trouble.code {
        Code::Node => End::Refused(trouble),
        _ => End::Failed(trouble),
    }
}

/// Puts a file or a tree there, by the container's own tools: no path of the container is ever one of the node.
pub fn push<W: AsFd>(
    ground: &Ground,
    push: &Push,
    content: Option<File>,
    answers: &mut Answers<W>,
) -> End {
    let path = push.path.as_str();
    let argv = match &push.what {
        Pushed::File { mode, owner } => {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let folder = if folder.is_empty() { "/" } else { folder };
            script(PUT_FILE, &[path, folder, owner, &format!("{mode:04o}")])
        }
        Pushed::Tree {} => script(PUT_TREE, &[path]),
    };
    let job = transfer(push.guest.vmid, &argv, content, push.timeout_ms, 0);
    match run(ground, job, answers) {
        Ok(Ran { exit_code: 0, .. }) => End::Pushed {},
        Ok(ran) => End::Failed(guests_own(&ran)),
        Err(trouble) => ended_by(trouble),
    }
}

/// Gives a file or a tree.
pub fn pull<W: AsFd>(ground: &Ground, pull: &Pull, answers: &mut Answers<W>) -> End {
    let path = pull.path.as_str();
    let argv = if pull.tree {
        script(GET_TREE, &[path])
    } else {
        script(GET_FILE, &[path, &pull.max_bytes.to_string()])
    };
    let job = transfer(
        pull.guest.vmid,
        &argv,
        None,
        pull.timeout_ms,
        pull.max_bytes,
    );
    match run(ground, job, answers) {
        Ok(Ran {
            output_dropped: true,
            ..
        }) => End::Failed(Trouble::new(
            Code::TooLarge,
            format!("it has more than {} bytes", pull.max_bytes),
        )),
        Ok(Ran { exit_code: 0, .. }) => End::Pulled {},
        Ok(ran) if !pull.tree && ran.exit_code == TOO_LARGE => {
            let text = format!(
                "it has {} bytes, at most {} are taken",
                ran.complaint, pull.max_bytes
            );
            End::Failed(Trouble {
                bytes: ran.complaint.parse().ok(),
                ..Trouble::new(Code::TooLarge, text)
            })
        }
        Ok(ran) => End::Failed(guests_own(&ran)),
        Err(trouble) => ended_by(trouble),
    }
}

/// A fixed script and what it is about, as its arguments.
fn script(script: &str, arguments: &[&str]) -> Vec<String> {
    let fixed = ["/bin/sh", "-c", script, "proximity"];
    let words = fixed.iter().chain(arguments);
    words.map(|word| (*word).to_owned()).collect()
}

fn transfer(
    vmid: Vmid,
    argv: &[String],
    stdin: Option<File>,
    timeout_ms: u64,
    max_output_bytes: u64,
) -> Job<'_> {
    Job {
        vmid,
        argv,
        stdin,
        timeout_ms,
        max_output_bytes: max_output_bytes.min(limits::OUTPUT_BYTES),
    }
}

/// What the container's own tools complained.
fn guests_own(ran: &Ran) -> Trouble {
    let message = match ran.exit_code {
        NO_SUCH_PROGRAM => format!(
            "the container lacks a program for it (sh, cat, chown, chmod, mv, tar): {}",
            ran.complaint
        ),
        code => format!("exit code {code}: {}", ran.complaint),
    };
    Trouble::new(Code::Guest, message)
}
