//! A way to people.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use proximity_domain::notify::{ChannelName, Message};
use proximity_domain::time::Timestamp;
use uuid::Uuid;

/// What a receiver can tell one delivery from another by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The same each time the same message is sent again.
    pub id: Uuid,
    /// When it is sent.
    pub at: Timestamp,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not taken now; it is sent again.
    #[error("{message}")]
    NotTaken {
        /// What happened, one sentence, without secrets.
        message: String,
        /// How long the receiver asks to be left alone, milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It may have been taken: the answer was lost. It is sent again, once more under the same id.
    #[error("{message}")]
    MaybeTaken {
        /// What happened, one sentence, without secrets.
        message: String,
    },
    /// The receiver does not take this message. When that stays so, it is given up.
    #[error("{message}")]
    Refused {
        /// What the receiver said, one sentence, without secrets.
        message: String,
    },
}

impl SendError {
    pub(super) fn not_taken(message: impl Into<String>) -> Self {
        Self::NotTaken {
            message: message.into(),
            retry_after_ms: None,
        }
    }
}

/// Sends messages. The implementations of the product are the kinds of channels that can be configured.
#[async_trait]
pub trait Notifier: Send + Sync + Debug {
    /// What kind of channel it is, as the configuration calls it.
    fn kind(&self) -> &'static str;

    /// Whether each subject (an app, a resource, a host entry) is told of in the order of its events, whatever fails and however
    /// grave what comes later is. People are told of what is critical first.
    fn keeps_order(&self) -> bool {
        false
    }

    /// Sends one message, within its own limits of time; gives what the receiver answered.
    ///
    /// # Errors
    /// It was not taken, may have been taken, or is refused.
    async fn send(&self, message: &Message, delivery: &Delivery) -> Result<String, SendError>;
}

/// A channel as it is configured.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    /// What sends.
    pub notifier: Arc<dyn Notifier>,
    /// Quiet hours hold for it.
    pub keeps_quiet: bool,
    /// Messages in a minute, at most.
    pub per_minute: u32,
}
