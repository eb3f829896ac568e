//! Consoles of containers and nodes: the program that is started, and the websocket that leads to it.

use serde_json::{Value, json};

use super::super::access::{normal_path, permissions};
use super::super::call::{Call, Outcome};
use super::super::console::{self, Console, ConsoleMode, ConsoleTarget};
use super::super::error::ApiError;
use super::super::guest::GuestKey;
use super::super::task::Work;
use super::super::worker;
use super::require_guest;
use crate::schema::split_list;

/// The node that a console is asked of; it is not proxied to, the program runs where the call came in.
struct Place {
    node: String,
    /// How that node is gone to, if it is another one.
    tunnel: Option<String>,
}

/// Where the console leads, and the port for it, which is spent whatever comes of the call.
fn prepare(call: &mut Call<'_>) -> Result<(Place, u16), ApiError> {
    let node = call.text("node").unwrap_or_default();
    let here = node == call.via || node == "localhost";
    if !here && call.world.node(&node).is_none() {
        let text = format!(
            "hostname lookup '{node}' failed - failed to get address info for: {node}: Temporary failure in name resolution"
        );
        return Err(ApiError::died(text));
    }
    let tunnel = (!here).then(|| console::over_ssh(call.world, &node));
    let (via, now_s) = (call.via.clone(), call.now_s());
    let port = worker::take_port(call.world, &via, now_s)
        .ok_or_else(|| ApiError::died("unable to find free port (5900-6000)"))?;
    Ok((Place { node, tunnel }, port))
}

/// Starts the program; the answer says how to reach it.
fn start(
    call: &mut Call<'_>,
    port: u16,
    (kind, id): (&str, &str),
    (path, privilege, runs): (&str, &str, &str),
    target: ConsoleTarget,
) -> Outcome {
    let user = call.caller.id.clone();
    let ticket = call
        .world
        .keys
        .vnc_ticket(&user, (path, Some(port)), call.now_ms);
    let work = Work::Console(Box::new(Console {
        port,
        ticket: ticket.clone(),
        path: path.to_owned(),
        privilege: privilege.to_owned(),
        command: console::program(port, path, privilege, runs),
        target,
    }));
    let via = call.via.clone();
    let upid = worker::spawn_on(call.world, (&via, kind, id), None, &user, work, call.now_ms);
    // A number that was a key of a hash is a text to Perl.
    Ok(
        json!({"user": user, "ticket": ticket, "port": port.to_string(), "upid": upid.to_string()})
            .into(),
    )
}

/// `termproxy` of a container.
pub(super) fn of_guest(call: &mut Call<'_>) -> Outcome {
    let (place, port) = prepare(call)?;
    let vmid = call.guest_key().vmid;
    let guest = GuestKey {
        node: place.node,
        vmid,
    };
    let mode = ConsoleMode::of(&require_guest(call, &guest)?.config);
    let before = place.tunnel.map_or(String::new(), |it| format!("{it} "));
    let runs = format!(
        "{before}/usr/bin/dtach -A /var/run/dtach/vzctlconsole{vmid} -r winch -z {}",
        mode.command(vmid)
    );
    let (id, path) = (vmid.to_string(), format!("/vms/{vmid}"));
    start(
        call,
        port,
        ("vncproxy", &id),
        (&path, "VM.Console", &runs),
        ConsoleTarget::Guest { guest, mode },
    )
}

/// `termproxy` of a node. A node of the emulator is no machine, so what its program runs says so and ends.
pub(super) fn of_node(call: &mut Call<'_>) -> Outcome {
    let (place, port) = prepare(call)?;
    let runs = shell_command(call, place.tunnel.as_deref());
    let path = format!("/nodes/{}", place.node);
    let says = format!("{}: an emulated node has no shell", place.node);
    start(
        call,
        port,
        ("vncshell", ""),
        (&path, "Sys.Console", &runs),
        ConsoleTarget::Nothing { says },
    )
}

/// What a node's console runs: root itself is logged in, everybody else is asked.
fn shell_command(call: &Call<'_>, tunnel: Option<&str>) -> String {
    let wish = call.text("cmd");
    let command = match wish.as_deref() {
        _ if !call.caller.is_root() => "/bin/login".to_owned(),
        Some("upgrade") => "/usr/bin/pveupgrade --shell".to_owned(),
        Some("ceph_install") => "/usr/bin/pveceph install".to_owned(),
        Some(_) | None if tunnel.is_some() => String::new(),
        Some(_) | None => "/bin/login -f root".to_owned(),
    };
    match tunnel {
        Some(tunnel) => format!("{tunnel} -- {command}").trim_end().to_owned(),
        None => command,
    }
}

/// Whether the ticket is for this path and port; the upgrade itself is the shell's.
fn websocket(call: &mut Call<'_>, path: &str) -> Outcome {
    let ticket = call.text("vncticket").unwrap_or_default();
    let given = call.number("port");
    let port = given.and_then(|port| u16::try_from(port).ok());
    let right = call
        .world
        .keys
        .verify_vnc(&ticket, &call.caller.id, (path, port), call.now_ms);
    if !right {
        return Err(ApiError::raised(401, "permission denied - invalid PVEVNC ticket").into());
    }
    Ok(json!({"port": call.text("port")}).into())
}

/// `vncwebsocket` of a container.
pub(super) fn guest_websocket(call: &mut Call<'_>) -> Outcome {
    let path = format!("/vms/{}", call.guest_key().vmid);
    websocket(call, &path)
}

/// `vncwebsocket` of a node.
pub(super) fn node_websocket(call: &mut Call<'_>) -> Outcome {
    let path = format!("/nodes/{}", call.text("node").unwrap_or_default());
    websocket(call, &path)
}

/// `/access/vncticket`, by which a node's programs ask about tickets.
pub(super) fn verify(call: &mut Call<'_>) -> Outcome {
    let text = |name: &str| call.text(name).unwrap_or_default();
    let (user, ticket) = (text("authid"), text("vncticket"));
    let port = call
        .number("port")
        .and_then(|port| u16::try_from(port).ok());
    let privileges = text("privs");
    let wanted = split_list(&privileges);
    let right = normal_path(&text("path")).is_some_and(|path| {
        let held = permissions(call.world, &user, &path);
        let keys = &call.world.keys;
        keys.verify_vnc(&ticket, &user, (&path, port), call.now_ms)
            && !wanted.is_empty()
            && wanted.iter().all(|name| held.contains_key(name))
    });
    if right {
        return Ok(Value::Null.into());
    }
    Err(ApiError::raised(401, "authentication failure").into())
}
