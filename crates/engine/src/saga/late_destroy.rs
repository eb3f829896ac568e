//! A destroy whose answer was lost: it may arrive as long as it can be under way, also after somebody else has destroyed the
//! container, and would then hit whoever has the number.

use proximity_domain::guest::ContainerRef;
use proximity_pve::task::{TaskFilter, TaskRow};
use proximity_pve::upid::Upid;

use super::arrival::{FreeWay, LOOK_EVERY_MS};
use super::context::Cx;
use super::pve_calls::pve_failure;
use super::sent::{Change, Sent};
use super::step::StepResult;

/// The task of a destroy.
pub(crate) const DESTROY_TASK: &str = "vzdestroy";
/// Tasks that make a container under the number they name.
const MAKES: [&str; 2] = ["vzcreate", "vzrestore"];

impl Cx {
    /// How long a destroy of this step of which nothing is known may still be under way, after it was waited for so long. Both
    /// are milliseconds.
    pub(crate) async fn destroy_late_for_ms(
        &self,
        place: &ContainerRef,
        waited_ms: u64,
        way: &mut FreeWay,
    ) -> StepResult<u64> {
        let sent = self.sent(Change::Destroy, place.vmid).await?;
        // The one on record has ended.
        let answered = self.earlier_task(DESTROY_TASK);
        let answered = answered.filter(|upid| !sent.knows(upid));
        let is_in_doubt = sent.is_in_doubt(usize::from(answered.is_some()));
        if !is_in_doubt || waited_ms >= self.limits().proxied_late_ms {
            return Ok(0);
        }
        let free_ms = self.limits().destroy_late_ms;
        Ok(self.left_ms(&sent, place, free_ms, way).await)
    }

    /// Before the number of a container is given back that is not there. Where a destroy whose answer was lost is none of the
    /// tasks that ended, somebody else destroyed the container: the number is kept until ours has shown itself, or can no longer
    /// arrive.
    pub(crate) async fn outwait_destroy(&self, place: &ContainerRef) -> StepResult<()> {
        let clock = &self.engine.inner.parts.clock;
        let (began, mut way) = (clock.monotonic(), FreeWay::default());
        loop {
            let waited_ms = clock.monotonic().since_ms(began);
            let left_ms = self.destroy_late_for_ms(place, waited_ms, &mut way).await?;
            if left_ms == 0 || self.destroy_has_shown(place).await? {
                return Ok(());
            }
            self.pause_ms(left_ms.min(LOOK_EVERY_MS)).await;
        }
    }

    /// Whether the destroy whose answer was lost is among the node's tasks that ended.
    async fn destroy_has_shown(&self, place: &ContainerRef) -> StepResult<bool> {
        let sent = self.sent(Change::Destroy, place.vmid).await?;
        let ended = self.ended_destroys(place, &sent).await?;
        Ok(ended.iter().any(|upid| !self.was_seen(upid)))
    }

    /// The node's tasks of destroys of ours that ended, and that no other of the calls that were `sent` is known to have had. What somebody
    /// else's came to says nothing of a call of ours.
    pub(crate) async fn ended_destroys(
        &self,
        place: &ContainerRef,
        sent: &Sent,
    ) -> StepResult<Vec<Upid>> {
        let filter = TaskFilter {
            vmid: Some(place.vmid),
            since_s: sent.since_s(),
            ..TaskFilter::default()
        };
        let read = self.cluster.read();
        let tasks = read
            .node_tasks(&place.node, &filter)
            .await
            .map_err(|e| pve_failure("reading the node's tasks", &e))?;
        let sender = self.sender();
        let ended = ended_destroys(&tasks, &sender, |upid| sent.knows(upid));
        Ok(ended.cloned().collect())
    }
}

/// Destroys of the `sender`'s among these tasks of one number that ended, and that no other call is known to have had. Not one from
/// before the number's newest container was made: that was another container's.
fn ended_destroys<'t>(
    tasks: &'t [TaskRow],
    sender: &'t str,
    is_known: impl Fn(&Upid) -> bool + 't,
) -> impl Iterator<Item = &'t Upid> {
    let all = tasks.iter().map(|task| &task.upid);
    let made = all.filter(|upid| MAKES.contains(&upid.kind()));
    let made_s = made.map(Upid::start_s).max().unwrap_or(0);
    let ended = tasks.iter().filter(|task| task.has_ended());
    ended.map(|task| &task.upid).filter(move |upid| {
        let is_ours = upid.kind() == DESTROY_TASK && upid.user() == sender;
        is_ours && upid.start_s() >= made_s && !is_known(upid)
    })
}

#[cfg(test)]
mod tests {
    use proximity_pve::task::TaskOutcome;

    use super::*;

    /// Who sends our calls.
    const US: &str = "root@pam!gold";

    fn upid(kind: &str, user: &str, start_s: u32) -> Upid {
        let text = format!("UPID:pve1:000002F5:0006BA26:{start_s:08X}:{kind}:100:{user}:");
        text.parse().unwrap()
    }

    fn ended(upid: &Upid) -> TaskRow {
        TaskRow {
            upid: upid.clone(),
            end_s: Some(upid.start_s() + 1),
            outcome: Some(TaskOutcome::Ok),
        }
    }

    /// Whoever else destroyed it: ours may still arrive.
    #[test]
    fn a_destroy_shows_itself_by_a_task_of_ours_alone() {
        let (made, ours) = (upid("vzcreate", US, 50), upid(DESTROY_TASK, US, 60));
        let shows = |all: &[&Upid], known: Option<&Upid>| {
            let tasks: Vec<TaskRow> = all.iter().map(|upid| ended(upid)).collect();
            let mut shown = ended_destroys(&tasks, US, |upid| known == Some(upid));
            shown.next().is_some()
        };
        assert!(shows(&[&made, &ours], None));
        assert!(!shows(&[], None));
        assert!(!shows(&[&ours], Some(&ours)), "of another call");
        for theirs in [
            upid(DESTROY_TASK, "root@pam", 60),
            upid(DESTROY_TASK, "root@pam!silver", 60),
            upid("vzstop", US, 60),
        ] {
            assert!(!shows(&[&made, &theirs], None), "{theirs:?}");
        }
        let of_before = upid(DESTROY_TASK, US, 49);
        assert!(
            !shows(&[&of_before, &made], None),
            "of another container with the number"
        );
        let at_work = TaskRow {
            end_s: None,
            outcome: None,
            ..ended(&ours)
        };
        assert_eq!(ended_destroys(&[at_work], US, |_| false).count(), 0);
    }
}
