//! A line of the log: what one commit changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Many, PersistError};
use crate::core::tracked::Changes;
use crate::core::{Guest, LastView, Task, Volume, World};

/// Hex digits of the checksum that a line begins with.
const CHECKSUM_DIGITS: usize = 16;

#[derive(Serialize)]
struct Changed<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    guests: Changes<'a, u32, Guest>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: Changes<'a, u64, Volume>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tasks: Changes<'a, u64, Task>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    last_views: Changes<'a, String, LastView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    world: Option<World>,
    #[serde(default)]
    guests: BTreeMap<u32, Option<Guest>>,
    #[serde(default)]
    volumes: BTreeMap<u64, Option<Volume>>,
    #[serde(default)]
    tasks: BTreeMap<u64, Option<Task>>,
    #[serde(default)]
    last_views: BTreeMap<String, Option<LastView>>,
}

/// The line that tells of a world's changes; `rest` is all but the [`Many`], as JSON, if it is new. Nothing when there is
/// nothing to tell.
pub(super) fn of(world: &World, rest: Option<&[u8]>) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let changed = Changed {
        guests: world.guests.changes(),
        volumes: world.volumes.changes(),
        tasks: world.tasks.changes(),
        last_views: world.last_views.changes(),
    };
    let same = changed.guests.is_empty()
        && changed.volumes.is_empty()
        && changed.tasks.is_empty()
        && changed.last_views.is_empty();
    let json = match (rest, same) {
        (None, true) => return Ok(None),
        (None, false) => serde_json::to_vec(&changed)?,
        (Some(rest), _) => {
            let mut json = b"{\"world\":".to_vec();
            json.extend_from_slice(rest);
            if !same {
                json.push(b',');
            }
            json.extend_from_slice(&serde_json::to_vec(&changed)?[1..]);
            json
        }
    };
    let mut line = checksum(&json).into_bytes();
    line.push(b' ');
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(Some(line))
}

/// Does again what a log tells; none is an empty one.
pub(super) fn redo(world: &mut World, path: &Path) -> Result<(), PersistError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(super::failed("read", path.to_owned(), source)),
    };
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let last = lines.len();
    for (line, number) in lines.into_iter().zip(1..) {
        match content(line) {
            Some(json) => apply(world, json, path)?,
            // Cut off by a crash, so that nobody was told of it.
            None if number == last => {
                tracing::info!(path = %path.display(), "the log's last line was cut off")
            }
            None => {
                return Err(PersistError::Damaged {
                    path: path.to_owned(),
                    line: number,
                });
            }
        }
    }
    Ok(())
}

/// What a whole line tells.
fn content(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, rest) = line.split_at_checked(CHECKSUM_DIGITS)?;
    let json = rest.strip_prefix(b" ")?;
    (checksum(json).as_bytes() == sum).then_some(json)
}

fn checksum(json: &[u8]) -> String {
    let mut sum = hex::encode(Sha256::digest(json));
    sum.truncate(CHECKSUM_DIGITS);
    sum
}

fn apply(world: &mut World, json: &[u8], path: &Path) -> Result<(), PersistError> {
    let line: Line = serde_json::from_slice(json).map_err(|source| PersistError::Unreadable {
        path: PathBuf::from(path),
        source,
    })?;
    if let Some(rest) = line.world {
        let mut many = Many::default();
        many.swap(world);
        *world = rest;
        many.swap(world);
    }
    world.guests.redo(line.guests);
    world.volumes.redo(line.volumes);
    world.tasks.redo(line.tasks);
    world.last_views.redo(line.last_views);
    Ok(())
}
