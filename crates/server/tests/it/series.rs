//! Series of the store and of what the engine does: each moves when what it is about happens, and no other one does. Read by the
//! reference parser of OpenMetrics, as in [`crate::openmetrics`].

use std::collections::BTreeMap;

use axum::Router;
use proximity_domain::ids::HostId;
use proximity_domain::time::Timestamp;
use proximity_engine::reconcile::Pass;
use proximity_pve_emulator::core::Access;
use proximity_store::records::Actor;
use serde_json::json;
use uuid::Uuid;

use crate::contract::applies::{begun, document, ended};
use crate::openmetrics::{figures_of, parse_by};
use crate::support::live::live;
use crate::support::world;

/// A line for each sample: name, labels, value.
const SAMPLES: &str = "\
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = ','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))
        print(f'{sample.name}{{{labels}}} {sample.value}')
";

/// What the series of the store's calls begin with.
const CALLS: &[&str] = &["proximity_store_call"];
/// What the series begin with of what the engine does.
const WORK: &[&str] = &[
    "proximity_apply_",
    "proximity_plan_",
    "proximity_reconcile_",
    "proximity_snapshot",
];
/// Calls that a look at the figures makes itself, and those of who follows the log.
const OWN: [&str; 8] = [
    "app_counts",
    "cleared_events",
    "events",
    "journal_counts",
    "live_operations",
    "newest_event",
    "prepared",
    "token_by_hash",
];

/// All samples as they are now.
async fn samples(router: &Router) -> BTreeMap<String, f64> {
    let text = figures_of(router, "all").await;
    let read = parse_by(SAMPLES, &text);
    let told = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{told}\n{text}");
    let lines = String::from_utf8(read.stdout).unwrap();
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse::<f64>().unwrap())
    };
    lines.lines().map(sample).collect()
}

/// What was counted in between in series that begin so: each with by how much. How long it took is not looked at.
fn counted(
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
    about: &[&str],
) -> Vec<String> {
    let is_meant = |name: &str| {
        let is_own = OWN
            .iter()
            .any(|call| name.contains(&format!("{{call={call}}}")));
        let is_time = name.contains("_sum{") || name.contains("_bucket{");
        about.iter().any(|begin| name.starts_with(begin)) && !is_own && !is_time
    };
    let meant = after.iter().filter(|(name, _)| is_meant(name));
    let moved = meant.filter_map(|(name, now)| {
        let by = now - before.get(name).unwrap_or(&0.0);
        (by != 0.0).then(|| format!("{name} +{by}"))
    });
    moved.collect()
}

#[tokio::test]
async fn real_openmetrics_a_call_of_the_store_is_counted_by_its_method() {
    let world = world().await;
    world.add_host(0).await;
    let before = samples(&world.router).await;
    let found = world.store.host_by_label("host0").await.unwrap();
    assert!(found.is_some());
    let read = samples(&world.router).await;
    assert_eq!(
        counted(&before, &read, CALLS),
        ["proximity_store_calls_seconds_count{call=host_by_label} +1"]
    );
    let actor = Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    };
    let nobody = HostId(Uuid::from_u128(404));
    let refused = world.store.remove_host(nobody, &actor, Timestamp(0));
    assert!(refused.await.is_err());
    let after = samples(&world.router).await;
    assert_eq!(
        counted(&read, &after, CALLS),
        [
            "proximity_store_call_errors_total{call=remove_host,error=not_found} +1",
            "proximity_store_calls_seconds_count{call=remove_host} +1",
        ]
    );
}

#[tokio::test]
async fn real_openmetrics_what_the_store_takes_is_told() {
    let world = world().await;
    let file = world.database_bytes();
    assert!(file > 0.0);
    let now = samples(&world.router).await;
    assert!(now["proximity_store_bytes{}"] >= file, "{now:?}");
    let connections = |state| now[&format!("proximity_store_connections{{state={state}}}")];
    // Who follows the log may be at work on the one that this look has used.
    assert!(connections("idle") + connections("busy") >= 1.0);
    assert!(now.contains_key("proximity_store_writes_under_way{}"));
    assert!(now["process_resident_memory_bytes{}"] > 0.0);
    assert!(now.contains_key("process_cpu_seconds_total{}"));
}

#[tokio::test]
async fn real_openmetrics_a_pass_a_snapshot_and_a_plan_move_their_own_series() {
    let live = live().await;
    let reconciler = live.world.engine.reconciler();
    let begun = samples(&live.router).await;
    reconciler.pass(&Pass::Work).await.unwrap();
    let passed = samples(&live.router).await;
    assert_eq!(
        counted(&begun, &passed, WORK),
        [
            "proximity_reconcile_passes_total{result=success} +1",
            "proximity_reconcile_seconds_count{} +1",
        ]
    );
    let written = reconciler.record_resources().await.unwrap().written;
    assert!(written > 0);
    let recorded = samples(&live.router).await;
    assert_eq!(
        counted(&passed, &recorded, WORK),
        [
            format!("proximity_snapshot_bytes_count{{}} +{written}"),
            format!("proximity_snapshots_written_total{{change=discovered}} +{written}"),
        ]
    );
    assert!(recorded["proximity_snapshot_bytes_sum{}"] > 0.0);
    let text = "apiVersion: proximity/v1\nkind: App\nmetadata: {name: web}\n\
         spec: {catalog_id: beacon, host: lab}\n";
    let body = json!({ "documents": [{ "name": "shop.yaml", "text": text }], "prune": false });
    let plan = live.send("POST", "/api/plans", &body.to_string()).await;
    assert_eq!(plan.status, 201, "{}", plan.body);
    let planned = samples(&live.router).await;
    assert_eq!(
        counted(&recorded, &planned, WORK),
        ["proximity_plan_seconds_count{} +1"]
    );
    live.world.pve.allow(Access::Empty);
    let unseen = reconciler.pass(&Pass::Work).await.unwrap();
    assert!(!unseen.result.success, "{unseen:?}");
    let after = samples(&live.router).await;
    assert_eq!(
        counted(&planned, &after, WORK),
        [
            "proximity_reconcile_passes_total{result=incomplete} +1",
            "proximity_reconcile_seconds_count{} +1",
        ]
    );
}

/// One is done, one fails, for its name is taken before its turn comes, and one depends on that; and all of an apply that is stopped at
/// once are not started.
#[tokio::test]
async fn real_openmetrics_each_change_of_an_apply_is_counted_by_how_it_ended() {
    let live = live().await;
    let texts = [
        document("data", ", host: lab"),
        document("other", ", host: lab"),
        document("web", ", host: lab, depends_on: [data]"),
    ];
    let apply = begun(&live, &texts.concat()).await;
    let data = json!({ "catalog_id": "beacon", "hostname": "data", "host": "lab" });
    live.settled("POST", "/api/apps/", &data.to_string()).await;
    let about = &["proximity_apply_"];
    let before = samples(&live.router).await;
    for result in ["done", "failed", "held_up", "not_started"] {
        let name = format!("proximity_apply_changes_total{{result={result}}}");
        assert_eq!(before[&name], 0.0, "{name}");
    }
    let over = ended(&live, &apply).await;
    assert_eq!(over["state"], "failed", "{over}");
    let after = samples(&live.router).await;
    assert_eq!(
        counted(&before, &after, about),
        [
            "proximity_apply_changes_total{result=done} +1",
            "proximity_apply_changes_total{result=failed} +1",
            "proximity_apply_changes_total{result=held_up} +1",
        ]
    );
    let late = begun(&live, &document("late", ", host: lab")).await;
    let stop = format!("/api/applies/{}/stop", late["id"].as_str().unwrap());
    assert_eq!(live.send("POST", &stop, "").await.status, 202);
    let stopped = ended(&live, &late).await;
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    let last = samples(&live.router).await;
    assert_eq!(
        counted(&after, &last, about),
        ["proximity_apply_changes_total{result=not_started} +1"]
    );
}
