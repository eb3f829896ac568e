//! Consoles: tickets, ports, tasks and their ends.

use proximity_pve_emulator::core::{ConsoleEnd, ConsoleMode, ConsoleTarget, Reach, Upid};
use serde_json::Value;

use super::{by, get, said, told};
use crate::support::seed::{cluster, solo};
use crate::support::sim::{Answer, Request, Sim};

const GUEST: &str = "/nodes/pve1/lxc/100";

/// A cluster with a container on its first node.
fn lab() -> Sim {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim
}

/// Asks for a console.
fn asked(sim: &mut Sim, path: &str) -> Value {
    let answer = sim.root("POST", &format!("{path}/termproxy"), &[]);
    assert_eq!(answer.status(), 200, "{}", answer.message());
    answer.payload()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap()
}

fn port(row: &Value) -> u16 {
    row["port"].as_str().unwrap().parse().unwrap()
}

fn socket(sim: &mut Sim, path: &str, ticket: &str, port: u16) -> Answer {
    let port = port.to_string();
    let form = [("vncticket", ticket), ("port", &port)];
    sim.root("GET", &format!("{path}/vncwebsocket"), &form)
}

/// A client is at the console's port.
fn met(sim: &mut Sim, row: &Value) -> Upid {
    let now_ms = sim.now_ms;
    sim.world.meet_console("pve1", port(row), now_ms).unwrap()
}

fn greet(sim: &mut Sim, upid: &Upid, line: &str) -> Option<ConsoleTarget> {
    let now_ms = sim.now_ms;
    sim.world.greet_console(upid, line.as_bytes(), now_ms)
}

/// How a task ended: its exit status, and the last thing its program said.
fn end(sim: &mut Sim, row: &Value) -> (String, String) {
    let upid = text(row, "upid").to_owned();
    let exit = sim.finish(&upid);
    let log = sim.log(&upid);
    (exit, log[log.len().saturating_sub(2)].clone())
}

#[test]
fn a_console_s_ticket_opens_its_own_port_for_forty_seconds() {
    let mut sim = lab();
    let row = asked(&mut sim, GUEST);
    assert_eq!((text(&row, "user"), port(&row)), ("root@pam!gold", 5900));
    let ticket = text(&row, "ticket").to_owned();
    assert!(ticket.starts_with("PVEVNC:"));
    assert!(text(&row, "upid").contains(":vncproxy:100:root@pam!gold:"));
    let opened = socket(&mut sim, GUEST, &ticket, 5900);
    assert_eq!(opened.payload()["port"], "5900");
    let invalid = (
        401,
        "permission denied - invalid PVEVNC ticket\n".to_owned(),
    );
    for (path, port) in [(GUEST, 5901), ("/nodes/pve1/lxc/101", 5900)] {
        let refused = socket(&mut sim, path, &ticket, port);
        assert_eq!((refused.status(), refused.message()), invalid);
        assert_eq!(refused.took_ms, 3_000);
    }
    sim.pass(40_000);
    assert_eq!(socket(&mut sim, GUEST, &ticket, 5900).status(), 401);
    let (status, text) = said(
        &mut sim,
        "GET",
        &format!("{GUEST}/vncwebsocket?port=5899&vncticket=x"),
        &[],
    );
    assert_eq!(status, 400, "{text}");
}

#[test]
fn ports_are_given_in_order_and_rest_five_seconds() {
    let mut sim = lab();
    let none = said(&mut sim, "POST", "/nodes/pve1/lxc/999/termproxy", &[]);
    let text = "Configuration file 'nodes/pve1/lxc/999.conf' does not exist";
    assert_eq!(none, (500, text.into()));
    // The one that failed took a port along.
    assert_eq!(port(&asked(&mut sim, GUEST)), 5901);
    assert_eq!(port(&asked(&mut sim, GUEST)), 5902);
    let elsewhere = Request::new("POST", &format!("{GUEST}/termproxy")).via("pve2");
    let row = sim.call(elsewhere).payload();
    assert_eq!(port(&row), 5900);
    assert!(row["upid"].as_str().unwrap().starts_with("UPID:pve2:"));
    sim.pass(6_000);
    // These two still listen.
    assert_eq!(port(&asked(&mut sim, GUEST)), 5900);
    assert_eq!(port(&asked(&mut sim, GUEST)), 5903);
}

#[test]
fn a_console_that_nobody_comes_to_fails_after_ten_seconds() {
    let mut sim = lab();
    let row = asked(&mut sim, GUEST);
    let upid = text(&row, "upid").to_owned();
    sim.pass(9_900);
    let path = format!("/nodes/pve1/tasks/{upid}/status");
    assert_eq!(get(&mut sim, &path)["status"], "running");
    let command = "/usr/bin/termproxy 5900 --path /vms/100 --perm VM.Console --vncticket-endpoint --verify-port --ticket-fd 13 -- /usr/bin/dtach -A /var/run/dtach/vzctlconsole100 -r winch -z lxc-console -n 100 -e -1";
    let (exit, last) = end(&mut sim, &row);
    assert_eq!(exit, format!("command '{command}' failed: exit code 1"));
    assert_eq!(last, "failed waiting for client: timed out");
    let now_ms = sim.now_ms;
    assert_eq!(sim.world.meet_console("pve1", 5900, now_ms), None);
    // Who comes and says nothing is not waited for either.
    let row = asked(&mut sim, GUEST);
    let upid = met(&mut sim, &row);
    assert_eq!(sim.world.consoles().len(), 1);
    let (_, last) = end(&mut sim, &row);
    assert_eq!(last, "failed reading ticket: timed out");
    assert!(greet(&mut sim, &upid, "x").is_none() && sim.world.consoles().is_empty());
}

#[test]
fn a_client_that_shows_the_ticket_is_led_to_the_container() {
    let mut sim = lab();
    let row = asked(&mut sim, GUEST);
    let upid = met(&mut sim, &row);
    let line = format!("root@pam!gold:{}", text(&row, "ticket"));
    let Some(ConsoleTarget::Guest { guest, mode }) = greet(&mut sim, &upid, &line) else {
        panic!("it leads to a container");
    };
    assert_eq!((guest.vmid, mode), (100, ConsoleMode::Tty));
    sim.pass(60_000);
    let now_ms = sim.now_ms;
    sim.world.end_console(&upid, ConsoleEnd::Left, now_ms);
    let (exit, last) = end(&mut sim, &row);
    assert_eq!(exit, "OK");
    assert!(last.starts_with("client connection: 127.0.0.1:"), "{last}");
    // A shell that ends takes its program along badly, as it does there.
    let row = asked(&mut sim, GUEST);
    let upid = met(&mut sim, &row);
    greet(
        &mut sim,
        &upid,
        &format!("root@pam!gold:{}", text(&row, "ticket")),
    )
    .unwrap();
    let now_ms = sim.now_ms;
    sim.world.end_console(&upid, ConsoleEnd::Ended, now_ms);
    let (exit, last) = end(&mut sim, &row);
    assert!(exit.ends_with("failed: exit code 1"), "{exit}");
    assert_eq!(
        last,
        "error reading from pty: Input/output error (os error 5)"
    );
}

#[test]
fn whoever_has_another_ticket_is_turned_away() {
    let mut sim = lab();
    let other = asked(&mut sim, GUEST);
    for (line, why) in [
        (
            format!("root@pam!gold:{}", text(&other, "ticket")),
            "authentication request failed",
        ),
        (
            "root@pam!gold".to_owned(),
            "failed reading ticket: authentication data is invalid",
        ),
    ] {
        let row = asked(&mut sim, GUEST);
        let upid = met(&mut sim, &row);
        assert!(greet(&mut sim, &upid, &line).is_none());
        assert_eq!(end(&mut sim, &row).1, why);
    }
    let row = asked(&mut sim, GUEST);
    let upid = met(&mut sim, &row);
    let another = format!("root@pam:{}", text(&row, "ticket"));
    assert!(
        greet(&mut sim, &upid, &another).is_none(),
        "it is another's"
    );
    let row = asked(&mut sim, GUEST);
    let upid = met(&mut sim, &row);
    let late = format!("root@pam!gold:{}", text(&row, "ticket"));
    sim.now_ms += 40_000;
    assert!(greet(&mut sim, &upid, &late).is_none(), "it is too old");
}

#[test]
fn rights_are_those_of_the_console_and_looked_at_again() {
    let mut sim = lab();
    let token = "limited@pve!t1";
    let path = format!("{GUEST}/termproxy");
    let denied = |what: &str| (403, format!("Permission check failed ({what})"));
    assert_eq!(
        by(&mut sim, token, "POST", &path, &[]),
        denied("/vms/100, VM.Console")
    );
    assert_eq!(
        by(&mut sim, token, "POST", "/nodes/pve1/termproxy", &[]),
        denied("/nodes/pve1, Sys.Console")
    );
    let socket = format!("{GUEST}/vncwebsocket?port=5900&vncticket=x");
    assert_eq!(
        by(&mut sim, token, "GET", &socket, &[]),
        denied("/vms/100, VM.Console")
    );
    let grant = |sim: &mut Sim, delete: &str| {
        for who in [("users", "limited@pve"), ("tokens", token)] {
            let form = [
                ("path", "/vms/100"),
                ("roles", "PVEVMUser"),
                who,
                ("delete", delete),
            ];
            assert_eq!(said(sim, "PUT", "/access/acl", &form).0, 200);
        }
    };
    grant(&mut sim, "0");
    let call = Request::new("POST", &path).by(token);
    let row = sim.call(call).payload();
    let ticket = text(&row, "ticket").to_owned();
    let ask = |sim: &mut Sim, privileges: &str, port: &str| {
        let form = [
            ("authid", token),
            ("vncticket", ticket.as_str()),
            ("path", "/vms/100"),
            ("privs", privileges),
            ("port", port),
        ];
        let mut call = Request::new("POST", "/access/vncticket").parameters(&form);
        call.authorization = None;
        let answer = sim.call(call);
        (answer.status(), told(&answer))
    };
    let refused = (401, "authentication failure".to_owned());
    assert_eq!(ask(&mut sim, "VM.Console", "5900").0, 200);
    assert_eq!(ask(&mut sim, "VM.Console", "5901"), refused);
    assert_eq!(ask(&mut sim, "VM.Allocate", "5900"), refused);
    let upid = met(&mut sim, &row);
    grant(&mut sim, "1");
    let line = format!("{token}:{ticket}");
    assert!(greet(&mut sim, &upid, &line).is_none());
    assert_eq!(end(&mut sim, &row).1, "authentication request failed");
}

#[test]
fn a_console_on_another_node_goes_by_ssh() {
    let mut sim = lab();
    let call = Request::new("POST", &format!("{GUEST}/termproxy")).via("pve2");
    let row = sim.call(call).payload();
    let now_ms = sim.now_ms;
    let upid = sim.world.meet_console("pve2", port(&row), now_ms).unwrap();
    sim.world.cut_power("pve1", Reach::NoRoute, now_ms);
    let line = format!("root@pam!gold:{}", text(&row, "ticket"));
    let Some(ConsoleTarget::Nothing { says }) = greet(&mut sim, &upid, &line) else {
        panic!("there is no way");
    };
    assert_eq!(
        says,
        "ssh: connect to host 10.99.0.11 port 22: No route to host"
    );
    sim.world.end_console(&upid, ConsoleEnd::Ended, now_ms);
    let exit = sim.finish(text(&row, "upid"));
    assert!(
        exit.contains(" -t root@10.99.0.11 /usr/bin/dtach "),
        "{exit}"
    );
    let away = said(&mut lab(), "POST", "/nodes/pve9/lxc/100/termproxy", &[]);
    assert!(away.0 == 500 && away.1.starts_with("hostname lookup 'pve9' failed"));
}

#[test]
fn a_node_s_console_is_a_task_of_its_own_kind_and_leads_nowhere() {
    let mut sim = Sim::new(solo());
    let row = asked(&mut sim, "/nodes/solo");
    assert!(text(&row, "upid").contains(":vncshell::root@pam!gold:"));
    let now_ms = sim.now_ms;
    let upid = sim.world.meet_console("solo", port(&row), now_ms).unwrap();
    let line = format!("root@pam!gold:{}", text(&row, "ticket"));
    assert!(matches!(
        greet(&mut sim, &upid, &line),
        Some(ConsoleTarget::Nothing { .. })
    ));
    sim.world.end_console(&upid, ConsoleEnd::Ended, now_ms);
    let exit = sim.finish(text(&row, "upid"));
    assert!(exit.contains("--perm Sys.Console") && exit.contains("-- /bin/login'"));
}

#[test]
fn who_is_at_a_console_when_the_emulator_ends_has_gone() {
    let mut sim = lab();
    let (open, waiting) = (asked(&mut sim, GUEST), asked(&mut sim, GUEST));
    let upid = met(&mut sim, &open);
    let line = format!("root@pam!gold:{}", text(&open, "ticket"));
    greet(&mut sim, &upid, &line).unwrap();
    sim.kill_and_restart();
    assert_eq!(sim.finish(text(&open, "upid")), "OK");
    let (_, last) = end(&mut sim, &waiting);
    assert_eq!(last, "failed waiting for client: timed out");
}

#[test]
fn a_killed_console_lets_its_client_go_and_a_dead_node_too() {
    let mut sim = lab();
    for dies in [false, true] {
        let row = asked(&mut sim, GUEST);
        let upid = met(&mut sim, &row);
        let line = format!("root@pam!gold:{}", text(&row, "ticket"));
        greet(&mut sim, &upid, &line).unwrap();
        if dies {
            let now_ms = sim.now_ms;
            sim.world.cut_power("pve1", Reach::NoRoute, now_ms);
        } else {
            let path = format!("/nodes/pve1/tasks/{upid}");
            assert_eq!(said(&mut sim, "DELETE", &path, &[]).0, 200);
        }
        assert!(sim.world.consoles().is_empty());
        assert_eq!(sim.finish(&upid.to_string()), "unexpected status");
    }
}
