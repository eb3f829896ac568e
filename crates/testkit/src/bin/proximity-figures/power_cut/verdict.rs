//! What was found in all images.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::cuts::Cut;
use super::image::Fate;

/// Faults that are told in full.
const TOLD: usize = 20;

/// The result, as the last line of the judgement.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Verdict {
    /// Records of the journal.
    pub(crate) records: usize,
    /// Images that differ in their bytes or in what must be in them.
    pub(crate) images: usize,
    /// Of those, cut before the store was opened for the first time: while it was made or migrated.
    pub(crate) while_opening: usize,
    /// Places they were cut at.
    pub(crate) places: usize,
    /// Acknowledged commits that had to be there, over all images.
    pub(crate) acknowledged: usize,
    pub(crate) by_fate: BTreeMap<String, usize>,
    /// Images with a fault.
    pub(crate) faults: usize,
    pub(crate) told: Vec<String>,
    #[serde(skip)]
    pub(crate) seen_places: BTreeSet<usize>,
}

impl Verdict {
    pub(crate) fn image(&mut self, (place, fate): Cut, acknowledged: usize, opened: bool) {
        self.images += 1;
        self.while_opening += usize::from(!opened);
        self.acknowledged += acknowledged;
        *self.by_fate.entry(format!("{fate:?}")).or_default() += 1;
        self.seen_places.insert(place);
        self.places = self.seen_places.len();
    }

    pub(crate) fn fault(&mut self, place: usize, fate: Fate, why: &str) {
        self.faults += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("cut at {place}, {fate:?}: {why}"));
        }
    }
}
