//! Builds a fixture's world by calls, as an administrator would.

// The replay is a module of a test too, from where plain names would lead elsewhere.
#[path = "setup/guests.rs"]
mod guests;
#[path = "setup/things.rs"]
mod things;

use std::collections::BTreeMap;

use serde_json::{Value, json};

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
}
