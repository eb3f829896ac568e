//! A lane's ground: one lab with real containers, one gateway, one neighbour that must stay as it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::child::{Child, pause};
use super::http;
use super::look::{self, Snapshot};
use super::server::{FIRST_PUBLIC_PORT, Server, Start, configure};
use crate::clock::{Deadline, Stopwatch};

const LAB_READY: Duration = Duration::from_secs(40);
const LAB_END: Duration = Duration::from_secs(40);
const SETTLED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(40);
/// Which few ports of the range the neighbour has; cases count from 0.
const NEIGHBOUR: u16 = 2_000;

/// What a lane is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) plain: PathBuf,
    pub(super) crash_points: PathBuf,
    /// Where the OS template is kept.
    pub(super) templates: PathBuf,
    /// Folder of catalog entries that has the beacon.
    pub(super) catalog: PathBuf,
    /// For files that go with the lane.
    pub(super) run: PathBuf,
    /// For logs, which stay.
    pub(super) logs: PathBuf,
    /// The control: the server forgets creates that were interrupted.
    pub(super) sabotage: bool,
}

/// What runs in a lane from its start to its end.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) order: Order,
    lab: Child,
    _gateway: Child,
    /// How the world is when nobody is at work.
    pub(super) calm: Snapshot,
    /// How long an undisturbed deploy takes.
    pub(super) deploy_takes: Duration,
}

impl Order {
    pub(super) fn lab(&self) -> PathBuf {
        self.run.join("lab")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.run.join("gateway.sock")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// A data directory as it is before any app: the lab is its host.
    pub(super) fn fresh_directory(&self, name: &str, number: u16) -> Result<PathBuf> {
        let dir = self.run.join(name);
        std::fs::create_dir_all(&dir)?;
        copy(&self.run.join("base").join("data"), &dir.join("data"))?;
        configure(&dir, &self.socket(), &self.catalog, number)?;
        Ok(dir)
    }
}

impl Stand {
    /// Starts lab and gateway, adds the lab as a host, deploys the neighbour.
    pub(super) fn raise(order: Order) -> Result<Self> {
        let (lab, file) = start_lab(&order)?;
        let gateway = start_gateway(&order)?;
        make_base(&order, &file)?;
        let deploy_takes = deploy_neighbour(&order)?;
        let calm = look::snapshot(&order)?;
        if calm.guests.len() != 1 || calm.routes.len() != 1 {
            bail!("the neighbour was not deployed: {calm:?}");
        }
        Ok(Self {
            order,
            lab,
            _gateway: gateway,
            calm,
            deploy_takes,
        })
    }

    /// Ends the lane. Gives what is wrong with the neighbour, and with the lab's end.
    pub(super) fn leave(self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let now = look::snapshot(&self.order)?;
        if now
            .guests
            .iter()
            .filter(|guest| self.calm.guests.contains(guest))
            .count()
            != 1
        {
            wrong.push("the neighbour's container is not as it was".to_owned());
        }
        if !now.running.is_superset(&self.calm.running) {
            wrong.push("the neighbour does not run any more".to_owned());
        } else if !page(NEIGHBOUR) {
            wrong.push("the neighbour's page does not come any more".to_owned());
        }
        if let Err(error) = self.lab.end(LAB_END) {
            wrong.push(format!("the lab did not end well: {error:#}"));
        }
        Ok(wrong)
    }
}

/// Whether the app with the `number`th ports shows its page to everybody.
pub(super) fn page(number: u16) -> bool {
    let got = http::tcp(FIRST_PUBLIC_PORT + number * 4)
        .and_then(|mut wire| http::ask(&mut wire, "GET /", None, None));
    got.is_ok_and(|page| page.status == 200 && page.body.contains("proximity-app-beacon"))
}

/// The body of a deploy.
pub(super) fn wish(hostname: &str) -> Value {
    json!({ "catalog_id": "beacon", "hostname": hostname, "config": {}, "environment": {} })
}

/// The body of a plan with the same deploy as a document.
pub(super) fn document(hostname: &str) -> Value {
    let text = json!({
        "apiVersion": "proximity/v1", "kind": "App", "metadata": { "name": hostname },
        "spec": { "catalog_id": "beacon" },
    });
    json!({ "documents": [{ "name": "app.json", "text": text.to_string() }] })
}

fn start_lab(order: &Order) -> Result<(Child, Value)> {
    let times = json!({ "create_ms": 200, "start_ms": 100, "stop_ms": 100, "shutdown_ms": 100, "destroy_ms": 100 });
    let mut args = [
        "lab",
        "run",
        "--end-with-stdin",
        "--network",
        "private",
        "--exec-ms",
        "0",
    ]
    .map(str::to_owned)
    .to_vec();
    args.extend(["--task-times".to_owned(), times.to_string()]);
    for (name, path) in [
        ("--dir", order.lab()),
        ("--template-cache", order.templates.clone()),
    ] {
        args.extend([name.to_owned(), path.display().to_string()]);
    }
    let log = order.log("lab");
    let mut lab = Child::start(&order.plain, args, &order.run, &log)?;
    let file = order.lab().join("lab.json");
    let deadline = Deadline::after(LAB_READY);
    loop {
        if let Ok(text) = std::fs::read_to_string(&file) {
            return Ok((
                lab,
                serde_json::from_str(&text).context("reading lab.json")?,
            ));
        }
        if let Some(status) = lab.ended()? {
            bail!("the lab ended with {status}; see {}", log.display());
        }
        if deadline.remaining().is_zero() {
            bail!("the lab was not ready in time; see {}", log.display());
        }
        pause(LOOK);
    }
}

fn start_gateway(order: &Order) -> Result<Child> {
    let dir = order.run.join("gateway");
    std::fs::create_dir_all(&dir)?;
    configure(&dir, &order.socket(), &order.catalog, 0)?;
    let config = super::server::config_file(&dir).display().to_string();
    let own = std::process::id().to_string();
    let args = ["gateway", "--config", &config, "--die-with-parent", &own];
    let log = order.log("gateway");
    let mut gateway = Child::start(&order.plain, args, &order.run, &log)?;
    let deadline = Deadline::after(LAB_READY);
    while look::routes(order).is_err() {
        if deadline.remaining().is_zero() || gateway.ended()?.is_some() {
            bail!("the gateway was not ready; see {}", log.display());
        }
        pause(LOOK);
    }
    Ok(gateway)
}

/// A data directory that has the lab as its host; every case begins with a copy.
fn make_base(order: &Order, lab: &Value) -> Result<()> {
    let dir = order.run.join("base");
    std::fs::create_dir_all(&dir)?;
    configure(&dir, &order.socket(), &order.catalog, 0)?;
    let server = Server::start(&order.plain_start(&dir, &order.log("base")))?;
    let ssh = |key: &str| -> Value {
        let nodes = lab["ssh"].as_array().into_iter().flatten();
        nodes
            .map(|node| {
                (
                    node["node"].as_str().unwrap_or_default().to_owned(),
                    node[key].clone(),
                )
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let host = server.ask(
        "POST /api/proxmox/hosts",
        Some(&json!({
            "label": "lab", "url": lab["api"][0]["url"], "fingerprint": lab["fingerprint_sha256"],
            "token_id": lab["tokens"]["full"]["id"], "token_secret": lab["tokens"]["full"]["secret"],
            "storage": lab["storage"], "template_storage": lab["template_storage"], "bridge": lab["bridge"],
            "ssh": { "user": "root", "addresses": ssh("address"), "host_keys": ssh("host_key") },
        })),
    )?;
    let key = host["ssh"]["public_key"].as_str();
    let key = key.context("the server made no SSH key")?;
    std::fs::write(
        order.lab().join("authorized_keys"),
        format!("{}\n", key.trim()),
    )?;
    server.kill()
}

/// Deploys an app of another data directory. Gives how long that took.
fn deploy_neighbour(order: &Order) -> Result<Duration> {
    let dir = order.fresh_directory("neighbour", NEIGHBOUR)?;
    let server = Server::start(&order.plain_start(&dir, &order.log("neighbour")))?;
    let watch = Stopwatch::start();
    server.ask("POST /api/apps/", Some(&wish("neighbour")))?;
    if !server.settles(SETTLED)? {
        bail!("the neighbour's deploy did not end in time");
    }
    let took = watch.elapsed();
    if !page(NEIGHBOUR) {
        bail!(
            "the neighbour's page does not come: {:?}",
            server.operations()?
        );
    }
    server.kill()?;
    Ok(took)
}

impl Order {
    fn plain_start<'a>(&'a self, dir: &'a Path, log: &'a Path) -> Start<'a> {
        Start {
            program: &self.plain,
            dir,
            log,
            crash_at: None,
            forget_creates: false,
        }
    }
}

/// Copies a folder of files.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}
