//! Processes that die inside the recovery of an operation that others died in: at every place they come by.

use std::collections::BTreeMap;

use proximity_engine::saga::Guard;
use serde::Serialize;

use super::saga::Saga;

/// An operation, and what is in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Nothing is.
    Well(Saga),
    /// Its container does not start, so it takes back what it made.
    NoStart,
    /// Its page does not answer, so it takes back what it made and started.
    NoPage,
}

impl Life {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let well = Saga::ALL.map(Self::Well);
        well.into_iter()
            .chain([Self::NoStart, Self::NoPage])
            .collect()
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Survived {
    /// Processes that died.
    pub deaths: usize,
    /// The place at which each of them died.
    pub places: Vec<String>,
    /// How many places the last process came by, which did not die.
    pub came_by: usize,
    /// Milliseconds of virtual time from the last death until the operation was over.
    pub recovered_ms: u64,
    /// The state at the end: of the operation, of the record and of the cluster.
    pub end: Vec<String>,
    /// Containers that were made and destroyed by us.
    pub done: BTreeMap<String, usize>,
    /// Rules that were broken.
    pub faults: Vec<String>,
}

impl Survived {
    /// What is otherwise than in a life without deaths.
    #[must_use]
    pub fn differs_from(&self, undisturbed: &Self) -> Vec<String> {
        let mut faults = self.faults.clone();
        if self.end != undisturbed.end {
            let (is, was) = (&self.end, &undisturbed.end);
            faults.push(format!("it ends with {is:?}, undisturbed with {was:?}"));
        }
        if self.done != undisturbed.done {
            let (is, was) = (&self.done, &undisturbed.done);
            faults.push(format!("done were {is:?}, undisturbed {was:?}"));
        }
        faults
    }
}

/// Plays it: the process at work dies at the place of the first number that it comes by, the next one at that of the second …
///
/// # Errors
/// The simulation could not go on; or this build has no deaths.
pub fn survive(
    life: Life,
    seed: u64,
    deaths: &[usize],
    off: Option<Guard>,
) -> Result<Survived, String> {
    #[cfg(feature = "bug-switches")]
    return super::deaths::survive(life, seed, deaths, off);
    #[cfg(not(feature = "bug-switches"))]
    {
        let _ = (life, seed, deaths, off);
        Err("processes die in a build with the feature bug-switches".to_owned())
    }
}
