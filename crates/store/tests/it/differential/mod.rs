//! SQLite and memory side by side: whatever is asked for, both answer the same, refuse in the same words, and have
//! recorded the same.

mod accounts;
mod applies;
mod calls;
mod clearing;
mod entry_sources;
mod look;
mod loops;
mod notices;
mod openings;
mod pages;
mod pair;
mod people;
mod plans;
mod play;
mod prepared;
mod resources;
mod sources;
mod work;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use calls::{Call, NAMES, sequence};
use pair::REFUSALS;
use play::Play;
use proptest::test_runner::{Config, TestRunner};

/// Sequences of one round, and their length.
const CASES: u32 = 16;
const LENGTH: usize = 90;
/// Rounds that are played at most until every call was seen to succeed and, where it can be, to be refused, and
/// every sort of refusal was seen. In half of them the rarest is seen some ten times.
const ROUNDS: u32 = 32;

#[derive(Debug, Default)]
pub struct Seen {
    /// How often each call was answered, and how often refused.
    calls: BTreeMap<&'static str, [u32; 2]>,
    refusals: BTreeSet<&'static str>,
}

impl Seen {
    pub fn note(&mut self, call: &'static str, refused: bool) {
        self.calls.entry(call).or_default()[usize::from(refused)] += 1;
    }

    fn add(&mut self, other: Self) {
        self.refusals.extend(other.refusals);
        for (call, [answered, refused]) in other.calls {
            let all = self.calls.entry(call).or_default();
            *all = [all[0] + answered, all[1] + refused];
        }
    }

    /// What no sequence has shown yet.
    fn missing(&self) -> Vec<String> {
        let count = |name, at: usize| self.calls.get(name).map_or(0, |seen| seen[at]);
        let answered = NAMES.iter().filter(|(name, _)| count(name, 0) == 0);
        let answered = answered.map(|(name, _)| format!("{name} answered"));
        let refused = NAMES
            .iter()
            .filter(|(name, can)| *can && count(name, 1) == 0);
        let refused = refused.map(|(name, _)| format!("{name} refused"));
        let sorts = REFUSALS
            .iter()
            .filter(|sort| !self.refusals.contains(*sort));
        let sorts = sorts.map(|sort| format!("refusal: {sort}"));
        answered.chain(refused).chain(sorts).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_give_the_same_answers() {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    };
    let seen = RefCell::new(Seen::default());
    let runtime = tokio::runtime::Handle::current();
    let strategy = sequence(LENGTH);
    for _ in 0..ROUNDS {
        let result = tokio::task::block_in_place(|| {
            TestRunner::new(config.clone()).run(&strategy, |calls: Vec<Call>| {
                runtime.block_on(async {
                    let mut play = Play::new().await;
                    for call in &calls {
                        play.call(call).await;
                    }
                    let shown = play.end().await;
                    seen.borrow_mut().add(shown);
                });
                Ok(())
            })
        });
        result.unwrap();
        if seen.borrow().missing().is_empty() {
            return;
        }
    }
    panic!("never seen: {:?}", seen.borrow().missing());
}
