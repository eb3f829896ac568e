//! `/api/notify`: the channels people are told through.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /api/notify/channels`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelList {
    /// By name.
    pub channels: Vec<NoticeChannel>,
    /// When only what is critical is told, `HH:MM-HH:MM`; `null` = never.
    pub quiet_hours: Option<String>,
    /// The time zone quiet hours go by.
    pub time_zone: String,
    /// It is quiet now.
    pub quiet_now: bool,
}

/// A channel, and how far it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoticeChannel {
    /// Its name in the configuration.
    pub name: String,
    /// `smtp`, `ntfy`, `gotify`, `sentry`, `discord`, `slack`, `telegram` or `webhook`; others may come.
    pub kind: String,
    /// What it is told: some of `info`, `warning`, `critical`.
    pub severities: Vec<String>,
    /// Quiet hours hold for it.
    pub quiet_hours: bool,
    /// Notices it has not been told yet.
    pub waiting: usize,
    /// Failures in a row.
    pub failures: u32,
    /// Not before then it is tried again; `null` = it works, as far as is known.
    pub retry_at: Option<Timestamp>,
    /// What the last failure was; `null` = it took the last message.
    pub problem: Option<String>,
    /// Notices that were given up and not told of yet.
    pub dropped: u64,
    /// When it took a message last.
    pub delivered_at: Option<Timestamp>,
}

/// Body of `POST /api/notify/test`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestChannels {
    /// Only this channel; left out, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// Answer of `POST /api/notify/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelTests {
    /// By name of the channel.
    pub tests: Vec<ChannelTest>,
}

/// What came of the test of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelTest {
    /// The channel.
    pub channel: String,
    /// What kind it is.
    pub kind: String,
    /// The receiver said that it took the message.
    pub taken: bool,
    /// What the receiver answered, or why there is no good answer.
    pub answer: String,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}
