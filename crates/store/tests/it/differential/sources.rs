//! Sources of documents, and what looks find of them.

use proximity_domain::failure::Failure;
use proximity_domain::ids::{PlanId, SourceId};
use proximity_domain::names::{CommitId, SourceName};
use proximity_domain::source::{Due, SourcePolicy, SourceProblem, SourceState};
use proximity_store::sources::{NewSource, SourceSecrets};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::pair::{Pair, both};
use super::play::{Play, Told};

fn name(n: u8) -> SourceName {
    format!("source-{}", n % 3).parse().unwrap()
}

fn new(id: Uuid, n: u8) -> NewSource {
    let secret = |text: &str| SecretString::from(format!("{text}-{n}"));
    NewSource {
        id: SourceId(id),
        name: name(n),
        url: "https://example.org/apps.git".parse().unwrap(),
        branch: "main".parse().unwrap(),
        path: n.is_multiple_of(2).then(|| "apps/home".parse().unwrap()),
        every_s: 30 + u32::from(n),
        policy: SourcePolicy::ALL[usize::from(n % 2)],
        prune: n.is_multiple_of(7),
        signers: n
            .is_multiple_of(5)
            .then(|| "me ssh-ed25519 AAAA".to_owned()),
        owner: n.is_multiple_of(4).then(|| "robot".to_owned()),
        secrets: SourceSecrets {
            hook: secret("hook"),
            credential: n.is_multiple_of(3).then(|| secret("token")),
        },
    }
}

/// All sources.
pub async fn look(pair: &Pair) {
    both!(pair, store => store.sources()).unwrap();
    for n in 0..3 {
        both!(pair, store => store.source(&name(n))).unwrap();
        let shown = |secrets: Option<SourceSecrets>| {
            let secrets = secrets?;
            let credential = secrets.credential;
            let credential = credential.map(|one| one.expose_secret().to_owned());
            Some((secrets.hook.expose_secret().to_owned(), credential))
        };
        let left = pair.sqlite.source_secrets(&name(n)).await.unwrap();
        let right = pair.memory.source_secrets(&name(n)).await.unwrap();
        assert_eq!(shown(left), shown(right));
    }
}

impl Play {
    pub async fn sources(&mut self, n: u8, what: u8) -> Told {
        let (actor, at) = (self.actor(), self.at());
        if what % 9 > 4 {
            return self.entry_sources(n, what).await;
        }
        Some(match what % 9 {
            0 => {
                let new = new(self.id(), n);
                both!(self.pair, store => store.add_source(&new, &actor, at)).is_err()
            }
            1 => both!(self.pair, store => store.remove_source(&name(n), &actor, at)).is_err(),
            2 => both!(self.pair, store => store.nudge_source(&name(n), what > 128, at)).is_err(),
            _ => {
                let mut seen = both!(self.pair, store => store.source(&name(n))).unwrap()?;
                let due = Due {
                    now: at,
                    every_s: seen.every_s,
                };
                let commit: CommitId = format!("{:040x}", n / 32).parse().unwrap();
                let why = Failure::new("source_waits", format!("{n}"), "look");
                let wrong = SourceProblem {
                    place: "a.yaml:1:2".to_owned(),
                    message: format!("{n}"),
                };
                let sight = match n / 8 % 5 {
                    0 => seen.sight.as_wanted(commit, due),
                    1 => seen.sight.waits(commit, PlanId(self.id()), why, due),
                    2 => seen.sight.failed(why, due),
                    3 => seen
                        .sight
                        .troubled(SourceState::Wrong, Some(commit), why, due)
                        .with(vec![wrong]),
                    _ => seen.sight.still(due),
                };
                if what >= 200 {
                    // It was removed, and added again under the same name.
                    seen.id = SourceId(Uuid::nil());
                }
                both!(self.pair, store => store.note_source(&seen, &sight, at)).is_err()
            }
        })
    }
}
