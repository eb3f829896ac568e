//! The command that goes back.

use std::str::FromStr;

use clap::Args;
use jiff::Timestamp;

/// `proximity rollback`.
#[derive(Debug, Args)]
#[command(
    after_help = "What goes back is configuration, by a plan that is shown and asked about as any, and that makes a new revision. What containers hold stays, no\n\
disk is made smaller, and no snapshot of Proxmox VE is gone back to. What there is to go back to: proximity history APP\n\
With --all an app in error is left out, and the others go back; it is named, and the exit code is 1 though all else is done.\n\
Exit code 0: all of it is done, or nothing was to be done. Else that of the first change that failed; 20: it was stopped, or you said no."
)]
pub(crate) struct RollbackArgs {
    /// The app (id or host name)
    #[arg(value_name = "APP", required_unless_present = "all")]
    pub(crate) app: Option<String>,
    /// A revision (3), a moment (2026-01-31T12:00:00Z), or a snapshot of the app's container (snapshot:7)
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: BackTo,
    /// All apps of which something was wanted at that moment
    #[arg(long, conflicts_with = "app")]
    pub(crate) all: bool,
    /// Remove the apps that were made since as well
    #[arg(long, conflicts_with = "app")]
    pub(crate) prune: bool,
    /// Do not ask; what is destroyed has to be confirmed by its number all the same
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// How many records end with it: lets the mass brake go for exactly so many
    #[arg(long, value_name = "N")]
    pub(crate) confirm_removed: Option<u64>,
    /// How many containers are destroyed with what they hold
    #[arg(long, value_name = "N")]
    pub(crate) confirm_destroyed: Option<u64>,
    /// How many changes at the same time at most [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) parallel: Option<u32>,
    /// Show the plan, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not wait: print what was recorded and end
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// What is gone back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackTo {
    /// A revision of what was wanted.
    Revision(u64),
    /// What was wanted at a moment.
    Moment(Timestamp),
    /// A snapshot of the app's container.
    Snapshot(i64),
}

impl FromStr for BackTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "write a revision (3), a moment (2026-01-31T12:00:00Z) or a snapshot (snapshot:7)"
                .to_owned()
        };
        if let Some(number) = text.strip_prefix("snapshot:") {
            let number = number.parse::<i64>().ok().filter(|number| *number > 0);
            return number.map(Self::Snapshot).ok_or_else(wrong);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse::<u64>().ok().filter(|number| *number > 0);
            return number.map(Self::Revision).ok_or_else(wrong);
        }
        text.parse().map(Self::Moment).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_back_to_is_a_number_a_moment_or_a_snapshot() {
        let read = |text: &str| text.parse::<BackTo>().ok();
        assert_eq!(read("3"), Some(BackTo::Revision(3)));
        assert_eq!(read("snapshot:7"), Some(BackTo::Snapshot(7)));
        let noon = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(read("2026-01-31T12:00:00Z"), Some(BackTo::Moment(noon)));
        for wrong in [
            "",
            "0",
            "-1",
            "snapshot:",
            "snapshot:0",
            "snapshot:-1",
            "yesterday",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
