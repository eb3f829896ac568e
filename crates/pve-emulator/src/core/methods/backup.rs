//! Making backups, and what is said about making them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::sections::given;
use super::super::task::{BackupPlan, Work};
use super::super::worker;
use super::backup_jobs::included;
use super::{storage, volume_name, volumes};
use crate::schema::perl_text;

/// Parameters of a backup that only root may give.
const ROOT_ONLY: [&str; 4] = ["tmpdir", "dumpdir", "script", "job-id"];
/// The order in which the log's first line names parameters is arbitrary in PVE; this one is ours.
const NOT_SHOWN: [&str; 2] = ["vmid", "node"];

/// What not everybody may give, or take away with `removing`.
pub(super) fn check_common(
    call: &Call<'_>,
    keys: &BTreeMap<String, String>,
    removing: bool,
) -> Result<(), ApiError> {
    if call.caller.is_root() {
        return Ok(());
    }
    if let Some(name) = ROOT_ONLY.iter().find(|name| keys.contains_key(**name)) {
        let text = "Only root may set this option.";
        return Err(ApiError::parameter(name, text));
    }
    if ["bwlimit", "ionice", "performance"]
        .iter()
        .any(|name| keys.contains_key(*name))
    {
        call.rights().need("/", &["Sys.Modify"])?;
    }
    let fleecing = keys.get("fleecing").filter(|_| !removing);
    let place = fleecing.and_then(|text| {
        text.split(',')
            .find_map(|part| part.strip_prefix("storage="))
    });
    match place {
        Some(id) => call
            .rights()
            .need(&format!("/storage/{id}"), &["Datastore.AllocateSpace"]),
        None => Ok(()),
    }
}

/// The storage backups go to; none with a folder in its place.
pub(super) fn storage_of(keys: &BTreeMap<String, String>) -> Option<String> {
    if keys.get("dumpdir").is_some_and(|text| !text.is_empty()) {
        return None;
    }
    let given = keys.get("storage").filter(|text| !text.is_empty());
    Some(given.cloned().unwrap_or_else(|| "local".into()))
}

/// A pool has to be there, and the caller has to be allowed to back it up.
pub(super) fn check_pool(call: &Call<'_>, keys: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let Some(name) = keys.get("pool").filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    if !call.world.pools.contains_key(name) {
        return Err(ApiError::denied(format!("pool '{name}' does not exist")));
    }
    call.rights().need(&format!("/pool/{name}"), &["VM.Backup"])
}

/// Guests are chosen in one way; with `required` they have to be.
pub(super) fn check_selection(
    keys: &mut BTreeMap<String, String>,
    required: bool,
) -> Result<(), ApiError> {
    let is = |keys: &BTreeMap<String, String>, key: &str| {
        keys.get(key)
            .is_some_and(|text| !text.is_empty() && text != "0")
    };
    for key in ["all", "exclude", "pool"] {
        if is(keys, key) && is(keys, "vmid") {
            return Err(ApiError::parameter(
                key,
                "option conflicts with option 'vmid'",
            ));
        }
    }
    if let Some(template) = keys.get("notes-template") {
        check_notes(template)?;
    }
    if keys.contains_key("exclude") && !is(keys, "pool") {
        keys.insert("all".into(), "1".into());
    }
    let chosen = ["all", "stop", "pool", "vmid"]
        .iter()
        .any(|key| is(keys, key));
    if required && !chosen {
        return Err(ApiError::parameter("vmid", "property is missing"));
    }
    Ok(())
}

/// Notes are one line, and what stands for something in them is known.
fn check_notes(template: &str) -> Result<(), ApiError> {
    let refused = |text: String| Err(ApiError::parameter("notes-template", format!("{text}\n")));
    if template.contains('\n') {
        return refused("contains a line feed".into());
    }
    let mut strange = Vec::new();
    let chars: Vec<char> = template.chars().collect();
    let mut at = 0;
    while at + 1 < chars.len() {
        if chars[at] == '\\' {
            if !matches!(chars[at + 1], 'n' | '\\') {
                strange.push(format!(
                    "escape sequence '\\{}' at char {at}",
                    chars[at + 1]
                ));
            }
            at += 1;
        }
        at += 1;
    }
    let mut from = 0;
    while let Some(start) = template[from..].find("{{").map(|at| from + at + 2) {
        let Some(length) = template[start..].find("}}") else {
            break;
        };
        let name = &template[start..start + length];
        let plain =
            !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '{' || c == '}');
        if plain && !matches!(name, "cluster" | "guestname" | "node" | "vmid") {
            let at = template[..start + length].chars().count() + 2 - name.chars().count();
            strange.push(format!("variable '{name}' at char {at}"));
        }
        from = start + length + 2;
    }
    if strange.is_empty() {
        return Ok(());
    }
    refused(format!("found unknown: {}", strange.join(", ")))
}

pub(super) fn vzdump(call: &mut Call<'_>) -> Outcome {
    if call.flag("stdout") {
        let text = "option is only allowed on the command line interface.";
        return Err(ApiError::parameter("stdout", text).into());
    }
    let mut keys = given(call, &["node"]);
    check_common(call, &keys, false)?;
    let place = storage_of(&keys);
    if let (Some(id), true) = (&place, keys.contains_key("prune-backups")) {
        let place = format!("/storage/{id}");
        if !call.caller.is_root() {
            call.rights().need(&place, &["Datastore.Allocate"])?;
        }
    }
    check_selection(&mut keys, true)?;
    let mut vmids = included(call.world, &keys)?;
    let guests = &call.world.guests;
    vmids.retain(|vmid| guests.get(vmid).is_none_or(|guest| guest.node == call.node));
    vmids.sort_unstable();
    vmids.dedup();
    if call.flag("stop") {
        let place = format!("/nodes/{}", call.node);
        call.rights().need(&place, &["Sys.Modify"])?;
        stop_running(call);
        if vmids.is_empty() {
            return Ok(Value::String("OK".into()).into());
        }
    }
    if vmids.is_empty() && keys.get("all").is_none_or(|all| all != "1") {
        return Ok(Value::String("OK".into()).into());
    }
    let storage = place.unwrap_or_else(|| "local".into());
    call.rights()
        .need(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let id = match vmids.as_slice() {
        [vmid] => vmid.to_string(),
        _ => String::new(),
    };
    let node = call.node.clone();
    let work = work(call, &keys, storage, vmids);
    let place = (node.as_str(), "vzdump", id.as_str());
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}

/// Ends the node's backup that is under way.
fn stop_running(call: &mut Call<'_>) {
    let ours = call.world.tasks.iter().find(|task| {
        task.is_running() && task.upid.kind == "vzdump" && task.upid.node == call.node
    });
    if let Some(upid) = ours.map(|task| task.upid.clone()) {
        worker::terminate(call.world, &upid, call.now_ms);
    }
}

/// Who may back up which guest is found out in the task.
fn work(
    call: &Call<'_>,
    keys: &BTreeMap<String, String>,
    storage: String,
    mut vmids: Vec<u32>,
) -> Work {
    let command = command_line(call, &call.text("vmid").unwrap_or_default());
    let hidden = |vmid: &u32| {
        let there = call.world.guests.contains_key(vmid);
        there && !call.may(&format!("/vms/{vmid}"), "VM.Backup")
    };
    let all = keys.get("all").is_some_and(|all| all == "1");
    let usable = call
        .world
        .storage(&storage)
        .is_some_and(|found| found.usable(&call.node) && found.holds("backup"));
    if let Some(vmid) = vmids
        .iter()
        .find(|vmid| hidden(vmid))
        .filter(|_| !all && usable)
    {
        return Work::Fail {
            log: vec![format!("INFO: starting new backup job: {command}")],
            error: format!("403 Permission check failed (/vms/{vmid}, VM.Backup)"),
        };
    }
    vmids.retain(|vmid| !hidden(vmid));
    let extension = match call.text("compress").as_deref() {
        Some("zstd") => ".zst",
        Some("gzip") => ".gz",
        Some("lzo" | "1") => ".lzo",
        _ => "",
    };
    let options = call.world.storage(&storage).map(|found| &found.options);
    let kept = options.and_then(|options| options.get("prune-backups").cloned());
    let keep = call.text("prune-backups").or(kept);
    let limit = options.and_then(|options| options.get("max-protected-backups")?.parse().ok());
    let path = format!("/storage/{storage}");
    let allocates = call.rights().has(&path, "Datastore.Allocate");
    Work::Backup(Box::new(BackupPlan {
        command,
        storage,
        mode: call.text("mode").unwrap_or_else(|| "snapshot".into()),
        extension: extension.into(),
        notes: call.text("notes-template"),
        protected: call.flag("protected"),
        remove: call.text("remove").is_none_or(|text| text == "1"),
        keep,
        // Who may not allocate the whole storage keeps five of a guest (pve-storage, get_max_protected_backups).
        protected_limit: limit.unwrap_or(if allocates { -1 } else { 5 }),
        at: 0,
        volid: None,
        begun_s: 0,
        failed: false,
        restart: false,
        vmids,
    }))
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

/// What a backup does that is told nothing: the node has no settings of its own for it.
pub(super) fn defaults(call: &mut Call<'_>) -> Outcome {
    let id = call.text("storage").unwrap_or_else(|| "local".into());
    let place = format!("/storage/{id}");
    call.rights()
        .need_any(&place, &["Datastore.Audit", "Datastore.AllocateSpace"])?;
    let found = call
        .world
        .storage(&id)
        .ok_or_else(|| ApiError::died(format!("storage '{id}' does not exist")))?;
    if !found.holds("backup") {
        let text = format!("can't use storage '{id}' for backups - wrong content type");
        return Err(ApiError::died(text).into());
    }
    let keep = found.options.get("prune-backups");
    let mut row = json!({
        "storage": id, "all": 0, "bwlimit": 0, "compress": "0", "ionice": 7, "lockwait": 180, "mode": "snapshot", "remove": 1,
        "stdexcludes": 1, "stopwait": 10, "zstd": 1, "pigz": 0, "mailnotification": "always", "notification-mode": "auto",
        "performance": {"max-workers": 16, "pbs-entries-max": 1_048_576}, "fleecing": {"enabled": 0},
        "prune-backups": keep.map_or("keep-all=1", String::as_str), "quiet": 0, "stop": 0,
    });
    let audit = call.may(&format!("/nodes/{}", call.node), "Sys.Audit");
    if let Some(fields) = row.as_object_mut() {
        match audit {
            true => fields.insert("dumpdir".into(), format!("{}/dump", found.path).into()),
            false => fields.remove("ionice"),
        };
    }
    Ok(row.into())
}

/// The configuration that is in a backup, as its file.
pub(super) fn extract_config(call: &mut Call<'_>) -> Outcome {
    let volid = call.text("volume").unwrap_or_default();
    volumes::check_access(call.rights(), &volid, Some("backup"), None)?;
    let (id, name) = volid
        .split_once(':')
        .ok_or_else(|| ApiError::died(format!("unable to parse volume ID '{volid}'")))?;
    if let Some(owner) = volume_name::parse(call.world, &volid)?.owner {
        let guest = format!("/vms/{owner}");
        call.rights().need(&guest, &["VM.Backup"])?;
    }
    let store = storage::require(call.world, id, &call.node)?;
    let path = store.volume_path(name);
    let here = |node: &Option<String>| node.as_ref().is_none_or(|name| *name == call.node);
    let mut backups = call.world.backups.iter();
    let found = backups.find(|backup| backup.volid() == volid && here(&backup.node));
    match found {
        Some(backup) => Ok(Value::String(backup.config.text()).into()),
        None => Err(ApiError::died(format!("ERROR: file '{path}' does not exist")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_with_something_unknown_are_refused_and_where_it_is_is_said() {
        let said = |template: &str| match check_notes(template) {
            Err(ApiError::Parameters(errors)) => errors["notes-template"].trim().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(said("{{guestname}} on {{node}}\\n{{vmid}}"), "Ok(())");
        assert_eq!(said("a\nb"), "contains a line feed");
        assert_eq!(
            said("{{owner}}"),
            "found unknown: variable 'owner' at char 4"
        );
        assert_eq!(
            said("a\\tb"),
            "found unknown: escape sequence '\\t' at char 1"
        );
    }

    #[test]
    fn guests_are_chosen_in_one_way() {
        let check = |pairs: &[(&str, &str)], required: bool| {
            let pairs = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut keys: BTreeMap<String, String> = pairs.collect();
            check_selection(&mut keys, required).map(|()| keys.contains_key("all"))
        };
        assert_eq!(check(&[("vmid", "100")], true), Ok(false));
        assert_eq!(check(&[("exclude", "100")], true), Ok(true));
        assert!(check(&[("vmid", "100"), ("all", "1")], true).is_err());
        assert!(check(&[], true).is_err());
        assert_eq!(check(&[], false), Ok(false));
    }
}
