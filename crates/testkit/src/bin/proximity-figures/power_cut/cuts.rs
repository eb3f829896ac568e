//! Where to cut: at every place where a promise begins or ends, and in the middle of writing.

use anyhow::Result;

use super::disk::Disk;
use super::image::Fate;
use super::journal::Record;
use crate::draw::Draw;

/// Of all images, this share of ten is cut beside a promise, a name, a length or an acknowledgement.
const BESIDE: usize = 7;

/// One cut: after how many records, and what becomes of the rest.
pub(crate) type Cut = (usize, Fate);

/// `count` cuts in the order of the journal from place `from` on, or all there are.
///
/// # Errors
/// The journal contradicts itself.
pub(crate) fn choose(
    mut disk: Disk,
    records: &[Record],
    from: usize,
    count: usize,
    draw: &mut Draw,
) -> Result<Vec<Cut>> {
    let (mut beside, mut between) = (Vec::new(), Vec::new());
    for place in 0..=records.len() {
        if let Some(record) = place.checked_sub(1).and_then(|last| records.get(last)) {
            disk.take(record)?;
        }
        if place < from {
            continue;
        }
        let writes = |at: Option<usize>| {
            let record = at.and_then(|at| records.get(at));
            matches!(record, Some(Record::Write { .. }))
        };
        let list = if writes(place.checked_sub(1)) && writes(Some(place)) {
            &mut between
        } else {
            &mut beside
        };
        // With nothing on its way there is one image only.
        let fates: &[Fate] = if disk.is_calm() {
            &[Fate::Everything]
        } else {
            &Fate::ALL
        };
        list.extend(fates.iter().map(|fate| (place, *fate)));
    }
    shuffle(&mut beside, draw);
    shuffle(&mut between, draw);
    let first = (count * BESIDE / 10).max(count.saturating_sub(between.len()));
    beside.truncate(first);
    between.truncate(count.saturating_sub(beside.len()));
    let mut cuts = beside;
    cuts.append(&mut between);
    cuts.sort_by_key(|(place, _)| *place);
    Ok(cuts)
}

fn shuffle(cuts: &mut [Cut], draw: &mut Draw) {
    for last in (1..cuts.len()).rev() {
        cuts.swap(last, draw.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_can_be_chosen_and_a_calm_one_once() {
        let write = || Record::Write {
            inode: 1,
            at: 0,
            bytes: vec![1],
        };
        let records = [
            Record::Create {
                name: "a".to_owned(),
                inode: 1,
            },
            write(),
            write(),
            Record::Sync { inode: 1 },
            Record::SyncNames,
        ];
        let disk = Disk::default();
        let all = choose(disk, &records, 0, 1000, &mut Draw::seeded(1)).unwrap();
        let at = |place| all.iter().filter(|(p, _)| *p == place).count();
        assert_eq!([0, 1, 2, 3, 4, 5].map(at), [1, 6, 6, 6, 6, 1]);
        let some = choose(Disk::default(), &records, 0, 10, &mut Draw::seeded(1)).unwrap();
        assert_eq!(some.len(), 10);
    }
}
