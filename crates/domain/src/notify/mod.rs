//! What people are told of what happened, and when: decided here, sent elsewhere.

mod backoff;
mod insistence;
mod message;
mod pace;
mod quiet;
mod route;
mod severity;
mod subject;
mod turn;

pub use backoff::pause_ms;
pub use insistence::{ASIDE_AFTER, Failed, Insistence, LOST, PASSES, REFUSALS, Verdict};
pub use message::{Message, Notice, one_line};
pub use pace::Pace;
pub use quiet::{BadQuietHours, MinuteOfDay, QuietHours};
pub use route::{BadChannelName, ChannelName, Routes};
pub use severity::{NoticeSpec, Severity};
pub use subject::{Subject, order_key, subject_key};
pub use turn::{DIGEST_FROM, DIGEST_MOST, Subjects, Turn, Waiting, turn};
