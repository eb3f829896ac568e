//! Faults on real sockets: what a client sees of a call that hangs, is cut off, slow or never answered, and of a node
//! that is down.

use std::sync::Arc;
use std::time::Duration;

use crate::support::https::{Connection, MemoryDriver, call, control, start, task};
use crate::support::seed::{ALPINE, cluster, solo};
use proximity_pve_emulator::shell::RunningShell;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

async fn lab(directory: &tempfile::TempDir) -> RunningShell {
    start(directory.path(), solo(), Arc::new(MemoryDriver::default())).await
}

/// Makes the fault; its id.
async fn fault(shell: &RunningShell, wish: Value) -> u64 {
    let (status, made) = control(shell, "POST", "/faults", &wish.to_string()).await;
    assert_eq!(status, 200, "{made}");
    made["id"].as_u64().unwrap()
}

async fn post(shell: &RunningShell, path: &str, body: Value) -> (u16, Value) {
    control(shell, "POST", path, &body.to_string()).await
}

async fn vmids(shell: &RunningShell) -> Vec<Value> {
    let (_, guests) = control(shell, "GET", "/world/guests", "").await;
    let guests = guests.as_array().unwrap().iter();
    guests.map(|guest| guest["vmid"].clone()).collect()
}

fn create(vmid: u32) -> String {
    format!("vmid={vmid}&ostemplate={ALPINE}")
}

#[tokio::test]
async fn a_call_hangs_until_it_is_released() {
    let directory = tempfile::tempdir().unwrap();
    let shell = Arc::new(lab(&directory).await);
    let calls = json!({"verb": "POST", "path": "/nodes/{node}/lxc"});
    let hang = json!({"calls": calls, "nth": 2, "times": 1, "kind": {"hang": {}}});
    let id = fault(&shell, hang).await;
    let first = call(&shell, "POST", "/nodes/solo/lxc", &create(100)).await;
    assert_eq!(first.status, 200, "only the second call is hit");
    let early = post(
        &shell,
        &format!("/faults/{id}/wait"),
        json!({"timeout_ms": 20}),
    )
    .await;
    assert_eq!((early.0, &early.1["hits"]), (408, &json!(0)));

    let asking = Arc::clone(&shell);
    let second =
        tokio::spawn(async move { call(&asking, "POST", "/nodes/solo/lxc", &create(101)).await });
    let hit = post(&shell, &format!("/faults/{id}/wait"), json!({})).await;
    assert_eq!(hit, (200, json!({"hits": 1})));
    let (_, list) = control(&shell, "GET", "/faults", "").await;
    let held = json!([{"call": "POST /api2/json/nodes/solo/lxc", "state": "hanging"}]);
    assert_eq!((&list[0]["seen"], &list[0]["held"]), (&json!(2), &held));
    assert!(!vmids(&shell).await.contains(&json!(101)), "nothing yet");

    let released = post(&shell, &format!("/faults/{id}/release"), json!({})).await;
    assert_eq!(released, (200, json!({"released": 1})));
    assert_eq!(second.await.unwrap().status, 200);
    assert!(vmids(&shell).await.contains(&json!(101)));
    let third = call(&shell, "POST", "/nodes/solo/lxc", &create(102)).await;
    assert_eq!(third.status, 200, "the third is not hit any more");
}

#[tokio::test]
async fn a_call_takes_effect_and_is_cut_without_a_byte() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let calls = json!({"verb": "POST", "path": "/nodes/{node}/lxc", "vmid": 100});
    fault(
        &shell,
        json!({"calls": calls, "times": 1, "kind": {"cut": {}}}),
    )
    .await;
    let mut connection = Connection::open(&shell, 0).await;
    let answer = connection
        .try_call("POST", "/nodes/solo/lxc", &create(100))
        .await;
    assert!(answer.is_none(), "{answer:?}");
    assert!(connection.is_ended().await);
    assert_eq!(vmids(&shell).await, [json!(100)]);
    let (_, journal) = control(&shell, "GET", "/journal?vmid=100", "").await;
    let entry = &journal["entries"][0];
    assert_eq!(
        (&entry["status"], &entry["cut"]),
        (&json!(200), &json!(true))
    );
}

#[tokio::test]
async fn a_call_that_is_never_answered_waits_until_its_fault_ends() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let id = fault(&shell, json!({"kind": {"timeout": {}}})).await;
    let mut connection = Connection::open(&shell, 0).await;
    let form = create(100);
    let answer = connection.try_call("POST", "/nodes/solo/lxc", &form);
    let answer = timeout(Duration::from_millis(200), answer).await;
    assert!(answer.is_err(), "{answer:?}");
    // The one that gave up is not waited for any more; another one is cut when the fault ends.
    drop(connection);
    let mut connection = Connection::open(&shell, 0).await;
    let asking = connection.try_call("GET", "/version", "");
    let ending = async {
        let wanted = json!({"hits": 2});
        post(&shell, &format!("/faults/{id}/wait"), wanted).await;
        let listed = control(&shell, "GET", "/faults", "").await.1;
        let ended = control(&shell, "DELETE", &format!("/faults/{id}"), "").await;
        (listed, ended.0)
    };
    let (answer, (listed, ended)) = tokio::join!(asking, ending);
    assert!(answer.is_none(), "{answer:?}");
    assert_eq!(ended, 200);
    let held = json!([{"call": "GET /api2/json/version", "state": "unanswered"}]);
    assert_eq!(listed[0]["held"], held);
    assert!(vmids(&shell).await.is_empty(), "it had no effect");
    assert_eq!(call(&shell, "GET", "/version", "").await.status, 200);
}

#[tokio::test]
async fn a_slow_call_takes_effect_at_once_and_is_answered_later() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    assert_eq!(
        task(&shell, "POST", "/nodes/solo/lxc", &create(100)).await,
        "OK"
    );
    let calls = json!({"verb": "PUT"});
    let id = fault(
        &shell,
        json!({"calls": calls, "kind": {"slow": {"ms": 400}}}),
    )
    .await;
    let before = Instant::now();
    let asking = call(
        &shell,
        "PUT",
        "/nodes/solo/lxc/100/config",
        "description=new",
    );
    let looking = async {
        post(&shell, &format!("/faults/{id}/wait"), json!({})).await;
        let (_, guests) = control(&shell, "GET", "/world/guests", "").await;
        guests[0]["config"]["keys"]["description"].clone()
    };
    let (answer, seen) = tokio::join!(asking, looking);
    assert_eq!((answer.status, seen), (200, json!("new\n")));
    assert!(before.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_node_that_is_down_refuses_and_comes_back_at_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let shell = start(
        directory.path(),
        cluster(),
        Arc::new(MemoryDriver::default()),
    )
    .await;
    let mut before = Connection::open(&shell, 1).await;
    assert_eq!(before.call("GET", "/version", "").await.status, 200);
    let down = json!({"powered": false, "reach": "refused"});
    let (status, node) = post(&shell, "/nodes/pve2", down).await;
    assert_eq!((status, &node["powered"]), (200, &json!(false)));
    assert!(before.try_call("GET", "/version", "").await.is_none());
    let address = shell.addresses()[1].1;
    // The socket is closed right behind the answer.
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), refused).await.unwrap();
    let answer = call(&shell, "GET", "/nodes/pve2/status", "").await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (595, "Connection refused")
    );

    let back = post(&shell, "/nodes/pve2", json!({"powered": true})).await;
    assert_eq!(back.1["reach"], "up");
    let answers = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), answers).await.unwrap();
    let mut after = Connection::open(&shell, 1).await;
    assert_eq!(after.call("GET", "/version", "").await.status, 200);
}

#[tokio::test]
async fn a_node_without_its_proxy_refuses_and_one_without_power_is_not_found_by_others() {
    let directory = tempfile::tempdir().unwrap();
    let driver = Arc::new(MemoryDriver::default());
    let shell = start(directory.path(), cluster(), driver).await;
    let stopped = json!({"daemons": {"pveproxy": false}});
    assert_eq!(post(&shell, "/nodes/pve2", stopped).await.0, 200);
    let address = shell.addresses()[1].1;
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), refused).await.unwrap();
    let (_, dead) = post(&shell, "/nodes/pve3", json!({"powered": false})).await;
    assert_eq!(dead["reach"], "no_route");
}

#[tokio::test]
async fn a_silent_node_takes_connections_and_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let shell = start(
        directory.path(),
        cluster(),
        Arc::new(MemoryDriver::default()),
    )
    .await;
    let down = json!({"powered": false, "reach": "silent"});
    assert_eq!(post(&shell, "/nodes/pve2", down).await.0, 200);
    let opening = timeout(Duration::from_millis(300), Connection::open(&shell, 1)).await;
    assert!(opening.is_err(), "a handshake came about");
}

#[tokio::test]
async fn guests_are_broken_with_what_the_driver_has_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let driver = Arc::new(MemoryDriver::default());
    let shell = start(directory.path(), cluster(), driver.clone()).await;
    for vmid in [100, 101] {
        let form = create(vmid);
        assert_eq!(task(&shell, "POST", "/nodes/pve1/lxc", &form).await, "OK");
    }
    let order = json!({"faults": {"boot_fails": true}});
    let (_, stands) = post(&shell, "/world/guests/100", order).await;
    assert_eq!(stands["faults"]["boot_fails"], true);
    let start_100 = "/nodes/pve1/lxc/100/status/start";
    let exit = task(&shell, "POST", start_100, "").await;
    assert_eq!(exit, "startup for container '100' failed");
    let order = json!({"lock": {"as": "backup"}});
    let (_, stands) = post(&shell, "/world/guests/101", order).await;
    assert_eq!(stands["lock"], "backup");
    let start_101 = "/nodes/pve1/lxc/101/status/start";
    let exit = task(&shell, "POST", start_101, "").await;
    assert_eq!(exit, "CT is locked (backup)");
    let unlocked = post(&shell, "/world/guests/101", json!({"lock": {}})).await;
    assert_eq!(unlocked.1["lock"], Value::Null);
    post(&shell, "/world/guests/100", json!({"vanish": {}})).await;
    post(&shell, "/world/guests/101", json!({"move": {"to": "pve2"}})).await;
    let stranger = json!({"stranger": {"node": "pve3"}});
    post(&shell, "/world/guests/102", stranger).await;
    let places = || {
        let machines = driver.machines.lock().unwrap();
        let keys = machines.machines.keys();
        keys.map(|key| (key.node.clone(), key.vmid))
            .collect::<Vec<_>>()
    };
    let expected = [("pve2".to_owned(), 101), ("pve3".to_owned(), 102)];
    let followed = async {
        while places() != expected {
            tokio::task::yield_now().await;
        }
    };
    let followed = timeout(Duration::from_secs(5), followed).await;
    assert!(followed.is_ok(), "{:?}", places());
}

#[tokio::test]
async fn what_must_not_happen_is_listed_with_call_time_and_guest() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let form = create(100);
    assert_eq!(task(&shell, "POST", "/nodes/solo/lxc", &form).await, "OK");
    let settings = json!({"immortal": [100], "calls_per_node": 1});
    let set = post(&shell, "/checks", settings.clone()).await;
    assert_eq!(set, (200, settings));
    post(&shell, "/nodes/solo", json!({"slow_ms": 300})).await;
    let config = "/nodes/solo/lxc/100/config";
    let change = call(&shell, "PUT", config, "description=new");
    let look = call(&shell, "GET", config, "");
    let (changed, _) = tokio::join!(change, look);
    assert_eq!(changed.status, 200);
    let (_, found) = control(&shell, "GET", "/violations", "").await;
    assert_eq!(found["total"], 2);
    let rows = found["violations"].as_array().unwrap();
    let of = |check: &str| rows.iter().find(|row| row["check"] == check).unwrap();
    let immortal = of("immortal");
    assert_eq!(immortal["call"], format!("PUT /api2/json{config}"));
    assert_eq!(
        (&immortal["vmid"], &immortal["node"]),
        (&json!(100), &json!("solo"))
    );
    assert!(immortal["at_ms"].as_u64().unwrap() > 1_700_000_000_000);
    let crowd = of("calls_in_flight");
    assert_eq!(crowd["what"], "2 calls are in flight, 1 allowed");
    let none = control(&shell, "DELETE", "/violations", "").await;
    assert_eq!(none.1, json!({"total": 0, "violations": []}));
}

#[tokio::test]
async fn the_clock_goes_ahead_and_never_back() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let (_, before) = control(&shell, "GET", "/clock", "").await;
    let hour = 3_600_000;
    let (status, after) = post(&shell, "/clock", json!({"ahead_ms": hour})).await;
    assert_eq!((status, &after["ahead_ms"]), (200, &json!(hour)));
    let now = |value: &Value| value["now_ms"].as_u64().unwrap();
    assert!(now(&after) >= now(&before) + hour);
    let time = call(&shell, "GET", "/nodes/solo/time", "").await.payload();
    assert!(time["time"].as_u64().unwrap() >= now(&after) / 1000);
    let back = post(&shell, "/clock", json!({"ahead_ms": 1})).await;
    assert_eq!(back.0, 400);
    shell.stop().await.unwrap();
    let shell = lab(&directory).await;
    let (_, kept) = control(&shell, "GET", "/clock", "").await;
    assert_eq!(kept["ahead_ms"], hour);
}

/// Endpoint, body, status, and what the error says.
const NONSENSE: [(&str, &str, u16, &str); 19] = [
    (
        "/faults",
        r#"{"kind": {"slow": {"ms": 5, "s": 5}}}"#,
        400,
        "unknown field `s`",
    ),
    (
        "/faults",
        r#"{"kind": {"slow": {"ms": 0}}}"#,
        400,
        "ms: from 1",
    ),
    (
        "/faults",
        r#"{"kind": {"melt": {}}}"#,
        400,
        "unknown variant `melt`",
    ),
    ("/faults", r#"{"kinds": {}}"#, 400, "unknown field `kinds`"),
    (
        "/faults",
        r#"{"kind": {"cut": {}}, "nth": 0}"#,
        400,
        "nth: counts from 1",
    ),
    (
        "/faults",
        r#"{"calls": {"path": "/no"}, "kind": {"cut": {}}}"#,
        400,
        "any verb /no",
    ),
    (
        "/faults",
        r#"{"calls": {"node": "x"}, "kind": {"cut": {}}}"#,
        400,
        "no node 'x'",
    ),
    (
        "/faults",
        r#"{"kind": {"refused": {}}}"#,
        400,
        "either errors or message",
    ),
    ("/faults/7/release", "", 404, "no fault 7"),
    ("/faults/7/wait", "", 404, "no fault 7"),
    (
        "/faults/7/wait",
        r#"{"hit": 1}"#,
        400,
        "unknown field `hit`",
    ),
    ("/faults/x/wait", "", 404, "no such endpoint"),
    ("/nodes/pve9", "", 404, "no node 'pve9'"),
    (
        "/nodes/solo",
        r#"{"powered": false, "reach": "up"}"#,
        400,
        "without power is not up",
    ),
    (
        "/nodes/solo",
        r#"{"power": false}"#,
        400,
        "unknown field `power`",
    ),
    (
        "/nodes/solo",
        r#"{"daemons": {"sshd": false}}"#,
        400,
        "no 'sshd'",
    ),
    (
        "/world/guests/100",
        r#"{"vanish": {}}"#,
        404,
        "no guest 100",
    ),
    (
        "/world/guests/100",
        r#"{"explode": {}}"#,
        400,
        "unknown variant `explode`",
    ),
    (
        "/checks",
        r#"{"mortal": []}"#,
        400,
        "unknown field `mortal`",
    ),
];

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    for (path, body, status, why) in NONSENSE {
        let (found, error) = control(&shell, "POST", path, body).await;
        assert_eq!(found, status, "{path} {body}: {error}");
        let text = error["error"].as_str().unwrap();
        assert!(text.contains(why), "{path} {body}: {text}");
    }
    assert_eq!(control(&shell, "DELETE", "/faults/7", "").await.0, 404);
    let none = control(&shell, "GET", "/faults", "").await;
    assert_eq!(none, (200, json!([])));
}
