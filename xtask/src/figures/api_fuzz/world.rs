//! The server that is asked, and the document with the names of what is in its world.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A running world; it ends when its stdin does.
pub(in crate::figures) struct World {
    child: Child,
    pub(in crate::figures) url: String,
    pub(in crate::figures) token: String,
    seeded: Value,
}

impl World {
    pub(in crate::figures) fn start(program: &Path) -> Result<Self> {
        Self::start_with(program, &[])
    }

    /// As [`World::start`], with arguments.
    pub(in crate::figures) fn start_with(program: &Path, args: &[&str]) -> Result<Self> {
        // A network of its own: requests name hosts at random, and none of them is to be asked.
        let mut child = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--", "sh", "-c"])
            .args(["ip link set lo up && exec \"$0\" \"$@\""])
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            bail!("the world ended before it was ready");
        }
        let seeded: Value = serde_json::from_str(&line).context("reading what is in the world")?;
        let text = |name: &str| {
            seeded[name]
                .as_str()
                .map(str::to_owned)
                .context("a part is missing")
        };
        Ok(Self {
            url: text("url")?,
            token: text("token")?,
            child,
            seeded,
        })
    }

    /// The document with examples from the world. In the control it says something that is not so.
    pub(in crate::figures) fn document(&self, sabotage: bool) -> Result<Value> {
        let mut document = self.seeded["document"].clone();
        let paths = document["paths"]
            .as_object_mut()
            .context("a document without paths")?;
        for operation in paths
            .values_mut()
            .filter_map(Value::as_object_mut)
            .flat_map(|item| item.values_mut())
        {
            self.name_what_is_there(operation);
        }
        if sabotage {
            document["components"]["schemas"]["App"]["properties"]["container_port"] =
                json!({ "type": "string" });
        }
        Ok(document)
    }

    fn name_what_is_there(&self, operation: &mut Value) {
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] == "path" {
                let of = parameter["name"].as_str().unwrap_or_default().to_owned();
                parameter["examples"] = numbered(&self.names(&id, &of));
                if let Some(parameter) = parameter.as_object_mut() {
                    parameter.remove("example");
                }
            }
        }
        let content = "/requestBody/content/application~1json";
        let Some(body) = operation.pointer_mut(content) else {
            return;
        };
        let app =
            |hostname: &str| json!({ "catalog_id": "beacon", "hostname": hostname, "host": "lab" });
        body["examples"] = match id.as_str() {
            "create_app" => {
                json!({ "a": { "value": app("made-a") }, "b": { "value": app("made-b") } })
            }
            "add_host" | "probe_host" => json!({ "a": { "value": self.seeded["add_host"] } }),
            "init_host" | "plan_init" => json!({ "a": { "value": self.seeded["init_host"] } }),
            "plan_uninit" => {
                json!({ "a": { "value": { "login": self.seeded["init_host"]["login"] } } })
            }
            "uninit_host" => {
                let login = &self.seeded["init_host"]["login"];
                json!({ "a": { "value": { "login": login, "confirm": "third" } } })
            }
            "set_host_ssh" => {
                json!({ "a": { "value": { "address": self.seeded["wired"]["address"] } } })
            }
            "trust_certificate" | "give_up_node" => json!({ "a": { "value": {} } }),
            "install_helper" => json!({ "a": { "value": { "dry_run": true } } }),
            "remove_helper" => {
                let key = &self.seeded["helped"]["root_key"];
                json!({ "a": { "value": { "private_key": key, "dry_run": true } } })
            }
            "act_on_app" => {
                json!({ "a": { "value": { "action": "restart" } }, "b": { "value": { "action": "stop" } } })
            }
            _ => return,
        };
    }

    /// What is there for this parameter of this operation.
    fn names(&self, id: &str, parameter: &str) -> Value {
        let wired = &self.seeded["wired"];
        match (id, parameter) {
            ("retry_operation", _) => self.seeded["failed"].clone(),
            ("abandon_operation" | "show_operation", _) => self.seeded["stuck"].clone(),
            ("cancel_operation", _) => self.seeded["running"].clone(),
            ("forget_node" | "give_up_node", "node") => wired["left"].clone(),
            (_, "node") => json!([wired["node"]]),
            (
                "forget_node" | "give_up_node" | "set_host_ssh" | "install_helper"
                | "trust_certificate",
                "host",
            ) => {
                json!([wired["host"]])
            }
            ("remove_helper", "host") => json!([self.seeded["helped"]["host"]]),
            ("plan_uninit" | "uninit_host", "host") => json!(["third"]),
            (_, "host") => json!(["elsewhere", "lab"]),
            ("show_catalog_entry", _) => json!(["beacon"]),
            _ => self.seeded["apps"].clone(),
        }
    }

    /// What begins a command line that runs in the world's network.
    pub(in crate::figures) fn inside(&self) -> Vec<String> {
        let pid = self.child.id().to_string();
        let words = [
            "nsenter",
            "--preserve-credentials",
            "--user",
            "--net",
            "--target",
            &pid,
            "--",
        ];
        words.map(str::to_owned).to_vec()
    }

    /// Lets it end, and waits until it has.
    pub(in crate::figures) fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let ended = self.child.wait()?;
        if !ended.success() {
            bail!("the world ended with {ended}");
        }
        Ok(())
    }
}

/// As examples of a parameter.
fn numbered(names: &Value) -> Value {
    let names = names.as_array().into_iter().flatten().enumerate();
    let examples = names.map(|(number, name)| (format!("n{number}"), json!({ "value": name })));
    Value::Object(examples.collect())
}

impl Drop for World {
    fn drop(&mut self) {
        // It has ended, or a measurement failed and nobody needs it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
