//! What no list shows is gone, or hidden from the token: that is asked of each before it is recorded.

use proximity_domain::observe::Sight;
use proximity_domain::resource::{Found, ResourceKey};
use proximity_pve::{Error as PveError, ReadClient};

use crate::reconcile::look;

/// So many are asked about after one look; the next one goes on behind them.
const MOST: usize = 50;

/// Those of `all` that are asked about now: the first ones behind `after`; and the last of them, if others come behind it. In the
/// order of their keys.
pub(super) fn part<T>(
    mut all: Vec<T>,
    key: impl Fn(&T) -> &ResourceKey,
    after: Option<&ResourceKey>,
) -> (Vec<T>, Option<ResourceKey>) {
    all.retain(|one| after.is_none_or(|after| key(one) > after));
    all.sort_by(|a, b| key(a).cmp(key(b)));
    let is_cut = all.len() > MOST;
    all.truncate(MOST);
    let last = all.last().filter(|_| is_cut);
    let last = last.map(|last| key(last).clone());
    (all, last)
}

/// Those that the token may see.
///
/// # Errors
/// A question that was not answered: then nothing is known of any.
pub(super) async fn seen(read: &ReadClient, gone: Vec<Found>) -> Result<Vec<Found>, PveError> {
    let mut seen = Vec::new();
    for found in gone {
        let sight = match found.must_be_seen() {
            Some(must) => look::holds(read, &must.path, must.privilege).await?,
            None => Sight::All,
        };
        if sight == Sight::All {
            seen.push(found);
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_asked_about_one_part_after_the_other() {
        let all: Vec<ResourceKey> = (100..220_u32)
            .rev()
            .map(|n| ResourceKey::container(n.try_into().unwrap()))
            .collect();
        let mut after = None;
        let mut asked = Vec::new();
        let mut parts = Vec::new();
        loop {
            let (some, last) = part(all.clone(), |key| key, after.as_ref());
            parts.push(some.len());
            asked.extend(some);
            after = last;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(parts, [50, 50, 20]);
        let mut sorted = all;
        sorted.reverse();
        assert_eq!(asked, sorted);
    }
}
