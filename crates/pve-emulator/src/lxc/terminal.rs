//! A terminal in a real container: LXC's own program on a pseudo terminal of this machine.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::place::Place;
use crate::core::ConsoleMode;
use crate::core::guest::GuestKey;
use crate::lab::SEARCH_PATH;
use crate::shell::{TerminalEnd, TerminalInput};

/// Columns and rows until somebody says others, as `termproxy` begins with.
const FIRST_SIZE: (u16, u16) = (80, 20);
/// How long a program may take to end whose terminal has gone.
const GOING: Duration = Duration::from_secs(2);
const CHUNK_BYTES: usize = 16 * 1024;

/// A program and this machine's side of its terminal.
pub(super) struct Opened {
    master: OwnedFd,
    // The runtime treats both ways of a terminal as it does pipes.
    printed: Receiver,
    typed: Sender,
    child: Child,
}

/// Starts what enters a container that runs.
///
/// # Errors
/// There is no terminal, or the program cannot be started.
pub(super) fn open(
    place: &Place,
    guest: &GuestKey,
    mode: ConsoleMode,
) -> Result<Opened, std::io::Error> {
    let (master, slave) = pair()?;
    resize(&master, FIRST_SIZE)?;
    let printed = Receiver::from_owned_fd_unchecked(master.try_clone()?)?;
    let typed = Sender::from_owned_fd_unchecked(master.try_clone()?)?;
    let child = enter(place, guest, mode, slave)?;
    Ok(Opened {
        master,
        printed,
        typed,
        child,
    })
}

/// A pseudo terminal: this machine's side, which never blocks, and the program's.
fn pair() -> std::io::Result<(OwnedFd, File)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
    Ok((master, slave.into()))
}

/// The terminal controls the program: one that goes away takes it along.
fn enter(
    place: &Place,
    guest: &GuestKey,
    mode: ConsoleMode,
    slave: File,
) -> std::io::Result<Child> {
    let (program, options): (&str, &[&str]) = match mode {
        ConsoleMode::Tty => ("lxc-console", &["-e", "-1"]),
        ConsoleMode::Console => ("lxc-console", &["-t", "0", "-e", "-1"]),
        ConsoleMode::Shell => ("lxc-attach", &["--clear-env"]),
    };
    Command::new("setsid")
        .args(["--ctty", program, "-P"])
        .arg(place.lxcpath(&guest.node))
        .args(["-n", &guest.vmid.to_string()])
        .args(options)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("HOME", "/root")
        .env("TERM", "xterm-256color")
        .stdin(Stdio::from(slave.try_clone()?))
        .stdout(Stdio::from(slave.try_clone()?))
        .stderr(Stdio::from(slave))
        .kill_on_drop(true)
        .spawn()
}

fn resize(master: &OwnedFd, (columns, rows): (u16, u16)) -> std::io::Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(master, size)?)
}

impl Opened {
    /// Carries bytes both ways until the program has ended or its user has gone; then nothing of it is left.
    pub(super) async fn serve(self, end: TerminalEnd) {
        let Self {
            master,
            printed,
            typed,
            mut child,
        } = self;
        let TerminalEnd { input, output } = end;
        let taken = tokio::select! {
            taken = type_in(&master, &typed, input) => taken,
            () = print(&printed, &output) => Ok(()),
            () = output.closed() => Ok(()),
        };
        if let Err(error) = taken {
            tracing::debug!(%error, "a terminal takes no more");
        }
        drop((master, printed, typed));
        if tokio::time::timeout(GOING, child.wait()).await.is_err()
            && let Err(error) = child.kill().await
        {
            tracing::warn!(%error, "the program of a console could not be ended");
        }
    }
}

/// Hands on what is typed, until the user has gone.
async fn type_in(
    master: &OwnedFd,
    typed: &Sender,
    mut input: mpsc::Receiver<TerminalInput>,
) -> std::io::Result<()> {
    while let Some(wish) = input.recv().await {
        let mut left = match wish {
            TerminalInput::Bytes(bytes) => bytes,
            TerminalInput::Size { columns, rows } => {
                resize(master, (columns, rows))?;
                continue;
            }
        };
        while !left.is_empty() {
            typed.writable().await?;
            match typed.try_write(&left) {
                Ok(taken) => left.advance(taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Hands on what is printed, until one side has gone; of a program that has ended, its terminal makes an error.
async fn print(printed: &Receiver, output: &mpsc::Sender<Bytes>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while printed.readable().await.is_ok() {
        // Tried until it would block: a terminal gives less than it has, which of a pipe would mean that it is empty.
        let piece = match printed.try_read(&mut chunk) {
            Ok(count @ 1..) => Bytes::copy_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Ok(0) | Err(_) => return,
        };
        if output.send(piece).await.is_err() {
            return;
        }
    }
}
