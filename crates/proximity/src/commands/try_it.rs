//! `proximity try`: all of it on this machine.

use std::ffi::OsString;

use proximity_api::error::ExitCode;
use proximity_pve_emulator::lab::{check_programs, private};

use super::lab;
use crate::cli::{LabGuests, TryArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::trial;

pub(crate) async fn run(context: &Context, args: TryArgs) -> Result<(), Failed> {
    if args.guests == LabGuests::Simulated {
        if args.private {
            let hint = "leave --private out: simulated guests change nothing of this machine";
            return Err(Failed::usage("--private is for real containers", hint));
        }
        return Box::pin(trial::run(context, args)).await;
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failed::config(
            "needs_root",
            "`try` starts real containers, and that needs root",
            "run it as you are with simulated ones: `proximity try --guests simulated`; or as root, e.g. with sudo",
        ));
    }
    check_programs().map_err(lab::failed)?;
    if args.private && private::scope().is_none() {
        return in_private(context, &args).await;
    }
    Box::pin(trial::run(context, args)).await
}

/// The same command inside a private namespace; it has said all there is to say.
async fn in_private(context: &Context, args: &TryArgs) -> Result<(), Failed> {
    let own = std::env::current_exe().map_err(|e| {
        Failed::error(
            "internal",
            format!("cannot find this program's own file: {e}"),
            "start it by its path",
        )
    })?;
    let mut argv: Vec<OsString> = vec![own.into(), "try".into(), "--private".into()];
    if args.once {
        argv.push("--once".into());
    }
    if let Some(app) = &args.app {
        argv.push("--app".into());
        argv.push(app.into());
    }
    if args.helper {
        argv.push("--helper".into());
    }
    if context.output.quiet {
        argv.push("--quiet".into());
    }
    if context.output.json {
        argv.push("--json".into());
    }
    for (name, dir) in [
        ("--dir", &args.dir),
        ("--template-cache", &args.template_cache),
    ] {
        if let Some(dir) = dir {
            argv.push(name.into());
            argv.push(dir.into());
        }
    }
    let ended = private::enter(argv, Vec::new())
        .await
        .map_err(lab::failed)?;
    if ended.success() {
        return Ok(());
    }
    let number = ended.code().and_then(|code| u8::try_from(code).ok());
    let exit = ExitCode::ALL
        .into_iter()
        .find(|exit| Some(exit.number()) == number)
        .unwrap_or(ExitCode::Error);
    Err(Failed::said(exit))
}
