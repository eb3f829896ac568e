//! The emulator on real sockets: transport peculiarities, a container's life, control socket,
//! restart.

use std::sync::Arc;

use crate::support::https::{Connection, MemoryDriver, NOBODY, ROOT, call, control, start, task};
use crate::support::seed::{ALPINE, cluster, solo};
use tokio::time::Instant;

async fn lab(directory: &tempfile::TempDir) -> proximity_pve_emulator::shell::RunningShell {
    start(directory.path(), solo(), Arc::new(MemoryDriver::default())).await
}

#[tokio::test]
async fn a_container_lives_over_https() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let form = format!(
        "vmid=100&ostemplate={ALPINE}&hostname=web&net0=name%3Deth0%2Cbridge%3Dvmbr0%2Cip%3D10.0.0.2%2F24"
    );
    assert_eq!(task(&shell, "POST", "/nodes/solo/lxc", &form).await, "OK");
    assert_eq!(
        task(&shell, "POST", "/nodes/solo/lxc/100/status/start", "").await,
        "OK"
    );
    let interfaces = call(&shell, "GET", "/nodes/solo/lxc/100/interfaces", "")
        .await
        .payload();
    assert_eq!(interfaces[1]["inet"], "10.0.0.2/24");
    assert_eq!(
        task(&shell, "POST", "/nodes/solo/lxc/100/status/shutdown", "").await,
        "OK"
    );
    assert_eq!(
        task(&shell, "DELETE", "/nodes/solo/lxc/100", "").await,
        "OK"
    );
    assert_eq!(
        call(&shell, "GET", "/nodes/solo/lxc", "").await.payload(),
        serde_json::json!([])
    );
    shell.stop().await.unwrap();
}

/// Programs on a node look there; a change is in its file before its answer is here.
#[tokio::test]
async fn a_containers_configuration_file_is_on_its_node_as_long_as_the_container_is() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("nodes/solo/lxc");
    let file = folder.join("100.conf");
    let stray = folder.join("999.conf");
    let driver = Arc::new(MemoryDriver::default());
    let shell = start(directory.path(), solo(), driver.clone()).await;
    let form = format!(
        "vmid=100&ostemplate={ALPINE}&hostname=web&description=one%3A%20100%20%25%0Atwo&net0=name%3Deth0%2Cbridge%3Dvmbr0"
    );
    assert_eq!(task(&shell, "POST", "/nodes/solo/lxc", &form).await, "OK");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("#one%3A 100 %25\n#two\narch: "), "{text}");
    assert!(
        text.contains("\nhostname: web\n") && text.contains("\nnet0: name=eth0,"),
        "{text}"
    );
    let changed = call(
        &shell,
        "PUT",
        "/nodes/solo/lxc/100/config",
        "hostname=other",
    )
    .await;
    assert_eq!(changed.status, 200);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nhostname: other\n"), "{text}");
    shell.stop().await.unwrap();

    std::fs::write(&stray, "left over").unwrap();
    std::fs::write(&file, "old").unwrap();
    let shell = start(directory.path(), solo(), driver).await;
    assert_eq!(call(&shell, "GET", "/version", "").await.status, 200);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    assert!(!stray.exists());
    assert_eq!(
        task(&shell, "DELETE", "/nodes/solo/lxc/100", "").await,
        "OK"
    );
    assert!(!file.exists());
    shell.stop().await.unwrap();
}

#[tokio::test]
async fn connection_headers_tell_who_answered() {
    let directory = tempfile::tempdir().unwrap();
    let shell = start(
        directory.path(),
        cluster(),
        Arc::new(MemoryDriver::default()),
    )
    .await;
    for (path, expected) in [
        ("/version", vec!["Keep-Alive"]),
        ("/nodes/pve1/lxc", vec!["close", "Keep-Alive"]),
        ("/nodes/pve2/lxc", vec!["close,Keep-Alive", "Keep-Alive"]),
        ("/nodes/pve2/status", vec!["Keep-Alive", "Keep-Alive"]),
        ("/nosuch", vec!["close"]),
    ] {
        let answer = call(&shell, "GET", path, "").await;
        assert_eq!(answer.all("connection"), expected, "{path}");
    }
}

#[tokio::test]
async fn a_connection_lasts_a_hundred_requests_even_through_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let mut connection = Connection::open(&shell, 0).await;
    for number in 1..=99 {
        let path = if number % 2 == 0 {
            "/version"
        } else {
            "/nodes/solo/lxc"
        };
        let answer = connection.call("GET", path, "").await;
        assert!(
            answer.all("connection").contains(&"Keep-Alive"),
            "request {number}"
        );
    }
    assert_eq!(
        connection
            .call("GET", "/version", "")
            .await
            .all("connection"),
        ["close"]
    );
    assert!(connection.is_ended().await);
}

#[tokio::test]
async fn an_idle_connection_ends_after_five_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let mut connection = Connection::open(&shell, 0).await;
    connection.call("GET", "/version", "").await;
    let before = Instant::now();
    assert!(connection.is_ended().await);
    assert!(
        (4_500..5_900).contains(&before.elapsed().as_millis()),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn a_refused_caller_waits_three_seconds_for_an_empty_answer() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let mut connection = Connection::open(&shell, 0).await;
    connection.token = format!("PVEAPIToken={ROOT}=wrong");
    let before = Instant::now();
    let answer = connection.call("GET", "/version", "").await;
    assert_eq!(
        (answer.status, answer.reason.as_str(), answer.body.len()),
        (401, "Authentication failed!", 0)
    );
    assert!(answer.all("content-length").is_empty());
    assert!(
        (2_900..3_800).contains(&before.elapsed().as_millis()),
        "{:?}",
        before.elapsed()
    );
    assert!(connection.is_ended().await);
}

#[tokio::test]
async fn bodies_are_limited_and_belong_to_post_and_put() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let exchange = async |head: String, body: &[u8]| {
        let mut connection = Connection::open(&shell, 0).await;
        let head = head.replace("$TOKEN", &connection.token);
        connection.write(head.as_bytes()).await;
        // The server may answer and close before all of it is sent.
        connection.write(body).await;
        connection.read().await.expect("an answer")
    };
    let head = |method: &str, headers: &str| {
        format!(
            "{method} /api2/json/nodes/solo/lxc/100/config HTTP/1.1\r\nHost: x\r\nAuthorization: $TOKEN\r\n{headers}\r\n"
        )
    };
    let answer = exchange(head("DELETE", "Content-Length: 3\r\n"), b"a=b").await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (501, "Unexpected content for method 'DELETE'")
    );
    let answer = exchange(head("PUT", "Content-Length: 524289\r\n"), b"").await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (501, "for data too large")
    );
    let answer = exchange(head("PUT", "Transfer-Encoding: chunked\r\n"), b"").await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (501, "chunked transfer encoding not supported")
    );
    let answer = exchange(
        head("PUT", "Content-Type: text/plain\r\nContent-Length: 3\r\n"),
        b"a=b",
    )
    .await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (506, "upload 'Content-Type 'text/plain' not implemented")
    );
    let answer = exchange(
        head(
            "PUT",
            "Content-Type: application/json\r\nContent-Length: 2\r\n",
        ),
        b"{n",
    )
    .await;
    assert_eq!(answer.status, 500);
    let long = vec![b'x'; 524_286];
    let answer = exchange(
        head("PUT", "Content-Length: 524288\r\n"),
        &[b"a=", long.as_slice()].concat(),
    )
    .await;
    assert_eq!(answer.status, 400, "exactly 512 KiB are read");
}

#[tokio::test]
async fn the_empty_token_sees_nothing_and_may_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let form = format!("vmid=100&ostemplate={ALPINE}");
    assert_eq!(task(&shell, "POST", "/nodes/solo/lxc", &form).await, "OK");
    let mut connection = Connection::open(&shell, 0).await;
    connection.token = format!(
        "PVEAPIToken={NOBODY}={}",
        shell.token_secret(NOBODY).unwrap()
    );
    assert_eq!(
        connection
            .call("GET", "/cluster/resources?type=vm", "")
            .await
            .payload(),
        serde_json::json!([])
    );
    assert_eq!(
        connection
            .call("GET", "/access/permissions", "")
            .await
            .payload(),
        serde_json::json!({})
    );
    assert_eq!(
        connection
            .call("DELETE", "/nodes/solo/lxc/100", "")
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn the_control_socket_tells_what_arrived_and_sets_task_times() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let (status, times) = control(&shell, "POST", "/task-times", r#"{"create_ms": 5}"#).await;
    assert_eq!(
        (status, &times["create_ms"], &times["start_ms"]),
        (200, &5.into(), &40.into())
    );
    assert_eq!(
        control(&shell, "POST", "/task-times", r#"{"crate_ms": 5}"#)
            .await
            .0,
        400
    );
    let form = format!("vmid=100&ostemplate={ALPINE}&hostname=web");
    task(&shell, "POST", "/nodes/solo/lxc", &form).await;
    call(
        &shell,
        "PUT",
        "/nodes/solo/lxc/100/config",
        "password=hidden&lock=weird",
    )
    .await;
    let (_, guests) = control(&shell, "GET", "/world/guests", "").await;
    assert_eq!(
        (&guests[0]["vmid"], &guests[0]["config"]["keys"]["hostname"]),
        (&100.into(), &"web".into())
    );
    let (_, journal) = control(&shell, "GET", "/journal?mutating=1&vmid=100", "").await;
    let entries = journal["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(
        (
            &entries[0]["method"],
            &entries[0]["status"],
            &entries[0]["account"]
        ),
        (&"POST".into(), &200.into(), &ROOT.into())
    );
    assert_eq!(
        (&entries[1]["status"], &entries[1]["parameters"]["password"]),
        (&400.into(), &"…".into())
    );
    assert_eq!(journal["counters"]["mutating_by_vmid"]["100"], 2);
    assert!(
        !journal
            .to_string()
            .contains(shell.token_secret(ROOT).unwrap())
    );
}

#[tokio::test]
async fn the_control_socket_sets_up_scenery() {
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let order = r#"{"guests": 3, "first_vmid": 10000}"#;
    let (status, made) = control(&shell, "POST", "/world/scenery", order).await;
    assert_eq!((status, &made["guests"]), (200, &3.into()), "{made}");
    let (_, guests) = control(&shell, "GET", "/world/guests", "").await;
    assert_eq!(guests.as_array().map(Vec::len), Some(3));
    let (status, refused) = control(&shell, "POST", "/world/scenery", order).await;
    assert_eq!(status, 400, "{refused}");
    let tasks = r#"{"each": 25}"#;
    let (status, listed) = control(&shell, "POST", "/world/scenery/tasks", tasks).await;
    assert_eq!(status, 200, "{listed}");
    let (status, refused) = control(&shell, "POST", "/world/scenery/tasks", tasks).await;
    assert_eq!(status, 400, "{refused}");
    shell.stop().await.unwrap();
}

#[tokio::test]
async fn certificate_secrets_and_world_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let driver = Arc::new(MemoryDriver::default());
    let shell = start(directory.path(), solo(), driver.clone()).await;
    let form = format!("vmid=100&ostemplate={ALPINE}");
    task(&shell, "POST", "/nodes/solo/lxc", &form).await;
    let upid = call(&shell, "POST", "/nodes/solo/lxc/100/status/start", "")
        .await
        .payload();
    let known = (
        shell.fingerprint_sha256().to_owned(),
        shell.token_secret(ROOT).unwrap().to_owned(),
    );
    shell.stop().await.unwrap();
    let shell = start(directory.path(), solo(), driver).await;
    assert_eq!(
        (
            shell.fingerprint_sha256().to_owned(),
            shell.token_secret(ROOT).unwrap().to_owned()
        ),
        known
    );
    let path = format!("/nodes/solo/tasks/{}/status", upid.as_str().unwrap());
    let mut status = call(&shell, "GET", &path, "").await.payload();
    while status["status"] == "running" {
        status = call(&shell, "GET", &path, "").await.payload();
    }
    assert_eq!(status["exitstatus"], "OK");
    assert_eq!(
        call(&shell, "GET", "/nodes", "").await.payload()[0]["ssl_fingerprint"],
        known.0.as_str()
    );
}

#[tokio::test]
async fn plain_http_is_sent_to_https() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let directory = tempfile::tempdir().unwrap();
    let shell = lab(&directory).await;
    let mut stream = tokio::net::TcpStream::connect(shell.addresses()[0].1)
        .await
        .unwrap();
    stream
        .write_all(b"GET /x?y=1 HTTP/1.1\r\nHost: pve:8006\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 301 Moved Permanently\r\n"),
        "{text}"
    );
    assert!(
        text.contains("Location: https://pve:8006/x?y=1\r\n"),
        "{text}"
    );
}
