//! A destroy of somebody else's beside one of ours whose answer was lost.

use proximity_testkit::pve::Distort;
use serde_json::{Value, json};

use super::*;

/// The task of theirs, which the emulator knows nothing of, and what its path has of it.
const THEIRS: &str = "UPID:pve1:0BADF00D:0006BA26:69000000:vzdestroy:100:root@pam:";
const ITS_PATH: &str = "0BADF00D";
/// Texts that a destroy ends with: before it does anything, and after it may have.
const NOT_FREE: &str = "can't lock file '/run/lock/lxc/pve-config-100.lock' - got timeout";
const HALF_WAY: &str = "command 'zfs destroy' failed: exit code 1";

/// The list that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    Running,
    Ended,
}

/// Lists of tasks with theirs among them. Asked for by itself it is over, and has ended so.
fn beside(listed: Listed, exit: &'static str) -> Arc<Distort> {
    let row = match listed {
        Listed::Running => json!({ "upid": THEIRS, "status": "RUNNING" }),
        Listed::Ended => json!({ "upid": THEIRS, "endtime": 0x6900_0001, "status": exit }),
    };
    Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            if request.path.contains(ITS_PATH) {
                let over = json!({ "upid": THEIRS, "status": "stopped", "exitstatus": exit });
                return Ok(RawResponse {
                    status: 200,
                    reason: "OK".to_owned(),
                    body: json!({ "data": over }).to_string().into(),
                });
            }
            let answer = answer?;
            let active = ("source".to_owned(), "active".to_owned());
            let is_of_running = request.params.contains(&active);
            let has_it = is_of_running == (listed == Listed::Running);
            if request.path != "/nodes/pve1/tasks" || !has_it {
                return Ok(answer);
            }
            let mut read: Value = serde_json::from_slice(&answer.body).unwrap();
            if let Some(rows) = read["data"].as_array_mut() {
                rows.push(row.clone());
            }
            let body = read.to_string().into();
            Ok(RawResponse { body, ..answer })
        },
    )
}

/// Ours is waited for until it arrives, and is not sent a second time.
async fn ours_is_waited_for(listed: Listed, exit: &'static str) {
    let (w, _, _) = world_with(late(20_000)).await;
    let mut looks = 0;
    w.pve.delay(Method::Delete, "/lxc/100", move |r| {
        looks += u32::from(r.path == "/nodes/pve1/lxc/100/config");
        looks == 3
    });
    w.pve.distort(Some(beside(listed, exit)));
    let op = act(&w, removal()).await;
    w.pve.distort(None);
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!((w.pve.under_way(), deletes(&w)), (0, 1));
    assert!(w.pve.guests.vmids().is_empty());
}

#[tokio::test]
async fn somebody_elses_destroy_that_did_nothing_settles_none_of_ours() {
    ours_is_waited_for(Listed::Ended, NOT_FREE).await;
}

#[tokio::test]
async fn somebody_elses_destroy_that_failed_settles_none_of_ours() {
    ours_is_waited_for(Listed::Ended, HALF_WAY).await;
}

#[tokio::test]
async fn somebody_elses_destroy_that_runs_and_does_nothing_settles_none_of_ours() {
    ours_is_waited_for(Listed::Running, NOT_FREE).await;
}
