//! The figures, read by the reference parser of OpenMetrics (Debian's python3-prometheus-client).

use std::io::Write;
use std::process::{Command, Output, Stdio};

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
    let mut parser = Command::new("/usr/bin/python3")
        .args(["-c", READ])
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

async fn figures(world: &World) -> String {
    let request = Request::get("/metrics").header("authorization", "Bearer all");
    let request = request.body(Body::empty()).unwrap();
    let answer = world.router.clone().oneshot(request).await.unwrap();
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
    let text = figures(&world).await;
    let read = parse(&text);
    let told = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{told}\n{text}");
    let families = String::from_utf8(read.stdout).unwrap();
    for family in [
        "proximity_build info 1",
        "proximity_http_requests counter 1",
        "proximity_operations_live gauge 1",
    ] {
        assert!(families.lines().any(|line| line == family), "{families}");
    }
    // The parser can say no: without its end a text is none.
    let cut = text.trim_end_matches("# EOF\n");
    assert!(!parse(cut).status.success());
}
