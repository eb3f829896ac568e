//! A terminal that a driver opened: bytes both ways, until one side lets go.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Pieces that may wait on either way.
const QUEUE: usize = 64;

/// What goes into a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalInput {
    /// What was typed.
    Bytes(Bytes),
    /// It has this size now.
    Size {
        /// Width.
        columns: u16,
        /// Height.
        rows: u16,
    },
}

/// The user's side. Dropping it ends what runs behind it.
#[derive(Debug)]
pub struct Terminal {
    /// What is typed.
    pub input: mpsc::Sender<TerminalInput>,
    /// What is printed; ends when what runs behind it has ended.
    pub output: mpsc::Receiver<Bytes>,
}

/// The driver's side. Dropping it tells the user that it is over.
#[derive(Debug)]
pub struct TerminalEnd {
    /// What is typed; ends when the user has gone.
    pub input: mpsc::Receiver<TerminalInput>,
    /// What is printed.
    pub output: mpsc::Sender<Bytes>,
}

/// A terminal's two sides.
#[must_use]
pub fn terminal() -> (Terminal, TerminalEnd) {
    let (type_in, typed) = mpsc::channel(QUEUE);
    let (print, printed) = mpsc::channel(QUEUE);
    let user = Terminal {
        input: type_in,
        output: printed,
    };
    let driver = TerminalEnd {
        input: typed,
        output: print,
    };
    (user, driver)
}
