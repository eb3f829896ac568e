//! A server with a gateway: one installation of the product.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use proximity_api::client::{Client, ClientOptions, read_token_file};
use proximity_api::hosts::Host;
use proximity_domain::ports::PortRange;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::lab::Lab;
use super::process::{Process, words};
use super::{READY, eventually};

/// Longest time of one request.
const REQUEST: Duration = Duration::from_secs(90);
/// Pause between two looks at a program that begins.
const PAUSE: Duration = Duration::from_millis(20);

/// How an installation is set up.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Its folder is `DIR/NAME`.
    pub(crate) name: String,
    pub(crate) public: PortRange,
    pub(crate) internal: PortRange,
    /// Where its gateway listens.
    pub(crate) bind: &'static str,
    /// Operations at work at the same time, on one host or on all.
    pub(crate) operations: usize,
}

/// What is around a server, beyond its plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    /// Words before the server's command line: a program that sets something up and becomes the server.
    pub(crate) before: Vec<String>,
    /// Where it logs, one JSON object a line, instead of on stderr.
    pub(crate) log_file: Option<PathBuf>,
    /// Further sections of the configuration.
    pub(crate) config: Map<String, Value>,
}

/// An installation that runs.
#[derive(Debug)]
pub(crate) struct Site {
    program: PathBuf,
    around: Around,
    dir: PathBuf,
    url: String,
    gateway: Process,
    server: Option<Process>,
    client: Client,
}

impl Plan {
    /// Where its record is, before it runs for the first time too.
    pub(crate) fn data_dir(&self, dir: &Path) -> PathBuf {
        dir.join(&self.name).join("data")
    }

    /// Writes the configuration; gives the API's URL.
    fn write(&self, dir: &Path, around: &Around) -> Result<String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let mut config = json!({
            "data_dir": dir.join("data"),
            "api": { "listen": format!("127.0.0.1:{port}") },
            "ports": { "public": range(self.public), "internal": range(self.internal) },
            "gateway": {
                "public_bind": self.bind, "internal_bind": self.bind, "public_host": self.bind,
                "control_socket": dir.join("gateway.sock"),
            },
            "engine": limits(self.operations),
        });
        if let Some(file) = &around.log_file {
            config["log"] = json!({ "file": file, "format": "json" });
        }
        for (section, set) in &around.config {
            config[section] = set.clone();
        }
        std::fs::write(dir.join("config.json"), config.to_string())?;
        Ok(format!("http://127.0.0.1:{port}"))
    }
}

fn limits(operations: usize) -> Value {
    json!({ "operations": operations, "operations_per_host": operations })
}

fn range(range: PortRange) -> String {
    format!("{}-{}", range.first, range.last)
}

impl Site {
    /// Starts gateway and server in `dir/NAME`.
    pub(crate) async fn start(program: &Path, dir: &Path, plan: &Plan) -> Result<Self> {
        Self::start_in(program, dir, plan, Around::default()).await
    }

    /// The same, with something around the server.
    pub(crate) async fn start_in(
        program: &Path,
        dir: &Path,
        plan: &Plan,
        around: Around,
    ) -> Result<Self> {
        let dir = dir.join(&plan.name);
        std::fs::create_dir_all(&dir)?;
        let url = plan.write(&dir, &around)?;
        let mut site = Self {
            gateway: role(program, &dir, "gateway", &[], &[])?,
            server: Some(role(program, &dir, "serve", &[], &around.before)?),
            around,
            client: client(&url, None)?,
            program: program.to_owned(),
            dir,
            url,
        };
        site.ready().await?;
        site.client = site.another_client()?;
        Ok(site)
    }

    /// Where its API is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Another client of it, with connections of its own.
    pub(crate) fn another_client(&self) -> Result<Client> {
        let token = read_token_file(&self.dir.join("data").join("admin.token"))?;
        client(&self.url, Some(token))
    }

    /// The process of its server.
    pub(crate) fn server_id(&self) -> Option<u32> {
        self.server.as_ref().and_then(Process::id)
    }

    /// What its server wrote on stdout and stderr.
    pub(crate) fn output(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.dir.join("serve.log"))?)
    }

    /// The way to its API, with the administrator's token.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// SIGKILL for the server; the gateway goes on.
    pub(crate) async fn kill_server(&mut self) -> Result<()> {
        match self.server.take() {
            Some(server) => server.kill().await,
            None => Ok(()),
        }
    }

    /// Starts a server on what the last one left; does not wait for it.
    pub(crate) fn begin_again(&mut self, program: &Path, more: &[&str]) -> Result<()> {
        self.server = Some(role(
            program,
            &self.dir,
            "serve",
            more,
            &self.around.before,
        )?);
        Ok(())
    }

    /// Lets the servers that are started from now on have so many operations at work.
    pub(crate) fn allow(&self, operations: usize) -> Result<()> {
        let path = self.dir.join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        config["engine"] = limits(operations);
        Ok(std::fs::write(path, config.to_string())?)
    }

    /// Refuses when the server ended by itself.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        let server = self.server.as_mut().context("no server was started")?;
        server.must_run()
    }

    /// Waits until the server answers.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let client = self.client.clone();
        eventually("the server", READY, PAUSE, async || {
            self.must_run()?;
            self.gateway.must_run()?;
            Ok(client.health().await.ok())
        })
        .await?;
        Ok(())
    }

    /// Adds the lab as a host, with a key that the lab then lets in.
    pub(crate) async fn add_host(&self, lab: &mut Lab) -> Result<Host> {
        let host = self.client.add_host(&lab.as_host()?).await?;
        let ssh = host.ssh.as_ref().context("the host has no key")?;
        lab.let_in(&ssh.public_key)?;
        Ok(host)
    }

    /// Ends server and gateway.
    pub(crate) async fn end(mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            server.end().await?;
        }
        self.gateway.end().await
    }

    /// The program it was started from.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}

fn role(
    program: &Path,
    dir: &Path,
    name: &str,
    more: &[&str],
    before: &[String],
) -> Result<Process> {
    let own = std::process::id().to_string();
    let mut args = words(&[name, "--die-with-parent", &own, "--config"]);
    args.push(dir.join("config.json").display().to_string());
    args.extend(words(more));
    let Some((first, others)) = before.split_first() else {
        return Process::start(program, dir, name, &args);
    };
    let mut all = others.to_vec();
    all.push(program.display().to_string());
    all.extend(args);
    Process::start(Path::new(first), dir, name, &all)
}

fn client(url: &str, token: Option<SecretString>) -> Result<Client> {
    Ok(Client::new(ClientOptions {
        base_url: url.to_owned(),
        token,
        ca_pem: None,
        timeout: REQUEST,
    })?)
}
