//! Lines on standard output: each one call, so that a reader sees it whole or not at all.

use std::io::{self, Write};

/// Prints one line.
///
/// # Errors
/// Nobody reads any more.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{text}\n").as_bytes())?;
    out.flush()
}
