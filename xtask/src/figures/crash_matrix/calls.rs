//! Calls to the cluster at which the server is killed: it is the shipped one, and the lab holds the call.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::cases::Kill;
use crate::seed::Draws;

/// How often each method was called, by `VERB schema-path`.
pub(super) type Counts = BTreeMap<String, u64>;

/// One call of a deploy or a remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) verb: String,
    /// The schema's path.
    pub(super) path: String,
    /// Which of these calls, counted from 1 at the operation's beginning.
    pub(super) nth: u64,
    pub(super) fate: Fate,
}

/// What becomes of a call whose caller was killed while it waited for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    /// It never happens.
    Lost,
    /// It has happened by then.
    Done,
    /// It happens when the next server is at work already.
    Late,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb, path, nth, ..
        } = self;
        write!(f, "{verb} {path} #{nth}, {:?}", self.fate)
    }
}

impl Call {
    /// Whether it changes something: then what it belongs to is recorded by that time.
    pub(super) fn changes(&self) -> bool {
        self.verb != "GET"
    }

    fn new(method: &str, nth: u64, fate: Fate) -> Result<Self> {
        let Some((verb, path)) = method.split_once(' ').filter(|(_, path)| *path != "?") else {
            bail!("a call of no method: {method:?}");
        };
        Ok(Self {
            verb: verb.to_owned(),
            path: path.to_owned(),
            nth,
            fate,
        })
    }
}

/// Kills at calls that an undisturbed operation was seen to make: at each that changes something, with each fate, and at
/// one of each method that only looks at a guest. When quick, with one fate, and none that only looks. What looks at
/// nodes or the cluster is left out: a server does that by itself too, so nobody knows which operation it is for.
///
/// # Errors
/// Nothing was changed: the calls were not seen.
pub(super) fn kills(counts: &Counts, quick: bool, draws: &mut Draws) -> Result<Vec<Kill>> {
    const FATES: [Fate; 3] = [Fate::Lost, Fate::Done, Fate::Late];
    let mut kills = Vec::new();
    let (looks, changes): (Vec<_>, Vec<_>) = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .partition(|(method, _)| method.starts_with("GET "));
    if changes.is_empty() {
        bail!("no call that changes something was seen: {counts:?}");
    }
    for (method, count) in changes {
        for nth in 1..=*count {
            let drawn = draws.below(FATES.len());
            let fates = FATES
                .iter()
                .enumerate()
                .filter(|(at, _)| !quick || *at == drawn);
            for (_, fate) in fates {
                kills.push(Kill::AtCall(Call::new(method, nth, *fate)?));
            }
        }
    }
    if !quick {
        let at_guests = looks
            .into_iter()
            .filter(|(method, _)| method.contains("{vmid}"));
        for (method, count) in at_guests {
            // How often it looks differs from run to run; half as often it always does.
            let nth = 1 + draws.below(usize::try_from(count.div_ceil(2))?);
            kills.push(Kill::AtCall(Call::new(
                method,
                u64::try_from(nth)?,
                Fate::Lost,
            )?));
        }
    }
    Ok(kills)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn seen() -> Counts {
        let seen = [
            ("POST /nodes/{node}/lxc", 1),
            ("PUT /nodes/{node}/lxc/{vmid}/config", 2),
            ("GET /cluster/tasks", 9),
            ("GET /nodes/{node}/lxc/{vmid}/config", 9),
            ("GET /version", 0),
        ];
        seen.map(|(method, count)| (method.to_owned(), count))
            .into()
    }

    fn told(quick: bool) -> Vec<String> {
        let mut draws = "3".parse::<Seed>().unwrap().draws();
        let kills = kills(&seen(), quick, &mut draws).unwrap();
        kills.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_call_that_changes_something_is_lost_done_and_late_and_one_look_of_each_method_is_lost()
    {
        let told = told(false);
        assert_eq!(told.len(), 3 * 3 + 1);
        assert!(told.contains(&"POST /nodes/{node}/lxc #1, Late".to_owned()));
        assert!(told.contains(&"PUT /nodes/{node}/lxc/{vmid}/config #2, Lost".to_owned()));
        assert!(
            told.last()
                .unwrap()
                .starts_with("GET /nodes/{node}/lxc/{vmid}/config #")
        );
    }

    #[test]
    fn when_quick_each_change_has_one_fate() {
        let told = told(true);
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|kill| !kill.starts_with("GET")));
    }

    #[test]
    fn an_operation_that_changes_nothing_was_not_seen() {
        let mut draws = "3".parse::<Seed>().unwrap().draws();
        assert!(kills(&Counts::new(), false, &mut draws).is_err());
        let odd = Counts::from([("POST ?".to_owned(), 1)]);
        assert!(kills(&odd, true, &mut draws).is_err());
    }
}
