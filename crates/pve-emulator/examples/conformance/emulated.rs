//! The emulator in this process, on virtual time.

use std::collections::BTreeMap;

use proximity_pve_emulator::core::{
    Bridge, Daemon, Environment, NodeSeed, OciImage, Reach, Storage, TaskTimes, Template, World,
    WorldSeed,
};
use serde_json::Value;

use crate::scenario::{FILE_SIZE, Scenario, WORKING_DIR};
use crate::server::{Answer, Server};
use crate::support::sim::{Request, Sim};

const GIB: u64 = 1 << 30;
/// Between two calls of a client.
const PAUSE_MS: u64 = 10;

pub struct Emulated {
    sim: Sim,
}

impl Emulated {
    /// The cluster of a fixture, before anything was made by calls.
    pub fn new(scenario: &Scenario) -> Self {
        let mut sim = Sim::new(seed(scenario));
        for user in scenario.list("users") {
            if let (Some(name), Some(_)) = (user["userid"].as_str(), user["password"].as_str()) {
                sim.world
                    .set_password(name, &crate::secrets::password(name));
            }
        }
        sim.machines.deaf.clear();
        for template in scenario.list("templates") {
            let volid = template["volid"].as_str().unwrap_or_default();
            if template["kind"] == "oci" {
                sim.world.set_image(volid, image(&template["image_config"]));
            }
            let deaf = template["init"]
                .as_str()
                .is_some_and(|init| init.starts_with("ignores"));
            if let Some((_, file)) = volid.rsplit_once('/').filter(|_| deaf) {
                sim.machines.deaf.push(file.to_owned());
            }
        }
        // The recorded machines had no control groups.
        sim.world.set_environment(Environment {
            limits_change: false,
        });
        let state = &scenario.fixture["ha_state"];
        let active = texts(&state["lrm_active"]);
        let now_ms = sim.now_ms;
        sim.world
            .set_ha_history(state["master"].as_str(), &active, now_ms);
        sim.world.set_fingerprint(&["00"; 32].join(":"));
        Self { sim }
    }

    fn world(&mut self) -> &mut World {
        &mut self.sim.world
    }
}

impl Server for Emulated {
    fn root_password(&self) -> Option<String> {
        Some(crate::secrets::password("root@pam"))
    }

    fn exchange(&mut self, requests: Vec<Request>) -> Vec<Answer> {
        self.sim.pass(PAUSE_MS);
        let began_ms = self.sim.now_ms;
        let ids: Vec<_> = requests
            .into_iter()
            .map(|request| self.sim.send(request))
            .collect();
        let mut answers = Vec::new();
        for id in ids {
            let response = self.sim.wait(id);
            // A client that waits for its answer sees time pass until it comes.
            self.sim.pass(response.hold_ms);
            let status = response.status;
            answers.push(Answer {
                status: (status != 0).then_some(status),
                reason: response.reason.clone(),
                content_type: response.content_type.map(str::to_owned),
                connection: response
                    .handed
                    .connection_headers(status < 400)
                    .iter()
                    .map(|value| (*value).to_owned())
                    .collect(),
                took_ms: self.sim.now_ms - began_ms,
                body: response.body.to_vec(),
            });
        }
        answers
    }

    fn wait_ms(&mut self, ms: u64) {
        self.sim.pass(ms);
    }

    fn now_ms(&self) -> u64 {
        self.sim.now_ms
    }

    fn event(&mut self, event: &Value) -> Result<(), String> {
        let node = event["node"].as_str().unwrap_or_default().to_owned();
        let now_ms = self.sim.now_ms;
        match event["action"].as_str().unwrap_or_default() {
            "power_off" => {
                let reach = match event["peers_see"].as_str() {
                    Some("refused") => Reach::Refused,
                    _ => Reach::NoRoute,
                };
                self.world().power_off(&node, reach, now_ms);
                self.sim.machines.power_off(&node);
            }
            "power_on" => {
                self.world().power_on(&node, now_ms);
                // Until it has booted and joined.
                self.sim.pass(30_000);
            }
            "partition" => self.world().partition(&node, now_ms),
            "heal" => self.world().heal(&node),
            action @ ("stop_daemon" | "start_daemon") => {
                let name = event["value"].as_str().unwrap_or_default();
                let daemon = Daemon::named(name);
                let daemon = daemon.ok_or(format!("{action}: {name:?} is not emulated"))?;
                self.world()
                    .set_daemon(&node, daemon, action == "start_daemon");
            }
            "set_lock" => {
                let lock = event["value"].as_str().or(event["lock"].as_str());
                let vmid = vmid(event);
                self.world().set_lock(vmid, lock);
            }
            "clear_lock" => {
                let vmid = vmid(event);
                self.world().set_lock(vmid, None);
            }
            other => return Err(format!("event {other} is not known")),
        }
        Ok(())
    }
}

fn vmid(event: &Value) -> u32 {
    u32::try_from(event["vmid"].as_u64().unwrap_or_default()).unwrap_or_default()
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn seed(scenario: &Scenario) -> WorldSeed {
    let fixture = &scenario.fixture;
    let bridges = texts(&fixture["environment"]["bridges"]);
    // What a container without a limit shows; a fixture that is silent means a small machine.
    let cpus = fixture["environment"]["cpus"].as_u64().unwrap_or(2);
    let nodes = texts(&fixture["nodes"]).into_iter().map(|name| {
        let cidr = fixture["node_addresses"][&name]
            .as_str()
            .unwrap_or("10.0.0.1/24");
        node(&name, cidr, &bridges, cpus)
    });
    WorldSeed {
        cluster_name: fixture["cluster"]["name"].as_str().map(str::to_owned),
        nodes: nodes.collect(),
        storages: scenario.list("storages").iter().map(storage).collect(),
        templates: scenario.list("templates").iter().map(template).collect(),
        pools: BTreeMap::new(),
        tokens: Vec::new(),
        random: 7,
        times: TaskTimes::default(),
    }
}

fn node(name: &str, cidr: &str, bridges: &[String], cpus: u64) -> NodeSeed {
    let address = cidr.split('/').next().unwrap_or_default();
    let bridge = |(at, name): (usize, &String)| Bridge {
        name: name.clone(),
        cidr: (at == 0).then(|| cidr.to_owned()),
    };
    NodeSeed {
        name: name.to_owned(),
        address: address.to_owned(),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: 24 * GIB,
        memory_used_bytes: 6 * GIB,
        disk_bytes: 250 * GIB,
        disk_used_bytes: 30 * GIB,
        bridges: bridges.iter().enumerate().map(bridge).collect(),
    }
}

fn storage(entry: &Value) -> Storage {
    let options = entry["options"].as_object();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let path = entry["options"]["path"].as_str().unwrap_or("/mnt");
    Storage {
        id: entry["id"].as_str().unwrap_or_default().to_owned(),
        kind: entry["type"].as_str().unwrap_or("dir").to_owned(),
        content: texts(&entry["content"]),
        shared: entry["shared"] == true,
        nodes: entry["nodes"].as_array().map(|_| texts(&entry["nodes"])),
        path: path.to_owned(),
        options: options
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != "path")
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
        total_bytes: if entry["type"] == "btrfs" {
            4 * GIB
        } else {
            250 * GIB
        },
        used_bytes: if entry["type"] == "btrfs" {
            6 << 20
        } else {
            30 * GIB
        },
    }
}

fn image(config: &Value) -> OciImage {
    OciImage {
        entrypoint: config["entrypoint"].as_str().map(str::to_owned),
        env: texts(&config["env"]),
        folder: config[WORKING_DIR].as_str().map(str::to_owned),
    }
}

fn template(entry: &Value) -> Template {
    let volid = entry["volid"].as_str().unwrap_or_default();
    let (storage, file) = volid.split_once(":vztmpl/").unwrap_or_default();
    Template {
        storage: storage.to_owned(),
        node: entry["node"]
            .as_str()
            .filter(|node| *node != "*")
            .map(str::to_owned),
        file: file.to_owned(),
        size_bytes: entry[FILE_SIZE].as_u64().unwrap_or(1 << 20),
        ctime_s: 1_000_000_000,
        ostype: entry["ostype"].as_str().unwrap_or("unmanaged").to_owned(),
    }
}
