//! The server: started, killed, started again on the same data and the same port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::time::sleep;

use crate::stack::{Process, eventually, words};

/// How long it may take to answer.
const READY: Duration = Duration::from_secs(40);

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    token: String,
    http: reqwest::Client,
    /// None while it is killed.
    process: Option<Process>,
}

impl Server {
    pub(super) async fn start(program: &Path, dir: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = json!({
            "data_dir": dir.join("data"),
            "api": { "listen": format!("127.0.0.1:{port}") },
        });
        std::fs::write(dir.join("config.json"), config.to_string())?;
        let mut server = Self {
            program: program.to_owned(),
            dir: dir.to_owned(),
            port,
            token: String::new(),
            http: reqwest::Client::new(),
            process: Some(spawn(program, dir)?),
        };
        server.ready().await?;
        let token = std::fs::read_to_string(dir.join("data").join("admin.token"))
            .context("reading the server's token")?;
        token.trim().clone_into(&mut server.token);
        Ok(server)
    }

    /// The same again, after a kill.
    pub(super) async fn start_again(&mut self) -> Result<()> {
        self.process = Some(spawn(&self.program, &self.dir)?);
        self.ready().await
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    async fn ready(&mut self) -> Result<()> {
        let (http, url) = (self.http.clone(), self.url("/api/health"));
        eventually("the server", READY, Duration::from_millis(20), async || {
            self.process.as_mut().context("it was killed")?.must_run()?;
            Ok(http.get(&url).send().await.ok())
        })
        .await?;
        Ok(())
    }

    /// Waits a little for the work in flight: what it still tells is told to all.
    pub(super) async fn settle(&self) {
        sleep(Duration::from_secs(1)).await;
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.dir.join("data").join("admin.token")
    }

    /// The most memory it ever held, KiB.
    pub(super) fn peak_rss_kib(&self) -> Result<u64> {
        let pid = self.process.as_ref().and_then(Process::id);
        let pid = pid.context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmHWM")?.parse()?)
    }
}

fn spawn(program: &Path, dir: &Path) -> Result<Process> {
    let own = std::process::id().to_string();
    let mut args = words(&["serve", "--die-with-parent", &own, "--config"]);
    args.push(dir.join("config.json").display().to_string());
    Process::start(program, dir, "server", &args)
}
