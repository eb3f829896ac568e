//! A terminal in a simulated guest: a login where the container asks for one, and its shell line by line.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::driver::{SimDriver, now_s};
use super::guest::{Ended, Exec, Guest};
use super::inside::InsideOutcome;
use super::line::{Line, Typed};
use super::room::Change;
use crate::core::guest::GuestKey;
use crate::core::{ConsoleMode, password_fits};
use crate::shell::{TerminalEnd, TerminalInput};

const HOME: &str = "/root";
/// Ctrl-C.
const INTERRUPT: u8 = 0x03;

/// What the terminal waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Name,
    Password { name: String },
    Command,
}

/// Somebody at a terminal.
struct Session {
    driver: SimDriver,
    guest: GuestKey,
    hostname: String,
    stage: Stage,
    /// Whether the guest asks again after a logout, as its login program does.
    asks: bool,
    directory: String,
    end: TerminalEnd,
}

/// The terminal is over: its user has gone, its shell has ended, or its guest has.
struct Over;

type Step = Result<(), Over>;

/// Serves a terminal until one side ends.
pub(super) async fn serve(driver: SimDriver, guest: GuestKey, mode: ConsoleMode, end: TerminalEnd) {
    let room = driver.room(&guest);
    let mut changes = room.changes();
    let hostname = room.look(|guest| guest.shape.hostname.clone()).await;
    let (stage, asks) = match mode {
        ConsoleMode::Tty | ConsoleMode::Console => (Stage::Name, true),
        ConsoleMode::Shell => (Stage::Command, false),
    };
    let mut session = Session {
        driver,
        guest,
        hostname: hostname.unwrap_or_default(),
        stage,
        asks,
        directory: if asks { HOME } else { "/" }.to_owned(),
        end,
    };
    let halted = async {
        while room.look(|guest| guest.running).await == Some(true) {
            // The room is held, so its sender lives.
            let _ = changes.changed().await;
        }
    };
    tokio::select! {
        () = session.serve(mode) => {}
        () = halted => {}
    }
}

impl Session {
    async fn serve(&mut self, mode: ConsoleMode) {
        let greeted = match mode {
            // What was printed before somebody came is not printed again; the user asks for it with a line of his own.
            ConsoleMode::Tty => self.print(&self.banner("tty1")).await,
            ConsoleMode::Console => self.print(&self.banner("console")).await,
            ConsoleMode::Shell => self.prompt().await,
        };
        let mut line = Line::default();
        let mut go_on = greeted;
        while go_on.is_ok() {
            go_on = match self.end.input.recv().await {
                None => Err(Over),
                Some(TerminalInput::Size { .. }) => Ok(()),
                Some(TerminalInput::Bytes(bytes)) => self.typed(&mut line, &bytes).await,
            };
        }
    }

    async fn typed(&mut self, line: &mut Line, bytes: &[u8]) -> Step {
        // Byte by byte: what is shown of one depends on what came of the one before.
        for byte in bytes.chunks(1) {
            let echo = !matches!(self.stage, Stage::Password { .. });
            for one in line.take(byte, echo) {
                match one {
                    Typed::Echo(bytes) => self.send(bytes).await?,
                    Typed::Line(text) => self.line(text).await?,
                    Typed::Interrupt => self.prompt().await?,
                    Typed::End => self.log_out().await?,
                }
            }
        }
        Ok(())
    }

    async fn line(&mut self, text: String) -> Step {
        match self.stage.clone() {
            Stage::Name if text.trim().is_empty() => {}
            Stage::Name => {
                self.stage = Stage::Password {
                    name: text.trim().to_owned(),
                };
            }
            Stage::Password { name } => {
                let room = self.driver.room(&self.guest);
                let right = room.look(|guest| may_log_in(guest, &name, &text)).await;
                if right == Some(true) {
                    self.stage = Stage::Command;
                    self.directory = HOME.to_owned();
                } else {
                    self.stage = Stage::Name;
                    self.print("\nLogin incorrect\n").await?;
                }
            }
            Stage::Command if matches!(text.trim(), "exit" | "logout") => {
                return self.log_out().await;
            }
            Stage::Command => self.command(text.trim()).await?,
        }
        self.prompt().await
    }

    async fn log_out(&mut self) -> Step {
        if self.stage == Stage::Command && !self.asks {
            self.print("exit\n").await?;
            return Err(Over);
        }
        self.stage = Stage::Name;
        self.print(&self.banner("tty1")).await
    }

    /// Runs a line in the guest's shell, whose directory outlives it.
    async fn command(&mut self, text: &str) -> Step {
        let moves = text == "cd" || text.starts_with("cd ");
        let script = match moves {
            true => format!("cd {}\n{text}\npwd", quoted(&self.directory)),
            false => format!("cd {}\n{text}", quoted(&self.directory)),
        };
        let exec = Exec {
            argv: vec!["sh".to_owned(), "-c".to_owned(), script],
            stdin: Some(Vec::new()),
            env: BTreeMap::from([
                ("HOME".to_owned(), HOME.to_owned()),
                ("TERM".to_owned(), "xterm-256color".to_owned()),
            ]),
        };
        match self.run(&exec).await? {
            Some(InsideOutcome::Ended(ended)) if moves => {
                let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
                if let Some(directory) = printed.lines().last() {
                    directory.clone_into(&mut self.directory);
                }
                self.bytes(&ended.stderr).await
            }
            Some(InsideOutcome::Ended(Ended { stdout, stderr, .. })) => {
                self.bytes(&stdout).await?;
                self.bytes(&stderr).await
            }
            Some(InsideOutcome::NeedsInput) => Ok(()),
            Some(InsideOutcome::NotRunning) => Err(Over),
            None => self.print("^C\n").await,
        }
    }

    /// Runs a command to its end, or until Ctrl-C: then nothing is given. Whoever goes away takes it along.
    async fn run(&mut self, exec: &Exec) -> Result<Option<InsideOutcome>, Over> {
        let interrupted = async {
            while let Some(input) = self.end.input.recv().await {
                if matches!(&input, TerminalInput::Bytes(bytes) if bytes.contains(&INTERRUPT)) {
                    return Ok(None);
                }
                // What is typed meanwhile has nobody who reads it.
            }
            Err(Over)
        };
        let stopped = tokio::select! {
            outcome = self.driver.exec(&self.guest, exec) => {
                return match outcome {
                    Ok(outcome) => Ok(Some(outcome)),
                    Err(reason) => {
                        tracing::warn!(reason, "a console's command was lost");
                        Err(Over)
                    }
                };
            }
            stopped = interrupted => stopped,
        };
        let room = self.driver.room(&self.guest);
        let left = room.change(now_s(), |guest, _| {
            guest.end_command(&exec.argv);
            Change::Keep(())
        });
        // A guest that is gone has no processes either.
        let _ = left.await;
        stopped
    }

    async fn prompt(&self) -> Step {
        let text = match &self.stage {
            Stage::Name => format!("{} login: ", self.hostname),
            Stage::Password { .. } => "Password: ".to_owned(),
            Stage::Command => {
                let place = match self.directory.strip_prefix(HOME) {
                    Some("") => "~".to_owned(),
                    Some(rest) if rest.starts_with('/') => format!("~{rest}"),
                    Some(_) | None => self.directory.clone(),
                };
                format!("root@{}:{place}# ", self.hostname)
            }
        };
        self.print(&text).await
    }

    fn banner(&self, tty: &str) -> String {
        let name = &self.hostname;
        format!("\nDebian GNU/Linux 12 {name} {tty}\n\n{name} login: ")
    }

    async fn print(&self, text: &str) -> Step {
        self.bytes(text.as_bytes()).await
    }

    /// Prints, with the ends of lines as terminals want them.
    async fn bytes(&self, bytes: &[u8]) -> Step {
        let mut shown = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if *byte == b'\n' {
                shown.push(b'\r');
            }
            shown.push(*byte);
        }
        self.send(shown).await
    }

    async fn send(&self, bytes: Vec<u8>) -> Step {
        if bytes.is_empty() {
            return Ok(());
        }
        self.end
            .output
            .send(Bytes::from(bytes))
            .await
            .map_err(|_| Over)
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether somebody's password is this one; nobody but root has a shell.
fn may_log_in(guest: &Guest, name: &str, password: &str) -> bool {
    let shadow = guest.files.text("/etc/shadow").unwrap_or_default();
    let hash = shadow
        .lines()
        .find_map(|line| line.strip_prefix("root:")?.split(':').next());
    name == "root" && hash.is_some_and(|hash| password_fits(password, hash))
}

#[cfg(test)]
mod tests {
    use crate::core::guest::GuestLogin;
    use crate::shell::{GuestDriver as _, Terminal};
    use crate::sim::driver::tests::{Stand, key, stand};

    use super::*;

    /// Types, and reads until the text is there.
    async fn talk(opened: &mut Terminal, typed: &str, until: &str) -> String {
        let bytes = Bytes::copy_from_slice(typed.as_bytes());
        opened
            .input
            .send(TerminalInput::Bytes(bytes))
            .await
            .unwrap();
        let mut shown = String::new();
        while !shown.ends_with(until) {
            let piece = opened.output.recv().await.expect(&shown);
            shown.push_str(std::str::from_utf8(&piece).unwrap());
        }
        shown
    }

    async fn opened(stand: &Stand, mode: ConsoleMode) -> Terminal {
        stand.driver.open_console(&key(), mode).await.unwrap()
    }

    #[tokio::test]
    async fn a_shell_runs_lines_where_it_is() {
        let state = tempfile::tempdir().unwrap();
        let stand = stand(state.path()).await;
        stand.create("dhcp").await.unwrap();
        let none = stand.driver.open_console(&key(), ConsoleMode::Shell).await;
        assert!(none.unwrap_err().ends_with("100 is not running"));
        stand.start().await;
        let mut at = opened(&stand, ConsoleMode::Shell).await;
        talk(&mut at, "", "root@web:/# ").await;
        let said = talk(&mut at, "echo a | cat\r", "root@web:/# ").await;
        assert_eq!(said, "echo a | cat\r\na\r\nroot@web:/# ");
        talk(&mut at, "cd\r", "root@web:~# ").await;
        let said = talk(&mut at, "pwd\r", "# ").await;
        assert!(said.contains("\r\n/root\r\n"), "{said}");
        let said = talk(&mut at, "cd /nowhere\r", "root@web:~# ").await;
        assert!(said.contains("can't cd to /nowhere"), "{said}");
        let room = stand.driver.room(&key());
        let before = room.look(|guest| guest.processes.len()).await;
        talk(&mut at, "sleep 1000\r", "sleep 1000\r\n").await;
        talk(&mut at, "\x03", "root@web:~# ").await;
        let left = room.look(|guest| guest.processes.len()).await;
        assert_eq!(left, before);
        talk(&mut at, "exit\r", "exit\r\n").await;
        while at.output.recv().await.is_some() {}
    }

    #[tokio::test]
    async fn a_terminal_asks_for_the_password_that_the_container_was_made_with() {
        let state = tempfile::tempdir().unwrap();
        let stand = stand(state.path()).await;
        stand.create("dhcp").await.unwrap();
        stand.start().await;
        let hash = crate::core::sha512_crypt("secret", "salt");
        let login = GuestLogin {
            password_hash: Some(hash),
            ssh_keys: None,
        };
        let mut at = opened(&stand, ConsoleMode::Tty).await;
        talk(&mut at, "root\r", "Password: ").await;
        let said = talk(&mut at, "\r", "login: ").await;
        assert!(
            said.contains("Login incorrect"),
            "no password is none: {said}"
        );
        let room = stand.driver.room(&key());
        let let_in = room.change(now_s(), |guest, _| {
            guest.let_log_in(&login).unwrap();
            Change::Keep(())
        });
        let_in.await.unwrap();
        talk(&mut at, "root\r", "Password: ").await;
        assert!(
            talk(&mut at, "wrong\r", "login: ")
                .await
                .starts_with("\r\n\r\nLogin incorrect")
        );
        talk(&mut at, "root\r", "Password: ").await;
        let said = talk(&mut at, "secret\r", "root@web:~# ").await;
        assert_eq!(said, "\r\nroot@web:~# ", "it is not shown");
        // Leaving the shell ends the login and not the terminal; halting the guest ends that.
        talk(&mut at, "exit\r", "web login: ").await;
        stand.kill().await;
        while at.output.recv().await.is_some() {}
    }
}
