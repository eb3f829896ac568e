//! The emulated cluster, and what is seen of it behind the API's back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use proximity_api::hosts::{AddHost, AddSsh};
use proximity_pve_emulator::lab::{LabFile, NodeAddress, ask_control};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::process::{Process, words};
use super::{READY, eventually};

const NODES: &str = "pve1,pve2,pve3";
/// How long a lab takes to make a container unless it is told otherwise.
pub(crate) const CREATE_MS: u64 = 2_000;
/// How long it takes to start one.
pub(crate) const START_MS: u64 = 1_000;
/// How long it takes to enter one.
pub(crate) const ENTER_MS: u64 = 200;

/// A lab of simulated guests.
#[derive(Debug)]
pub(crate) struct Lab {
    process: Process,
    dir: PathBuf,
    file: LabFile,
    keys: Vec<String>,
}

/// What a lab counted since its start.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    /// Calls of the API.
    pub(crate) calls: u64,
    /// Commands that ran inside containers, by the container's number.
    entered: BTreeMap<String, u64>,
}

impl Counted {
    /// Commands that ran inside this container.
    pub(crate) fn entered(&self, vmid: u32) -> u64 {
        let count = self.entered.get(&vmid.to_string());
        count.copied().unwrap_or(0)
    }
}

/// A container, as the world itself has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guest {
    pub(crate) vmid: u64,
    pub(crate) node: String,
    pub(crate) hostname: String,
    pub(crate) running: bool,
}

impl Lab {
    /// Starts it in `dir/lab` with three nodes, where a container is made in `create_ms`.
    pub(crate) async fn start(program: &Path, dir: &Path, create_ms: u64) -> Result<Self> {
        Self::with_nodes(program, dir, NODES, create_ms).await
    }

    /// The same with these nodes, by name and with commas between them.
    pub(crate) async fn with_nodes(
        program: &Path,
        dir: &Path,
        nodes: &str,
        create_ms: u64,
    ) -> Result<Self> {
        let times = json!({ "create_ms": create_ms, "start_ms": START_MS });
        Self::with_times(program, dir, nodes, &times, ENTER_MS).await
    }

    /// Three nodes, on which everything is done as soon as it is asked for.
    pub(crate) async fn at_once(program: &Path, dir: &Path) -> Result<Self> {
        let kinds = ["create", "start", "stop", "shutdown", "destroy"];
        let times: serde_json::Map<String, Value> = kinds
            .map(|kind| (format!("{kind}_ms"), json!(1)))
            .into_iter()
            .collect();
        Self::with_times(program, dir, NODES, &times.into(), 1).await
    }

    async fn with_times(
        program: &Path,
        dir: &Path,
        nodes: &str,
        times: &Value,
        enter_ms: u64,
    ) -> Result<Self> {
        let state = dir.join("lab");
        let mut args = words(&["lab", "run", "--end-with-stdin", "--guests", "simulated"]);
        args.extend(words(&[
            "--listen",
            "127.0.0.1:0",
            "--ssh-listen",
            "127.0.0.1:0",
        ]));
        let times = times.to_string();
        args.extend(words(&["--exec-ms", &enter_ms.to_string()]));
        args.extend(words(&["--nodes", nodes, "--task-times", &times, "--dir"]));
        args.push(state.display().to_string());
        let mut process = Process::start(program, dir, "lab", &args)?;
        let file = eventually("the lab", READY, Duration::from_millis(50), async || {
            process.must_run()?;
            Ok(LabFile::read(&state).ok().flatten())
        })
        .await?;
        Ok(Self {
            process,
            dir: state,
            file,
            keys: Vec::new(),
        })
    }

    /// How a server adds it, with plain access to its nodes.
    pub(crate) fn as_host(&self) -> Result<AddHost> {
        let lab = &self.file;
        let node = lab.api.first().context("the lab has no node")?;
        let by_node = |value: fn(&NodeAddress) -> String| {
            let pairs = lab.ssh.iter().map(|ssh| (ssh.node.clone(), value(ssh)));
            pairs.collect()
        };
        Ok(AddHost {
            label: "lab".to_owned(),
            url: node.url.clone(),
            fingerprint: Some(lab.fingerprint_sha256.clone()),
            ca_pem: None,
            token_id: lab.tokens.full.id.clone(),
            token_secret: SecretString::from(lab.tokens.full.secret.clone()).into(),
            pool: None,
            storage: Some(lab.storage.clone()),
            template_storage: Some(lab.template_storage.clone()),
            bridge: Some(lab.bridge.clone()),
            ssh: Some(AddSsh {
                user: "root".to_owned(),
                private_key: None,
                addresses: by_node(|ssh| ssh.address.clone()),
                host_keys: by_node(|ssh| ssh.host_key.clone()),
            }),
        })
    }

    /// Lets one more key in.
    pub(crate) fn let_in(&mut self, public_key: &str) -> Result<()> {
        self.keys.push(public_key.trim().to_owned());
        let text = format!("{}\n", self.keys.join("\n"));
        Ok(std::fs::write(self.dir.join("authorized_keys"), text)?)
    }

    /// All containers there are.
    pub(crate) async fn guests(&self) -> Result<Vec<Guest>> {
        let rows = self.ask("/world/guests").await?;
        let rows = rows.as_array().context("the guests are no list")?;
        rows.iter()
            .map(|row| {
                let hostname = row["config"]["keys"]["hostname"].as_str();
                Ok(Guest {
                    vmid: row["vmid"].as_u64().context("a guest has no number")?,
                    node: row["node"].as_str().unwrap_or_default().to_owned(),
                    hostname: hostname.unwrap_or_default().to_owned(),
                    running: row["running"].as_bool().unwrap_or(false),
                })
            })
            .collect()
    }

    /// How many create tasks ended well, by VMID; the oldest of many are forgotten.
    pub(crate) async fn created(&self) -> Result<BTreeMap<String, usize>> {
        let rows = self.ask("/world/tasks").await?;
        let rows = rows.as_array().context("the tasks are no list")?;
        let mut by_vmid = BTreeMap::new();
        for row in rows {
            let upid = row["upid"].as_str().unwrap_or_default();
            let mut parts = upid.split(':').skip(5);
            let (kind, vmid) = (parts.next(), parts.next().unwrap_or_default());
            if kind == Some("vzcreate") && row["exit"].as_str() == Some("OK") {
                *by_vmid.entry(vmid.to_owned()).or_default() += 1;
            }
        }
        Ok(by_vmid)
    }

    /// How many create calls arrived since the lab began, refused ones too.
    pub(crate) async fn create_calls(&self) -> Result<u64> {
        self.calls_of("POST /nodes/{node}/lxc").await
    }

    /// How many calls of this method, as `VERB path`, it was sent.
    pub(crate) async fn calls_of(&self, method: &str) -> Result<u64> {
        let journal = self.ask("/journal?mutating=1&vmid=0").await?;
        let by_method = journal["counters"]["by_method"].as_object();
        let by_method = by_method.context("the journal counts nothing")?;
        Ok(by_method.get(method).and_then(Value::as_u64).unwrap_or(0))
    }

    /// What was seen that its checks look for: how often, and the newest ones in words.
    pub(crate) async fn violations(&self) -> Result<(u64, Vec<String>)> {
        let found = self.ask("/violations").await?;
        let total = found["total"].as_u64();
        let total = total.context("no violations are counted")?;
        let told = found["violations"].as_array().into_iter().flatten();
        Ok((total, told.map(Value::to_string).collect()))
    }

    /// What it counted so far.
    pub(crate) async fn counted(&self) -> Result<Counted> {
        let journal = self.ask("/journal?mutating=1&vmid=0").await?;
        let counters = &journal["counters"];
        Ok(Counted {
            calls: counters["total"]
                .as_u64()
                .context("the journal counts nothing")?,
            entered: serde_json::from_value(counters["entered_by_vmid"].clone())
                .context("the journal counts no entries")?,
        })
    }

    /// What it tells of itself.
    pub(crate) fn file(&self) -> &LabFile {
        &self.file
    }

    /// Orders something of it.
    pub(crate) async fn order(&self, path: &str, body: &Value) -> Result<Value> {
        self.control("POST", path, body.to_string()).await
    }

    /// Ends all faults.
    pub(crate) async fn mend(&self) -> Result<()> {
        self.control("DELETE", "/faults", String::new()).await?;
        Ok(())
    }

    /// Node and volume of the root file system of each container, by number.
    pub(crate) async fn placed(&self) -> Result<BTreeMap<u32, (String, String)>> {
        let rows = self.ask("/world/guests").await?;
        let rows = rows.as_array().context("the guests are no list")?;
        let row = |row: &Value| {
            let vmid = row["vmid"].as_u64().context("a guest has no number")?;
            let root = row["config"]["keys"]["rootfs"].as_str().unwrap_or_default();
            let volume = root.split(',').next().unwrap_or_default();
            let node = row["node"].as_str().unwrap_or_default();
            Ok((u32::try_from(vmid)?, (node.to_owned(), volume.to_owned())))
        };
        rows.iter().map(row).collect()
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        self.control("GET", path, String::new()).await
    }

    async fn control(&self, method: &str, path: &str, body: String) -> Result<Value> {
        let (status, text) = ask_control(&self.dir, method, path, body).await?;
        if status != 200 {
            bail!("the lab says {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) async fn end(self) -> Result<()> {
        self.process.end().await
    }
}
