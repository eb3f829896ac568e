//! Builds a fixture's world by calls, as an administrator would.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::history::Wanted;
use crate::scenario::Scenario;
use crate::secrets::{self, password};
use crate::server::{Answer, Server};
use crate::support::sim::{Request, escape};

/// How the administrator is signed in: by a password, by a token, or both; then the ticket is used.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub ticket: Option<Ticket>,
    /// A token's header.
    pub token: Option<String>,
}

/// A session that began with a password.
#[derive(Debug, Clone, Default)]
pub struct Ticket {
    pub ticket: String,
    pub csrf: String,
}

impl Session {
    /// Signs a call.
    pub fn sign(&self, request: &mut Request) {
        match &self.ticket {
            None => request.authorization.clone_from(&self.token),
            Some(Ticket { ticket, csrf }) => {
                request.authorization = None;
                request.cookie = Some(format!("PVEAuthCookie={}", escape(ticket)));
                request.csrf = (request.method != "GET").then(|| csrf.clone());
            }
        }
    }
}

/// What was made and is needed to send steps.
#[derive(Debug, Default)]
pub struct Prepared {
    pub root: Session,
    /// Token headers by the name steps use.
    pub tokens: BTreeMap<String, String>,
    /// What stands for a literal of the recording.
    pub literals: Vec<(String, String)>,
    /// Shared keys of second factors by user.
    pub totp_keys: BTreeMap<String, Vec<u8>>,
}

/// No step names it.
const PAST_VMID: u32 = 999_999;

pub struct Setup<'a> {
    server: &'a mut dyn Server,
    scenario: &'a Scenario,
    prepared: Prepared,
}

/// Makes everything a fixture says is there before the first step.
pub fn prepare(server: &mut dyn Server, scenario: &Scenario) -> Result<Prepared, String> {
    let mut setup = Setup {
        server,
        scenario,
        prepared: Prepared::default(),
    };
    setup.log_in()?;
    setup.accounts()?;
    if crate::history::is_needed(scenario) {
        setup.past()?;
    }
    setup.pools_and_grants()?;
    setup.guests()?;
    setup.volumes()?;
    setup.jobs()?;
    setup.tasks()?;
    setup.high_availability()?;
    Ok(setup.prepared)
}

/// Parameters as `a=b&c=d`; nested values as JSON.
pub fn parameters(object: &Value) -> String {
    if let Some(raw) = object["_raw"].as_str() {
        return raw.to_owned();
    }
    let mut pairs = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let one = |value: &Value| match value {
            Value::String(text) => escape(text),
            Value::Object(raw) => raw["_raw"].as_str().unwrap_or_default().to_owned(),
            Value::Bool(flag) => u8::from(*flag).to_string(),
            other => other.to_string(),
        };
        match value {
            Value::Array(list) => {
                pairs.extend(
                    list.iter()
                        .map(|value| format!("{}={}", escape(name), one(value))),
                );
            }
            value => pairs.push(format!("{}={}", escape(name), one(value))),
        }
    }
    pairs.join("&")
}

/// A call with a token's header; its parameters where the method has them.
pub fn admin_request(token: &str, method: &str, path: &str, form: &Value) -> Request {
    let mut request = Request::new(method, path);
    request.authorization = Some(token.to_owned());
    let text = parameters(form);
    if text.is_empty() {
        return request;
    }
    if matches!(method, "GET" | "DELETE") {
        request.query = text;
    } else {
        request.content_type = Some("application/x-www-form-urlencoded".into());
        request.body = text.into_bytes();
    }
    request
}

impl Setup<'_> {
    fn request(&self, method: &str, path: &str, form: &Value) -> Request {
        let mut request = admin_request("", method, path, form);
        self.prepared.root.sign(&mut request);
        request
    }

    /// A call that has to succeed.
    fn must(&mut self, request: Request) -> Result<Answer, String> {
        let title = format!("{} {}", request.method, request.path);
        let answer = self.server.call(request);
        if answer.status == Some(200) {
            return Ok(answer);
        }
        Err(format!("set-up: {title}: {}", answer.short()))
    }

    fn make(&mut self, method: &str, path: &str, form: &Value) -> Result<Answer, String> {
        let request = self.request(method, path, form);
        self.must(request)
    }

    /// A call whose task has to end well.
    fn work(
        &mut self,
        method: &str,
        path: &str,
        form: &Value,
        by: Option<&str>,
    ) -> Result<(), String> {
        let mut request = self.request(method, path, form);
        if let Some(header) = by.and_then(|name| self.prepared.tokens.get(name)) {
            request.authorization = Some(header.clone());
            request.cookie = None;
            request.csrf = None;
        }
        let answer = self.must(request)?;
        let Some(upid) = answer.payload().as_str().map(str::to_owned) else {
            return Ok(());
        };
        let exit = self.await_task(&upid)?;
        if exit == "OK" || exit.starts_with("WARNINGS") {
            return Ok(());
        }
        Err(format!("set-up: {method} {path}: task ended {exit}"))
    }

    fn await_task(&mut self, upid: &str) -> Result<String, String> {
        let node = upid.split(':').nth(1).unwrap_or_default().to_owned();
        let path = format!("/nodes/{node}/tasks/{}/status", escape(upid));
        for _ in 0..2_000 {
            let status = self.make("GET", &path, &json!({}))?.payload();
            if status["status"] == "stopped" {
                return Ok(status["exitstatus"].as_str().unwrap_or_default().to_owned());
            }
            self.server.wait_ms(200);
        }
        Err(format!("set-up: {upid} does not end"))
    }

    fn log_in(&mut self) -> Result<(), String> {
        self.prepared.root.token = self.server.administrator();
        let Some(password) = self.server.root_password() else {
            return Ok(());
        };
        let mut request = Request::new("POST", "/access/ticket");
        request.authorization = None;
        let form = json!({"username": "root@pam", "password": password});
        request.content_type = Some("application/x-www-form-urlencoded".into());
        request.body = parameters(&form).into_bytes();
        let data = self.must(request)?.payload();
        let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
        self.prepared.root.ticket = Some(Ticket {
            ticket: text("ticket"),
            csrf: text("CSRFPreventionToken"),
        });
        Ok(())
    }

    fn accounts(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        let present = self.make("GET", "/access/users", &json!({}))?.payload();
        let present: Vec<&str> = present
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| row["userid"].as_str())
            .collect();
        for user in scenario.list("users") {
            let name = user["userid"].as_str().unwrap_or_default();
            if !present.contains(&name) {
                let mut form = json!({"userid": name});
                if user["password"].is_string() {
                    form["password"] = password(name).into();
                }
                self.make("POST", "/access/users", &form)?;
            }
            if user["totp"] == true {
                self.second_factor(name)?;
            }
        }
        for role in scenario.list("roles") {
            let privileges = role["privs"].as_array().into_iter().flatten();
            let privileges: Vec<&str> = privileges.filter_map(Value::as_str).collect();
            let form = json!({"roleid": role["roleid"], "privs": privileges.join(" ")});
            self.make("POST", "/access/roles", &form)?;
        }
        for token in scenario.list("tokens") {
            let (user, name) = (
                token["userid"].as_str().unwrap_or_default(),
                token["tokenid"].as_str().unwrap_or_default(),
            );
            let known_as = token["as"].as_str().unwrap_or_default().to_owned();
            if let Some(header) = self.server.administrator_as(&format!("{user}!{name}")) {
                self.prepared.tokens.insert(known_as, header);
                continue;
            }
            let path = format!("/access/users/{user}/token/{name}");
            let data = self
                .make("POST", &path, &json!({"privsep": token["privsep"]}))?
                .payload();
            let secret = data["value"].as_str().unwrap_or_default();
            let header = format!("PVEAPIToken={user}!{name}={secret}");
            self.prepared.tokens.insert(known_as, header);
        }
        Ok(())
    }

    fn second_factor(&mut self, user: &str) -> Result<(), String> {
        let uri = format!(
            "otpauth://totp/lab:{user}?secret={}&issuer=lab",
            secrets::totp_secret()
        );
        let key = secrets::totp_key();
        let code = crate::code::at(&key, self.server.now_ms() / 1000);
        let mut form = json!({"type": "totp", "totp": uri, "value": code, "description": "test"});
        // Nobody but a user's own session changes a second factor without the changer's password.
        if let Some(password) = self.server.root_password() {
            form["password"] = password.into();
        }
        self.make("POST", &format!("/access/tfa/{user}"), &form)?;
        self.prepared.totp_keys.insert(user.to_owned(), key);
        Ok(())
    }

    /// Leaves ended tasks and nothing else: a container that is gone again.
    fn past(&mut self) -> Result<(), String> {
        let node = &self.scenario.fixture["nodes"][0];
        let path = format!("/nodes/{}/lxc", node.as_str().unwrap_or_default());
        let template = &self.scenario.fixture["templates"][0]["volid"];
        let form = json!({"vmid": PAST_VMID, "ostemplate": template, "rootfs": "local:1"});
        self.work("POST", &path, &form, Some("root-token"))?;
        let path = format!("{path}/{PAST_VMID}");
        self.work("DELETE", &path, &json!({}), Some("root-token"))
    }

    fn pools_and_grants(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        for pool in scenario.list("pools") {
            let mut form = json!({"poolid": pool["poolid"]});
            if pool["comment"].is_string() {
                form["comment"] = pool["comment"].clone();
            }
            self.make("POST", "/pools", &form)?;
            let storages = pool["storages"].as_array().into_iter().flatten();
            let storages: Vec<&str> = storages.filter_map(Value::as_str).collect();
            if !storages.is_empty() {
                let form = json!({"poolid": pool["poolid"], "storage": storages.join(",")});
                self.make("PUT", "/pools", &form)?;
            }
        }
        for grant in scenario.list("acl") {
            let mut form = json!({"path": grant["path"], "roles": grant["roleid"]});
            form["propagate"] = grant.get("propagate").cloned().unwrap_or(json!(1));
            for (key, plural) in [
                ("userid", "users"),
                ("token", "tokens"),
                ("groupid", "groups"),
            ] {
                if grant[key].is_string() {
                    form[plural] = grant[key].clone();
                }
            }
            self.make("PUT", "/access/acl", &form)?;
        }
        Ok(())
    }

    /// A guest with what is left out filled in from the defaults.
    fn completed(&self, guest: &Value) -> Value {
        let defaults = &self.scenario.fixture["guest_defaults"];
        let mut whole = defaults.as_object().cloned().unwrap_or_default();
        let mut config = defaults["config"].as_object().cloned().unwrap_or_default();
        config.extend(guest["config"].as_object().cloned().unwrap_or_default());
        whole.extend(guest.as_object().cloned().unwrap_or_default());
        whole.insert("config".into(), Value::Object(config));
        Value::Object(whole)
    }

    fn guests(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        let guests: Vec<Value> = scenario
            .list("guests")
            .iter()
            .map(|guest| self.completed(guest))
            .collect();
        let of = |guest: &&Value, key: &str| !guest[key].is_null();
        for guest in guests
            .iter()
            .filter(|guest| !of(guest, "linked_clone_of") && !of(guest, "restored_from"))
        {
            self.create(guest)?;
        }
        for guest in guests.iter().filter(|guest| of(guest, "linked_clone_of")) {
            let path = format!("{}/{}/clone", lxc(guest), guest["linked_clone_of"]);
            let mut form = json!({"newid": guest["vmid"], "hostname": guest["hostname"]});
            if guest["pool"].is_string() {
                form["pool"] = guest["pool"].clone();
            }
            self.work("POST", &path, &form, Some("root-token"))?;
        }
        self.backups(&guests)?;
        for guest in guests.iter().filter(|guest| of(guest, "restored_from")) {
            self.restore(guest)?;
        }
        for guest in &guests {
            self.finish(guest)?;
        }
        Ok(())
    }

    fn create(&mut self, guest: &Value) -> Result<(), String> {
        let mut form = guest["config"].as_object().cloned().unwrap_or_default();
        for key in ["vmid", "hostname", "rootfs", "pool"] {
            if !guest[key].is_null() {
                form.insert(key.into(), guest[key].clone());
            }
        }
        self.work(
            "POST",
            &lxc(guest),
            &Value::Object(form),
            Some("root-token"),
        )?;
        if guest["template"] == true {
            self.work(
                "POST",
                &format!("{}/template", at(guest)),
                &json!({}),
                Some("root-token"),
            )?;
            // The conversion goes on after the answer.
            self.server.wait_ms(2_000);
        }
        Ok(())
    }

    /// Makes backups; one of a guest that is not there is made of one that exists only for it.
    fn backups(&mut self, guests: &[Value]) -> Result<(), String> {
        let scenario = self.scenario;
        for backup in scenario.list("backups") {
            let present = guests
                .iter()
                .any(|guest| guest["vmid"] == backup["vmid"] && guest["restored_from"].is_null());
            let mut stand_in = backup.get("guest").cloned().unwrap_or_else(|| json!({}));
            if !present {
                for (key, value) in [
                    ("vmid", backup["vmid"].clone()),
                    ("node", backup["node"].clone()),
                    ("hostname", json!(format!("ct{}", backup["vmid"]))),
                    ("rootfs", json!("local:1")),
                ] {
                    if stand_in.get(key).is_none() {
                        stand_in[key] = value;
                    }
                }
                stand_in = self.completed(&stand_in);
                self.create(&stand_in)?;
            }
            self.backup(backup)?;
            if !present {
                self.work("DELETE", &at(&stand_in), &json!({}), Some("root-token"))?;
            }
        }
        Ok(())
    }

    fn backup(&mut self, backup: &Value) -> Result<(), String> {
        let node = backup["node"].as_str().unwrap_or_default();
        let storage = backup["storage"].as_str().unwrap_or("local");
        let listing = format!("/nodes/{node}/storage/{storage}/content");
        let query = json!({"content": "backup", "vmid": backup["vmid"]});
        let known = volids(&self.make("GET", &listing, &query)?.payload());
        // Names of backups have seconds.
        self.server.wait_ms(1_000);
        let mut form = json!({"vmid": backup["vmid"], "storage": storage});
        for key in ["mode", "compress"] {
            if backup[key].is_string() {
                form[key] = backup[key].clone();
            }
        }
        if backup["protected"] == true {
            form["protected"] = json!(1);
        }
        self.work(
            "POST",
            &format!("/nodes/{node}/vzdump"),
            &form,
            Some("root-token"),
        )?;
        let now = volids(&self.make("GET", &listing, &query)?.payload());
        let Some(volid) = now.into_iter().find(|volid| !known.contains(volid)) else {
            return Err("set-up: the backup is not listed".into());
        };
        if let Some(notes) = backup["notes"].as_str() {
            let path = format!("{listing}/{}", escape(&volid));
            self.make("PUT", &path, &json!({"notes": notes}))?;
        }
        if let Some(literal) = backup["ref_literal"].as_str() {
            self.prepared.literals.push((literal.to_owned(), volid));
        }
        Ok(())
    }

    fn restore(&mut self, guest: &Value) -> Result<(), String> {
        let literal = guest["restored_from"].as_str().unwrap_or_default();
        let volid = self
            .prepared
            .literals
            .iter()
            .find(|(from, _)| from == literal);
        let volid = volid.map_or_else(|| literal.to_owned(), |(_, volid)| volid.clone());
        let mut form = json!({"vmid": guest["vmid"], "ostemplate": volid, "restore": 1});
        for key in ["pool", "storage"] {
            if guest[key].is_string() {
                form[key] = guest[key].clone();
            }
        }
        if form.get("storage").is_none() {
            let rootfs = guest["rootfs"].as_str().unwrap_or("local:1");
            form["storage"] = rootfs.split(':').next().unwrap_or("local").into();
        }
        self.work("POST", &lxc(guest), &form, Some("root-token"))
    }

    /// Snapshots, power and lock, once all guests are there.
    fn finish(&mut self, guest: &Value) -> Result<(), String> {
        let managed = self.scenario.list("ha").iter().any(|entry| {
            entry["sid"]
                .as_str()
                .is_some_and(|sid| sid == format!("ct:{}", guest["vmid"]))
        });
        if guest["running"] == true && !managed {
            self.work(
                "POST",
                &format!("{}/status/start", at(guest)),
                &json!({}),
                Some("root-token"),
            )?;
        }
        for snapshot in guest["snapshots"].as_array().into_iter().flatten() {
            let form = match snapshot {
                Value::String(name) => json!({"snapname": name}),
                fields => {
                    let mut form = Map::new();
                    form.insert(
                        "snapname".into(),
                        fields
                            .get("name")
                            .or(fields.get("snapname"))
                            .cloned()
                            .unwrap_or_default(),
                    );
                    form.extend(
                        fields
                            .get("description")
                            .map(|text| ("description".to_owned(), text.clone())),
                    );
                    Value::Object(form)
                }
            };
            self.work(
                "POST",
                &format!("{}/snapshot", at(guest)),
                &form,
                Some("root-token"),
            )?;
        }
        if guest["lock"].is_string() {
            let form = json!({"lock": guest["lock"]});
            self.make("PUT", &format!("{}/config", at(guest)), &form)?;
        }
        Ok(())
    }

    fn volumes(&mut self) -> Result<(), String> {
        for volume in self.scenario.list("volumes") {
            let node = volume["node"].as_str().unwrap_or_default();
            let storage = volume["storage"].as_str().unwrap_or("local");
            let mut form = volume.as_object().cloned().unwrap_or_default();
            for key in ["node", "storage", "volid", "ref_literal", "notes"] {
                form.remove(key);
            }
            let path = format!("/nodes/{node}/storage/{storage}/content");
            let made = self.make("POST", &path, &Value::Object(form))?;
            if let (Some(literal), Some(ours)) =
                (volume["ref_literal"].as_str(), made.payload().as_str())
            {
                self.prepared
                    .literals
                    .push((literal.to_owned(), ours.to_owned()));
            }
        }
        Ok(())
    }

    fn jobs(&mut self) -> Result<(), String> {
        for job in self.scenario.list("jobs") {
            let mut form = job.as_object().cloned().unwrap_or_default();
            for key in ["type", "notes"] {
                form.remove(key);
            }
            self.make("POST", "/cluster/backup", &Value::Object(form))?;
        }
        Ok(())
    }

    /// Tasks of the past are those that made the guests, or are made now.
    fn tasks(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        for entry in scenario.list("tasks") {
            let wanted = Wanted::of(entry)?;
            let known: Vec<String> = self
                .prepared
                .literals
                .iter()
                .map(|(_, o)| o.clone())
                .collect();
            let mut found = self.find_task(&wanted, &known)?;
            if found.is_none() {
                for (method, path, form) in wanted.calls(scenario)? {
                    self.work(method, &path, &form, wanted.by())?;
                }
                found = self.find_task(&wanted, &known)?;
            }
            let upid = found.ok_or_else(|| format!("set-up: there is no task like {entry}"))?;
            if let Some(literal) = entry["ref_literal"].as_str() {
                self.prepared.literals.push((literal.to_owned(), upid));
            }
        }
        Ok(())
    }

    /// The newest task like this that stands for nothing yet.
    fn find_task(&mut self, wanted: &Wanted, known: &[String]) -> Result<Option<String>, String> {
        let path = format!("/nodes/{}/tasks", wanted.node);
        let query = json!({"source": "all", "limit": 500});
        let rows = self.make("GET", &path, &query)?.payload();
        let rows = rows.as_array().into_iter().flatten();
        let upids = rows
            .filter(|row| wanted.is(row))
            .filter_map(|row| row["upid"].as_str());
        let mut unused = upids.filter(|upid| !known.iter().any(|other| other == upid));
        Ok(unused.next().map(str::to_owned))
    }

    /// Resources are added once everything else is there; then their guests are awaited.
    fn high_availability(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        for resource in scenario.list("ha") {
            let mut form = resource.as_object().cloned().unwrap_or_default();
            form.remove("notes");
            self.make("POST", "/cluster/ha/resources", &Value::Object(form))?;
        }
        for resource in scenario
            .list("ha")
            .iter()
            .filter(|entry| entry["state"] == "started")
        {
            let vmid = resource["sid"]
                .as_str()
                .and_then(|sid| sid.split(':').nth(1))
                .unwrap_or_default();
            let guest = scenario
                .list("guests")
                .iter()
                .find(|guest| guest["vmid"] == json!(vmid.parse::<u32>().ok()));
            let Some(guest) = guest else { continue };
            let path = format!("{}/status/current", at(guest));
            for _ in 0..120 {
                if self.make("GET", &path, &json!({}))?.payload()["status"] == "running" {
                    break;
                }
                self.server.wait_ms(1_000);
            }
        }
        Ok(())
    }
}

fn lxc(guest: &Value) -> String {
    format!("/nodes/{}/lxc", guest["node"].as_str().unwrap_or_default())
}

fn at(guest: &Value) -> String {
    format!("{}/{}", lxc(guest), guest["vmid"])
}

fn volids(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| row["volid"].as_str())
        .map(str::to_owned)
        .collect()
}
