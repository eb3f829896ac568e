//! `proximity config`.

use crate::context::Context;
use crate::failed::Failed;

/// All settings with the values in effect, in the form of the configuration file.
pub(crate) fn show(context: &Context) -> Result<(), Failed> {
    let loaded = context.load()?;
    match &loaded.file {
        Some(path) => context
            .output
            .note(&format!("# from {} and the environment", path.display())),
        None => context
            .output
            .note("# no configuration file; defaults and the environment"),
    }
    let settings = loaded.settings.complete();
    let yaml = serde_saphyr::to_string(&settings).map_err(|e| {
        Failed::error(
            "internal",
            format!("cannot print the settings: {e}"),
            "report it",
        )
    })?;
    context.output.result(&settings, |_| yaml)
}
