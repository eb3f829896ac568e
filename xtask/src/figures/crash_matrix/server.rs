//! One server on one data directory.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::child::{Child, pause, was_killed};
use super::http::{self, Answer};
use crate::clock::Deadline;

/// Every lane has a network of its own, so all take the same port.
pub(super) const API_PORT: u16 = 7640;
pub(super) const FIRST_PUBLIC_PORT: u16 = 10_000;
pub(super) const FIRST_INTERNAL_PORT: u16 = 20_000;
/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(40);

/// A server and the way to it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    token: String,
}

/// What a server is started with.
#[derive(Debug, Clone)]
pub(super) struct Start<'a> {
    pub(super) program: &'a Path,
    /// Holds `config.json` and `data`.
    pub(super) dir: &'a Path,
    pub(super) log: &'a Path,
    pub(super) crash_at: Option<&'a str>,
    /// The control: a guard is off.
    pub(super) forget_creates: bool,
}

/// Writes the configuration of the server in `dir`; its ports are the `number`th few of the range.
pub(super) fn configure(dir: &Path, socket: &Path, catalog: &Path, number: u16) -> Result<()> {
    let ports = |first: u16| format!("{}-{}", first + number * 4, first + number * 4 + 3);
    let config = json!({
        "data_dir": dir.join("data"),
        "catalog_folders": [catalog],
        "api": { "listen": format!("127.0.0.1:{API_PORT}") },
        "ports": { "public": ports(FIRST_PUBLIC_PORT), "internal": ports(FIRST_INTERNAL_PORT) },
        "gateway": { "control_socket": socket, "public_bind": "127.0.0.1" },
    });
    std::fs::write(config_file(dir), config.to_string())?;
    Ok(())
}

/// The configuration of the server in `dir`.
pub(super) fn config_file(dir: &Path) -> PathBuf {
    dir.join("config.json")
}

impl Server {
    /// Starts it and waits until it answers.
    pub(super) fn start(start: &Start<'_>) -> Result<Self> {
        let mut args = vec![
            "serve".to_owned(),
            "--config".to_owned(),
            config_file(start.dir).display().to_string(),
            "--die-with-parent".to_owned(),
            std::process::id().to_string(),
        ];
        if let Some(place) = start.crash_at {
            args.extend(["--crash-at".to_owned(), place.to_owned()]);
        }
        if start.forget_creates {
            args.push("--forget-creates".to_owned());
        }
        let mut child = Child::start(start.program, args, start.dir, start.log)?;
        let deadline = Deadline::after(READY);
        loop {
            let asked = http::tcp(API_PORT)
                .and_then(|mut wire| http::ask(&mut wire, "GET /api/health", None, None));
            if asked.is_ok() {
                break;
            }
            if let Some(status) = child.ended()? {
                bail!(
                    "the server ended with {status}; see {}",
                    start.log.display()
                );
            }
            if deadline.remaining().is_zero() {
                bail!(
                    "the server was not ready in time; see {}",
                    start.log.display()
                );
            }
            pause(LOOK);
        }
        let token = std::fs::read_to_string(start.dir.join("data").join("admin.token"))
            .context("reading the server's token")?;
        Ok(Self {
            child,
            token: token.trim().to_owned(),
        })
    }

    /// Asks, and gives the answer as JSON.
    pub(super) fn ask(&self, what: &str, body: Option<&Value>) -> Result<Value> {
        self.answer(what, body)
            .and_then(|answer| answer.json())
            .with_context(|| what.to_owned())
    }

    fn answer(&self, what: &str, body: Option<&Value>) -> Result<Answer> {
        http::ask(&mut http::tcp(API_PORT)?, what, Some(&self.token), body)
    }

    /// Sends a request and waits until the server has died of SIGKILL by itself. False if it did
    /// not within the limit.
    pub(super) fn dies_at(mut self, what: &str, body: &Value, limit: Duration) -> Result<bool> {
        let _wire = self.send(what, body)?;
        match self.child.wait(limit)? {
            Some(status) => Ok(was_killed(status)),
            None => Ok(false),
        }
    }

    /// Sends a request and kills the server `after` that; the answer may never have come.
    pub(super) fn killed_after(mut self, what: &str, body: &Value, after: Duration) -> Result<()> {
        let _wire = self.send(what, body)?;
        pause(after);
        self.child.kill()
    }

    /// Sends a request, and does not wait for its answer.
    pub(super) fn send(&self, what: &str, body: &Value) -> Result<TcpStream> {
        let mut wire = http::tcp(API_PORT)?;
        http::send(&mut wire, what, Some(&self.token), Some(body))?;
        Ok(wire)
    }

    /// Ends it at once; whatever it holds must survive that.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill()
    }

    /// The live apps.
    pub(super) fn apps(&self) -> Result<Vec<Value>> {
        list(self.ask("GET /api/apps/", None)?, "apps")
    }

    /// All operations, newest first.
    pub(super) fn operations(&self) -> Result<Vec<Value>> {
        list(self.ask("GET /api/operations", None)?, "operations")
    }

    /// All plans that were, or are, carried out, newest first.
    pub(super) fn applies(&self) -> Result<Vec<Value>> {
        list(self.ask("GET /api/applies", None)?, "applies")
    }

    /// Waits until no operation and no apply is under way. False if one still is when the time is over.
    pub(super) fn settles(&self, limit: Duration) -> Result<bool> {
        const SETTLED: [&str; 4] = ["succeeded", "failed", "cancelled", "stuck"];
        let deadline = Deadline::after(limit);
        loop {
            // An apply is looked at first: it ends after what it has begun.
            let applied = self.applies()?;
            let applied = applied.iter().all(|apply| !apply["ended_at"].is_null());
            let operations = self.operations()?;
            let settled = |operation: &Value| {
                let state = operation["state"].as_str();
                state.is_some_and(|state| SETTLED.contains(&state))
            };
            if applied && operations.iter().all(settled) {
                return Ok(true);
            }
            if deadline.remaining().is_zero() {
                return Ok(false);
            }
            pause(LOOK);
        }
    }
}

fn list(mut answer: Value, key: &str) -> Result<Vec<Value>> {
    match answer[key].take() {
        Value::Array(rows) => Ok(rows),
        other => bail!("{key} is not a list: {other}"),
    }
}
