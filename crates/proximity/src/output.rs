//! Where results and progress go: results on stdout, everything else on stderr. The only place that prints.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

use serde::Serialize;
use tokio::io::{Interest, Ready};
use tokio::net::unix::pipe::Sender;

use crate::failed::Failed;

/// How this run talks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints the result: as JSON, or in the form for people.
    ///
    /// # Errors
    /// stdout cannot be written. A reader that went away is none.
    pub(crate) fn result<T: Serialize>(
        self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failed> {
        if self.json {
            let text = serde_json::to_string_pretty(value).map_err(|e| {
                Failed::error(
                    "internal",
                    format!("cannot print the result: {e}"),
                    "report it",
                )
            })?;
            self.line(&text)
        } else {
            self.line(&human(value))
        }
    }

    /// Prints one line (or several) on stdout.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub(crate) fn line(self, text: &str) -> Result<(), Failed> {
        self.tell(text).map(drop)
    }

    /// As [`Output::line`], for who would go on for ever.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub(crate) fn tell(self, text: &str) -> Result<Reader, Failed> {
        match to_stdout(text.trim_end()) {
            Ok(()) => Ok(Reader::Listens),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(error) => Err(Failed::error(
                "stdout",
                format!("cannot write to stdout: {error}"),
                "check the disk or the program behind the pipe",
            )),
        }
    }

    /// Says something on the way, unless told to be quiet.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            to_stderr(text);
        }
    }

    /// Says why the command failed, whatever was told.
    pub(crate) fn failure(self, failed: &Failed) {
        if failed.is_said() {
            return;
        }
        if self.json {
            // A struct of strings always serialises; the text form is there should that ever change.
            let text = serde_json::to_string(&failed.envelope());
            to_stderr(&text.unwrap_or_else(|_| failed.to_string()));
        } else {
            to_stderr(&failed.to_string());
        }
    }
}

/// Whether anybody takes what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Listens,
    /// It closed the pipe, as `head` does when it has enough.
    Gone,
}

/// Returns when whoever reads stdout has gone away, also while nothing is printed. Never where the system does not tell of
/// it, as for a file; it does for a pipe, and may for a terminal or a socket.
pub(crate) async fn reader_gone() {
    if watch_stdout().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn watch_stdout() -> std::io::Result<()> {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
    // Unchecked leaves the pipe as it is: writing to it still waits. What cannot be watched, such as a file, is an error.
    let stdout = Sender::from_owned_fd_unchecked(stdout)?;
    until_error(|| stdout.ready(Interest::ERROR)).await
}

/// Asks again while it is woken for nothing: a readiness may turn out to be empty.
async fn until_error<F>(mut ready: impl FnMut() -> F) -> std::io::Result<()>
where
    F: Future<Output = std::io::Result<Ready>>,
{
    while !ready().await?.is_error() {}
    Ok(())
}

/// One line on stdout.
///
/// # Errors
/// What the system says.
pub(crate) fn to_stdout(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush())
}

/// Bytes on stdout or stderr, as they are.
///
/// # Errors
/// It cannot be written. A reader that went away is none.
pub(crate) fn pass_on(bytes: &[u8], to_stderr: bool) -> Result<Reader, Failed> {
    let written = if to_stderr {
        std::io::stderr().lock().write_all(bytes)
    } else {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    };
    match written {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failed::error(
            "stdout",
            format!("cannot pass on what was printed: {error}"),
            "check the disk or the program behind the pipe",
        )),
    }
}

fn to_stderr(text: &str) {
    // When stderr is gone there is nobody left to tell.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// A person sits at the keyboard and sees what is printed.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// stderr is a terminal, so a bar can be drawn.
pub(crate) fn draws_bars() -> bool {
    std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a readiness was asked for, given what it is each time, and what came of it.
    async fn asked(answers: [std::io::Result<Ready>; 3]) -> (usize, std::io::Result<()>) {
        let mut left = answers.into_iter();
        let ended = until_error(|| std::future::ready(left.next().unwrap())).await;
        (3 - left.len(), ended)
    }

    #[tokio::test]
    async fn a_reader_is_gone_when_the_readiness_says_so_and_not_at_any_wake_up() {
        let gone = Ready::ERROR | Ready::WRITABLE;
        let (times, ended) = asked([Ok(Ready::EMPTY), Ok(Ready::WRITABLE), Ok(gone)]).await;
        assert_eq!((times, ended.is_ok()), (3, true));
        let unwatched = Err(std::io::ErrorKind::Other.into());
        let (times, ended) = asked([Ok(Ready::EMPTY), unwatched, Ok(gone)]).await;
        assert_eq!((times, ended.is_err()), (2, true));
    }
}
