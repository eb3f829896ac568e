//! Sends a recording's steps and compares the answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answers::{compare_answer, compare_task};
use crate::scenario::Scenario;
use crate::secrets::password;
use crate::server::{Answer, Server};
use crate::setup::{Prepared, Ticket, parameters};
use crate::support::sim::{Request, escape};
use crate::together::{compare_ends, compare_outcomes, end_of};

/// How long a task may take, milliseconds.
const TASK_MS: u64 = 400_000;
/// Between two looks at a task.
const POLL_MS: u64 = 200;

/// What became of one step.
#[derive(Debug)]
pub struct Verdict {
    pub number: u64,
    pub title: String,
    /// Empty means as recorded.
    pub differences: Vec<String>,
    /// Why it was left out.
    pub skipped: Option<String>,
    /// Places in it that were not compared, and why.
    pub left_out: Vec<String>,
}

pub struct Replay<'a> {
    scenario: &'a Scenario,
    server: &'a mut dyn Server,
    prepared: Prepared,
    /// Bodies of our answers by step.
    bodies: BTreeMap<u64, Value>,
    /// When events with a name happened first.
    happened_ms: BTreeMap<String, u64>,
    /// The half ticket of the last login that asked for a second factor.
    half_ticket: Option<String>,
    /// The token made last by a step.
    last_token: Option<String>,
    pub verdicts: Vec<Verdict>,
}

impl<'a> Replay<'a> {
    pub fn new(scenario: &'a Scenario, server: &'a mut dyn Server, prepared: Prepared) -> Self {
        Self {
            scenario,
            server,
            prepared,
            bodies: BTreeMap::new(),
            happened_ms: BTreeMap::new(),
            half_ticket: None,
            last_token: None,
            verdicts: Vec::new(),
        }
    }

    pub fn run(&mut self) -> Result<(), String> {
        let steps = self.scenario.steps();
        let mut at = 0;
        while at < steps.len() {
            let number = steps[at]["n"].as_u64().unwrap_or_default();
            self.events(number)?;
            let group = steps[at].get("concurrent_group");
            let count = match group {
                None => 1,
                Some(_) => steps[at..]
                    .iter()
                    .take_while(|step| step.get("concurrent_group") == group)
                    .count(),
            };
            if group.is_some() {
                self.together(at, &steps[at..at + count])?;
            } else {
                self.single(at, &steps[at])?;
            }
            at += count;
        }
        Ok(())
    }

    fn events(&mut self, before: u64) -> Result<(), String> {
        let scenario = self.scenario;
        for event in scenario
            .list("events")
            .iter()
            .filter(|event| event["before_step"] == before)
        {
            let action = event["action"].as_str().unwrap_or_default();
            match action {
                "wait_s" => {
                    let ms = (event["value"].as_f64().unwrap_or(0.0) * 1000.0)
                        .round()
                        .max(0.0);
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    let ms = ms as u64;
                    let since = event["since"]
                        .as_str()
                        .and_then(|name| self.happened_ms.get(name));
                    let until = since.map_or(self.server.now_ms(), |at| *at) + ms;
                    self.server
                        .wait_ms(until.saturating_sub(self.server.now_ms()));
                }
                "poll" => self.poll(event)?,
                "api_call" => {
                    let request = self.build(event)?;
                    let answer = self.server.call(request);
                    let upid = answer.payload().as_str().map(str::to_owned);
                    if let Some(upid) = upid.filter(|text| text.starts_with("UPID:")) {
                        self.await_task(&upid);
                    }
                }
                _ => {
                    let now_ms = self.server.now_ms();
                    self.happened_ms.entry(action.to_owned()).or_insert(now_ms);
                    self.server.event(event)?;
                }
            }
        }
        Ok(())
    }

    fn poll(&mut self, event: &Value) -> Result<(), String> {
        let path = event["path"].as_str().unwrap_or_default();
        let key = event["key"].as_str().unwrap_or_default();
        let wanted = event["in"].as_array().cloned().unwrap_or_default();
        let seconds = event["timeout_s"].as_u64().unwrap_or(60);
        for _ in 0..seconds * 2 {
            let data = self.as_root("GET", path).payload();
            let place = match (event["where"].as_object(), data.as_array()) {
                (Some(fields), Some(rows)) => {
                    let fits = |row: &&Value| fields.iter().all(|(key, value)| row[key] == *value);
                    rows.iter().find(fits).cloned().unwrap_or_default()
                }
                _ => data,
            };
            if wanted.contains(&place[key]) {
                return Ok(());
            }
            self.server.wait_ms(500);
        }
        Err(format!(
            "event poll {path}: {key} did not become one of {wanted:?}"
        ))
    }

    fn as_root(&mut self, method: &str, path: &str) -> Answer {
        let mut request = Request::new(method, path);
        self.sign(&mut request, "root-ticket");
        self.server.call(request)
    }

    fn sign(&self, request: &mut Request, account: &str) {
        request.authorization = None;
        if account == "root-ticket" {
            self.prepared.root.sign(request);
        } else {
            let made = self.last_token.as_ref().filter(|_| account != "none");
            request.authorization = self.prepared.tokens.get(account).or(made).cloned();
        }
    }

    /// Replaces what the recording's literals stand for in this run.
    fn translate(&self, step: &Value, text: &mut String) -> Result<(), String> {
        for reference in step["refs"].as_array().into_iter().flatten() {
            let literal = reference["literal"].as_str().unwrap_or_default();
            let ours = match reference["from_step"].as_u64() {
                Some(number) => {
                    let pointer = reference["pointer"].as_str().unwrap_or_default();
                    let found = self
                        .bodies
                        .get(&number)
                        .and_then(|body| body.pointer(pointer));
                    match found {
                        Some(Value::String(text)) => text.clone(),
                        Some(Value::Number(number)) => number.to_string(),
                        _ => return Err(format!("step {number} gave nothing at {pointer}")),
                    }
                }
                None => {
                    let known = self
                        .prepared
                        .literals
                        .iter()
                        .find(|(from, _)| from == literal);
                    known.map_or_else(|| literal.to_owned(), |(_, ours)| ours.clone())
                }
            };
            *text = text
                .replace(&escape(literal), &escape(&ours))
                .replace(literal, &ours);
        }
        Ok(())
    }

    /// Puts our secrets where the recording has placeholders.
    fn fill(&self, text: &str, user: &str) -> String {
        let Ticket { ticket, csrf } = self.prepared.root.ticket.clone().unwrap_or_default();
        let password = match user {
            "root@pam" => self.server.root_password().unwrap_or_default(),
            _ => password(user),
        };
        let half = self.half_ticket.clone().unwrap_or_default();
        let code = self.prepared.totp_keys.get(user);
        let code = code.map_or_else(String::new, |key| {
            crate::code::at(key, self.server.now_ms() / 1000)
        });
        text.replace("HALF_TICKET", &escape(&half))
            .replace("TICKET", &escape(&ticket))
            .replace("CSRF", &escape(&csrf))
            .replace("PASSWORD", &escape(&password))
            .replace("CODE", &code)
    }

    fn build(&self, step: &Value) -> Result<Request, String> {
        let step = &self.substituted(step);
        let method = step["method"].as_str().unwrap_or("GET");
        let mut path = step["path"].as_str().unwrap_or_default().to_owned();
        let user = step["form"]["username"]
            .as_str()
            .unwrap_or("root@pam")
            .to_owned();
        let user = match step["form"]["realm"].as_str() {
            Some(realm) if !user.contains('@') => format!("{user}@{realm}"),
            _ => user,
        };
        let secret = |text: String| {
            if path.contains("/access/") {
                self.fill(&text, &user)
            } else {
                text
            }
        };
        let mut form = secret(parameters(&step["form"]));
        let mut query = secret(parameters(&step["query"]));
        for text in [&mut path, &mut form, &mut query] {
            self.translate(step, text)?;
        }
        let mut request = Request::new(method, &path);
        if !query.is_empty() {
            request.query = query;
        }
        self.sign(&mut request, step["as"].as_str().unwrap_or("none"));
        if let Some(headers) = step["auth_headers"].as_object() {
            let header = |name: &str| {
                let text = headers.get(name).and_then(Value::as_str)?;
                Some(self.fill(text, &user))
            };
            request.authorization = header("Authorization");
            request.cookie = header("Cookie");
            request.csrf = header("CSRFPreventionToken");
        }
        for (name, value) in step["extra_headers"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            request
                .headers
                .push((name.clone(), self.fill(value, &user)));
        }
        request.via = step["via_node"].as_str().map(str::to_owned);
        if let Some(raw) = step["raw_body"].as_str() {
            request.content_type = step["content_type"].as_str().map(str::to_owned);
            request.body = raw_body(raw);
        } else if step.get("json").is_some_and(|json| !json.is_null()) {
            let mut text = step["json"].to_string();
            self.translate(step, &mut text)?;
            request.content_type = Some("application/json".into());
            request.body = text.into_bytes();
        } else if !form.is_empty() {
            request.content_type = Some("application/x-www-form-urlencoded".into());
            request.body = form.into_bytes();
        }
        Ok(request)
    }

    /// The step with the fixture's substitutions.
    fn substituted(&self, step: &Value) -> Value {
        let mut step = step.clone();
        for entry in self.scenario.list("substitute") {
            if entry["step"] == step["n"]
                && let Some(place) = step.pointer_mut(entry["at"].as_str().unwrap_or_default())
            {
                *place = entry["value"].clone();
            }
        }
        step
    }

    /// Remembers what later steps refer to.
    fn remember(&mut self, step: &Value, answer: &Answer) {
        let body = answer.value();
        if let Some(secret) = body["data"]["value"].as_str()
            && let Some(id) = body["data"]["full-tokenid"].as_str()
        {
            let header = format!("PVEAPIToken={id}={secret}");
            // A later step names it after its user or after itself.
            let user = id.split(['@', '!']).next().unwrap_or_default();
            let token = id.rsplit('!').next().unwrap_or_default();
            let fixed: Vec<&str> = self
                .scenario
                .list("tokens")
                .iter()
                .filter_map(|t| t["as"].as_str())
                .collect();
            for name in [format!("{user}-token"), format!("{token}-token")] {
                if !fixed.contains(&name.as_str()) {
                    self.prepared.tokens.insert(name, header.clone());
                }
            }
            self.last_token = Some(header);
        }
        if body["data"]["NeedTFA"] == 1 {
            self.half_ticket = body["data"]["ticket"].as_str().map(str::to_owned);
        }
        self.bodies
            .insert(step["n"].as_u64().unwrap_or_default(), body);
    }

    fn single(&mut self, at: usize, step: &Value) -> Result<(), String> {
        let number = step["n"].as_u64().unwrap_or_default();
        let unsupported = self.scenario.unsupported_step(number);
        let secret = || {
            self.needs_password(step)
                .then_some("needs a password, and only a token was given")
        };
        if let Some(why) = unsupported.or_else(secret) {
            let why = why.to_owned();
            self.note(step, Vec::new(), Some(why));
            return Ok(());
        }
        let request = match self.build(step) {
            Ok(request) => request,
            Err(why) => {
                self.note(step, vec![format!("cannot be sent: {why}")], None);
                return Ok(());
            }
        };
        let answer = self.server.call(request);
        self.remember(step, &answer);
        let mut compared = compare_answer(self.scenario, at, step, &answer);
        if step["wait_for_task"] == true {
            compared.differences.extend(self.task(at, step, &answer));
        }
        self.note(step, compared.differences, None);
        if let Some(verdict) = self.verdicts.last_mut() {
            verdict.left_out = compared.left_out;
        }
        Ok(())
    }

    /// The step stands on a password or a ticket, and there is but a token.
    fn needs_password(&self, step: &Value) -> bool {
        let access = step["path"]
            .as_str()
            .unwrap_or_default()
            .contains("/access/");
        let secret = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            let words = ["TICKET", "CSRF", "PASSWORD", "CODE"];
            words.iter().any(|word| text.contains(word))
        };
        let in_values = |key: &str| {
            let fields = step[key].as_object();
            fields.is_some_and(|fields| fields.values().any(secret))
        };
        self.prepared.root.ticket.is_none()
            && (step["as"] == "root-ticket"
                || in_values("auth_headers")
                || in_values("extra_headers")
                || (access && (in_values("form") || in_values("query"))))
    }

    fn note(&mut self, step: &Value, differences: Vec<String>, skipped: Option<String>) {
        let part = |key: &str| step[key].as_str().unwrap_or_default();
        let mut title = format!("{} {} {}", part("as"), part("method"), part("path"));
        for key in ["query", "form", "json"] {
            if step[key].is_object() {
                title.push_str(&format!(" {}", step[key]));
            }
        }
        self.verdicts.push(Verdict {
            number: step["n"].as_u64().unwrap_or_default(),
            title,
            differences,
            skipped,
            left_out: Vec::new(),
        });
    }

    /// Status and log of a task once it has ended; nothing when its node cannot be asked.
    fn await_task(&mut self, upid: &str) -> Option<(Value, Value)> {
        let node = upid.split(':').nth(1).unwrap_or_default();
        let base = format!("/nodes/{node}/tasks/{}", escape(upid));
        let until = self.server.now_ms() + TASK_MS;
        while self.server.now_ms() < until {
            let answer = self.as_root("GET", &format!("{base}/status"));
            let status = answer.payload();
            if status["status"] == "stopped" {
                let log = self
                    .as_root("GET", &format!("{base}/log?limit=0"))
                    .payload();
                return Some((status, log));
            }
            if answer.status != Some(200) {
                return None;
            }
            self.server.wait_ms(POLL_MS);
        }
        None
    }

    fn task(&mut self, at: usize, step: &Value, answer: &Answer) -> Vec<String> {
        let data = answer.payload();
        let upid = data.as_str().filter(|text| text.starts_with("UPID:"));
        let recorded = step["task"].as_object();
        match (recorded, upid) {
            (None, None) => Vec::new(),
            (None, Some(upid)) => vec![format!("task: recorded none, ours {upid}")],
            (Some(_), None) => vec!["task: there is none".to_owned()],
            (Some(recorded), Some(upid)) => match self.await_task(upid) {
                None => vec![format!("task: {upid} could not be awaited")],
                Some((status, log)) => {
                    compare_task(&self.scenario.volatile, at, &json!(recorded), &status, &log)
                }
            },
        }
    }

    /// Steps sent at the same time: which outcomes occur, and how often each, in whatever order.
    fn together(&mut self, at: usize, steps: &[Value]) -> Result<(), String> {
        let mut requests = Vec::new();
        for step in steps {
            requests.push(self.build(step)?);
        }
        let answers = self.server.exchange(requests);
        for (step, answer) in steps.iter().zip(&answers) {
            self.remember(step, answer);
        }
        let mut ends = Vec::new();
        for (step, answer) in steps.iter().zip(&answers) {
            let upid = answer
                .payload()
                .as_str()
                .filter(|text| text.starts_with("UPID:"))
                .map(str::to_owned);
            if let Some(upid) = upid.filter(|_| step["wait_for_task"] == true) {
                let end = self.await_task(&upid);
                ends.push(end.map_or(Value::Null, |(status, _)| end_of(&status)));
            }
        }
        let mut differences = compare_outcomes(steps, &answers);
        differences.extend(compare_ends(&self.scenario.volatile, at, steps, &ends));
        for (index, step) in steps.iter().enumerate() {
            let found = if index == 0 {
                std::mem::take(&mut differences)
            } else {
                Vec::new()
            };
            self.note(step, found, None);
        }
        Ok(())
    }
}

/// A body sent as it is; huge ones are described: `KEY=` followed by a number of `x`.
fn raw_body(text: &str) -> Vec<u8> {
    let described = text.split_once("= followed by ").and_then(|(key, rest)| {
        let count: usize = rest.split(' ').next()?.parse().ok()?;
        Some((key.to_owned(), count))
    });
    match described {
        Some((key, count)) => format!("{key}={}", "x".repeat(count)).into_bytes(),
        None => text.as_bytes().to_vec(),
    }
}
