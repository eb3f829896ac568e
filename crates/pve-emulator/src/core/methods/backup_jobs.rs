//! `/cluster/backup`: jobs that would make backups, and what they are of.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::calendar;
use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::guest_config::volume_of;
use super::super::sections::given;
use super::super::world::World;
use super::backup::{check_common, check_pool, check_selection, storage_of};
use crate::schema::{split_list, table};

const LOCK: &str = "file-jobs_cfg";
type Job = BTreeMap<String, String>;
/// Parameters that are no keys of a job.
const FOREIGN: [&str; 5] = ["id", "delete", "digest", "starttime", "dow"];

/// The guests of a job, also those that are gone; PVE's refusal when its pool is.
pub(super) fn included(world: &World, job: &Job) -> Result<Vec<u32>, ApiError> {
    let list = |key: &str| -> Vec<u32> {
        let text = job.get(key).cloned().unwrap_or_default();
        split_list(&text)
            .iter()
            .filter_map(|id| id.parse().ok())
            .collect()
    };
    if let Some(name) = job.get("pool").filter(|name| !name.is_empty()) {
        let pool = world.pools.get(name);
        let pool = pool.ok_or_else(|| ApiError::died(format!("pool '{name}' does not exist")))?;
        let there = pool
            .vms
            .iter()
            .filter(|vmid| world.guests.contains_key(vmid));
        return Ok(there.copied().collect());
    }
    let vmids = list("vmid");
    if !vmids.is_empty() {
        return Ok(vmids);
    }
    if job.get("all").is_some_and(|all| all == "1") {
        let excluded = list("exclude");
        let all = world.guests().map(|(vmid, _)| vmid);
        return Ok(all.filter(|vmid| !excluded.contains(vmid)).collect());
    }
    Ok(Vec::new())
}

/// A job without those on other nodes than it names.
fn of_job(world: &World, job: &Job) -> Vec<u32> {
    let mut vmids = included(world, job).unwrap_or_default();
    if let Some(node) = job.get("node") {
        let guests = &world.guests;
        vmids.retain(|vmid| guests.get(vmid).is_none_or(|guest| guest.node == *node));
    }
    vmids
}

/// Guests in no job, as far as the caller may see them.
pub(super) fn not_backed_up(call: &mut Call<'_>) -> Outcome {
    let jobs = call.world.backup_jobs.values();
    let covered: Vec<u32> = jobs.flat_map(|job| of_job(call.world, job)).collect();
    let rows = call.world.guests().filter(|(vmid, _)| {
        !covered.contains(vmid) && call.may(&format!("/vms/{vmid}"), "VM.Audit")
    });
    let rows = rows.map(|(vmid, guest)| {
        let mut row = json!({"vmid": vmid, "type": "lxc"});
        if let Some(name) = guest.config.get("hostname") {
            row["name"] = name.into();
        }
        row
    });
    Ok(rows.collect::<Value>().into())
}

pub(super) fn topics(_: &mut Call<'_>) -> Outcome {
    Ok(json!([{"subdir": "not-backed-up"}]).into())
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

fn job_row(id: &str, job: &Job) -> Map<String, Value> {
    let mut row = Map::from_iter([
        ("id".to_owned(), json!(id)),
        ("type".to_owned(), json!("vzdump")),
    ]);
    for (key, value) in job {
        row.insert(key.clone(), job_value(key, value));
    }
    row
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let now_s = call.now_s();
    let rows = call.world.backup_jobs.iter().map(|(id, job)| {
        let mut row = job_row(id, job);
        let next = job
            .get("schedule")
            .and_then(|text| calendar::next(text, now_s));
        if let Some(next_s) = next {
            row.insert("next-run".into(), next_s.into());
        }
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

fn no_job(id: &str) -> ApiError {
    ApiError::parameter("id", format!("No such job '{id}'"))
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let id = call.text("id").unwrap_or_default();
    let job = call.world.backup_jobs.get(&id).ok_or_else(|| no_job(&id))?;
    Ok(Value::Object(job_row(&id, job)).into())
}

/// A time of day, and days, are a schedule in an older form.
fn schedule(call: &Call<'_>, required: bool) -> Result<Option<String>, ApiError> {
    let (new, old) = (call.text("schedule"), call.text("starttime"));
    match (new, old) {
        (Some(_), Some(_)) => {
            let text = "'starttime' and 'schedule' cannot both be set";
            Err(ApiError::parameter("starttime", text))
        }
        (Some(text), None) => Ok(Some(text)),
        (None, None) if required => Err(ApiError::parameter(
            "schedule",
            "neither 'starttime' nor 'schedule' were set",
        )),
        (None, None) => Ok(None),
        (None, Some(start)) => {
            let days = call.text("dow").unwrap_or_default();
            let days = split_list(&days).join(",");
            let whole_week = days.is_empty() || days == "mon,tue,wed,thu,fri,sat,sun";
            Ok(Some(if whole_week {
                start
            } else {
                format!("{days} {start}")
            }))
        }
    }
}

fn check_storage(call: &Call<'_>, job: &Job) -> Result<(), ApiError> {
    match storage_of(job) {
        Some(id) if !call.caller.is_root() => call
            .rights()
            .need(&format!("/storage/{id}"), &["Datastore.Allocate"]),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let mut job = given(call, &FOREIGN);
    check_common(call, &job, false)?;
    check_storage(call, &job)?;
    check_pool(call, &job)?;
    job.extend(schedule(call, true)?.map(|text| ("schedule".to_owned(), text)));
    job.entry("enabled".into()).or_insert_with(|| "1".into());
    call.cluster_lock(LOCK, "")?;
    let id = match call.text("id") {
        Some(id) => id,
        None => call.world.keys.uuid(),
    };
    if call.world.backup_jobs.contains_key(&id) {
        return Err(ApiError::died(format!("Job '{id}' already exists")).into());
    }
    check_selection(&mut job, true).map_err(|error| error.under_lock(""))?;
    call.world.backup_jobs.insert(id, job);
    Ok(Value::Null.into())
}

/// Whether a backup has such an option.
fn is_option(key: &str) -> bool {
    let method = table().lookup("POST", "/nodes/x/vzdump");
    let known = method.is_some_and(|found| found.method.parameters.contains_key(key));
    known && !["job-id", "stdout"].contains(&key) || ["comment", "repeat-missed"].contains(&key)
}

fn updated(call: &Call<'_>, id: &str, mut changes: Job, removed: &[&str]) -> Result<Job, ApiError> {
    if changes.is_empty() && removed.is_empty() {
        return Err(ApiError::died("no options specified"));
    }
    check_selection(&mut changes, false)?;
    let found = call.world.backup_jobs.get(id).cloned();
    let mut job = found.ok_or_else(|| ApiError::died("no such vzdump job"))?;
    check_storage(call, &job)?;
    for key in removed {
        if !is_option(key) {
            let text = format!("unknown option '{key}'");
            return Err(ApiError::parameter("delete", text));
        }
        job.remove(*key);
    }
    let selects = |key: &str| {
        changes
            .get(key)
            .is_some_and(|text| !text.is_empty() && text != "0")
    };
    let (vmid, all) = (changes.contains_key("vmid"), selects("all"));
    job.extend(changes);
    if job.contains_key("exclude") && !job.contains_key("pool") {
        job.insert("all".into(), "1".into());
    }
    let gone: &[&str] = match (vmid, all, job.contains_key("pool")) {
        (true, _, _) => &["all", "exclude", "pool"],
        (false, true, _) => &["vmid", "pool"],
        (false, false, true) => &["vmid", "all", "exclude"],
        (false, false, false) => &[],
    };
    for key in gone {
        job.remove(*key);
    }
    check_selection(&mut job, true)?;
    Ok(job)
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let id = call.text("id").unwrap_or_default();
    let removed = call.text("delete").unwrap_or_default();
    let removed = split_list(&removed);
    let mut changes = given(call, &FOREIGN);
    check_common(call, &changes, false)?;
    let gone = removed.iter().map(|key| ((*key).to_owned(), String::new()));
    check_common(call, &gone.collect(), true)?;
    if !call.caller.is_root() {
        let place = match (changes.get("storage"), removed.contains(&"storage")) {
            (Some(id), _) => Some(id.as_str()),
            (None, true) => Some("local"),
            (None, false) => None,
        };
        if let Some(id) = place {
            let place = format!("/storage/{id}");
            call.rights().need(&place, &["Datastore.Allocate"])?;
        }
    }
    check_pool(call, &changes)?;
    changes.extend(schedule(call, false)?.map(|text| ("schedule".to_owned(), text)));
    call.cluster_lock("file-vzdump_cron", "")?;
    let job = updated(call, &id, changes, &removed).map_err(|error| error.under_lock(""))?;
    call.world.backup_jobs.insert(id, job);
    Ok(Value::Null.into())
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let id = call.text("id").unwrap_or_default();
    call.cluster_lock("file-vzdump_cron", "")?;
    if call.world.backup_jobs.remove(&id).is_none() {
        return Err(no_job(&id).under_lock("").into());
    }
    Ok(Value::Null.into())
}

/// The guests of a job with their volumes, and why each is in it or not.
pub(super) fn volumes(call: &mut Call<'_>) -> Outcome {
    let id = call.text("id").unwrap_or_default();
    let job = call.world.backup_jobs.get(&id).ok_or_else(|| no_job(&id))?;
    included(call.world, job)?;
    let vmids = of_job(call.world, job).into_iter();
    let vmids = vmids.filter(|vmid| call.may(&format!("/vms/{vmid}"), "VM.Audit"));
    let rows = vmids.map(|vmid| {
        let Some(guest) = call.world.guests.get(&vmid) else {
            return json!({"id": vmid, "type": "unknown", "leaf": 1});
        };
        let points = guest.config.keys.iter().filter(|(key, _)| {
            let index = key.strip_prefix("mp");
            *key == "rootfs" || index.is_some_and(|index| index.bytes().all(|b| b.is_ascii_digit()))
        });
        let mut points: Vec<_> = points.collect();
        points.sort_by_key(|(key, _)| (*key != "rootfs", (*key).clone()));
        let volumes: Vec<Value> = points
            .into_iter()
            .map(|(key, value)| {
                let wanted = value.split(',').any(|part| part == "backup=1");
                let (included, reason) = match (key.as_str(), value.starts_with('/'), wanted) {
                    ("rootfs", _, _) => (1, "rootfs"),
                    (_, true, _) => (0, "not a volume"),
                    (_, false, true) => (1, "enabled"),
                    (_, false, false) => (0, "disabled"),
                };
                json!({
                    "id": format!("{vmid}:{key}"), "name": volume_of(value), "included": included, "reason": reason, "leaf": 1,
                })
            })
            .collect();
        let leaf = u8::from(volumes.is_empty());
        json!({
            "id": vmid, "type": "lxc", "name": guest.config.get("hostname"), "children": volumes, "leaf": leaf,
        })
    });
    Ok(json!({"children": rows.collect::<Vec<_>>()}).into())
}
