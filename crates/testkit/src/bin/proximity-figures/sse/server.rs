//! The server: started, killed, started again on the same data and the same port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

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
    child: Child,
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
            child: spawn(program, dir)?,
        };
        server.ready().await?;
        let token = std::fs::read_to_string(dir.join("data").join("admin.token"))
            .context("reading the server's token")?;
        token.trim().clone_into(&mut server.token);
        Ok(server)
    }

    /// The same again, after a kill.
    pub(super) async fn start_again(&mut self) -> Result<()> {
        self.child = spawn(&self.program, &self.dir)?;
        self.ready().await
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("killing the server")
    }

    async fn ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            if self.http.get(self.url("/api/health")).send().await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the server ended with {status}; see its log in {}",
                    self.dir.display()
                );
            }
            if begun.elapsed() > READY {
                bail!("the server was not ready in time");
            }
            sleep(Duration::from_millis(20)).await;
        }
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
        let pid = self.child.id().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmHWM")?.parse()?)
    }
}

fn spawn(program: &Path, dir: &Path) -> Result<Child> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("server.log"))?;
    Command::new(program)
        .args(["serve", "--config"])
        .arg(dir.join("config.json"))
        .args(["--die-with-parent", &std::process::id().to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}
