//! From the text of an entry's file to an entry. The YAML library's way of reading is known here, and its events in `lint`.

use serde::Deserialize;
use serde_saphyr::{Error, Localizer, Options, UserMessageFormatter};

use super::check::{CheckedFile, Origin};
use super::entry::CatalogEntry;
use super::error::CatalogError;
use super::format::{EntryFile, FORMAT};

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

/// Reads and checks an entry; `file` is what errors call it.
pub(super) fn entry(file: &str, text: &str, origin: Origin) -> Result<CatalogEntry, CatalogError> {
    let invalid = |error: Error| invalid(file, &error);
    let FormatOnly { format } =
        serde_saphyr::from_str_with_options(text, options()).map_err(invalid)?;
    if format > FORMAT {
        return Err(CatalogError::Newer {
            file: file.to_owned(),
            found: format,
            supported: FORMAT,
        });
    }
    if format < FORMAT {
        let text = format!("{file}: there never was a format {format}");
        return Err(CatalogError::Invalid {
            file: file.to_owned(),
            line: None,
            column: None,
            text,
        });
    }
    let CheckedFile(checked) =
        serde_saphyr::from_str_with_options_context_valid(text, options(), &origin)
            .map_err(invalid)?;
    CatalogEntry::from_checked(checked).ok_or_else(|| {
        let text = format!("{file}: its checks have passed a setting or step that is not right");
        CatalogError::Invalid {
            file: file.to_owned(),
            line: None,
            column: None,
            text,
        }
    })
}

/// The file without its checks, for who tells of those itself; else the line and column of what is wrong, and what it is.
pub(super) fn unchecked(text: &str) -> Result<EntryFile, (Option<(u64, u64)>, String)> {
    let mut options = options();
    options.with_snippet = false;
    serde_saphyr::from_str_with_options(text, options).map_err(|error: Error| {
        let place = error.location();
        let place = place.map(|place| (place.line(), place.column()));
        (place, error.to_string())
    })
}

/// The text as a tree of values, to be compared field by field; `None` if it is no YAML.
#[must_use]
pub fn tree(text: &str) -> Option<serde_json::Value> {
    serde_saphyr::from_str_with_options(text, options()).ok()
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 32, max_nodes: 20_000 },
    }
}

fn invalid(file: &str, error: &Error) -> CatalogError {
    let place = error.location();
    let formatter = UserMessageFormatter.with_localizer(&Wording);
    CatalogError::Invalid {
        file: file.to_owned(),
        line: place.map(|place| place.line()),
        column: place.map(|place| place.column()),
        text: error
            .render_with_options(serde_saphyr::render_options! {
                source_name: Some(file),
                formatter: &formatter,
            })
            .trim_end()
            .to_owned(),
    }
}

/// Says of a failed check what it is about first.
struct Wording;

impl Localizer for Wording {
    fn validation_base_message(&self, problem: &str, path: &str) -> String {
        format!("{path}: {problem}")
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
