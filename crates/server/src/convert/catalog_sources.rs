//! Repositories with entries of the catalog, without their secrets.

use proximity_api::catalog_sources::{CatalogDiff, CatalogSource, EntryDiff, EntryField};
use proximity_engine::commands::{EntryDifference, EntryUpdate};
use proximity_store::entry_sources::EntrySourceRecord;

use super::{catalog_problems, moment};

/// A repository.
pub(crate) fn catalog_source(record: EntrySourceRecord) -> CatalogSource {
    let (commit, taken_at, taken_by) = match record.taken {
        Some(taken) => (Some(taken.commit), Some(taken.at), Some(taken.by)),
        None => (None, None, None),
    };
    CatalogSource {
        name: record.name.to_string(),
        url: record.url.to_string(),
        branch: record.branch.to_string(),
        path: record.path.map(String::from),
        signed: record.signers.is_some(),
        has_credential: record.has_credential,
        made_at: moment(record.made_at),
        made_by: record.made_by,
        commit: commit.map(String::from),
        taken_at: taken_at.map(moment),
        taken_by,
    }
}

/// What taking a commit changes.
pub(crate) fn catalog_diff(update: EntryUpdate) -> CatalogDiff {
    CatalogDiff {
        source: catalog_source(update.source),
        commit: update.commit.into(),
        entries: update.entries.into_iter().map(entry).collect(),
        same: update.same,
        problems: catalog_problems(&update.problems),
    }
}

fn entry(differs: EntryDifference) -> EntryDiff {
    let changes = differs.changes.into_iter().map(|change| EntryField {
        path: change.path,
        from: change.from.unwrap_or_default(),
        to: change.to.unwrap_or_default(),
    });
    EntryDiff {
        path: differs.path,
        fate: differs.fate.label().to_owned(),
        version_before: differs.version_before,
        version: differs.version,
        changes: changes.collect(),
        left_out: differs.left_out,
    }
}
