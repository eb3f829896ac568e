//! Questions to a person at the terminal.

use inquire::{Confirm, InquireError, Password, PasswordDisplayMode, Text};
use secrecy::SecretString;

use crate::failed::Failed;
use crate::output::is_interactive;

/// Refuses when nobody can answer. `need` is a clause; `instead` says which options make it unnecessary.
pub(crate) fn need_a_person(need: &str, instead: &str) -> Result<(), Failed> {
    if is_interactive() {
        return Ok(());
    }
    let message = format!("{need}, but there is no terminal to ask at");
    Err(Failed::usage(message, instead))
}

/// A line of text.
pub(crate) fn text(question: &str) -> Result<String, Failed> {
    Text::new(question).prompt().map_err(unanswered)
}

/// A secret; what is typed is not shown.
pub(crate) fn secret(question: &str) -> Result<SecretString, Failed> {
    Password::new(question)
        .without_confirmation()
        .with_display_mode(PasswordDisplayMode::Hidden)
        .prompt()
        .map(SecretString::from)
        .map_err(unanswered)
}

/// Yes or no; no unless said otherwise.
pub(crate) fn yes(question: &str) -> Result<bool, Failed> {
    Confirm::new(question)
        .with_default(false)
        .prompt()
        .map_err(unanswered)
}

fn unanswered(error: InquireError) -> Failed {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => {
            Failed::cancelled("cancelled; nothing was changed", "")
        }
        InquireError::NotTTY
        | InquireError::InvalidConfiguration(_)
        | InquireError::IO(_)
        | InquireError::Custom(_) => Failed::error(
            "prompt",
            format!("cannot ask: {error}"),
            "use the options that make the question unnecessary (see --help)",
        ),
    }
}
