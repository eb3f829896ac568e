//! The helper for the nodes, as this build has it: inside the program, else beside it.

use std::io::Read as _;

use proximity_engine::commands::HelperProgram;

/// Name of the file beside the program.
pub(crate) const NAME: &str = "proximity-node-helper";
/// A helper that was built to be looked into has some MiB.
const LONGEST_BYTES: u64 = 64 << 20;

/// Looks for it. That there is none is said where one is needed.
pub(crate) fn find() -> Option<HelperProgram> {
    let bytes = match inside() {
        Some(bytes) => bytes.to_vec(),
        None => beside()?,
    };
    match HelperProgram::read(bytes) {
        Ok(program) => Some(program),
        Err(error) => {
            tracing::warn!(%error, "the helper for the nodes cannot be used");
            None
        }
    }
}

#[cfg(shipped_helper)]
fn inside() -> Option<&'static [u8]> {
    Some(include_bytes!(concat!(
        env!("OUT_DIR"),
        "/proximity-node-helper"
    )))
}

#[cfg(not(shipped_helper))]
fn inside() -> Option<&'static [u8]> {
    None
}

/// A file that is not there is no news in a build without a helper.
fn beside() -> Option<Vec<u8>> {
    let path = std::env::current_exe().ok()?.with_file_name(NAME);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&path).ok()?;
    match file.take(LONGEST_BYTES).read_to_end(&mut bytes) {
        Ok(_) => Some(bytes),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the helper for the nodes cannot be read");
            None
        }
    }
}
