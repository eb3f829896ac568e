//! Against a real ntfy of Debian's package.

use std::process::Stdio;
use std::time::Duration;

use proximity_engine::notify::{Notifier, Ntfy, Place, SendError};
use tokio::process::Command;

use super::over_http::{delivery, evil};

#[tokio::test]
async fn real_ntfy_keeps_what_it_was_sent_as_it_was_meant() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut server = Command::new("/usr/bin/ntfy")
        .args([
            "serve",
            "--config",
            "/dev/null",
            "--listen-http",
            &address.to_string(),
        ])
        .args(["--base-url", &format!("http://{address}")])
        .arg("--cache-file")
        .arg(folder.path().join("cache.db"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ntfy");
    let url = format!("http://{address}").into();
    let place = Place::new(&url, None, false).unwrap();
    let ntfy = Ntfy {
        place,
        topic: "proximity-ops".to_owned(),
        token: None,
    };
    let answer = loop {
        match ntfy.send(&evil(), &delivery()).await {
            Err(SendError::NotTaken { message, .. }) if message.contains("refused") => {
                assert!(server.try_wait().unwrap().is_none(), "ntfy ended");
                tokio::task::yield_now().await;
            }
            other => break other.unwrap(),
        }
    };
    assert!(answer.starts_with("HTTP 200"), "{answer}");
    let polled = reqwest::get(format!("http://{address}/proximity-ops/json?poll=1"));
    let polled = tokio::time::timeout(Duration::from_secs(10), polled).await;
    let kept = polled.unwrap().unwrap().text().await.unwrap();
    assert_eq!(kept.lines().count(), 1, "{kept}");
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["priority"], 5);
    assert_eq!(kept["tags"], serde_json::json!(["rotating_light"]));
    let title = kept["title"].as_str().unwrap();
    assert!(title.starts_with("[Proximity] critical: web"), "{title}");
    let said = kept["message"].as_str().unwrap();
    assert!(said.contains("<b>[x](https://evil.example)</b>"), "{said}");
    server.kill().await.unwrap();
}
