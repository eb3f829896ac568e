//! Three sides of an app, field by field: what was applied last, what is wanted, and what is there. Pure.

mod accept;
mod sides;
mod traces;

#[cfg(test)]
mod side_tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drift::plain;
use crate::manifest::Policy;
use crate::plan::{Source, size_bytes};

pub use accept::{Accepted, accepted};
pub use sides::{Actual, Applied, sides};
pub use traces::{Trace, leaves_a_task, since_last_seen, traced};

/// The root file system, of which a plan names the size alone.
const ROOTFS: &str = "rootfs";

/// Values by the path of their field, as plans write both (`memory`, `settings.TITLE`). A field that is not in there is not said
/// anything about, or is not there.
pub type Fields = BTreeMap<String, Value>;

/// Who made a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nobody: all sides are the same.
    Unchanged,
    /// The documents want another thing than what is there, and nobody else changed it.
    Ours,
    /// It is there otherwise than it was applied and is wanted: somebody changed it.
    Theirs,
    /// The documents and somebody else changed it, and both to the same.
    BothSame,
    /// Both changed it, and not to the same.
    Conflict,
    /// Somebody else changed it, and the documents say that they may.
    Ignored,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unchanged,
        Self::Ours,
        Self::Theirs,
        Self::BothSame,
        Self::Conflict,
        Self::Ignored,
    ];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::BothSame => "both_same",
            Self::Conflict => "conflict",
            Self::Ignored => "ignored",
        }
    }

    /// Somebody else changed what is there, it is not what is wanted, and they may not.
    #[must_use]
    pub fn is_drift(self) -> bool {
        match self {
            Self::Theirs | Self::Conflict => true,
            Self::Unchanged | Self::Ours | Self::BothSame | Self::Ignored => false,
        }
    }

    /// Who made the difference between what is wanted and what is there, as plans tell it; `None`: there is none.
    #[must_use]
    pub fn source(self) -> Option<Source> {
        match self {
            Self::Unchanged | Self::BothSame => None,
            Self::Ours => Some(Source::Documents),
            Self::Theirs | Self::Ignored => Some(Source::Cluster),
            Self::Conflict => Some(Source::Both),
        }
    }

    /// The same of a field that somebody else may change, where documents want just what they wanted when they were applied last: whatever
    /// differs is not theirs to make any more, also where the record is of something else.
    #[must_use]
    pub fn ignoring(self) -> Self {
        match self {
            Self::Theirs | Self::Conflict | Self::Ours | Self::Ignored => Self::Ignored,
            Self::Unchanged | Self::BothSame => self,
        }
    }

    /// What `wanted` is beside what is there and what was applied last. Where nothing was applied yet, the documents are the only ones who
    /// have said anything: a difference is theirs to make.
    #[must_use]
    pub fn of<T: PartialEq>(last: Option<&T>, wanted: &T, actual: Option<&T>) -> Self {
        let is_as_applied = last == Some(wanted);
        match (actual == Some(wanted), last) {
            (true, _) if is_as_applied => Self::Unchanged,
            (true, Some(_)) => Self::BothSame,
            (true, None) => Self::Unchanged,
            (false, _) if is_as_applied => Self::Theirs,
            (false, None) => Self::Ours,
            (false, Some(_)) if actual == last => Self::Ours,
            (false, Some(_)) => Self::Conflict,
        }
    }
}

/// What is to be done about a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// What is there becomes what the documents want.
    Change,
    /// What the documents want becomes what is there.
    Accept,
    /// It is told: a person decides.
    Tell,
}

impl Answer {
    /// By what a difference of somebody else is to lead to. What the documents changed is made so whatever the policy is, unless somebody
    /// changed it to another thing meanwhile; then nobody's is thrown away, but where the documents are to win.
    #[must_use]
    pub fn of(verdict: Verdict, policy: Policy) -> Self {
        match (verdict, policy) {
            (Verdict::Unchanged | Verdict::BothSame | Verdict::Ignored, _) => Self::Nothing,
            (Verdict::Ours, _) | (Verdict::Theirs | Verdict::Conflict, Policy::Revert) => {
                Self::Change
            }
            (Verdict::Theirs, Policy::Accept) => Self::Accept,
            (Verdict::Theirs, Policy::Warn)
            | (Verdict::Conflict, Policy::Warn | Policy::Accept) => Self::Tell,
        }
    }
}

/// One field that is wanted, with all its sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Its path.
    pub path: String,
    /// Who made a difference.
    pub verdict: Verdict,
    /// What was applied last; `None` if nothing was.
    pub last: Option<Value>,
    /// What is wanted.
    pub wanted: Value,
    /// What is there; `None` if it is not there.
    pub actual: Option<Value>,
}

/// Every field that is wanted, by path. What the documents say nothing about is left as it is, and so in nobody's way. What Proxmox VE only
/// writes anew is the same.
#[must_use]
pub fn merge(last: &Fields, wanted: &Fields, actual: &Fields) -> Vec<Merged> {
    let each = wanted.iter().map(|(path, wanted)| {
        let (last, actual) = (last.get(path), actual.get(path));
        let compared = |side: Option<&Value>| side.map(|value| as_compared(path, value));
        let verdict = Verdict::of(
            compared(last).as_ref(),
            &as_compared(path, wanted),
            compared(actual).as_ref(),
        );
        Merged {
            path: path.clone(),
            verdict,
            last: last.cloned(),
            wanted: wanted.clone(),
            actual: actual.cloned(),
        }
    });
    each.collect()
}

/// Those that somebody else changed.
#[must_use]
pub fn drifted(fields: &[Merged]) -> Vec<Merged> {
    let drifted = fields.iter().filter(|field| field.verdict.is_drift());
    drifted.cloned().collect()
}

/// A value as it is compared.
fn as_compared(path: &str, value: &Value) -> Vec<String> {
    let size = value.as_str().filter(|_| path == ROOTFS);
    match size.and_then(size_bytes) {
        Some(bytes) => vec![bytes.to_string()],
        None => plain(path, value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_of_the_sides() {
        use Verdict::{BothSame, Conflict, Ours, Theirs, Unchanged};
        for (last, wanted, actual, verdict) in [
            (Some(1), 1, Some(1), Unchanged),
            (Some(1), 2, Some(1), Ours),
            (Some(1), 1, Some(2), Theirs),
            (Some(1), 1, None, Theirs),
            (Some(1), 2, Some(2), BothSame),
            (Some(1), 2, Some(3), Conflict),
            (Some(1), 2, None, Conflict),
            (None, 1, Some(1), Unchanged),
            (None, 1, Some(2), Ours),
            (None, 1, None, Ours),
        ] {
            let found = Verdict::of(last.as_ref(), &wanted, actual.as_ref());
            assert_eq!(found, verdict, "{last:?} {wanted} {actual:?}");
        }
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.label());
        }
    }

    #[test]
    fn what_no_document_says_is_in_nobodys_way() {
        let fields = |of: &[(&str, i64)]| -> Fields {
            let each = of.iter();
            each.map(|(path, value)| ((*path).to_owned(), json!(value)))
                .collect()
        };
        let last = fields(&[("memory", 512), ("cores", 1)]);
        let wanted = fields(&[("memory", 512), ("rootfs", 8)]);
        let actual = fields(&[("memory", 1024), ("cores", 2), ("swap", 0)]);
        let merged = merge(&last, &wanted, &actual);
        let told: Vec<_> = merged
            .iter()
            .map(|one| (one.path.as_str(), one.verdict))
            .collect();
        assert_eq!(
            told,
            [("memory", Verdict::Theirs), ("rootfs", Verdict::Ours)]
        );
        assert_eq!(merged[0].actual, Some(json!(1024)));
    }

    fn policy() -> impl Strategy<Value = Policy> {
        prop_oneof![
            Just(Policy::Warn),
            Just(Policy::Revert),
            Just(Policy::Accept)
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_as_wanted_afterwards_or_told(
            last in prop::option::of(0_u8..3),
            wanted in 0_u8..3,
            actual in prop::option::of(0_u8..3),
            policy in policy(),
        ) {
            let verdict = Verdict::of(last.as_ref(), &wanted, actual.as_ref());
            let answer = Answer::of(verdict, policy);
            let after = match answer {
                Answer::Nothing => Some((wanted, actual)),
                Answer::Change => Some((wanted, Some(wanted))),
                Answer::Accept => actual.map(|actual| (actual, Some(actual))),
                Answer::Tell => None,
            };
            match after {
                Some((wanted, actual)) => {
                    prop_assert_eq!(actual, Some(wanted));
                    let again = Verdict::of(Some(&wanted), &wanted, actual.as_ref());
                    prop_assert_eq!(again, Verdict::Unchanged);
                }
                // Something that is not there is nothing to accept.
                None => prop_assert!(answer == Answer::Tell || actual.is_none()),
            }
        }

        #[test]
        fn nobody_loses_what_they_wrote_without_being_asked(
            last in 0_u8..3,
            wanted in 0_u8..3,
            actual in 0_u8..3,
        ) {
            let verdict = Verdict::of(Some(&last), &wanted, Some(&actual));
            let answer = Answer::of(verdict, Policy::Warn);
            // What somebody else wrote goes where the documents are to win, and nowhere else.
            let is_theirs = actual != last && actual != wanted;
            prop_assert_eq!(is_theirs, answer == Answer::Tell);
            // What they may change is neither told nor thrown away, and shown wherever it differs.
            prop_assert_eq!(verdict.ignoring() == Verdict::Ignored, actual != wanted);
            for policy in [Policy::Warn, Policy::Revert, Policy::Accept] {
                prop_assert_eq!(Answer::of(verdict.ignoring(), policy), Answer::Nothing);
            }
            // And the other way round: to accept never throws away what the documents changed.
            let is_ours = wanted != last && actual != wanted;
            let accepted = Answer::of(verdict, Policy::Accept) == Answer::Accept;
            prop_assert!(!(is_ours && accepted));
        }
    }
}
