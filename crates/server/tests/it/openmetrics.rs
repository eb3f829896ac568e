//! The figures, read by the reference parser of OpenMetrics (Debian's python3-prometheus-client).

use std::io::Write;
use std::process::{Command, Output, Stdio};

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::{World, world};

const READ: &str = "\
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    print(family.name, family.type, len(family.samples))
";

/// What the parser says of the text: a line per family, or why it is none.
fn parse(text: &str) -> Output {
    parse_by(READ, text)
}

/// What this program says of the text.
pub(crate) fn parse_by(program: &str, text: &str) -> Output {
    let mut parser = Command::new("/usr/bin/python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = parser.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    parser.wait_with_output().unwrap()
}

async fn figures(world: &World, token: &str) -> String {
    figures_of(&world.router, token).await
}

/// The figures as this token is told them.
pub(crate) async fn figures_of(router: &Router, token: &str) -> String {
    let bearer = format!("Bearer {token}");
    let request = Request::get("/metrics").header("authorization", bearer);
    let request = request.body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap();
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn real_openmetrics_all_figures_are_read() {
    let world = world().await;
    world.add_host(0).await;
    world.add_app("web", "admin").await;
    world.send("GET", "/api/catalog/", "").await;
    let text = figures(&world, "all").await;
    let read = parse(&text);
    let told = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{told}\n{text}");
    let families = String::from_utf8(read.stdout).unwrap();
    for family in [
        "proximity_build info 1",
        "proximity_http_requests counter 1",
        "proximity_operations_live gauge 1",
        "proximity_journal_kept gauge 3",
    ] {
        assert!(families.lines().any(|line| line == family), "{families}");
    }
    let newest = world.store.newest_event().await.unwrap();
    world.store.clear_events(1).await.unwrap();
    let text = figures(&world, "all").await;
    let kept = newest - 1;
    for line in [
        format!("proximity_journal_kept{{journal=\"events\"}} {kept}\n"),
        "proximity_journal_cleared{journal=\"events\"} 1\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    // The parser can say no: without its end a text is none.
    let cut = text.trim_end_matches("# EOF\n");
    assert!(!parse(cut).status.success());
}

/// A scraper's token tells its thief sums and nothing else; one that may read tells of its account's apps alone.
#[tokio::test]
async fn figures_tell_of_others_only_to_the_scope_for_it() {
    let world = world().await;
    world.add_host(0).await;
    world.add_app("web", "admin").await;
    world.add_app("own", "robot").await;
    world.add_app("mine", "admin").await;
    world.add_token("scraper", &["metrics"]).await;
    world.add_token("reader", &["read"]).await;
    world.add_token("operator", &["operate"]).await;
    let apps = "proximity_apps{kind=\"native\",status=\"deploying\"}";
    for (token, count, everybodys) in [("all", 3, true), ("scraper", 3, true), ("reader", 1, false)]
    {
        let text = figures(&world, token).await;
        let line = format!("{apps} {count}\n");
        assert!(text.contains(&line), "{token}: {line} is not in {text}");
        let told = text.contains("proximity_operations_live");
        assert_eq!(told, everybodys, "{token}: {text}");
        let journals = text.contains("proximity_journal");
        assert_eq!(journals, everybodys, "{token}: {text}");
    }
    let ask = async |path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let answer = world.send_with("GET", path, "", &headers).await;
        answer.status.as_u16()
    };
    assert_eq!(ask("/metrics", "operator").await, 403);
    assert_eq!(ask("/api/apps/", "scraper").await, 403);
}
