//! Reading the configuration file and the environment.

use std::path::{Path, PathBuf};

use confique::{Config, Layer};
use proximity_api::error::ExitCode;

use super::{DEFAULT_PATH, Settings, check};
use crate::failed::Failed;

/// Largest configuration file, bytes.
const LARGEST_BYTES: u64 = 1 << 20;

type SettingsLayer = <Settings as Config>::Layer;

/// Settings, and where they came from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// The file that was read; `None` = there is none, the defaults hold.
    pub(crate) file: Option<PathBuf>,
}

/// Reads `named`, or the default file if there is one, under the environment.
///
/// # Errors
/// The file is missing or wrong (with line and column), a variable is wrong, or settings contradict each other.
pub(crate) fn load(named: Option<&Path>) -> Result<Loaded, Failed> {
    let from_env = SettingsLayer::from_env().map_err(|error| {
        Failed::new(
            ExitCode::ConfigOrNotFound,
            "bad_config",
            format!("the environment is wrong: {error:#}"),
            "correct or unset the variable",
        )
    })?;
    let file = file(named)?;
    let from_file = match &file {
        Some(path) => parse(path, &read(path)?)?,
        None => SettingsLayer::empty(),
    };
    let settings = merged(from_env, from_file)?;
    Ok(Loaded { settings, file })
}

fn file(named: Option<&Path>) -> Result<Option<PathBuf>, Failed> {
    let default = Path::new(DEFAULT_PATH);
    match named {
        Some(path) => Ok(Some(path.to_owned())),
        None => match default.try_exists() {
            Ok(there) => Ok(there.then(|| default.to_owned())),
            Err(error) => Err(unreadable(default, &error)),
        },
    }
}

fn read(path: &Path) -> Result<String, Failed> {
    let size = std::fs::metadata(path)
        .map_err(|e| unreadable(path, &e))?
        .len();
    if size > LARGEST_BYTES {
        return Err(bad(
            path,
            "it is larger than 1 MiB",
            "check that it is the right file",
        ));
    }
    std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))
}

/// The file's layer. A file without a value (empty, only comments) is as good as none.
pub(super) fn parse(path: &Path, text: &str) -> Result<SettingsLayer, Failed> {
    let empty = text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    });
    if empty {
        return Ok(SettingsLayer::empty());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let why = error.to_string();
        let why = why.strip_prefix("error: ").unwrap_or(&why);
        bad(path, why, "correct the line; nothing was started")
    })
}

pub(super) fn merged(env: SettingsLayer, file: SettingsLayer) -> Result<Settings, Failed> {
    let layer = env
        .with_fallback(file)
        .with_fallback(SettingsLayer::default_values());
    let wrong = |message: String, hint: String| {
        Failed::new(ExitCode::ConfigOrNotFound, "bad_config", message, hint)
    };
    let settings = Settings::from_layer(layer).map_err(|error| {
        wrong(
            format!("the configuration is not complete: {error:#}"),
            "set it".to_owned(),
        )
    })?;
    check::check(&settings).map_err(|found| wrong(found.message, found.hint))?;
    Ok(settings)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failed {
    let hint = "check the path given with --config or PROXIMITY_CONFIG, and its permissions";
    bad(path, &error.to_string(), hint)
}

fn bad(path: &Path, why: &str, hint: &str) -> Failed {
    Failed::new(
        ExitCode::ConfigOrNotFound,
        "bad_config",
        format!(
            "the configuration file {} cannot be used: {why}",
            path.display()
        ),
        hint,
    )
}
