//! What runs the core's guest commands.

use async_trait::async_trait;

use serde_json::Value;

use super::terminal::Terminal;
use crate::core::ConsoleMode;
use crate::core::guest::{GuestCommand, GuestDone, GuestKey};

/// Runs guest commands; the LXC driver is one.
///
/// **Flow.** The shell calls [`run`](Self::run) once per command, each call in a task of its own,
/// and hands the answer back to the core.
///
/// **Assumptions a driver can make.** At most one of create, start, shutdown, destroy is under way
/// per guest. `Kill` may come while a `Shutdown` of the same guest still waits (its task was
/// killed, or overruled) and must not wait for it; `Inspect` may come at any time.
///
/// **Guarantees a driver gives.** Commands are idempotent: after a restart of the emulator the
/// unanswered ones come again. Dropping the future leaves the guest in a state from which the
/// repeated command gets on.
#[async_trait]
pub trait GuestDriver: Send + Sync + 'static {
    /// Runs one command to its end and answers it under the command's job id.
    async fn run(&self, command: GuestCommand) -> GuestDone;

    /// Breaks or mends a guest behind the API's back, as the control socket is asked to; gives how it stands then.
    ///
    /// # Errors
    /// Why not, as text. Real guests are broken with their own tools.
    async fn meddle(&self, guest: &GuestKey, order: Value) -> Result<Value, String> {
        let _ = (guest, order);
        Err("only simulated guests can be broken from here".to_owned())
    }

    /// Opens a terminal in a guest. What runs behind it ends with the terminal, and with the guest.
    ///
    /// # Errors
    /// What the node's tool prints when it cannot, in one line.
    async fn open_console(&self, guest: &GuestKey, mode: ConsoleMode) -> Result<Terminal, String> {
        let _ = mode;
        Err(not_running(guest.vmid))
    }
}

/// What `lxc-console` says of a container that does not run.
pub(crate) fn not_running(vmid: u32) -> String {
    format!("lxc-console: {vmid}: ../src/lxc/tools/lxc_console.c: main: 129 {vmid} is not running")
}
