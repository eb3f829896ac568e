//! The one place that writes to the terminal: results on stdout, everything about the run on stderr.

use std::fmt::Display;
use std::io::Write;

/// Writes one line to stdout: something the caller asked for.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    // A reader that went away (`| head`) is no reason to fail: nobody is left to be told.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes one line to stderr: progress, hints, reasons.
pub(crate) fn note(text: impl Display) {
    let mut out = std::io::stderr().lock();
    // As above: without a reader there is nobody to tell.
    let _ = writeln!(out, "{text}");
}
