//! `proximity crash-points`: the places at which this build can be made to crash, and what looks after it.

use crate::cli::{CrashPointsArgs, CrashPointsCommand};
use crate::commands::crash_check;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn run(context: &Context, args: CrashPointsArgs) -> Result<(), Failed> {
    match args.command {
        None => {
            let places = proximity_engine::saga::crash_points();
            context.output.result(&places, |places| places.join("\n"))
        }
        Some(CrashPointsCommand::Check) => crash_check::run(context).await,
        #[cfg(feature = "lab")]
        Some(CrashPointsCommand::Template { dir }) => {
            let made = proximity_pve_emulator::lab::ensure_template(&dir).await;
            made.map(drop).map_err(super::lab_failed)
        }
        #[cfg(feature = "lab")]
        Some(CrashPointsCommand::Enter { argv }) => enter(argv).await,
    }
}

/// The namespace and everything in it ends with the program.
#[cfg(feature = "lab")]
async fn enter(argv: Vec<std::ffi::OsString>) -> Result<(), Failed> {
    use proximity_pve_emulator::lab::private;
    let ended = private::enter(argv, Vec::new())
        .await
        .map_err(super::lab_failed)?;
    if ended.success() {
        return Ok(());
    }
    let message = format!("the program in the namespace ended with {ended}");
    Err(Failed::error("program_failed", message, ""))
}
