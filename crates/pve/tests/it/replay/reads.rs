//! Recorded reads.

use proximity_pve::ReadClient;
use proximity_pve::lxc::Feature;
use proximity_pve::rrd::Timeframe;
use serde_json::Value;

use super::Asked;
use crate::recordings::{Outcome, Step, rows};

type Replayed = (&'static str, Outcome, Asked);

fn timeframe(step: &Step) -> (Timeframe, Asked) {
    match step.given.get("timeframe").map(String::as_str) {
        Some("hour") => (Timeframe::Hour, Asked::All),
        Some("day") => (Timeframe::Day, Asked::All),
        _ => (Timeframe::Hour, Asked::Place),
    }
}

pub(super) async fn replay(step: &Step, segments: &[&str], read: &ReadClient) -> Option<Replayed> {
    Some(match segments {
        ["pools"] => match step.given.get("poolid") {
            None => ("pools", read.pools().await.map(|p| rows(&p)), Asked::All),
            Some(pool) => {
                let pool = read.pool(&pool.parse().unwrap()).await;
                let numbers = pool.map(|pool| {
                    let numbers: Vec<u32> = pool.guests.iter().map(|vmid| vmid.get()).collect();
                    Value::from(numbers)
                });
                ("pool", numbers, Asked::All)
            }
        },
        ["cluster", "backup-info", "not-backed-up"] => {
            let guests = read.not_backed_up().await;
            ("not backed up", guests.map(|g| rows(&g)), Asked::All)
        }
        ["nodes", node, "lxc", id, rest @ ..] => return of_guest(step, node, id, rest, read).await,
        ["nodes", node, rest @ ..] => return of_node(step, node, rest, read).await,
        _ => return None,
    })
}

async fn of_node(step: &Step, node: &str, rest: &[&str], read: &ReadClient) -> Option<Replayed> {
    let node = node.parse().ok()?;
    Some(match rest {
        ["aplinfo"] => {
            let all = read.appliances(&node).await;
            ("appliances", all.map(|a| rows(&a)), Asked::All)
        }
        ["rrddata"] => {
            let (timeframe, asked) = timeframe(step);
            let points = read.node_usage(&node, timeframe).await;
            ("node usage", points.map(|p| rows(&p)), asked)
        }
        ["storage", storage, "rrddata"] => {
            let (timeframe, asked) = timeframe(step);
            let storage = storage.parse().unwrap();
            let points = read.storage_usage(&node, &storage, timeframe).await;
            ("storage usage", points.map(|p| rows(&p)), asked)
        }
        ["storage", storage, "content"] if step.given.get("content")? == "backup" => {
            let vmid = step.given.get("vmid").map(|id| id.parse().unwrap());
            let storage = storage.parse().unwrap();
            let backups = read.backups(&node, &storage, vmid).await;
            ("backups", backups.map(|b| rows(&b)), Asked::All)
        }
        ["storage", _, "content", volid] => {
            let volume = read.volume(&node, &volid.parse().unwrap()).await;
            ("volume", volume.map(|v| v.size_bytes.into()), Asked::All)
        }
        _ => return None,
    })
}

async fn of_guest(
    step: &Step,
    node: &str,
    id: &str,
    rest: &[&str],
    read: &ReadClient,
) -> Option<Replayed> {
    let (node, vmid) = (node.parse().ok()?, id.parse().ok()?);
    Some(match rest {
        ["snapshot"] => {
            let all = read.guest_snapshots(&node, vmid).await;
            ("snapshots", all.map(|s| rows(&s)), Asked::All)
        }
        ["snapshot", name, "config"] => {
            let name = name.parse().unwrap();
            let config = read.guest_snapshot_config(&node, vmid, &name).await;
            let hostname = config.map(|c| c.hostname.into());
            ("snapshot config", hostname, Asked::All)
        }
        ["feature"] => {
            let feature = match step.given["feature"].as_str() {
                "snapshot" => Feature::GuestSnapshot,
                "clone" => Feature::Clone,
                other => panic!("{}: {other}", step.id),
            };
            let has = read.has_feature(&node, vmid, feature, None).await;
            ("feature", has.map(Value::from), Asked::All)
        }
        ["pending"] => {
            let keys = read.lxc_pending(&node, vmid).await;
            ("pending", keys.map(|k| rows(&k)), Asked::All)
        }
        ["rrddata"] => {
            let (timeframe, asked) = timeframe(step);
            let points = read.lxc_usage(&node, vmid, timeframe).await;
            ("usage", points.map(|p| rows(&p)), asked)
        }
        _ => return None,
    })
}
