//! `proximity version`.

use serde_json::json;

use crate::context::Context;
use crate::failed::Failed;

/// Version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version as people read it.
pub(crate) const LINE: &str = concat!("proximity ", env!("CARGO_PKG_VERSION"));

pub(crate) fn run(context: &Context) -> Result<(), Failed> {
    let version = json!({ "version": VERSION });
    context.output.result(&version, |_| LINE.to_owned())
}
