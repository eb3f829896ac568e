//! Commands on the channels people are told through.

use clap::{Args, Subcommand};

/// `proximity notify …`.
#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Show the channels, and how far each was told of what happened
    Channels,
    /// Send a test through one channel or all, and say what each receiver answered
    Test(NotifyTest),
}

/// `proximity notify test`.
#[derive(Debug, Args)]
pub(crate) struct NotifyTest {
    /// Only this channel [default: all]
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: Option<String>,
}
