//! What a look says of what is on record, one finding after the other: never all states of a cluster at once.

use super::census::{Census, Finding, Found, KeptResource, Listed, Shows, first};
use super::{ResourceKey, ResourceKind, ResourceState};

/// What a [`Census`] says of what is on record, one after the other: the state of each is made when it is its turn.
#[derive(Debug, Clone)]
pub struct Findings<'a, L = Listed> {
    census: &'a Census<L>,
    /// As they were given.
    kept: &'a [KeptResource],
    /// The same, in the order of their keys.
    known: Vec<&'a KeptResource>,
    was_looked: bool,
    /// What is still looked for.
    stages: &'static [Stage],
    /// How far the first of them is.
    at: usize,
}

/// What is looked for, one stage after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Shown(Among),
    Gone(Among),
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    Nodes,
    Others,
}

impl Among {
    fn has(self, kind: ResourceKind) -> bool {
        (kind == ResourceKind::Node) == (self == Self::Nodes)
    }
}

/// Nodes come last.
pub(super) const ALL: &[Stage] = &[
    Stage::Shown(Among::Others),
    Stage::Gone(Among::Others),
    Stage::Lost,
    Stage::Shown(Among::Nodes),
    Stage::Gone(Among::Nodes),
];
pub(super) const DOUBTFUL: &[Stage] = &[Stage::Gone(Among::Others)];
pub(super) const CERTAIN: &[Stage] = &[
    Stage::Shown(Among::Others),
    Stage::Lost,
    Stage::Shown(Among::Nodes),
    Stage::Gone(Among::Nodes),
];

impl<'a, L> Findings<'a, L> {
    /// `kept` is all that is on record.
    pub(super) fn new(
        census: &'a Census<L>,
        kept: &'a [KeptResource],
        stages: &'static [Stage],
    ) -> Self {
        let mut known: Vec<&KeptResource> = kept.iter().collect();
        known.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Self {
            census,
            kept,
            known,
            // Nodes are written last: where one is on record, a first look was written whole.
            was_looked: kept.iter().any(|kept| kept.key.kind == ResourceKind::Node),
            stages,
            at: 0,
        }
    }
}

impl<L: Shows> Findings<'_, L> {
    /// What one row of a stage comes to; `None`: nothing, or there is no such row.
    fn judge(&self, stage: Stage, at: usize) -> Option<Found> {
        let census = self.census;
        match stage {
            Stage::Shown(among) => {
                let key = census.keys.get(at).filter(|key| among.has(key.kind))?;
                self.shown(key, census.rows.get(at)?)
            }
            Stage::Gone(among) => {
                let kept = self.kept.get(at).filter(|kept| !kept.is_gone)?;
                let is_gone = among.has(kept.key.kind) && census.lacks(&kept.key);
                is_gone.then(|| census.found(&kept.key, Finding::Gone))
            }
            Stage::Lost => {
                let kept = self.kept.get(at).filter(|kept| census.has_lost(kept))?;
                Some(census.found(&kept.key, Finding::Lost))
            }
        }
    }

    fn shown(&self, key: &ResourceKey, row: &L) -> Option<Found> {
        let known = self.known.binary_search_by(|kept| kept.key.cmp(key));
        let known = known.ok().and_then(|at| self.known.get(at));
        let state = match row.state() {
            Some(state) => state,
            None if known.is_none() => ResourceState::untold(),
            // There, and nobody tells anything of it.
            None => return None,
        };
        let digest = state.listed_digest();
        if known.is_some_and(|kept| !kept.is_gone && kept.listed_digest == digest) {
            return None;
        }
        let first = first(key.kind, self.was_looked);
        Some(self.census.found(key, Finding::Shown(state, first)))
    }
}

impl<L: Shows> Iterator for Findings<'_, L> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        while let Some((stage, later)) = self.stages.split_first() {
            let rows = match stage {
                Stage::Shown(_) => self.census.keys.len(),
                Stage::Gone(_) | Stage::Lost => self.kept.len(),
            };
            let found = (self.at..rows).find_map(|at| Some((at, self.judge(*stage, at)?)));
            if let Some((at, found)) = found {
                self.at = at + 1;
                return Some(found);
            }
            self.stages = later;
            self.at = 0;
        }
        None
    }
}
