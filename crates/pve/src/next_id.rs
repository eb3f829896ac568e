//! Which numbers PVE offers for new guests.

use proximity_domain::ids::Vmid;
use proximity_domain::vmids::VmidRange;
use serde::Deserialize;

use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::property::PropertyString;
use crate::read::ReadClient;

/// The number after the last one that is offered, if nothing else is configured; below the highest there can be.
const UPPER: u64 = 1_000_000;

/// The datacenter options, as far as they are read here.
#[derive(Deserialize)]
struct Options {
    #[serde(default, rename = "next-id")]
    next_id: Option<NextId>,
}

/// PVE gives what it parsed, and in its schema promises the text.
#[derive(Deserialize)]
#[serde(untagged)]
enum NextId {
    Parsed {
        #[serde(default, deserialize_with = "lenient::opt_u64")]
        lower: Option<u64>,
        #[serde(default, deserialize_with = "lenient::opt_u64")]
        upper: Option<u64>,
    },
    Text(String),
}

impl NextId {
    /// The first number, and the one after the last.
    fn bounds(&self) -> (Option<u64>, Option<u64>) {
        match self {
            Self::Parsed { lower, upper } => (*lower, *upper),
            Self::Text(text) => {
                let given = PropertyString::parse(text);
                let number = |name| given.get(name).and_then(|n| n.parse().ok());
                (number("lower"), number("upper"))
            }
        }
    }
}

/// The first number is in the range, the upper bound is not; `None` if there is no number in it.
fn range(lower: Option<u64>, upper: Option<u64>) -> Option<VmidRange> {
    let first = lower.unwrap_or_default().max(Vmid::MIN.into());
    let last = upper
        .unwrap_or(UPPER)
        .saturating_sub(1)
        .min(Vmid::MAX.into());
    let number = |n: u64| Vmid::try_from(u32::try_from(n).ok()?).ok();
    VmidRange::new(number(first)?, number(last)?).ok()
}

impl ReadClient {
    /// The range from which PVE offers numbers (`next-id` of the datacenter options); `None` if there is none in it. A
    /// number that is asked for is not held against it: neither [`ReadClient::next_id`] nor a create call does.
    ///
    /// Needs `Sys.Audit` on `/`, as the cluster's status does: without it the answer is a short list that lacks this option,
    /// which then looks as if it were not set.
    ///
    /// # Errors
    /// See [`crate::error::Error`].
    pub async fn next_id_range(&self) -> Result<Option<VmidRange>> {
        let options: Options = self.get(Call::quick(&["cluster", "options"])).await?;
        let (lower, upper) = options.next_id.map_or((None, None), |given| given.bounds());
        Ok(range(lower, upper))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str) -> Option<String> {
        let options: Options = serde_json::from_str(options).unwrap();
        let (lower, upper) = options.next_id.map_or((None, None), |given| given.bounds());
        range(lower, upper).map(|range| range.to_string())
    }

    #[test]
    fn the_upper_bound_is_not_in_the_range_and_both_may_be_left_out() {
        for (options, expected) in [
            (r#"{"allowed-tags":[]}"#, Some("100-999999")),
            (
                r#"{"next-id":{"lower":"200","upper":"300"}}"#,
                Some("200-299"),
            ),
            (r#"{"next-id":{"lower":200,"upper":300}}"#, Some("200-299")),
            (r#"{"next-id":"lower=200,upper=300"}"#, Some("200-299")),
            (r#"{"next-id":"upper=300"}"#, Some("100-299")),
            (r#"{"next-id":{"lower":"200"}}"#, Some("200-999999")),
            (
                r#"{"next-id":{"upper":"1000000000"}}"#,
                Some("100-999999999"),
            ),
            (r#"{"next-id":{"lower":"200","upper":"200"}}"#, None),
            (r#"{"next-id":{"lower":"1000000"}}"#, None),
        ] {
            assert_eq!(read(options).as_deref(), expected, "{options}");
        }
    }
}
