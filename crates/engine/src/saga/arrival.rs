//! For how long a call whose answer was lost may arrive yet (ADR 0018).
//!
//! Each leaves within some seconds of its audit or not at all. Behind a node that hangs Proxmox VE's proxies keep it for as long as
//! they wait themselves; where the way to the container's node is free all the time, nothing of ours is kept on it.

use std::time::Duration;

use futures::future::join_all;
use proximity_domain::guest::ContainerRef;
use proximity_domain::time::Monotonic;
use proximity_pve::error::Result as PveResult;
use tokio::time::timeout;

use super::context::Cx;
use super::sent::Sent;

/// How often it is looked whether a call whose answer was lost has arrived.
pub(super) const LOOK_EVERY_MS: u64 = 1_000;
/// The way is free where an answer takes no longer, with the connection and the turn that it waits for.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Of what was between two looks that are further apart nothing is known, milliseconds.
const UNBROKEN_MS: u64 = 5_000;

/// Since when the way to a node was free in every look.
#[derive(Debug, Default)]
pub(crate) struct FreeWay {
    since: Option<Monotonic>,
    looked: Option<Monotonic>,
}

impl FreeWay {
    /// A look ended now, and the way was free or not.
    fn note(&mut self, is_free: bool, now: Monotonic) {
        let is_unbroken = |last: Monotonic| now.since_ms(last) <= UNBROKEN_MS;
        let before = self.since.filter(|_| self.looked.is_some_and(is_unbroken));
        self.since = is_free.then(|| before.unwrap_or(now));
        self.looked = Some(now);
    }

    /// How long a call may be under way yet that no proxy keeps for longer than `kept_ms` from now on: not for longer than until the
    /// way was free for `free_ms`. All are milliseconds.
    fn left_ms(&self, kept_ms: u64, free_ms: u64, now: Monotonic) -> u64 {
        let free = self.since.map(|since| now.since_ms(since));
        match free {
            Some(free) => kept_ms.min(free_ms.saturating_sub(free)),
            None => kept_ms,
        }
    }
}

impl Cx {
    /// How long the last of these calls may still be under way, milliseconds, where one of them is in doubt: what a proxy may keep,
    /// or until the way to the container's node, which is looked at now, was free for `free_ms`.
    pub(super) async fn left_ms(
        &self,
        sent: &Sent,
        place: &ContainerRef,
        free_ms: u64,
        way: &mut FreeWay,
    ) -> u64 {
        let kept_ms = sent.late_for_ms(self.now(), self.limits().proxied_late_ms);
        if kept_ms == 0 {
            return 0;
        }
        let is_free = self.is_way_free(place).await;
        let now = self.engine.inner.parts.clock.monotonic();
        way.note(is_free, now);
        way.left_ms(kept_ms, free_ms, now)
    }

    /// Waits until none of these calls can arrive any more, of which one is in doubt and none shows itself by a task.
    pub(crate) async fn outwait(&self, sent: &Sent, place: &ContainerRef, free_ms: u64) {
        let clock = &self.engine.inner.parts.clock;
        let (began, mut way) = (clock.monotonic(), FreeWay::default());
        loop {
            let left_ms = self.left_ms(sent, place, free_ms, &mut way).await;
            let waited_ms = clock.monotonic().since_ms(began);
            if left_ms == 0 || waited_ms >= self.limits().proxied_late_ms {
                return;
            }
            self.pause_ms(left_ms.min(LOOK_EVERY_MS)).await;
        }
    }

    /// Whether the container's node answers at once by each endpoint: by which one the call went is not known for certain. What is
    /// asked goes the whole way of a change, through the proxies to the node's daemon.
    async fn is_way_free(&self, place: &ContainerRef) -> bool {
        let mut asked = Vec::new();
        for read in self.cluster.read().each() {
            asked.push(async move {
                let answer = timeout(AT_ONCE, read.lxc_status(&place.node, place.vmid)).await;
                answer.is_ok_and(|answer| is_of_its_daemon(&answer))
            });
        }
        join_all(asked).await.into_iter().all(|is_free| is_free)
    }
}

/// Whether this is the answer of the node that was asked about: how its container is, or that it has none. Any other refusal may be the
/// word of the node that would have passed the request on: of who may not ask (pve-manager, `PVE/HTTPServer.pm`, `rest_handler`: the
/// rights come before the proxy), and of a node whose address it does not know, as once that has left the cluster's network
/// (pve-cluster, `PVE/Cluster.pm`, `remote_node_ip`), while its proxy keeps a call of before.
fn is_of_its_daemon<T>(answer: &PveResult<T>) -> bool {
    match answer {
        Ok(_) => true,
        Err(refused) => refused.is_missing_config(),
    }
}

#[cfg(test)]
mod tests {
    use proximity_pve::error::Error as PveError;

    use super::*;

    const FREE_MS: u64 = 10_000;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000)
    }

    /// What is left after looks each second, each with whether the way was free, while a proxy keeps a call for 40 s.
    fn left_s(looks: &[bool]) -> u64 {
        let (mut way, mut now) = (FreeWay::default(), at(0));
        for (second, is_free) in (0..).zip(looks) {
            now = at(second);
            way.note(*is_free, now);
        }
        way.left_ms(40_000 - now.0, FREE_MS, now) / 1_000
    }

    #[test]
    fn a_way_that_is_free_all_the_time_keeps_nothing() {
        assert_eq!(left_s(&[true]), 10);
        assert_eq!(left_s(&[true; 4]), 7);
        assert_eq!(left_s(&[true; 11]), 0);
    }

    #[test]
    fn while_a_node_hangs_its_proxies_may_keep_the_call() {
        assert_eq!(left_s(&[]), 40);
        assert_eq!(left_s(&[false; 30]), 11);
        let mut came_back = vec![true; 9];
        came_back.push(false);
        came_back.extend([true; 3]);
        assert_eq!(left_s(&came_back), 8, "free for 2 s again");
        came_back.push(false);
        assert_eq!(left_s(&came_back), 27);
        let late = [vec![false; 36], vec![true]].concat();
        assert_eq!(left_s(&late), 4, "no longer than a proxy keeps it");
    }

    #[test]
    fn nothing_is_known_of_what_was_between_looks_that_are_far_apart() {
        let mut way = FreeWay::default();
        way.note(true, at(0));
        way.note(true, at(5));
        assert_eq!(way.left_ms(30_000, FREE_MS, at(5)), 5_000);
        way.note(true, at(11));
        assert_eq!(way.left_ms(30_000, FREE_MS, at(11)), FREE_MS);
    }

    /// A proxy answers for a node that says nothing, and says of itself why it passes nothing on.
    #[test]
    fn what_another_node_says_of_one_that_hangs_is_no_answer_of_it() {
        let refused = |status, message: &str| {
            Err::<(), _>(PveError::Refused {
                call: "GET /nodes/pve2/lxc/100/status/current".to_owned(),
                status,
                reason: message.to_owned(),
                message: message.to_owned(),
                errors: Default::default(),
            })
        };
        assert!(is_of_its_daemon(&Ok(())));
        let none = "Configuration file 'nodes/pve2/lxc/100.conf' does not exist";
        assert!(is_of_its_daemon(&refused(500, none)), "it has none");
        assert!(!is_of_its_daemon(&refused(596, "Connection timed out")));
        assert!(!is_of_its_daemon(&refused(403, "Permission check failed")));
        let unknown = "hostname lookup 'pve2' failed - failed to get address info for: pve2";
        assert!(!is_of_its_daemon(&refused(500, unknown)), "not passed on");
        let lost = PveError::NotSent {
            call: String::new(),
            why: "timed out".to_owned(),
        };
        assert!(!is_of_its_daemon::<()>(&Err(lost)));
    }
}
