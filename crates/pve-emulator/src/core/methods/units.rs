//! `/nodes/{node}/services`.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::task::Work;
use super::super::worker;
use super::super::world::{Daemon, Node};

/// Names and descriptions of what the API knows as services.
const UNITS: [(&str, &str); 23] = [
    ("chrony", "chrony, an NTP client/server"),
    ("corosync", "Corosync Cluster Engine"),
    ("cron", "Regular background program processing daemon"),
    ("ksmtuned", "Kernel Samepage Merging (KSM) Tuning Daemon"),
    ("lxcfs", "FUSE filesystem for LXC"),
    (
        "postfix",
        "Postfix Mail Transport Agent (main/default instance)",
    ),
    ("proxmox-firewall", "Proxmox nftables firewall"),
    ("pve-cluster", "The Proxmox VE cluster filesystem"),
    ("pve-firewall", "Proxmox VE firewall"),
    ("pve-ha-crm", "PVE Cluster HA Resource Manager Daemon"),
    ("pve-ha-lrm", "PVE Local HA Resource Manager Daemon"),
    ("pve-lxc-syscalld", "Proxmox VE LXC Syscall Daemon"),
    ("pvedaemon", "PVE API Daemon"),
    ("pvefw-logger", "Proxmox VE firewall logger"),
    ("pveproxy", "PVE API Proxy Server"),
    ("pvescheduler", "Proxmox VE scheduler"),
    ("pvestatd", "PVE Status Daemon"),
    ("qmeventd", "PVE Qemu Event Daemon"),
    ("spiceproxy", "PVE SPICE Proxy Server"),
    ("sshd", "OpenBSD Secure Shell server"),
    ("syslog", "syslog.service"),
    ("systemd-journald", "Journal Service"),
    ("systemd-timesyncd", "systemd-timesyncd.service"),
];

/// State of a service, of its unit, and whether it is active.
fn state(call: &Call<'_>, node: &Node, service: &str) -> [&'static str; 3] {
    let stopped = match Daemon::named(service) {
        Some(Daemon::Privileged) => !node.daemon_up,
        Some(Daemon::Proxy) => !node.proxy_up,
        Some(Daemon::Teller) => !node.teller_up,
        None if service == "corosync" => call.world.cluster_name.is_none(),
        None => {
            let settings = call.world.node_settings.get(&node.name);
            settings.is_some_and(|it| it.stopped.contains(service))
        }
    };
    match service {
        "syslog" | "systemd-timesyncd" => ["dead", "not-found", "inactive"],
        "systemd-journald" => ["running", "static", "active"],
        _ if stopped => ["dead", "enabled", "inactive"],
        _ => ["running", "enabled", "active"],
    }
}

fn row(call: &Call<'_>, node: &Node, (name, about): (&str, &str)) -> Value {
    let [state, unit, active] = state(call, node, name);
    json!({
        "service": name, "name": name, "desc": about, "state": state, "unit-state": unit, "active-state": active,
    })
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let node = call.world.node(&call.node).into_iter();
    let rows = node.flat_map(|node| UNITS.map(|service| row(call, node, service)));
    Ok(rows.collect::<Value>().into())
}

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    let names = ["state", "start", "stop", "restart", "reload"];
    let rows = names.iter().map(|name| json!({"subdir": name}));
    Ok(rows.collect::<Value>().into())
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let name = call.text("service").unwrap_or_default();
    let known = UNITS.into_iter().find(|(known, _)| *known == name);
    let node = call.world.node(&call.node);
    let found = known.zip(node);
    Ok(found
        .map(|(service, node)| row(call, node, service))
        .unwrap_or_default()
        .into())
}

/// What cannot be stopped over the API that it serves.
const ESSENTIAL: [&str; 3] = ["pve-cluster", "pvedaemon", "pveproxy"];

/// Does nothing to a service that does not run.
const RELOAD: &str = "try-reload-or-restart";

/// Why a command fails, if it does.
fn failure(service: &str, command: &str) -> Option<String> {
    if command == "stop" && ESSENTIAL.contains(&service) {
        let text = "refusing to stop essential service!";
        return Some(format!("invalid service cmd '{service} {command}': {text}"));
    }
    let missing = matches!(service, "syslog" | "systemd-timesyncd");
    missing.then(|| format!("command 'systemctl {command} {service}' failed: exit code 5"))
}

/// A task that gives the command.
fn order(call: &mut Call<'_>, kind: &str, command: &str) -> Outcome {
    let service = call.text("service").unwrap_or_default();
    let node = call.node.clone();
    let work = match failure(&service, command) {
        Some(error) => Work::Fail {
            log: Vec::new(),
            error,
        },
        None => {
            if command != RELOAD {
                switch(call, &service, command != "stop");
            }
            Work::Request {
                line: String::new(),
            }
        }
    };
    let place = (node.as_str(), kind, service.as_str());
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}

fn switch(call: &mut Call<'_>, service: &str, on: bool) {
    let node = call.node.clone();
    if let Some(daemon) = Daemon::named(service) {
        return call.world.set_daemon(&node, daemon, on);
    }
    let settings = call.world.node_settings.entry(node).or_default();
    if on {
        settings.stopped.remove(service);
    } else {
        settings.stopped.insert(service.to_owned());
    }
}

pub(super) fn start(call: &mut Call<'_>) -> Outcome {
    order(call, "srvstart", "start")
}

pub(super) fn stop(call: &mut Call<'_>) -> Outcome {
    order(call, "srvstop", "stop")
}

pub(super) fn restart(call: &mut Call<'_>) -> Outcome {
    order(call, "srvrestart", "restart")
}

pub(super) fn reload(call: &mut Call<'_>) -> Outcome {
    order(call, "srvreload", RELOAD)
}
