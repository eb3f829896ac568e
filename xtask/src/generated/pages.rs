//! Whole pages that the program itself prints.

use anyhow::{Context, Result, bail};

use super::Generated;
use crate::figures::Binary;
use crate::invocation::Invocation;
use crate::place::Place;

/// Each page and the command that prints it.
const PAGES: &[(&str, &[&str])] = &[
    ("docs/reference/errors.md", &["reference", "errors"]),
    ("docs/reference/openapi.json", &["reference", "openapi"]),
    ("docs/reference/events.md", &["reference", "events"]),
    ("docs/reference/metrics.md", &["reference", "metrics"]),
    ("docs/reference/privileges.md", &["reference", "privileges"]),
    ("docs/reference/doctor.md", &["reference", "doctor"]),
    (
        "docs/reference/manifest.schema.json",
        &["reference", "manifest-schema"],
    ),
    ("docs/reference/entry.schema.json", &["catalog", "schema"]),
];

/// All pages, as the binary that is built now prints them.
pub(super) fn all(place: &Place) -> Result<Vec<Generated>> {
    PAGES
        .iter()
        .map(|(file, args)| page(place, file, args))
        .collect()
}

fn page(place: &Place, file: &'static str, args: &[&str]) -> Result<Generated> {
    let should_be = Invocation::new(Binary::Plain.path(place))
        .args(args)
        .capture(place.root())?
        .expect_success(&format!("proximity {}", args.join(" ")))?;
    if should_be.trim().is_empty() {
        bail!("proximity {} printed nothing", args.join(" "));
    }
    let is = match std::fs::read_to_string(place.root().join(file)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {file}")),
    };
    Ok(Generated {
        file,
        is,
        should_be,
    })
}
