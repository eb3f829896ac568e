//! The notifier: follows the log of events and tells people, each channel by itself.
//!
//! What is told, when and how often is decided in [`proximity_domain::notify`]; how far each channel has come is in the
//! store, so that a crash loses nothing. Here is what sends.

mod channel;
mod chat;
mod delivery;
mod http;
mod notices;
mod ntfy;
mod runner;
mod sentry;
mod smtp;
mod take_up;
mod wall_clock;
mod webhook;
mod words;

pub use channel::{Channel, Delivery, Notifier, SendError};
pub use chat::{Discord, Gotify, Slack, Telegram};
pub use http::{Place, PlaceError};
pub use notices::{ChannelReport, Notices, NoticesParts, NoticesReport, Rules, TestReport};
pub use ntfy::Ntfy;
pub use sentry::Sentry;
pub use smtp::{Smtp, SmtpOptions, SmtpTls};
pub(crate) use wall_clock::moment;
pub use wall_clock::{UnknownTimeZone, WallClock};
pub use webhook::{Webhook, signature};
