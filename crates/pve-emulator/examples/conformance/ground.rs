//! What a server that is there already has to offer a scenario, and how it is left behind.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::against::Against;
use crate::scenario::Scenario;
use crate::server::Server;
use crate::setup::{admin_request, parameters};
use crate::support::sim::escape;

/// Names that are there, by list.
type Names = BTreeSet<String>;

/// How often a task is looked at.
const POLL_MS: u64 = 500;
/// How often at most.
const POLLS: u32 = 240;

pub struct Ground<'a> {
    server: &'a mut Against,
}

impl<'a> Ground<'a> {
    pub fn new(server: &'a mut Against) -> Self {
        Self { server }
    }

    fn send(&mut self, method: &str, path: &str, form: &Value) -> Result<Value, String> {
        let token = self.server.administrator().unwrap_or_default();
        let answer = self.server.call(admin_request(&token, method, path, form));
        if answer.status == Some(200) {
            return Ok(answer.payload());
        }
        let why = self.server.trouble.take().unwrap_or_default();
        Err(format!("{method} {path}: {} {why}", answer.short()))
    }

    fn list(&mut self, path: &str) -> Result<Vec<Value>, String> {
        let data = self.send("GET", path, &json!({}))?;
        Ok(data.as_array().cloned().unwrap_or_default())
    }

    fn names(&mut self, path: &str, key: &str) -> Result<Names, String> {
        Ok(names(&self.list(path)?, key))
    }

    /// Fails unless the server can be had for oneself: recordings create and destroy containers under
    /// fixed ids.
    pub fn check_empty(&mut self) -> Result<(), String> {
        let guests = self.list("/cluster/resources?type=vm")?;
        if guests.is_empty() {
            return Ok(());
        }
        Err(format!(
            "the server has {} guests; recordings are replayed only where there are none, since they create \
             and destroy containers under ids of their own",
            guests.len()
        ))
    }

    /// Why a scenario cannot be set up here; nothing when it can.
    pub fn unfit(&mut self, scenario: &Scenario) -> Result<Option<String>, String> {
        if let Some(why) = out_of_reach(scenario) {
            return Ok(Some(why));
        }
        let nodes = self.names("/nodes", "node")?;
        let first = scenario.list("nodes")[0]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        for node in texts(scenario.list("nodes")) {
            if !nodes.contains(node) {
                return Ok(Some(format!(
                    "there is no node {node} (--rename {node}=THEIRS)"
                )));
            }
        }
        for via in scenario
            .steps()
            .iter()
            .filter_map(|step| step["via_node"].as_str())
        {
            if !self.server.reaches(via, &first) {
                return Ok(Some(format!("steps go by way of {via} (--node {via}=URL)")));
            }
        }
        if let Some(why) = self.missing_storage(scenario)? {
            return Ok(Some(why));
        }
        self.taken(scenario)
    }

    fn missing_storage(&mut self, scenario: &Scenario) -> Result<Option<String>, String> {
        for node in texts(scenario.list("nodes")) {
            let there = self.names(&format!("/nodes/{node}/storage"), "storage")?;
            for storage in scenario.list("storages") {
                let id = storage["id"].as_str().unwrap_or_default();
                let on = storage["nodes"].as_array();
                let here = on.is_none_or(|nodes| nodes.iter().any(|name| name == node));
                if here && names_it(scenario, id) && !there.contains(id) {
                    return Ok(Some(format!("there is no storage {id} on {node}")));
                }
            }
            for template in scenario.list("templates") {
                let volid = template["volid"].as_str().unwrap_or_default();
                let id = volid.split(':').next().unwrap_or_default();
                let here = template["node"] == "*" || template["node"] == node;
                let path = format!("/nodes/{node}/storage/{id}/content?content=vztmpl");
                if here && names_it(scenario, volid) && !self.names(&path, "volid")?.contains(volid)
                {
                    return Ok(Some(format!("there is no template {volid} on {node}")));
                }
            }
        }
        Ok(None)
    }

    /// What a scenario makes must not be somebody else's already.
    fn taken(&mut self, scenario: &Scenario) -> Result<Option<String>, String> {
        for (list, key, path) in [
            ("users", "userid", "/access/users"),
            ("roles", "roleid", "/access/roles"),
            ("pools", "poolid", "/pools"),
        ] {
            let there = self.names(path, key)?;
            for entry in scenario.list(list) {
                let name = entry[key].as_str().unwrap_or_default();
                if name != "root@pam" && there.contains(name) {
                    return Ok(Some(format!("{path} has a {name} that is not of this run")));
                }
            }
        }
        Ok(None)
    }

    /// What is there before a scenario.
    pub fn look(&mut self, scenario: &Scenario) -> Result<Before, String> {
        let root = "/access/users/root@pam/token";
        Ok(Before {
            users: self.names("/access/users", "userid")?,
            roles: self.names("/access/roles", "roleid")?,
            pools: self.names("/pools", "poolid")?,
            jobs: self.names("/cluster/backup", "id")?,
            tokens: self.names(root, "tokenid")?,
            volumes: self.volumes(scenario)?,
        })
    }

    /// Node, storage and volume id of all images and backups where the scenario works.
    fn volumes(&mut self, scenario: &Scenario) -> Result<BTreeSet<[String; 3]>, String> {
        let mut found = BTreeSet::new();
        for node in texts(scenario.list("nodes")) {
            for storage in self.names(&format!("/nodes/{node}/storage"), "storage")? {
                let path = format!("/nodes/{node}/storage/{storage}/content");
                for row in self.list(&path)? {
                    let kept = matches!(
                        row["content"].as_str(),
                        Some("rootdir" | "images" | "backup")
                    );
                    if let Some(volid) = row["volid"].as_str().filter(|_| kept) {
                        found.insert([node.to_owned(), storage.clone(), volid.to_owned()]);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Removes what a scenario made. Nobody else's is touched: what was there before stays, and guests
    /// there were none.
    pub fn clean(&mut self, scenario: &Scenario, before: &Before) -> Result<(), String> {
        self.await_idle(scenario)?;
        for guest in self.list("/cluster/resources?type=vm")? {
            let node = guest["node"].as_str().unwrap_or_default();
            let at = format!("/nodes/{node}/lxc/{}", guest["vmid"]);
            // Of a guest that is not protected this changes nothing.
            self.send("PUT", &format!("{at}/config"), &json!({"protection": 0}))?;
            self.work("DELETE", &at, &json!({"force": 1, "purge": 1}))?;
        }
        let now = self.look(scenario)?;
        for [node, storage, volid] in now.volumes.difference(&before.volumes) {
            let at = format!("/nodes/{node}/storage/{storage}/content/{}", escape(volid));
            if volid.contains(":backup/") {
                self.send("PUT", &at, &json!({"protected": 0}))?;
            }
            self.work("DELETE", &at, &json!({}))?;
        }
        for pool in now.pools.difference(&before.pools) {
            self.empty_pool(pool)?;
        }
        for (place, now, before) in [
            ("/cluster/backup", &now.jobs, &before.jobs),
            ("/access/users/root@pam/token", &now.tokens, &before.tokens),
            ("/access/users", &now.users, &before.users),
            ("/access/roles", &now.roles, &before.roles),
        ] {
            for name in now.difference(before) {
                self.send("DELETE", &format!("{place}/{name}"), &json!({}))?;
            }
        }
        Ok(())
    }

    /// Waits for tasks that no step waited for.
    fn await_idle(&mut self, scenario: &Scenario) -> Result<(), String> {
        for node in texts(scenario.list("nodes")) {
            let path = format!("/nodes/{node}/tasks?source=active");
            let mut looks = 0;
            while self
                .list(&path)?
                .iter()
                .any(|row| row["status"] == "RUNNING" || row["endtime"].is_null())
            {
                looks += 1;
                if looks > POLLS {
                    return Err(format!("tasks on {node} do not end"));
                }
                self.server.wait_ms(POLL_MS);
            }
        }
        Ok(())
    }

    fn empty_pool(&mut self, pool: &str) -> Result<(), String> {
        let path = format!("/pools?poolid={}", escape(pool));
        let data = self.send("GET", &path, &json!({}))?;
        let members = data[0]["members"].as_array().into_iter().flatten();
        // A storage is listed for each node.
        let storages: BTreeSet<&str> = members.filter_map(|row| row["storage"].as_str()).collect();
        if !storages.is_empty() {
            let storages: Vec<&str> = storages.into_iter().collect();
            let form = json!({"poolid": pool, "delete": 1, "storage": storages.join(",")});
            self.send("PUT", "/pools", &form)?;
        }
        self.send("DELETE", &path, &json!({})).map(drop)
    }

    fn work(&mut self, method: &str, path: &str, form: &Value) -> Result<(), String> {
        let data = self.send(method, path, form)?;
        let Some(upid) = data.as_str().filter(|text| text.starts_with("UPID:")) else {
            return Ok(());
        };
        let node = upid.split(':').nth(1).unwrap_or_default();
        let status = format!("/nodes/{node}/tasks/{}/status", escape(upid));
        for _ in 0..POLLS {
            let data = self.send("GET", &status, &json!({}))?;
            if data["status"] == "stopped" {
                let exit = data["exitstatus"].as_str().unwrap_or_default();
                let well = exit == "OK" || exit.starts_with("WARNINGS");
                return well.then_some(()).ok_or(format!("{method} {path}: {exit}"));
            }
            self.server.wait_ms(POLL_MS);
        }
        Err(format!("{method} {path}: does not end"))
    }
}

/// What was there before a scenario.
pub struct Before {
    users: Names,
    roles: Names,
    pools: Names,
    jobs: Names,
    tokens: Names,
    volumes: BTreeSet<[String; 3]>,
}

fn names(rows: &[Value], key: &str) -> Names {
    let rows = rows.iter().filter_map(|row| row[key].as_str());
    rows.map(str::to_owned).collect()
}

fn texts(list: &[Value]) -> impl Iterator<Item = &str> {
    list.iter().filter_map(Value::as_str)
}

/// The scenario's guests or calls name this storage or volume.
fn names_it(scenario: &Scenario, name: &str) -> bool {
    let mut texts: Vec<String> = ["guests", "backups", "volumes", "pools"]
        .iter()
        .map(|key| scenario.fixture[*key].to_string())
        .collect();
    if !scenario.list("guests").is_empty() {
        texts.push(scenario.fixture["guest_defaults"].to_string());
    }
    let parts = ["path", "query", "form", "json"];
    let steps = scenario.steps().iter();
    texts.extend(steps.flat_map(|step| parts.map(|key| step[key].to_string())));
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    texts.iter().any(|text| {
        text.match_indices(name).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            !before.is_some_and(inside) && !after.is_some_and(inside)
        })
    })
}

/// What no API can set up, or leaves behind what no API can remove.
pub fn out_of_reach(scenario: &Scenario) -> Option<String> {
    if !scenario.list("events").is_empty() {
        return Some("it has events".into());
    }
    let state = &scenario.fixture["ha_state"];
    let active = state["lrm_active"].as_array();
    if state["master"].is_string() || active.is_some_and(|list| !list.is_empty()) {
        return Some("a history of high availability cannot be made".into());
    }
    if scenario
        .list("users")
        .iter()
        .any(|user| user["totp"] == true)
    {
        return Some("a token cannot set a second factor up".into());
    }
    let locked = |guest: &Value| guest["lock"].is_string();
    if scenario.list("guests").iter().any(locked) || scenario.steps().iter().any(leaves_lock) {
        return Some("it leaves a lock, which no token can remove".into());
    }
    None
}

/// A lock that was set, or a task that was killed.
fn leaves_lock(step: &Value) -> bool {
    let path = step["path"].as_str().unwrap_or_default();
    let set = parameters(&step["form"])
        .split('&')
        .any(|pair| pair.starts_with("lock="));
    set || (step["method"] == "DELETE" && path.contains("/tasks/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(fixture: Value, steps: Value) -> Scenario {
        Scenario {
            document: json!({"steps": steps}),
            fixture,
            volatile: Vec::new(),
        }
    }

    #[test]
    fn only_what_guests_or_calls_name_has_to_be_there() {
        let steps = json!([{"path": "/nodes/a/storage/fast/content", "form": {"rootfs": "big:1"}}]);
        let named = scenario(json!({"storages": [{"id": "slow"}]}), steps);
        assert!(names_it(&named, "fast") && names_it(&named, "big"));
        assert!(!names_it(&named, "slow") && !names_it(&named, "fas"));
        let guest = json!({"guests": [{"vmid": 1}], "guest_defaults": {"ostemplate": "local:x"}});
        assert!(names_it(&scenario(guest, json!([])), "local:x"));
    }

    #[test]
    fn what_a_server_cannot_be_brought_to_or_out_of_is_left_out() {
        let why = |fixture, steps| out_of_reach(&scenario(fixture, steps));
        assert_eq!(why(json!({"users": [{"totp": false}]}), json!([])), None);
        for fixture in [
            json!({"events": [{"action": "wait_s"}]}),
            json!({"ha_state": {"master": "a", "lrm_active": []}}),
            json!({"users": [{"totp": true}]}),
            json!({"guests": [{"lock": "backup"}]}),
        ] {
            assert!(why(fixture.clone(), json!([])).is_some(), "{fixture}");
        }
        for step in [
            json!({"method": "PUT", "path": "/a/config", "form": {"lock": "backup"}}),
            json!({"method": "DELETE", "path": "/nodes/a/tasks/UPID"}),
        ] {
            assert!(why(json!({}), json!([step])).is_some(), "{step}");
        }
    }
}
