//! Apps and their status, with the labels of the seeds.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::time::Timestamp;

/// Whether we made an app's container or found it. Fixed at birth, for life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppClass {
    /// We made its container: removing the app destroys it.
    #[default]
    Native,
    /// We found its container: removing the app leaves it as it is.
    Adopted,
}

impl AppClass {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Native, Self::Adopted];

    /// Stable text, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Adopted => "adopted",
        }
    }

    /// The class with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.label() == label)
    }
}

/// What an app's status can be, without the story behind it. Labels are stored, with a CHECK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the labels are the documentation
pub enum StatusLabel {
    Deploying,
    Adopting,
    Cloning,
    Running,
    Stopped,
    Updating,
    Removing,
    Error,
}

impl StatusLabel {
    /// All labels, in the order of the seeds.
    pub const ALL: [Self; 8] = [
        Self::Deploying,
        Self::Adopting,
        Self::Cloning,
        Self::Running,
        Self::Stopped,
        Self::Updating,
        Self::Removing,
        Self::Error,
    ];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Deploying => "deploying",
            Self::Adopting => "adopting",
            Self::Cloning => "cloning",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Updating => "updating",
            Self::Removing => "removing",
            Self::Error => "error",
        }
    }

    /// The label with this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.label() == text)
    }
}

/// An app's status. `Error` says what it was, why, since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[allow(missing_docs)] // as above
pub enum Status {
    Deploying,
    Adopting,
    Cloning,
    Running,
    Stopped,
    Updating,
    Removing,
    Error {
        /// What it was before.
        was: StatusLabel,
        /// Why, with the next step.
        why: Failure,
        /// Since when.
        since: Timestamp,
    },
}

/// What can happen to an app's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusEvent {
    /// A failed deploy is tried again.
    DeployStarted,
    /// An operation ended and the guest was read back as running.
    BecameRunning,
    /// An operation ended and the guest was read back as stopped.
    BecameStopped,
    /// A removal begins.
    RemoveStarted,
    /// A change of the app in place begins.
    UpdateStarted,
    /// An operation failed for good, or was abandoned.
    Failed(Failure, Timestamp),
}

/// The transition does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an app that is {from} cannot take {event}")]
pub struct IllegalTransition {
    /// Where it was.
    pub from: &'static str,
    /// What came.
    pub event: &'static str,
}

impl Status {
    /// The status without its story.
    #[must_use]
    pub fn label(&self) -> StatusLabel {
        match self {
            Self::Deploying => StatusLabel::Deploying,
            Self::Adopting => StatusLabel::Adopting,
            Self::Cloning => StatusLabel::Cloning,
            Self::Running => StatusLabel::Running,
            Self::Stopped => StatusLabel::Stopped,
            Self::Updating => StatusLabel::Updating,
            Self::Removing => StatusLabel::Removing,
            Self::Error { .. } => StatusLabel::Error,
        }
    }

    /// The status after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] if the table has no such cell.
    pub fn next(self, event: StatusEvent) -> Result<Self, IllegalTransition> {
        let from = self.label();
        let illegal = |event| {
            Err(IllegalTransition {
                from: from.label(),
                event,
            })
        };
        match event {
            StatusEvent::DeployStarted => match from {
                StatusLabel::Error => Ok(Self::Deploying),
                StatusLabel::Deploying
                | StatusLabel::Adopting
                | StatusLabel::Cloning
                | StatusLabel::Running
                | StatusLabel::Stopped
                | StatusLabel::Updating
                | StatusLabel::Removing => illegal("deploy_started"),
            },
            StatusEvent::RemoveStarted => match from {
                StatusLabel::Running | StatusLabel::Stopped | StatusLabel::Error => {
                    Ok(Self::Removing)
                }
                StatusLabel::Deploying
                | StatusLabel::Adopting
                | StatusLabel::Cloning
                | StatusLabel::Updating
                | StatusLabel::Removing => illegal("remove_started"),
            },
            // An app in `error` is started first: what it is has to be known before it is changed.
            StatusEvent::UpdateStarted => match from {
                StatusLabel::Running | StatusLabel::Stopped => Ok(Self::Updating),
                StatusLabel::Deploying
                | StatusLabel::Adopting
                | StatusLabel::Cloning
                | StatusLabel::Updating
                | StatusLabel::Removing
                | StatusLabel::Error => illegal("update_started"),
            },
            // Every state may end in a guest that was read back; a person's operation is what leads out of `error`.
            StatusEvent::BecameRunning => Ok(Self::Running),
            StatusEvent::BecameStopped => match from {
                StatusLabel::Deploying => illegal("became_stopped"),
                StatusLabel::Adopting
                | StatusLabel::Cloning
                | StatusLabel::Running
                | StatusLabel::Stopped
                | StatusLabel::Updating
                | StatusLabel::Removing
                | StatusLabel::Error => Ok(Self::Stopped),
            },
            StatusEvent::Failed(why, since) => Ok(Self::Error {
                was: match self {
                    // A second failure does not hide what it was before the first.
                    Self::Error { was, .. } => was,
                    Self::Deploying
                    | Self::Adopting
                    | Self::Cloning
                    | Self::Running
                    | Self::Stopped
                    | Self::Updating
                    | Self::Removing => from,
                },
                why,
                since,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(label: StatusLabel) -> Status {
        match label {
            StatusLabel::Deploying => Status::Deploying,
            StatusLabel::Adopting => Status::Adopting,
            StatusLabel::Cloning => Status::Cloning,
            StatusLabel::Running => Status::Running,
            StatusLabel::Stopped => Status::Stopped,
            StatusLabel::Updating => Status::Updating,
            StatusLabel::Removing => Status::Removing,
            StatusLabel::Error => Status::Error {
                was: StatusLabel::Updating,
                why: Failure::new("x", "x", "x"),
                since: Timestamp(1),
            },
        }
    }

    #[test]
    fn table_of_states_and_events() {
        let events = [
            ("deploy_started", StatusEvent::DeployStarted),
            ("became_running", StatusEvent::BecameRunning),
            ("became_stopped", StatusEvent::BecameStopped),
            ("remove_started", StatusEvent::RemoveStarted),
            ("update_started", StatusEvent::UpdateStarted),
            (
                "failed",
                StatusEvent::Failed(Failure::new("f", "m", "h"), Timestamp(2)),
            ),
        ];
        let mut table = String::new();
        for label in StatusLabel::ALL {
            for (name, event) in &events {
                let to = match sample(label).next(event.clone()) {
                    Ok(Status::Error { was, .. }) => format!("error(was {})", was.label()),
                    Ok(s) => s.label().label().to_owned(),
                    Err(_) => "illegal".to_owned(),
                };
                table.push_str(&format!("{:<10} {name:<15} -> {to}\n", label.label()));
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn labels_round_trip() {
        for label in StatusLabel::ALL {
            assert_eq!(StatusLabel::parse(label.label()), Some(label));
        }
        assert_eq!(StatusLabel::parse("Running"), None);
    }
}
