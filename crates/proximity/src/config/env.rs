//! The environment, apart from the settings. Nothing else of the program reads it.

#[cfg(feature = "lab")]
use std::ffi::OsString;
#[cfg(feature = "lab")]
use std::path::PathBuf;

/// What a variable holds, if it is there and text.
#[allow(clippy::disallowed_methods)] // this is the place
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}

/// The directory a variable names; relative ones do not count, as the XDG rules say.
#[cfg(feature = "lab")]
#[allow(clippy::disallowed_methods)] // this is the place
pub(crate) fn directory(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// The names of all variables that set something of ours.
#[cfg(feature = "lab")]
#[allow(clippy::disallowed_methods)] // this is the place
pub(crate) fn own_variables() -> Vec<OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("PROXIMITY_"))
        .collect()
}
