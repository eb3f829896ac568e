//! Which numbers new containers get.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::Vmid;

/// An inclusive range of VMIDs that Proximity may use on one cluster, written `FIRST-LAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VmidRange {
    first: Vmid,
    last: Vmid,
}

/// It is no range of VMIDs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no range of VMIDs: write FIRST-LAST, both 100 to 999999999, the first not above the last"
)]
pub struct NotARange(pub String);

impl VmidRange {
    /// The range from `first` to `last`, both included.
    ///
    /// # Errors
    /// `first` is above `last`.
    pub fn new(first: Vmid, last: Vmid) -> Result<Self, NotARange> {
        if first <= last {
            Ok(Self { first, last })
        } else {
            Err(NotARange(format!("{first}-{last}")))
        }
    }

    /// Whether the number lies in it.
    #[must_use]
    pub fn contains(self, vmid: Vmid) -> bool {
        (self.first..=self.last).contains(&vmid)
    }

    /// The lowest number in it that is not among `out`.
    #[must_use]
    pub fn lowest_free(self, out: &HashSet<Vmid>) -> Option<Vmid> {
        (self.first.get()..=self.last.get())
            .filter_map(|n| Vmid::try_from(n).ok())
            .find(|vmid| !out.contains(vmid))
    }
}

impl fmt::Display for VmidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for VmidRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let wrong = || NotARange(text.to_owned());
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let number = |t: &str| t.trim().parse::<Vmid>().map_err(|_| wrong());
        Self::new(number(first)?, number(last)?).map_err(|_| wrong())
    }
}

impl TryFrom<String> for VmidRange {
    type Error = NotARange;

    fn try_from(text: String) -> Result<Self, NotARange> {
        text.parse()
    }
}

impl From<VmidRange> for String {
    fn from(range: VmidRange) -> String {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> Vmid {
        Vmid::try_from(n).unwrap()
    }

    #[test]
    fn a_range_is_read_and_written_the_same_way() {
        let range: VmidRange = "200-299".parse().unwrap();
        assert_eq!(range.to_string(), "200-299");
        assert_eq!(
            serde_json::from_str::<VmidRange>(r#""200-299""#).unwrap(),
            range
        );
        for wrong in [
            "",
            "200",
            "299-200",
            "99-200",
            "200-1000000000",
            "a-b",
            "200-",
        ] {
            assert!(wrong.parse::<VmidRange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_lowest_free_number_is_given_until_none_is() {
        let range: VmidRange = "200-202".parse().unwrap();
        let mut out = HashSet::from([id(199), id(201)]);
        for expected in [Some(id(200)), Some(id(202)), None] {
            assert_eq!(range.lowest_free(&out), expected);
            out.extend(expected);
        }
        assert!(range.contains(id(202)) && !range.contains(id(203)));
    }
}
