//! Commands about what nothing applies by itself.

use clap::{Args, Subcommand};

/// `proximity reject`, `proximity rejected`, `proximity unreject`.
#[derive(Debug, Subcommand)]
pub(crate) enum RejectionsCommand {
    /// Let no source and no policy apply by itself what a plan wants of its apps
    Reject(RejectArgs),
    /// List what was rejected: by a person, or because it came to nothing when it was applied without one
    Rejected,
    /// Forget that what is wanted of an app was rejected
    Unreject(UnrejectArgs),
}

/// `proximity reject`.
#[derive(Debug, Args)]
#[command(
    after_help = "It is of what the plan wants of each app and of nothing else: what documents want later is applied as ever. The plan of a source that waits: proximity \
sources show NAME\n\
A person may apply it all the same (proximity apply PLAN), which forgets it once it is done."
)]
pub(crate) struct RejectArgs {
    /// Id of the plan
    #[arg(value_name = "PLAN")]
    pub(crate) plan: String,
    /// Only what it wants of this app
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// Why, one line: it is told wherever this is held back
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
}

/// `proximity unreject`.
#[derive(Debug, Args)]
pub(crate) struct UnrejectArgs {
    /// The app's name in the documents
    #[arg(value_name = "APP")]
    pub(crate) app: String,
}
