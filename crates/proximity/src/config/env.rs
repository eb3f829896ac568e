//! The environment, apart from the settings. Nothing else of the program reads it.

use std::ffi::OsString;
use std::path::PathBuf;

/// The directory a variable names; relative ones do not count, as the XDG rules say.
#[allow(clippy::disallowed_methods)] // this is the place
pub(crate) fn directory(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// The names of all variables that set something of ours.
#[allow(clippy::disallowed_methods)] // this is the place
pub(crate) fn own_variables() -> Vec<OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("PROXIMITY_"))
        .collect()
}
