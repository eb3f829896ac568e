//! foreign-clients: programs nobody here wrote, against the emulated cluster of `proximity lab`, with the certificate
//! verified: proxmoxer with the calls Proximity makes, websocket-client at a console, modules and inventory of Ansible's
//! community.proxmox, each module twice.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Bench, Binary, Figure, Measured};
use crate::clock::Deadline;
use crate::invocation::{Ended, Invocation};
use crate::place::Place;
use crate::say;

/// What is installed, to the last package.
const REQUIREMENTS: &str = include_str!("foreign_clients/requirements.txt");
/// How long tasks of the emulated cluster take; the clients ask for their end once a second.
const TASK_TIMES: &str = r#"{"create_ms":20,"start_ms":10,"shutdown_ms":10,"destroy_ms":10}"#;
const NODES: [&str; 2] = ["pve1", "pve2"];

pub(super) const FIGURE: Figure = Figure {
    id: "foreign-clients",
    shows: "calls of proxmoxer and Ansible's community.proxmox that the emulated cluster answers otherwise than they need",
    goal: "0 faults, the certificate verified, every module's second call without a change",
    binaries: &[Binary::Plain],
    prepare,
    needs_root: false,
    in_tests: true,
    full_limit: Duration::from_secs(300),
    measure,
};

fn python(place: &Place) -> PathBuf {
    place.target().join("foreign-clients")
}

/// Installs the clients into a folder of their own, unless the same are there already.
fn prepare(place: &Place) -> Result<()> {
    super::python::install(place, &python(place), REQUIREMENTS)
}

/// A running lab; it ends when its stdin does.
struct Lab {
    child: Child,
    file: Value,
}

impl Lab {
    fn start(program: &Path, dir: &Path, deadline: Deadline) -> Result<Self> {
        let child = Command::new(program)
            .args(["lab", "run", "--guests", "simulated", "--end-with-stdin"])
            .args(["--listen", "127.0.0.1:0", "--ssh-listen", "127.0.0.1:0"])
            .args(["--nodes", &NODES.join(","), "--task-times", TASK_TIMES])
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.with_extension("log"))?)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut lab = Self {
            child,
            file: Value::Null,
        };
        // The file appears, whole, when the lab answers.
        let file = dir.join("lab.json");
        while !file.is_file() {
            if let Some(status) = lab.child.try_wait()? {
                bail!("the lab ended before it was ready: {status}");
            }
            if deadline.remaining().is_zero() {
                bail!("the lab was not ready in time");
            }
            // It lies in another process, which cannot wake us.
            std::thread::park_timeout(Duration::from_millis(20));
        }
        lab.file = serde_json::from_slice(&std::fs::read(&file)?)?;
        Ok(lab)
    }

    /// Where the clients find it and how they sign in.
    fn access(&self) -> Result<Value> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (url, token) = (&self.file["api"][0]["url"], &self.file["tokens"]["full"]);
        let url = text(url).context("no URL")?;
        let port = url.rsplit(':').next().unwrap_or_default();
        let id = text(&token["id"]).context("no token")?;
        let (user, name) = id.split_once('!').context("no token's name")?;
        Ok(json!({
            "host": "127.0.0.1", "port": port, "api_port": port, "url": url, "user": user, "token": name,
            "secret": token["secret"], "node": NODES[0], "other": NODES[1], "bridge": self.file["bridge"],
            "storage": self.file["snapshot_storage"], "backups": self.file["storage"],
            "template": self.file["template"],
        }))
    }

    fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the lab ended badly: {status}");
        }
        Ok(())
    }
}

/// proxmoxer beside Ansible, each with a lab of its own: most of the time goes by in waiting for what nodes tell.
fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let folder = bench.folder("foreign-clients")?;
    let found: Vec<Result<Vec<Found>>> = std::thread::scope(|scope| {
        let folder = &folder;
        let proxmoxer = scope.spawn(move || {
            in_lab(bench, &folder.join("proxmoxer"), |clients| {
                Ok(vec![clients.proxmoxer()?])
            })
        });
        let ansible = scope.spawn(move || {
            in_lab(bench, &folder.join("ansible"), |clients| {
                Ok(vec![
                    clients.play("made.yml")?,
                    clients.inventory()?,
                    clients.play("taken.yml")?,
                ])
            })
        });
        let ended = [proxmoxer, ansible].map(std::thread::ScopedJoinHandle::join);
        let ended = ended.into_iter();
        ended
            .map(|one| one.unwrap_or_else(|_| bail!("a client's thread panicked")))
            .collect()
    });
    let found: Vec<Vec<Found>> = found.into_iter().collect::<Result<_>>()?;
    Ok(judge(&found.concat()))
}

/// Lets clients at a lab of their own, whose files go into `folder`.
fn in_lab(
    bench: &Bench<'_>,
    folder: &Path,
    talk: impl Fn(&Clients<'_>) -> Result<Vec<Found>>,
) -> Result<Vec<Found>> {
    let state = folder.join("lab");
    std::fs::create_dir_all(&state)?;
    let lab = Lab::start(&Binary::Plain.path(bench.place), &state, bench.deadline)?;
    let access = lab.access()?;
    let file = folder.join("access.json");
    write_private(&file, &serde_json::to_string(&access)?)?;
    // In the control the clients trust another authority: nothing may be said to them.
    let authority = match bench.mode.sabotage {
        false => state.join("pve-root-ca.pem"),
        true => another_authority(folder, bench.deadline)?,
    };
    let found = talk(&Clients {
        bench,
        folder,
        access: &access,
        file: &file,
        authority: &authority,
    })?;
    lab.end()?;
    Ok(found)
}

/// What one client found.
#[derive(Debug, Clone, Default)]
struct Found {
    calls: usize,
    faults: Vec<String>,
}

fn judge(found: &[Found]) -> Measured {
    let calls: usize = found.iter().map(|one| one.calls).sum();
    let faults: Vec<&String> = found.iter().flat_map(|one| &one.faults).collect();
    for fault in &faults {
        let short: String = fault.chars().take(500).collect();
        say::note(format!("foreign-clients: {short}"));
    }
    let silent = found.iter().any(|one| one.calls == 0);
    Measured {
        value: format!("{}/{calls}", faults.len()),
        unit: "faults/calls",
        reached: faults.is_empty() && !silent,
        raw: json!({ "calls": found.iter().map(|one| one.calls).collect::<Vec<_>>(), "faults": faults }),
    }
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

fn another_authority(folder: &Path, deadline: Deadline) -> Result<PathBuf> {
    let (certificate, key) = (folder.join("other.pem"), folder.join("other.key"));
    Invocation::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "1",
        ])
        .args(["-subj", "/CN=another authority", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(&certificate)
        .until(deadline)
        .capture(folder)?
        .expect_success("making another authority")?;
    Ok(certificate)
}

/// The clients, and what they are told.
struct Clients<'a> {
    bench: &'a Bench<'a>,
    folder: &'a Path,
    access: &'a Value,
    file: &'a Path,
    authority: &'a Path,
}

impl Clients<'_> {
    fn program(&self, name: &str) -> Invocation {
        let text = |key: &str| self.access[key].as_str().unwrap_or_default();
        Invocation::new(python(self.bench.place).join("bin").join(name))
            .variable("REQUESTS_CA_BUNDLE", self.authority)
            .variable("ANSIBLE_STDOUT_CALLBACK", "ansible.posix.json")
            .variable("ANSIBLE_LOCALHOST_WARNING", "False")
            .variable("ANSIBLE_PIPELINING", "True")
            .variable("ANSIBLE_HOME", self.folder.join("ansible"))
            .variable("PROXMOX_URL", text("url"))
            .variable("PROXMOX_USER", text("user"))
            .variable("PROXMOX_TOKEN_ID", text("token"))
            .variable("PROXMOX_TOKEN_SECRET", text("secret"))
            .until(self.bench.deadline)
    }

    fn script(&self, name: &str) -> PathBuf {
        self.bench
            .place
            .root()
            .join("fixtures")
            .join("clients")
            .join(name)
    }

    fn proxmoxer(&self) -> Result<Found> {
        let ran = self
            .program("python")
            .arg(self.script("proxmoxer_calls.py"))
            .arg(self.file);
        let captured = ran.capture(self.folder)?;
        let last = captured.stdout.lines().last().unwrap_or_default();
        let said: Value = match serde_json::from_str(last) {
            Ok(said) => said,
            // It did not get as far as its first call.
            Err(_) => return Ok(failed("proxmoxer", &captured.stderr)),
        };
        let faults = said["faults"].as_array().into_iter().flatten();
        Ok(Found {
            calls: usize::try_from(said["calls"].as_u64().unwrap_or(0))?,
            faults: faults
                .map(|fault| format!("proxmoxer: {}", text(fault)))
                .collect(),
        })
    }

    fn play(&self, book: &str) -> Result<Found> {
        let python = python(self.bench.place).join("bin").join("python");
        let captured = self
            .program("ansible-playbook")
            .args(["-i", "localhost,", "-c", "local", "-e"])
            .arg(format!("ansible_python_interpreter={}", python.display()))
            .arg("-e")
            .arg(format!("@{}", self.file.display()))
            .arg(self.script("ansible").join(book))
            .capture(self.folder)?;
        std::fs::write(self.folder.join(format!("{book}.json")), &captured.stdout)?;
        let Some(start) = captured.stdout.find('{') else {
            return Ok(failed(book, &captured.stderr));
        };
        let report: Value = serde_json::from_str(&captured.stdout[start..])
            .with_context(|| format!("reading what {book} came to"))?;
        Ok(played(book, &report, captured.ended))
    }

    fn inventory(&self) -> Result<Found> {
        let list = self
            .program("ansible-inventory")
            .args(["--list", "-i"])
            .arg(self.script("ansible").join("lab.proxmox.yml"))
            .capture(self.folder)?;
        let hosts: Value = serde_json::from_str(&list.stdout).unwrap_or_default();
        let seen = &hosts["_meta"]["hostvars"]["web"];
        // A text that came from outside is marked.
        let status = &seen["proxmox_status"];
        let status = status.get("__ansible_unsafe").unwrap_or(status);
        let whole = seen["proxmox_vmid"] == 150
            && status == "stopped"
            && hosts["proxmox_pool_apps"]["hosts"]
                .as_array()
                .is_some_and(|h| h.contains(&json!("web")))
            && hosts["tag_first"]["hosts"]
                .as_array()
                .is_some_and(|h| h.contains(&json!("web")));
        match whole {
            true => Ok(Found {
                calls: 1,
                faults: Vec::new(),
            }),
            false => Ok(failed("inventory", &format!("{hosts} {}", list.stderr))),
        }
    }
}

fn failed(client: &str, said: &str) -> Found {
    Found {
        calls: 1,
        faults: vec![format!("{client}: {}", said.trim())],
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads a play's report: each task with each of its rounds is a call.
fn played(book: &str, report: &Value, ended: Ended) -> Found {
    let mut found = Found::default();
    let tasks = report["plays"].as_array().into_iter().flatten();
    for task in tasks.flat_map(|play| play["tasks"].as_array().into_iter().flatten()) {
        let result = &task["hosts"]["localhost"];
        found.calls += result["results"].as_array().map_or(1, Vec::len);
        if result["failed"] == true {
            let name = text(&task["task"]["name"]);
            found.faults.push(format!("{book}: {name}: {result}"));
        }
    }
    if found.faults.is_empty() && !ended.is_success() {
        found.faults.push(format!("{book} {}", ended.describe()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failed: bool) -> Value {
        let rounds =
            json!({ "results": [{ "changed": true }, { "changed": false }], "failed": failed });
        json!({ "plays": [{ "tasks": [
            { "task": { "name": "create" }, "hosts": { "localhost": rounds } },
            { "task": { "name": "look" }, "hosts": { "localhost": { "changed": false } } },
        ] }] })
    }

    #[test]
    fn each_round_of_a_task_is_a_call_and_a_failed_task_a_fault() {
        let well = played("book", &report(false), Ended::Code(0));
        assert_eq!((well.calls, well.faults.len()), (3, 0));
        let badly = played("book", &report(true), Ended::Code(2));
        assert_eq!(badly.faults.len(), 1);
        assert!(badly.faults[0].starts_with("book: create: "));
        assert_eq!(
            played("book", &report(false), Ended::Code(4)).faults.len(),
            1
        );
    }

    #[test]
    fn one_fault_or_a_client_without_a_call_is_short() {
        let well = Found {
            calls: 3,
            faults: Vec::new(),
        };
        assert!(judge(&[well.clone(), well.clone()]).reached);
        assert!(!judge(&[well.clone(), Found::default()]).reached);
        assert!(!judge(&[well, failed("x", "y")]).reached);
    }
}
