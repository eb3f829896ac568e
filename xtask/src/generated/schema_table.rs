//! The table the emulator checks requests by, derived from Proxmox VE's own API schema.
//!
//! The schema belongs to Proxmox VE and is not in the repository, so it can be derived anew only
//! where somebody says where the schema lies.

use std::path::Path;

use anyhow::{Context, Result};

use crate::invocation::Invocation;
use crate::place::Place;

/// Where the table lies.
pub(crate) const FILE: &str = "crates/pve-emulator/assets/schema-9.2.11.json";

/// Derives the table anew and compares.
pub(crate) fn is_current(place: &Place, schema: &Path) -> Result<bool> {
    let schema = std::path::absolute(schema)?;
    let derived = place.target().join("schema-table.json");
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
        .arg(&derived)
        .capture(place.root())?
        .expect_success("deriving the schema table")?;
    let is = std::fs::read(place.root().join(FILE)).with_context(|| format!("reading {FILE}"))?;
    Ok(is == std::fs::read(&derived)?)
}
