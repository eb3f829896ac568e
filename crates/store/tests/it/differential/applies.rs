//! Plans that are carried out, what is wanted since, and secrets.

use proximity_domain::apply::Next;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, ApplyId, OperationId};
use proximity_domain::names::SecretName;
use proximity_domain::time::Timestamp;
use proximity_store::applies::{ApplyFence, ChangeEnd, NewApply};
use proximity_store::rejections::NewRejection;
use proximity_store::removals::BrakeBasis;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::calls::Call;
use super::pair::{Pair, both};
use super::people::key_of;
use super::plans;
use super::play::{Play, Told, holder, pick};

fn secret(n: u8) -> SecretName {
    format!("secret-{}", n % 4).parse().unwrap()
}

/// All that was carried out.
pub async fn look(pair: &Pair) {
    let all = both!(pair, store => store.applies(None, 1_000)).unwrap();
    both!(pair, store => store.applies(Some("admin"), 3)).unwrap();
    for id in all.iter().map(|apply| apply.id) {
        both!(pair, store => store.apply(id)).unwrap();
        both!(pair, store => store.apply_changes(id)).unwrap();
    }
    both!(pair, store => store.apply(ApplyId(Uuid::nil()))).unwrap();
    let mut moments = vec![0];
    for n in 0..5 {
        let name = plans::name(n);
        both!(pair, store => store.desired(&name)).unwrap();
        let all = both!(pair, store => store.desired_revisions(&name)).unwrap();
        moments.extend(all.iter().map(|one| one.applied_at.0));
    }
    for at in moments.iter().map(|at| Timestamp(*at)) {
        both!(pair, store => store.desired_at(at)).unwrap();
    }
    both!(pair, store => store.secrets()).unwrap();
    for n in 0..4 {
        let (left, right) = (&pair.sqlite, &pair.memory);
        let left = left.secret_value(&secret(n)).await.unwrap();
        let right = right.secret_value(&secret(n)).await.unwrap();
        let shown = |value: &SecretString| value.expose_secret().to_owned();
        assert_eq!(left.as_ref().map(shown), right.as_ref().map(shown));
    }
}

impl Play {
    pub async fn applies(&mut self, call: &Call) -> Told {
        let (actor, at) = (self.actor(), self.at());
        Some(match *call {
            Call::StartApply { plan, key } => self.start_apply(plan, key).await,
            Call::ClaimApply { seen, holder: n } => {
                let looked = both!(self.pair, store => store.claimable_applies()).unwrap();
                self.applies.extend(looked);
                let seen = pick(&self.applies, seen)?;
                let claimed = both!(self.pair, store =>
                    store.claim_apply_as_seen(&seen, holder(n), 10_000, at));
                let (_, fence) = claimed.unwrap()?;
                self.fences.push(fence);
                false
            }
            Call::OfApply { claim, what, n } => {
                let fence = pick(&self.fences, claim)?;
                self.of_apply(fence, what, n).await
            }
            Call::StopApply(n) => {
                let nobody = ApplyId(Uuid::nil());
                let id = pick(&self.applies, n).map_or(nobody, |seen| seen.id);
                both!(self.pair, store => store.stop_apply(id, &actor, at)).is_err()
            }
            Call::SetSecret(n) => {
                let value = SecretString::from(format!("value-{}", n / 64));
                both!(self.pair, store => store.set_secret(&secret(n), &value, &actor, at)).is_err()
            }
            Call::RemoveSecret(n) => {
                both!(self.pair, store => store.remove_secret(&secret(n), &actor, at)).is_err()
            }
            Call::Reject { n, what } => self.reject(n, what).await,
            _ => unreachable!("only what is about applies comes here"),
        })
    }

    async fn start_apply(&mut self, plan: u8, key: Option<u8>) -> bool {
        let (mut actor, at) = (self.actor(), self.at());
        if plan.is_multiple_of(5) {
            actor.account = "robot".to_owned();
        }
        let new = NewApply {
            id: ApplyId(self.id()),
            plan: plans::id(plan),
            parallel: u32::from(plan / 4),
            key: key.map(key_of),
            brake: (plan > 127).then_some(BrakeBasis {
                live: u64::from(plan % 4),
                done: u64::from(plan % 3),
                from: Timestamp(at.0.saturating_sub(3_000)),
            }),
            unless_rejected: plan % 2 == 1,
        };
        both!(self.pair, store => store.removals_after(Timestamp(at.0 - 3_000))).unwrap();
        both!(self.pair, store => store.start_apply(new.clone(), &actor, at)).is_err()
    }

    async fn reject(&mut self, n: u8, what: u8) -> bool {
        let (actor, at) = (self.actor(), self.at());
        if what.is_multiple_of(3) {
            let name = plans::name(n);
            let just = (what > 127).then_some("hash-1");
            return both!(self.pair, store => store.unreject_revision(&name, just, &actor, at))
                .is_err();
        }
        let name = plans::name(n);
        both!(self.pair, store => store.rejected_revision(&name, "hash-1")).unwrap();
        let by = ["source home", "ann"][usize::from(what / 4 % 2)];
        // What documents want, and what none does.
        let wanted = |of: u8| {
            let documents = plans::documents(what / 8);
            let spec = documents.get(&plans::name(of));
            self.pair.sqlite.spec_hash(spec).unwrap()
        };
        let one = |of: u8| NewRejection {
            name: plans::name(of),
            spec_hash: match what % 4 {
                0 | 1 => wanted(of),
                other => format!("hash-{}", other % 2),
            },
            why: (of > 99).then(|| format!("because\0 of {of}")),
        };
        let new = [one(n), one(n.wrapping_add(1))];
        both!(self.pair, store => store.reject_revisions(&new, by, &actor, at)).is_err()
    }

    async fn of_apply(&mut self, fence: ApplyFence, what: u8, n: u8) -> bool {
        let (at, position) = (self.at(), u32::from(n % 3));
        match what % 10 {
            0 => both!(self.pair, store => store.renew_apply(&fence, 10_000, at)).is_err(),
            1 if n < 64 => both!(self.pair, store => store.release_apply(&fence)).is_err(),
            1 => both!(self.pair, store => store.check_apply_fence(&fence)).is_err(),
            2 => {
                let app = (n < 128).then(|| AppId(Uuid::from_u128(u128::from(n % 4))));
                let operation = (n > 64).then(|| OperationId(self.id()));
                both!(self.pair, store => store.record_change(&fence, position, app, operation))
                    .is_err()
            }
            3 => {
                let why = Failure::new("busy", format!("{n}"), "wait");
                self.end_change(fence, position, ChangeEnd::Failed(why), at)
                    .await
            }
            4 | 5 => self.end_change(fence, position, ChangeEnd::Done, at).await,
            6 => both!(self.pair, store => store.end_apply(&fence, at)).is_err(),
            _ => {
                let next = next(n);
                both!(self.pair, store => store.turn_changes(&fence, &next, at)).is_err()
            }
        }
    }

    async fn end_change(
        &self,
        fence: ApplyFence,
        position: u32,
        how: ChangeEnd,
        at: Timestamp,
    ) -> bool {
        both!(self.pair, store => store.end_change(&fence, position, how.clone(), at)).is_err()
    }
}

/// What comes next, or never would.
fn next(n: u8) -> Next {
    let (at, other) = (usize::from(n % 3), usize::from(n / 3 % 4));
    let mut next = Next::default();
    match n % 7 {
        0 => next.held_up = vec![(at, other)],
        1 => next.not_started = vec![at],
        2 => next.start = vec![0, 1],
        _ => next.start = vec![at],
    }
    next
}
