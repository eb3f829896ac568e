//! Task lists, states and logs.

use serde_json::{Value, json};

use super::super::answer::Reply;
use super::super::call::{Call, Outcome};
use super::super::dates;
use super::super::error::ApiError;
use super::super::faults;
use super::super::park::Wait;
use super::super::task::Task;
use super::super::upid::Upid;
use super::super::worker;
use crate::schema::split_list;

/// Tasks of a node in `/cluster/tasks`: all that run, and ended ones as long as there are fewer.
const CLUSTER_TAIL: usize = 25;
/// What a node tells the cluster of its tasks is shorter than this, bytes: the last ones are left out.
const CLUSTER_BYTES: usize = 32 * 1024;
/// With shorter texts that say how its tasks ended it is in any case: the rest of a row takes less than 1,000 bytes.
const SHORT_BYTES: usize = 1_000;

/// Running tasks and the last ended ones of all nodes. Without Sys.Audit on `/` only one's own and those of one's tokens;
/// a token's own are not shown to it.
pub(super) fn cluster_list(call: &mut Call<'_>) -> Outcome {
    let all = call.may("/", "Sys.Audit");
    let seen = |task: &&Task| all || task.upid.account().0 == call.caller.id;
    let mut rows = Vec::new();
    for node in call.world.nodes() {
        let (running, ended): (Vec<&Task>, Vec<&Task>) =
            on_node(call, &node.name).partition(|task| task.is_running());
        let rest = CLUSTER_TAIL.saturating_sub(running.len());
        let told = running.into_iter().chain(ended.into_iter().take(rest));
        let mut told: Vec<&Task> = told.collect();
        cut(&mut told)?;
        rows.extend(told.into_iter().filter(seen).map(Task::cluster_row));
    }
    Ok(Reply::written(&rows)?)
}

/// Leaves out the last ones of a node until what is told of it is short enough.
fn cut(told: &mut Vec<&Task>) -> Result<(), ApiError> {
    let texts = told.iter().map(|task| task.exit().map_or(0, str::len));
    if told.len() <= CLUSTER_TAIL && texts.sum::<usize>() < SHORT_BYTES {
        return Ok(());
    }
    let (mut bytes, mut fits) = (1, told.len());
    for (place, task) in told.iter().enumerate() {
        let row = serde_json::to_vec(&task.cluster_row());
        let row = row.map_err(|error| ApiError::died(error.to_string()))?;
        bytes += row.len() + 1;
        if bytes >= CLUSTER_BYTES {
            fits = place;
            break;
        }
    }
    told.truncate(fits);
    Ok(())
}

/// Tasks of a node that are known, the last begun first.
fn on_node<'a>(call: &'a Call<'_>, node: &'a str) -> impl Iterator<Item = &'a Task> {
    let tasks = call.world.tasks().rev();
    tasks
        .filter(move |task| task.upid.node == node && !faults::is_forgotten(call.world, &task.upid))
}

/// A user's tasks are those of his tokens too.
fn is_own(call: &Call<'_>, upid: &Upid) -> bool {
    upid.user == call.caller.id || upid.account().0 == call.caller.id
}

/// What a list of tasks is narrowed to.
struct Filter {
    user: Option<String>,
    kind: Option<String>,
    vmid: Option<String>,
    since_s: Option<i64>,
    until_s: Option<i64>,
    /// States that are left out.
    without: Vec<&'static str>,
    auditor: bool,
}

const STATES: [&str; 4] = ["ok", "warning", "error", "unknown"];

impl Filter {
    fn of(call: &Call<'_>) -> Self {
        // What is false for Perl does not narrow.
        let text = |name: &str| {
            call.text(name)
                .filter(|text| !text.is_empty() && text != "0")
        };
        let second = |name: &str| call.text(name)?.trim_start_matches('+').parse().ok();
        let given = call.text("statusfilter").map(|list| list.to_lowercase());
        let without = match given {
            _ if call.flag("errors") => vec!["ok"],
            None => Vec::new(),
            Some(list) => {
                let wanted = split_list(&list);
                let mut states = STATES.to_vec();
                states.retain(|state| !wanted.contains(state));
                states
            }
        };
        Self {
            user: text("userfilter").map(|user| user.to_lowercase()),
            kind: text("typefilter"),
            vmid: text("vmid"),
            since_s: second("since"),
            until_s: second("until"),
            without,
            auditor: call.may(&format!("/nodes/{}", call.node), "Sys.Audit"),
        }
    }

    /// Whether a task is wanted, and shown to who asks. One that runs is known by its whole account: whose token began it
    /// does not see it.
    fn takes(&self, call: &Call<'_>, task: &Task) -> bool {
        let upid = &task.upid;
        let (user, own) = if task.is_running() {
            (upid.user.as_str(), upid.user == call.caller.id)
        } else {
            (upid.account().0, is_own(call, upid))
        };
        let named = |part: &String| user.to_lowercase().contains(part);
        let start_s = i64::try_from(upid.starttime_s).unwrap_or(i64::MAX);
        (self.auditor || own)
            && self.user.as_ref().is_none_or(named)
            && self.kind.as_ref().is_none_or(|kind| upid.kind == *kind)
            && self.vmid.as_ref().is_none_or(|vmid| upid.id == *vmid)
            && self.since_s.is_none_or(|since_s| start_s >= since_s)
            && self.until_s.is_none_or(|until_s| start_s <= until_s)
            && !self.without.contains(&state(task))
    }
}

/// How a task stands, in the words of the filter.
fn state(task: &Task) -> &'static str {
    match task.exit() {
        None | Some("" | "unexpected status") => "unknown",
        Some("OK") => "ok",
        Some(exit) if exit.starts_with("WARNINGS: ") => "warning",
        Some(_) => "error",
    }
}

/// Running tasks, then ended ones, the last to end first.
pub(super) fn node_list(call: &mut Call<'_>) -> Outcome {
    let source = call.text("source").unwrap_or_else(|| "archive".into());
    let start = usize::try_from(call.number("start").unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = usize::try_from(call.number("limit").unwrap_or(50)).unwrap_or(usize::MAX);
    let filter = Filter::of(call);
    let (mut running, mut ended): (Vec<&Task>, Vec<&Task>) =
        on_node(call, &call.node).partition(|task| task.is_running());
    running.retain(|_| source != "archive");
    ended.retain(|_| source != "active");
    ended.sort_by_key(|task| std::cmp::Reverse(task.end_s()));
    let all = running.into_iter().chain(ended);
    let rows: Vec<Value> = all
        .filter(|task| filter.takes(call, task))
        .map(Task::node_row)
        .collect();
    let total = rows.len() as u64;
    let page: Vec<Value> = rows.into_iter().skip(start).take(limit).collect();
    Ok(Reply::page(Value::Array(page), total))
}

/// The task the path names, whether it exists or not.
fn named(call: &Call<'_>) -> Result<Upid, ApiError> {
    let text = call.text("upid").unwrap_or_default();
    text.parse()
        .map_err(|_| ApiError::parameter("upid", "unable to parse worker upid"))
}

/// Its files, if they are on this node.
fn find<'a>(call: &'a Call<'_>, upid: &Upid) -> Option<&'a Task> {
    on_node(call, &call.node).find(|task| task.upid == *upid)
}

/// The caller's own task, or one that a right allows.
fn check_owner(call: &Call<'_>, upid: &Upid, privilege: &str) -> Result<(), ApiError> {
    if is_own(call, upid) {
        return Ok(());
    }
    call.rights()
        .need(&format!("/nodes/{}", call.node), &[privilege])
}

/// The task the path names, if it exists on this node and the caller may have it.
fn require(call: &Call<'_>, privilege: &str) -> Result<Task, ApiError> {
    let upid = named(call)?;
    let task = find(call, &upid).ok_or_else(|| ApiError::parameter("upid", "no such task"))?;
    check_owner(call, &upid, privilege)?;
    Ok(task.clone())
}

pub(super) fn status(call: &mut Call<'_>) -> Outcome {
    Ok(require(call, "Sys.Audit")?.status().into())
}

/// A log that is not there has one line that says so; whose it would be its id says.
pub(super) fn log(call: &mut Call<'_>) -> Outcome {
    let upid = named(call)?;
    check_owner(call, &upid, "Sys.Audit")?;
    let lines = find(call, &upid).map(|task| task.log.clone());
    if call.flag("download") {
        return download(call, &upid, lines);
    }
    let start = usize::try_from(call.number("start").unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = match call.number("limit") {
        None => 50,
        Some(0) => usize::MAX,
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let (start, lines) = match lines {
        None => (0, vec![format!("unable to open file - {NO_FILE}")]),
        Some(lines) if lines.is_empty() => (0, vec!["no content".into()]),
        Some(lines) => (start, lines),
    };
    let total = lines.len() as u64;
    let page = lines
        .iter()
        .zip(1_u64..)
        .skip(start)
        .take(limit)
        .map(|(text, number)| json!({"n": number, "t": text}));
    Ok(Reply::page(page.collect(), total))
}

const NO_FILE: &str = "No such file or directory";

/// The log as a file.
fn download(call: &Call<'_>, upid: &Upid, lines: Option<Vec<String>>) -> Outcome {
    if call.text("start").is_some() || call.text("limit").is_some() {
        let text = "'download' cannot be used together with 'start' or 'limit' parameters";
        return Err(ApiError::died(text).into());
    }
    let Some(lines) = lines else {
        // Logs lie in sixteen folders, by the last digit of when they were begun.
        let folder = format!("{:08X}", upid.starttime_s).pop().unwrap_or('0');
        let path = format!("/var/log/pve/tasks/{folder}/{upid}");
        let text = format!("Could not open file '{path}' - {NO_FILE}");
        return Err(ApiError::died(text).into());
    };
    let stamp = dates::stamp(upid.starttime_s).replacen(' ', "T", 1);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(Reply::File {
        name: format!("task-{}-{}-{stamp}Z.log", upid.node, upid.kind),
        text: text.into(),
    })
}

/// Kills a running task; answers when its process is gone. An ended one is left as it is.
pub(super) fn kill(call: &mut Call<'_>) -> Outcome {
    let task = require(call, "Sys.Modify")?;
    if call.progress.checked {
        return Ok(Value::Null.into());
    }
    call.progress.checked = true;
    match worker::terminate(call.world, &task.upid, call.now_ms) {
        None => Ok(Value::Null.into()),
        Some(gone_ms) => Err(super::super::call::Stop::Park(Wait::Until(gone_ms))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::task::{TaskState, Work};
    use super::*;

    fn ended(exit: &str) -> Task {
        let upid = "UPID:pve1:0000ABCD:00000001:6B001DCD:vzstart:100:root@pam:";
        Task {
            upid: upid.parse().unwrap(),
            work: Work::Start,
            lock: None,
            skips_lock: false,
            began: true,
            log: Vec::new(),
            warnings: 0,
            state: TaskState::Stopped {
                exit: exit.to_owned(),
                end_s: 7,
            },
            by: None,
        }
    }

    #[test]
    fn the_last_ones_are_left_out_of_a_list_that_is_too_long() {
        let (short, long) = (ended("OK"), ended(&"x".repeat(10_000)));
        let left = |tasks: &[&Task]| {
            let mut told = tasks.to_vec();
            cut(&mut told).unwrap();
            let text =
                serde_json::to_vec(&told.iter().map(|t| t.cluster_row()).collect::<Vec<_>>());
            assert!(text.unwrap().len() < CLUSTER_BYTES);
            told.len()
        };
        assert_eq!(left(&[&short; 25]), 25);
        assert_eq!(left(&[&long; 3]), 3);
        assert_eq!(left(&[&long; 4]), 3);
        let mixed = [&short, &long, &long, &long, &short, &long, &short];
        assert_eq!(left(&mixed), 5, "and all after the first that has no room");
        assert_eq!(
            left(&[&short; 400]),
            (CLUSTER_BYTES - 2) / row_bytes(&short)
        );
    }

    /// With what parts it from the next.
    fn row_bytes(task: &Task) -> usize {
        serde_json::to_vec(&task.cluster_row()).unwrap().len() + 1
    }
}
