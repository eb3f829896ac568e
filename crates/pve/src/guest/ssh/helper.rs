//! What is sent to the helper on a node, and what its answer means: decided purely.

use bytes::Bytes;
use proximity_domain::names::NodeName;
use proximity_node_helper::answer::{END, ERROR_OUTPUT, End, OUTPUT};
use proximity_node_helper::limits::{GRACE_MS, LINGER_MS, TIMEOUT_MS};
use proximity_node_helper::refusal::{Code, Trouble};
use proximity_node_helper::request as wire;
use tokio::time::Instant;

use super::super::{
    Exec, ExecOutput, GuestError, GuestOwner, GuestTarget, Pull, PullTree, Push, PushTree,
};
use super::command::{Job, MESSAGE_BYTES};
use super::frames::{self, Frame};

/// What a key without a forced command would run: it is not there, which says that the helper was never installed so.
const LINE: &str = "proximity-node-helper";
/// A frame has five bytes beside its content, which has one byte at least.
const FRAMED: usize = 6;
/// How much longer than the helper's own limit its answer is waited for.
const LATER_MS: u64 = GRACE_MS + LINGER_MS + 5_000;
/// The shell's exit code for a program that is not there.
const NO_SUCH_PROGRAM: i32 = 127;

fn guest(target: &GuestTarget) -> wire::Guest {
    wire::Guest {
        vmid: target.vmid,
        owner: match &target.owner {
            GuestOwner::Made(identity) => wire::Owner::Made {
                mark: identity.mark.to_string(),
                mac: identity.net0_mac,
                rootfs: identity.rootfs_volid.clone(),
            },
            GuestOwner::Adopted => wire::Owner::Adopted {},
        },
    }
}

/// A request, ready to be sent.
fn job(
    verb: wire::Verb,
    body: Option<Bytes>,
    timeout_ms: u64,
    send_before: Option<Instant>,
    output_bytes: usize,
) -> Result<Job, GuestError> {
    let impossible = |e: serde_json::Error| GuestError::Impossible(e.to_string());
    let request = wire::Request {
        protocol: wire::PROTOCOL,
        verb,
    };
    let mut line = serde_json::to_vec(&request).map_err(impossible)?;
    // What the helper would refuse is refused here, where nothing has been sent.
    wire::parse(&line).map_err(|trouble| GuestError::Impossible(trouble.message))?;
    if line.len() > proximity_node_helper::limits::REQUEST_BYTES {
        return Err(GuestError::Impossible("the command is too long".to_owned()));
    }
    line.push(b'\n');
    if let Some(body) = body {
        line.extend_from_slice(&body);
    }
    Ok(Job {
        line: LINE.to_owned(),
        stdin: Some(line.into()),
        timeout_ms: timeout_ms.saturating_add(LATER_MS),
        send_before,
        max_stdout_bytes: output_bytes
            .saturating_mul(FRAMED)
            .saturating_add(MESSAGE_BYTES),
        max_stderr_bytes: MESSAGE_BYTES,
    })
}

pub(super) fn version() -> Result<Job, GuestError> {
    job(wire::Verb::Version {}, None, 10_000, None, 0)
}

pub(super) fn exec(target: &GuestTarget, exec: Exec) -> Result<Job, GuestError> {
    let verb = wire::Verb::Exec(wire::Exec {
        guest: guest(target),
        argv: exec.argv,
        stdin_bytes: length(exec.stdin.as_ref()),
        timeout_ms: exec.timeout_ms.min(TIMEOUT_MS),
        max_output_bytes: exec.max_output_bytes as u64,
    });
    let both = exec.max_output_bytes.saturating_mul(2);
    job(verb, exec.stdin, exec.timeout_ms, exec.send_before, both)
}

pub(super) fn push(target: &GuestTarget, push: Push) -> Result<Job, GuestError> {
    let root = || "root".to_owned();
    let (user, group) = (
        push.user.unwrap_or_else(root),
        push.group.unwrap_or_else(root),
    );
    let what = wire::Pushed::File {
        mode: push.mode,
        owner: format!("{user}:{group}"),
    };
    let (path, content) = (push.path, push.content);
    put(
        target,
        (path, what, content),
        push.timeout_ms,
        push.send_before,
    )
}

pub(super) fn push_tree(target: &GuestTarget, push: PushTree) -> Result<Job, GuestError> {
    let (path, what, content) = (push.path, wire::Pushed::Tree {}, push.archive);
    put(
        target,
        (path, what, content),
        push.timeout_ms,
        push.send_before,
    )
}

fn put(
    target: &GuestTarget,
    (path, what, content): (String, wire::Pushed, Bytes),
    timeout_ms: u64,
    send_before: Option<Instant>,
) -> Result<Job, GuestError> {
    let verb = wire::Verb::Push(wire::Push {
        guest: guest(target),
        path,
        what,
        content_bytes: content.len() as u64,
        timeout_ms: timeout_ms.min(TIMEOUT_MS),
    });
    job(verb, Some(content), timeout_ms, send_before, 0)
}

pub(super) fn pull(target: &GuestTarget, pull: Pull) -> Result<Job, GuestError> {
    get(target, (pull.path, false), pull.max_bytes, pull.timeout_ms)
}

pub(super) fn pull_tree(target: &GuestTarget, pull: PullTree) -> Result<Job, GuestError> {
    get(target, (pull.path, true), pull.max_bytes, pull.timeout_ms)
}

fn get(
    target: &GuestTarget,
    (path, tree): (String, bool),
    max_bytes: u64,
    timeout_ms: u64,
) -> Result<Job, GuestError> {
    let largest = usize::try_from(max_bytes)
        .map_err(|_| GuestError::Impossible("the size limit is too large".to_owned()))?;
    let verb = wire::Verb::Pull(wire::Pull {
        guest: guest(target),
        path,
        tree,
        max_bytes,
        timeout_ms: timeout_ms.min(TIMEOUT_MS),
    });
    job(verb, None, timeout_ms, None, largest)
}

fn length(body: Option<&Bytes>) -> u64 {
    body.map_or(0, |body| body.len() as u64)
}

/// What came back, taken apart.
struct Said {
    out: Vec<u8>,
    err: Vec<u8>,
    end: End,
}

/// Takes the frames apart.
fn said(node: &NodeName, output: &ExecOutput) -> Result<Said, GuestError> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut left = output.stdout.as_ref();
    let unreadable = |e| in_doubt(node, format!("its helper sent {e}"));
    while let Some(Frame {
        kind,
        content,
        rest,
    }) = frames::first(left).map_err(unreadable)?
    {
        left = rest;
        match kind {
            OUTPUT => out.extend_from_slice(content),
            ERROR_OUTPUT => err.extend_from_slice(content),
            END => {
                let end = serde_json::from_slice(content);
                let end = end.map_err(|e| in_doubt(node, format!("its helper ended with: {e}")))?;
                return Ok(Said { out, err, end });
            }
            _ => break,
        }
    }
    Err(no_answer(node, output))
}

/// Why there is no end among the frames.
fn no_answer(node: &NodeName, output: &ExecOutput) -> GuestError {
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.exit_code == NO_SUCH_PROGRAM && output.stdout.is_empty() {
        return GuestError::NoHelper {
            node: node.to_string(),
            message,
        };
    }
    let code = output.exit_code;
    in_doubt(
        node,
        format!("its helper gave no answer (exit code {code}): {message}"),
    )
}

fn in_doubt(node: &NodeName, why: String) -> GuestError {
    GuestError::MaybeApplied {
        node: node.to_string(),
        why,
    }
}

/// What a refusal means; nothing was done.
fn refused(node: &NodeName, trouble: Trouble) -> GuestError {
    let (node, message) = (node.to_string(), trouble.message);
    match trouble.code {
        Code::BadRequest => GuestError::Impossible(message),
        Code::NotThere => GuestError::NotThere { node, message },
        Code::NotRunning => GuestError::NotRunning { node, message },
        Code::NotYours => GuestError::Refused { node, message },
        Code::NotAllowed => GuestError::NotAllowed { node, message },
        Code::OtherProtocol => GuestError::NoHelper { node, message },
        Code::Busy
        | Code::CutShort
        | Code::Node
        | Code::TooLarge
        | Code::TimedOut
        | Code::Guest => GuestError::Declined { node, message },
    }
}

/// What a failure means; something may have been done.
fn failed(node: &NodeName, trouble: Trouble, max_bytes: u64) -> GuestError {
    match trouble.code {
        Code::TooLarge => GuestError::TooLarge {
            size_bytes: trouble.bytes.unwrap_or(u64::MAX),
            max_bytes,
        },
        Code::Guest => GuestError::Failed {
            node: node.to_string(),
            message: trouble.message,
        },
        Code::TimedOut
        | Code::BadRequest
        | Code::OtherProtocol
        | Code::NotThere
        | Code::NotYours
        | Code::NotAllowed
        | Code::NotRunning
        | Code::Busy
        | Code::CutShort
        | Code::Node => in_doubt(node, trouble.message),
    }
}

/// An end that is not one of this verb.
fn other(node: &NodeName, end: End, max_bytes: u64) -> GuestError {
    match end {
        End::Refused(trouble) => refused(node, trouble),
        End::Failed(trouble) => failed(node, trouble, max_bytes),
        End::Version { .. }
        | End::Probe { .. }
        | End::Ended { .. }
        | End::Pushed {}
        | End::Pulled {} => in_doubt(node, "its helper answered something else".to_owned()),
    }
}

/// Which helper it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperVersion {
    /// The helper's own version.
    pub version: String,
    /// The installation whose containers it acts in.
    pub installation: String,
}

pub(super) fn judge_version(
    node: &NodeName,
    output: &ExecOutput,
) -> Result<HelperVersion, GuestError> {
    match said(node, output)?.end {
        End::Version {
            version,
            installation,
            ..
        } => Ok(HelperVersion {
            version,
            installation,
        }),
        end => Err(other(node, end, 0)),
    }
}

pub(super) fn judge_exec(node: &NodeName, output: &ExecOutput) -> Result<ExecOutput, GuestError> {
    let said = said(node, output)?;
    match said.end {
        End::Ended {
            exit_code,
            truncated,
        } => Ok(ExecOutput {
            exit_code,
            stdout: said.out.into(),
            stderr: said.err.into(),
            truncated,
        }),
        end => Err(other(node, end, 0)),
    }
}

pub(super) fn judge_push(node: &NodeName, output: &ExecOutput) -> Result<(), GuestError> {
    match said(node, output)?.end {
        End::Pushed {} => Ok(()),
        end => Err(other(node, end, 0)),
    }
}

pub(super) fn judge_pull(
    node: &NodeName,
    max_bytes: u64,
    output: &ExecOutput,
) -> Result<Bytes, GuestError> {
    let said = said(node, output)?;
    match said.end {
        End::Pulled {} => Ok(said.out.into()),
        end => Err(other(node, end, max_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_a_huge_frame_leaves_in_doubt_whether_it_was_done() {
        let output = ExecOutput {
            exit_code: 0,
            stdout: Bytes::from_static(b"o\xff\xff\xff\xffxx.\0\0\0\x02{}"),
            stderr: Bytes::new(),
            truncated: false,
        };
        let error = judge_exec(&"pve1".parse().unwrap(), &output).unwrap_err();
        let GuestError::MaybeApplied { why, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(why.contains("a frame of 4294967295 bytes"), "{why}");
    }

    #[test]
    fn a_refusal_is_told_as_what_it_is_and_never_as_a_node_that_is_not_reached() {
        let node: NodeName = "pve1".parse().unwrap();
        for code in [
            Code::BadRequest,
            Code::OtherProtocol,
            Code::NotThere,
            Code::NotYours,
            Code::NotAllowed,
            Code::NotRunning,
            Code::Busy,
            Code::CutShort,
            Code::Node,
        ] {
            let error = refused(&node, Trouble::new(code, "no room"));
            assert!(error.is_not_sent(), "{code:?}: {error:?}");
            let told = error.to_string();
            assert!(
                told.contains("no room") && !told.contains("reached"),
                "{told}"
            );
            let is_so = match code {
                Code::OtherProtocol => matches!(error, GuestError::NoHelper { .. }),
                Code::NotAllowed => matches!(error, GuestError::NotAllowed { .. }),
                Code::Busy | Code::CutShort | Code::Node => {
                    matches!(error, GuestError::Declined { .. })
                }
                _ => true,
            };
            assert!(is_so, "{code:?}: {error:?}");
        }
    }
}
