//! The notifier as others see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use proximity_domain::notify::{ChannelName, Message, QuietHours, Routes, Severity};
use proximity_domain::time::{Clock, Timestamp};
use proximity_store::Store;
use proximity_store::notices::NoticeChannel;
use tokio::sync::Notify;

use super::channel::{Channel, Delivery, SendError};
use super::wall_clock::{WallClock, moment};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::seams::IdSource;

/// What decides when a channel is told what.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Which channels are told what.
    pub routes: Routes,
    /// When only what is critical is told.
    pub quiet: Option<QuietHours>,
    /// Whose clock the quiet hours go by.
    pub wall_clock: WallClock,
    /// The name of its time zone.
    pub time_zone: String,
}

impl Default for Rules {
    /// Nothing is told.
    fn default() -> Self {
        Self {
            routes: Routes::default(),
            quiet: None,
            wall_clock: WallClock::utc(),
            time_zone: "UTC".to_owned(),
        }
    }
}

impl Engine {
    /// A notifier that follows this engine's log.
    #[must_use]
    pub fn notices(&self, channels: Vec<Channel>, rules: Rules) -> Notices {
        let parts = &self.inner.parts;
        Notices::new(NoticesParts {
            store: parts.store.clone(),
            clock: Arc::clone(&parts.clock),
            ids: Arc::clone(&parts.ids),
            channels,
            rules,
        })
    }
}

/// Everything the notifier needs.
#[derive(Debug)]
pub struct NoticesParts {
    /// Log of events, and how far each channel has come.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn IdSource>,
    /// Channels, each with a name of its own.
    pub channels: Vec<Channel>,
    /// When and what.
    pub rules: Rules,
}

/// The notifier. Cheap to clone; nothing is sent before [`Notices::run`] runs.
#[derive(Debug, Clone)]
pub struct Notices {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) parts: NoticesParts,
    /// Rung for a channel when something waits for it.
    pub(super) bells: BTreeMap<ChannelName, Notify>,
}

/// Where one channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelReport {
    /// Its name.
    pub name: ChannelName,
    /// What kind it is.
    pub kind: &'static str,
    /// What it is told, the least grave first.
    pub severities: Vec<Severity>,
    /// Quiet hours hold for it.
    pub keeps_quiet: bool,
    /// How far it has come; `None`: not begun.
    pub stands: Option<NoticeChannel>,
    /// What it has not been told yet.
    pub waiting: usize,
}

/// All channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticesReport {
    /// By name.
    pub channels: Vec<ChannelReport>,
    /// When only what is critical is told.
    pub quiet: Option<QuietHours>,
    /// By the clock of which time zone.
    pub time_zone: String,
    /// Whether it is quiet now.
    pub quiet_now: bool,
}

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// The channel.
    pub name: ChannelName,
    /// What kind it is.
    pub kind: &'static str,
    /// What the receiver answered, or why there is no good answer.
    pub outcome: Result<String, SendError>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

impl Notices {
    /// A notifier over its parts.
    #[must_use]
    pub fn new(parts: NoticesParts) -> Self {
        let names = parts.channels.iter().map(|c| c.name.clone());
        let bells = names.map(|name| (name, Notify::new())).collect();
        Self {
            inner: Arc::new(Inner { parts, bells }),
        }
    }

    /// Where all channels stand.
    ///
    /// # Errors
    /// The store's.
    pub async fn report(&self) -> Result<NoticesReport, EngineError> {
        let parts = &self.inner.parts;
        let mut stands = parts.store.notice_channels().await?;
        let mut channels = Vec::new();
        for channel in &parts.channels {
            let at = stands.iter().position(|s| s.channel == channel.name);
            let waiting = parts.store.waiting_notices(&channel.name).await?.len();
            let told = |severity: &Severity| parts.rules.routes.lead_to(&channel.name, *severity);
            channels.push(ChannelReport {
                name: channel.name.clone(),
                kind: channel.notifier.kind(),
                severities: Severity::ALL.into_iter().filter(told).collect(),
                keeps_quiet: channel.keeps_quiet,
                stands: at.map(|at| stands.swap_remove(at)),
                waiting,
            });
        }
        channels.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(NoticesReport {
            channels,
            quiet: parts.rules.quiet,
            time_zone: parts.rules.time_zone.clone(),
            quiet_now: parts.rules.is_quiet(parts.clock.now()),
        })
    }

    /// Sends a test to one channel, or to all; says what each receiver answered. Nothing is repeated.
    ///
    /// # Errors
    /// There is no such channel, or none at all.
    pub async fn test(&self, only: Option<&str>) -> Result<Vec<TestReport>, EngineError> {
        let wanted = |c: &&Channel| only.is_none_or(|name| c.name.as_str() == name);
        let channels: Vec<&Channel> = self.inner.parts.channels.iter().filter(wanted).collect();
        if channels.is_empty() {
            return Err(EngineError::NotFound {
                what: "channel for notices",
                name: only.unwrap_or("at all").to_owned(),
            });
        }
        let tests = channels.into_iter().map(|channel| self.test_one(channel));
        let mut reports = futures::future::join_all(tests).await;
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(reports)
    }

    async fn test_one(&self, channel: &Channel) -> TestReport {
        let parts = &self.inner.parts;
        let (at, begun) = (parts.clock.now(), parts.clock.monotonic());
        let message = Message::test(channel.name.as_str(), &moment(at));
        let delivery = Delivery {
            id: parts.ids.uuid(),
            at,
        };
        let outcome = channel.notifier.send(&message, &delivery).await;
        TestReport {
            name: channel.name.clone(),
            kind: channel.notifier.kind(),
            outcome,
            took_ms: parts.clock.monotonic().since_ms(begun),
        }
    }
}

impl Rules {
    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
        let shown = self.wall_clock.shows(now);
        self.quiet.is_some_and(|quiet| quiet.holds(shown))
    }

    /// Whether it is quiet for this channel.
    pub(super) fn is_quiet_for(&self, channel: &Channel, now: Timestamp) -> bool {
        channel.keeps_quiet && self.is_quiet(now)
    }
}
