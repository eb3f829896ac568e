//! What cannot be replayed yet, and why.

use serde_json::Value;

/// Methods without behaviour that the recordings call.
pub const NO_BEHAVIOUR: &[(&str, &str)] = &[
    ("DELETE", "/access/roles/{roleid}"),
    ("DELETE", "/access/users/{userid}"),
    ("DELETE", "/access/users/{userid}/token/{tokenid}"),
    ("GET", "/access/acl"),
    ("GET", "/access/domains"),
    ("GET", "/access/roles"),
    ("GET", "/access/roles/{roleid}"),
    ("GET", "/access/ticket"),
    ("GET", "/access/users"),
    ("GET", "/access/users/{userid}/token"),
    ("GET", "/access/users/{userid}/token/{tokenid}"),
    ("GET", "/cluster/backup"),
    ("GET", "/cluster/config/nodes"),
    ("GET", "/cluster/ha/resources"),
    ("GET", "/cluster/ha/status/current"),
    ("GET", "/cluster/options"),
    ("GET", "/cluster/replication"),
    ("GET", "/nodes/{node}/aplinfo"),
    ("GET", "/nodes/{node}/dns"),
    ("GET", "/nodes/{node}/lxc/{vmid}/feature"),
    ("GET", "/nodes/{node}/lxc/{vmid}/rrddata"),
    ("GET", "/nodes/{node}/qemu"),
    ("GET", "/nodes/{node}/storage/{storage}/content/{volume}"),
    ("GET", "/nodes/{node}/time"),
    ("POST", "/access/roles"),
    ("POST", "/access/ticket"),
    ("POST", "/access/users"),
    ("POST", "/access/users/{userid}/token/{tokenid}"),
    ("POST", "/nodes/{node}/lxc/{vmid}/clone"),
    ("POST", "/nodes/{node}/lxc/{vmid}/migrate"),
    ("POST", "/nodes/{node}/lxc/{vmid}/move_volume"),
    ("POST", "/nodes/{node}/lxc/{vmid}/snapshot"),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/resume"),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/suspend"),
    ("POST", "/nodes/{node}/lxc/{vmid}/template"),
    ("POST", "/nodes/{node}/vzdump"),
    ("PUT", "/access/acl"),
    ("PUT", "/nodes/{node}/lxc/{vmid}/resize"),
];

/// Accounts: two kinds of token exist, one with all rights and one with none. Others need ACLs,
/// tickets need passwords.
pub fn credential(account: &str) -> Option<&'static str> {
    match account {
        "root-token" => Some("root@pam!gold"),
        "limited-token" => Some("limited@pve!t1"),
        _ => None,
    }
}

/// Why a step is left out whatever its method, if it is.
pub fn left_out(step: &Value, template: Option<&str>) -> Option<&'static str> {
    let account = step["as"].as_str().unwrap();
    if account != "none" && credential(account).is_none() {
        return Some("an account that needs ACLs or a ticket");
    }
    if step["auth_headers"]["Cookie"]
        .as_str()
        .is_some_and(|cookie| cookie.contains("TICKET"))
    {
        return Some("a ticket");
    }
    let hotplug = step["form"]["delete"]
        .as_str()
        .is_some_and(|keys| keys.starts_with("net"));
    if template == Some("/nodes/{node}/lxc/{vmid}/config") && hotplug {
        return Some("hotplug: PUT config changes net, memory or CPU of a running container");
    }
    if template == Some("/nodes/{node}/tasks") && step["query"]["errors"] == 1 {
        return Some("lists the failed snapshot of a step without behaviour");
    }
    // The interfaces after a hotplug that was left out.
    if template == Some("/nodes/{node}/lxc/{vmid}/interfaces") && step["n"] == 10 {
        return Some("shows the effect of a hotplug");
    }
    None
}

/// Steps that show guests as an event left them which has no behaviour yet.
pub fn shows_guests(template: Option<&str>) -> bool {
    matches!(template, Some("/nodes/{node}/lxc" | "/cluster/resources"))
}
