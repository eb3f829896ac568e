//! How a command fails: exit code, and the error in the form of the API.

use std::fmt;

use proximity_api::client::ClientError;
use proximity_api::error::{ErrorBody, ErrorEnvelope, ExitCode};
use proximity_engine::error::EngineError;
use proximity_store::StoreError;

/// A command's failure: what the process ends with, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) exit: ExitCode,
    pub(crate) body: Box<ErrorBody>,
    /// The exit code of a program that ran elsewhere, which this process ends with instead.
    handed_on: Option<u8>,
}

impl Failed {
    pub(crate) fn new(
        exit: ExitCode,
        code: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::of(exit, ErrorBody::new(code, message, hint))
    }

    /// With this error of the API.
    pub(crate) fn of(exit: ExitCode, body: ErrorBody) -> Self {
        Self {
            exit,
            body: Box::new(body),
            handed_on: None,
        }
    }

    /// A program that ran elsewhere failed, and has said so itself.
    pub(crate) fn handed_on(exit_code: i32) -> Self {
        Self {
            // What no process ends with is told as a failure all the same.
            handed_on: Some(u8::try_from(exit_code).unwrap_or(u8::MAX)),
            ..Self::said(ExitCode::Error)
        }
    }

    /// What the process ends with.
    pub(crate) fn number(&self) -> u8 {
        self.handed_on.unwrap_or_else(|| self.exit.number())
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, "usage", message, hint)
    }

    /// Something failed that no other exit code names.
    pub(crate) fn error(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitCode::Error, code, message, hint)
    }

    /// Something of the installation is missing or wrong.
    pub(crate) fn config(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitCode::ConfigOrNotFound, code, message, hint)
    }

    /// A person said no, or pressed Ctrl-C.
    pub(crate) fn cancelled(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitCode::Cancelled, "cancelled", message, hint)
    }

    /// What there is to say was told already: by another process, or as a result.
    pub(crate) fn said(exit: ExitCode) -> Self {
        Self::new(exit, "", "", "")
    }

    /// Somebody has told it already.
    pub(crate) fn is_said(&self) -> bool {
        self.body.message.is_empty()
    }

    /// As `--json` prints it.
    pub(crate) fn envelope(&self) -> ErrorEnvelope {
        ErrorEnvelope {
            error: (*self.body).clone(),
        }
    }
}

impl fmt::Display for Failed {
    /// As people read it: what happened, which fields, what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.body.message)?;
        for (field, wrong) in &self.body.fields {
            // A field whose text is the message would only repeat it.
            if *wrong != self.body.message {
                write!(f, "\n  {field}: {wrong}")?;
            }
        }
        if self.body.hint.is_empty() {
            return Ok(());
        }
        write!(f, "\n hint: {}", self.body.hint)
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self::of(error.exit_code(), error.body())
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        let exit =
            proximity_api::error::lookup(error.code()).map_or(ExitCode::Error, |row| row.exit);
        let mut body = ErrorBody::new(error.code(), error.to_string(), error.hint());
        body.fields = error.fields();
        Self::of(exit, body)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_what_happened_which_field_and_what_to_do() {
        let mut failed = Failed::usage("the request is wrong", "correct it");
        failed
            .body
            .fields
            .insert("hostname".to_owned(), "is too short".to_owned());
        failed
            .body
            .fields
            .insert("again".to_owned(), "the request is wrong".to_owned());
        assert_eq!(
            failed.to_string(),
            "error: the request is wrong\n  hostname: is too short\n hint: correct it"
        );
    }

    #[test]
    fn the_exit_code_of_a_program_is_the_commands() {
        let failed = Failed::handed_on(42);
        assert_eq!((failed.number(), failed.is_said()), (42, true));
        assert_eq!(Failed::handed_on(-1).number(), u8::MAX);
        assert_eq!(Failed::said(ExitCode::Busy).number(), 5);
    }

    #[test]
    fn a_refusal_of_the_server_keeps_its_exit_code() {
        let body = ErrorBody::new("memory_above_node", "m", "h");
        let refused = ClientError::Refused {
            status: 507,
            body: Box::new(body),
        };
        assert_eq!(Failed::from(refused).exit, ExitCode::Resources);
        let unknown = ErrorBody::new("something_new", "m", "h");
        let refused = ClientError::Refused {
            status: 423,
            body: Box::new(unknown),
        };
        assert_eq!(Failed::from(refused).exit, ExitCode::Busy);
    }
}
