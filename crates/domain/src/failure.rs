//! A failure as it is kept with an operation and shown to people: stable code, sentence, next step.

use serde::{Deserialize, Serialize};

/// Why something did not work, in a form that can be stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, snake_case; documented in docs/reference/errors.md.
    pub code: String,
    /// What happened, one sentence.
    pub message: String,
    /// What to do next, one sentence.
    pub hint: String,
    /// Name of the step that failed, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

impl Failure {
    /// A failure without a step.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
            step: None,
        }
    }

    /// The same failure, at `step`.
    #[must_use]
    pub fn at(mut self, step: &str) -> Self {
        self.step.get_or_insert_with(|| step.to_owned());
        self
    }
}
