//! Images: what one cut may leave of what was on its way.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Context, Result};

use super::disk::{Change, Disk, File, apply, apply_name};
use crate::draw::Draw;

/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// What becomes of the changes that are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// None has arrived.
    Nothing,
    /// All have.
    Everything,
    /// All up to a moment; the last one in part.
    Torn,
    /// Each by the toss of a coin, whatever came before or after it.
    Writes,
    /// The same for each sector of each.
    Sectors,
    /// The later half, and nothing of what came before.
    Reversed,
}

impl Fate {
    pub(crate) const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Everything,
        Self::Torn,
        Self::Writes,
        Self::Sectors,
        Self::Reversed,
    ];
}

/// Whether one change arrives: all of it, some sectors of it, or nothing.
enum Arrival {
    Whole,
    Sectors,
    Head,
    Lost,
}

/// The files after a cut.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// What `fate` leaves of `disk`.
    pub(crate) fn of(disk: &Disk, fate: Fate, draw: &mut Draw) -> Self {
        let mut moments: Vec<u64> = disk.coming.iter().map(|(moment, _)| *moment).collect();
        for file in &disk.files {
            moments.extend(file.coming.iter().map(|(moment, _)| *moment));
        }
        moments.sort_unstable();
        let middle = match moments.as_slice() {
            [] => 0,
            some => some[draw.below(some.len())],
        };
        let mut names = disk.names.clone();
        for (moment, change) in &disk.coming {
            if !matches!(arrival(fate, *moment, middle, draw), Arrival::Lost) {
                apply_name(&mut names, change);
            }
        }
        let files = names
            .into_iter()
            .filter_map(|(name, key)| {
                let file = disk.files.get(key)?;
                Some((name, content(file, fate, middle, draw)))
            })
            .collect();
        Self { files }
    }

    /// Two images with the same number are taken for the same.
    pub(crate) fn number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, content) in &self.files {
            name.hash(&mut hasher);
            hasher.write_usize(content.len());
            hasher.write(content);
        }
        hasher.finish()
    }

    /// Writes it into `dir`, which is made.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::create_dir(dir).with_context(|| format!("making {}", dir.display()))?;
        for (name, content) in &self.files {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(dir.join(name))?;
            file.write_all(content)?;
        }
        Ok(())
    }
}

fn arrival(fate: Fate, moment: u64, middle: u64, draw: &mut Draw) -> Arrival {
    let coin = |arrived: bool| {
        if arrived {
            Arrival::Whole
        } else {
            Arrival::Lost
        }
    };
    match fate {
        Fate::Nothing => Arrival::Lost,
        Fate::Everything => Arrival::Whole,
        Fate::Torn if moment == middle => Arrival::Head,
        Fate::Torn => coin(moment < middle),
        Fate::Writes => coin(draw.coin()),
        Fate::Sectors => Arrival::Sectors,
        Fate::Reversed => coin(moment >= middle),
    }
}

fn content(file: &File, fate: Fate, middle: u64, draw: &mut Draw) -> Vec<u8> {
    let mut content = file.kept.clone();
    let mut length = content.len();
    for (moment, change) in &file.coming {
        match change {
            Change::Write { at, bytes } => {
                length = length.max(at + bytes.len());
                arrive(
                    &mut content,
                    *at,
                    bytes,
                    &arrival(fate, *moment, middle, draw),
                    draw,
                );
            }
            Change::Truncate(to) => {
                length = *to;
                if !matches!(arrival(fate, *moment, middle, draw), Arrival::Lost) {
                    apply(&mut content, change);
                }
            }
        }
    }
    // The new length may have arrived without the bytes: then there is what was on the disk before.
    if fate != Fate::Nothing && content.len() < length && draw.coin() {
        let garbage = draw.coin();
        while content.len() < length {
            content.push(if garbage {
                draw.number().to_le_bytes()[0]
            } else {
                0
            });
        }
    }
    content
}

/// Lets a write arrive as a whole, in part or not at all; it is torn where sectors meet.
fn arrive(content: &mut Vec<u8>, at: usize, bytes: &[u8], arrival: &Arrival, draw: &mut Draw) {
    let mut write = |at: usize, bytes: &[u8]| {
        let bytes = bytes.to_vec();
        apply(content, &Change::Write { at, bytes });
    };
    match arrival {
        Arrival::Lost => {}
        Arrival::Whole => write(at, bytes),
        Arrival::Head => {
            let sectors = (at % SECTOR_BYTES + bytes.len()).div_ceil(SECTOR_BYTES);
            let end = (at / SECTOR_BYTES + draw.below(sectors)) * SECTOR_BYTES;
            write(at, &bytes[..end.saturating_sub(at).min(bytes.len())]);
        }
        Arrival::Sectors => {
            let mut from = 0;
            while from < bytes.len() {
                let room = SECTOR_BYTES - (at + from) % SECTOR_BYTES;
                let to = (from + room).min(bytes.len());
                if draw.coin() {
                    write(at + from, &bytes[from..to]);
                }
                from = to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::Record;
    use super::*;

    /// A file with a promised beginning, and two writes on their way: over it and behind it.
    fn disk() -> Disk {
        let mut disk = Disk::default();
        let write = |at, byte: u8, length| Record::Write {
            inode: 1,
            at,
            bytes: vec![byte; length],
        };
        for record in [
            Record::Create {
                name: "a".to_owned(),
                inode: 1,
            },
            write(0, b'0', 1024),
            Record::Sync { inode: 1 },
            Record::SyncNames,
            write(0, b'1', 1024),
            write(1024, b'2', 1024),
        ] {
            disk.take(&record).unwrap();
        }
        disk
    }

    fn images(fate: Fate) -> Vec<Vec<u8>> {
        let disk = disk();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let image = Image::of(&disk, fate, &mut Draw::seeded(seed));
            seen.insert(image.files["a"].clone());
        }
        seen.into_iter().collect()
    }

    #[test]
    fn nothing_and_everything_are_one_image_each() {
        assert_eq!(images(Fate::Nothing), [vec![b'0'; 1024]]);
        let all = [vec![b'1'; 1024], vec![b'2'; 1024]].concat();
        assert_eq!(images(Fate::Everything), [all]);
    }

    #[test]
    fn a_later_write_may_arrive_without_the_earlier_one() {
        let later = [vec![b'0'; 1024], vec![b'2'; 1024]].concat();
        assert!(images(Fate::Reversed).contains(&later));
        assert!(images(Fate::Writes).contains(&later));
    }

    #[test]
    fn writes_are_torn_between_sectors_and_never_inside() {
        let torn = [vec![b'1'; 512], vec![b'0'; 512]].concat();
        assert!(images(Fate::Torn).contains(&torn));
        for fate in [Fate::Torn, Fate::Sectors] {
            for image in images(fate) {
                for sector in image[..1024].chunks(512) {
                    assert!(sector.iter().all(|b| *b == sector[0]), "{fate:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_promised_stays_whatever_the_fate() {
        let mut disk = disk();
        disk.take(&Record::Sync { inode: 1 }).unwrap();
        for fate in Fate::ALL {
            let image = Image::of(&disk, fate, &mut Draw::seeded(3));
            assert_eq!(image.files["a"].len(), 2048, "{fate:?}");
        }
    }
}
