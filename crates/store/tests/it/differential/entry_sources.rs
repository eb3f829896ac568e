//! Repositories with entries of the catalog, and what is taken of them.

use proximity_domain::ids::SourceId;
use proximity_domain::names::{CommitId, SourceName};
use proximity_store::entry_sources::{EntryRevision, NewEntrySource, TakenFile};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::pair::{Pair, both};
use super::play::{Play, Told};

fn name(n: u8) -> SourceName {
    format!("entries-{}", n % 3).parse().unwrap()
}

fn new(id: Uuid, n: u8) -> NewEntrySource {
    NewEntrySource {
        id: SourceId(id),
        name: name(n),
        url: "https://example.org/entries.git".parse().unwrap(),
        branch: "main".parse().unwrap(),
        path: n.is_multiple_of(2).then(|| "apps".parse().unwrap()),
        signers: n
            .is_multiple_of(5)
            .then(|| "me ssh-ed25519 AAAA".to_owned()),
        credential: n
            .is_multiple_of(3)
            .then(|| SecretString::from(format!("token-{n}"))),
    }
}

fn revision(n: u8) -> EntryRevision {
    EntryRevision {
        hash: format!("{:064x}", n % 8),
        text: format!("id: entry-{}\n", n % 8),
    }
}

/// All such sources, and every text.
pub async fn look(pair: &Pair) {
    for source in both!(pair, store => store.entry_sources()).unwrap() {
        both!(pair, store => store.entry_source_files(source.id)).unwrap();
    }
    for n in 0..3 {
        both!(pair, store => store.entry_source(&name(n))).unwrap();
        let left = pair.sqlite.entry_source_credential(&name(n)).await;
        let right = pair.memory.entry_source_credential(&name(n)).await;
        assert_eq!(left.is_err(), right.is_err());
        let shown = |secret: Option<SecretString>| Some(secret?.expose_secret().to_owned());
        let left = shown(left.unwrap_or_default());
        assert_eq!(left, shown(right.unwrap_or_default()));
    }
    for n in 0..8 {
        both!(pair, store => store.entry_revision(&revision(n).hash)).unwrap();
    }
}

impl Play {
    pub async fn entry_sources(&mut self, n: u8, what: u8) -> Told {
        let (actor, at) = (self.actor(), self.at());
        Some(match what % 4 {
            0 => {
                let new = new(self.id(), n);
                both!(self.pair, store => store.add_entry_source(&new, &actor, at)).is_err()
            }
            1 => {
                both!(self.pair, store => store.remove_entry_source(&name(n), &actor, at)).is_err()
            }
            2 => {
                let kept = revision(n);
                both!(self.pair, store => store.keep_entry_revision(&kept, at)).is_err()
            }
            _ => {
                let mut seen = both!(self.pair, store => store.entry_source(&name(n))).unwrap()?;
                let commit: CommitId = format!("{n:040x}").parse().unwrap();
                let file = |n: u8| TakenFile {
                    path: format!("apps/entry-{n}/app.yaml"),
                    revision: revision(n),
                };
                let files: Vec<TakenFile> = (0..n % 4).rev().map(file).collect();
                if what >= 200 {
                    // It was removed, and added again under the same name.
                    seen.id = SourceId(Uuid::nil());
                } else if what >= 150 {
                    // Somebody else took something meanwhile.
                    seen.taken = None;
                }
                both!(self.pair, store => store.take_entries(&seen, &commit, &files, &actor, at))
                    .is_err()
            }
        })
    }
}
