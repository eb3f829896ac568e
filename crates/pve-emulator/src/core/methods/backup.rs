//! Backups: making them, and jobs that would.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::task::{BackupPlan, Work};
use super::super::worker;
use crate::schema::{perl_text, split_list, table};

/// Parameters of a backup that only root may give.
const ROOT_ONLY: [&str; 3] = ["tmpdir", "dumpdir", "script"];
/// The order in which the log's first line names parameters is arbitrary in PVE; this one is ours.
const NOT_SHOWN: [&str; 2] = ["vmid", "node"];

/// The guests a backup is of, those on other nodes left out; nothing when there is none here.
fn chosen(call: &Call<'_>, list: &str) -> Result<Vec<u32>, ApiError> {
    let (all, pool) = (call.flag("all"), call.text("pool"));
    let mut vmids: Vec<u32> = split_list(list)
        .iter()
        .filter_map(|id| id.parse().ok())
        .collect();
    if vmids.is_empty() && !all && pool.is_none() && !call.flag("stop") {
        return Err(ApiError::parameter("vmid", "property is missing"));
    }
    if all {
        vmids = call.world.guests().map(|(vmid, _)| vmid).collect();
    }
    if let Some(pool) = &pool {
        let found = call.world.pools.get(pool);
        vmids = found.map(|pool| pool.vms.clone()).unwrap_or_default();
    }
    let guests = &call.world.guests;
    vmids.retain(|vmid| guests.get(vmid).is_none_or(|guest| guest.node == call.node));
    Ok(vmids)
}

pub(super) fn vzdump(call: &mut Call<'_>) -> Outcome {
    for name in ROOT_ONLY {
        if call.text(name).is_some() && !call.caller.is_root() {
            return Err(ApiError::parameter(name, "Only root may set this option.").into());
        }
    }
    let list = call.text("vmid").unwrap_or_default();
    let vmids = chosen(call, &list)?;
    if vmids.is_empty() && !call.flag("all") {
        return Ok(Value::String("OK".into()).into());
    }
    let storage = call.text("storage").unwrap_or_else(|| "local".into());
    let place = format!("/storage/{storage}");
    call.rights().need(&place, &["Datastore.AllocateSpace"])?;
    for vmid in vmids
        .iter()
        .filter(|vmid| call.world.guests.contains_key(vmid))
    {
        call.rights()
            .need(&format!("/vms/{vmid}"), &["VM.Backup"])?;
    }
    let extension = match call.text("compress").as_deref() {
        Some("zstd") => ".zst",
        Some("gzip" | "1") => ".gz",
        Some("lzo") => ".lzo",
        _ => "",
    };
    let plan = BackupPlan {
        command: command_line(call, &list),
        storage,
        mode: call.text("mode").unwrap_or_else(|| "snapshot".into()),
        extension: extension.into(),
        notes: call.text("notes-template"),
        protected: call.flag("protected"),
        at: 0,
        volid: None,
        begun_s: 0,
        failed: false,
        restart: false,
        vmids,
    };
    let id = match plan.vmids.as_slice() {
        [vmid] => vmid.to_string(),
        _ => String::new(),
    };
    let node = call.node.clone();
    let work = Work::Backup(Box::new(plan));
    let place = (node.as_str(), "vzdump", id.as_str());
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}

fn command_line(call: &Call<'_>, list: &str) -> String {
    let mut line = format!("vzdump {list} --node {}", call.node);
    let shown = call
        .params
        .iter()
        .filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()));
    for (name, value) in shown {
        let text = perl_text(value).unwrap_or_default();
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./,=".contains(&b));
        line.push_str(&if plain {
            format!(" --{name} {text}")
        } else {
            format!(" --{name} '{text}'")
        });
    }
    line
}

/// Guests in no job, as far as the caller may see them.
pub(super) fn not_backed_up(call: &mut Call<'_>) -> Outcome {
    let jobs: Vec<&BTreeMap<String, String>> = call.world.backup_jobs.values().collect();
    let covered = |vmid: u32| {
        jobs.iter().any(|job| {
            let listed = |key: &str| {
                let list = job.get(key).cloned().unwrap_or_default();
                split_list(&list).iter().any(|id| *id == vmid.to_string())
            };
            let all = job.get("all").is_some_and(|all| all == "1") && !listed("exclude");
            let pooled = job
                .get("pool")
                .is_some_and(|pool| call.world.pool_of(vmid) == Some(pool));
            all || pooled || listed("vmid")
        })
    };
    let rows = call
        .world
        .guests()
        .filter(|(vmid, _)| !covered(*vmid) && call.may(&format!("/vms/{vmid}"), "VM.Audit"));
    let rows = rows.map(|(vmid, guest)| {
        let mut row = json!({"vmid": vmid, "type": "lxc"});
        if let Some(name) = guest.config.get("hostname") {
            row["name"] = name.into();
        }
        row
    });
    Ok(rows.collect::<Value>().into())
}

/// Numbers are numbers there (pve-common, `SectionConfig::check_value`), and lists of options objects (pve-manager,
/// `API2/Backup.pm`, `backup_job_return_schema`).
fn job_value(key: &str, text: &str) -> Value {
    let number = |text: &str| text.parse().map_or_else(|_| json!(text), |n: u64| json!(n));
    if ["fleecing", "performance", "prune-backups"].contains(&key) {
        let pairs = text.split(',').filter(|part| !part.is_empty());
        // The one that needs no name switches fleecing on.
        let pairs = pairs.map(|part| part.split_once('=').unwrap_or(("enabled", part)));
        let fields = pairs.map(|(name, value)| (name.to_owned(), number(value)));
        return Value::Object(fields.collect());
    }
    let method = table().lookup("POST", "/cluster/backup");
    let property = method.and_then(|found| found.method.parameter(key));
    match property.and_then(|property| property.kind.as_deref()) {
        Some("boolean" | "integer" | "number") => number(text),
        Some(_) | None => text.into(),
    }
}

fn job_row(id: &str, job: &BTreeMap<String, String>) -> Value {
    let mut row = Map::from_iter([
        ("id".to_owned(), json!(id)),
        ("type".to_owned(), json!("vzdump")),
    ]);
    for (key, value) in job {
        row.insert(key.clone(), job_value(key, value));
    }
    Value::Object(row)
}

pub(super) fn jobs(call: &mut Call<'_>) -> Outcome {
    let rows = call
        .world
        .backup_jobs
        .iter()
        .map(|(id, job)| job_row(id, job));
    Ok(rows.collect::<Value>().into())
}

fn no_job(id: &str) -> ApiError {
    ApiError::parameter("id", format!("No such job '{id}'"))
}

pub(super) fn read_job(call: &mut Call<'_>) -> Outcome {
    let id = call.text("id").unwrap_or_default();
    let job = call.world.backup_jobs.get(&id).ok_or_else(|| no_job(&id))?;
    Ok(job_row(&id, job).into())
}

fn given(call: &Call<'_>) -> BTreeMap<String, String> {
    let foreign = ["id", "delete", "digest", "starttime", "dow"];
    let names = call
        .params
        .keys()
        .filter(|name| !foreign.contains(&name.as_str()));
    names
        .filter_map(|name| Some((name.clone(), call.text(name)?)))
        .collect()
}

fn check_job(job: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let selects = ["vmid", "all", "pool"]
        .iter()
        .any(|key| job.get(*key).is_some_and(|v| !v.is_empty()));
    if selects {
        return Ok(());
    }
    Err(ApiError::parameter("vmid", "property is missing"))
}

pub(super) fn create_job(call: &mut Call<'_>) -> Outcome {
    let mut job = given(call);
    check_job(&job)?;
    job.entry("enabled".into()).or_insert_with(|| "1".into());
    job.entry("mode".into())
        .or_insert_with(|| "snapshot".into());
    let id = match call.text("id") {
        Some(id) => id,
        None => format!("backup-{}", &call.world.keys.uuid()[..13]),
    };
    if call.world.backup_jobs.contains_key(&id) {
        return Err(ApiError::died(format!("Job '{id}' already exists")).into());
    }
    call.world.backup_jobs.insert(id, job);
    Ok(Value::Null.into())
}

pub(super) fn update_job(call: &mut Call<'_>) -> Outcome {
    let id = call.text("id").unwrap_or_default();
    let changes = given(call);
    let removed = call.text("delete").unwrap_or_default();
    let mut job = call
        .world
        .backup_jobs
        .get(&id)
        .cloned()
        .ok_or_else(|| no_job(&id))?;
    for key in split_list(&removed) {
        job.remove(key);
    }
    job.extend(changes);
    check_job(&job)?;
    call.world.backup_jobs.insert(id, job);
    Ok(Value::Null.into())
}

/// The refusal of an unknown job carries its own code in its text.
pub(super) fn delete_job(call: &mut Call<'_>) -> Outcome {
    let id = call.text("id").unwrap_or_default();
    if call.world.backup_jobs.remove(&id).is_none() {
        let text = format!("400 Parameter verification failed.\nid: No such job '{id}'");
        return Err(ApiError::died(text).into());
    }
    Ok(Value::Null.into())
}
