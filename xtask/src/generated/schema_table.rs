//! The tables the emulator's requests and answers are checked by, derived from Proxmox VE's own API schema.
//!
//! The schema belongs to Proxmox VE and is not in the repository, so it can be derived anew only
//! where somebody says where the schema lies.

use std::path::Path;

use anyhow::{Context, Result};

use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// Where the table of requests lies.
pub(crate) const FILE: &str = "crates/pve-emulator/assets/schema-9.2.11.json";
/// Where that of answers does.
const RETURNS: &str = "crates/pve-emulator/assets/returns-9.2.11.json";

/// Derives the tables anew and compares.
pub(crate) fn is_current(place: &Place, schema: &Path) -> Result<bool> {
    let schema = std::path::absolute(schema)?;
    let derived = [(FILE, "schema-table.json"), (RETURNS, "returns-table.json")]
        .map(|(kept, derived)| (kept, place.target().join(derived)));
    Invocation::new("cargo")
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "proximity-pve-emulator",
        ])
        .args(["--example", "schema_table", "--"])
        .arg(&schema)
        .args(derived.iter().map(|(_, path)| path))
        .capture(place.root())?
        .expect_success("deriving the schema tables")?;
    for (kept, derived) in derived {
        let is =
            std::fs::read(place.root().join(kept)).with_context(|| format!("reading {kept}"))?;
        if is != std::fs::read(&derived)? {
            say::note(format!("{kept} differs"));
            return Ok(false);
        }
    }
    Ok(true)
}
