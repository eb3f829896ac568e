//! Builds a recording's world, sends its steps, compares the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proximity_pve_emulator::core::{RequestId, Response, describe};
use serde_json::{Value, json};

use crate::compare::Comparison;
use crate::scenario::Scenario;
use crate::slice;
use crate::support::seed::{ALPINE, cluster, solo};
use crate::support::sim::{Answer, Request, Sim, credential, escape};

pub struct Replay<'a> {
    scenario: &'a Scenario,
    sim: Sim,
    volatile: Vec<String>,
    /// Bodies of our answers by step.
    bodies: BTreeMap<u64, Value>,
    pub compared: usize,
    skipped: Vec<String>,
    /// An event could not be done: what guests look like from then on is not comparable.
    derailed: bool,
    pub problems: Vec<String>,
}

fn parameters(object: &Value) -> String {
    let pairs = object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => escape(text),
                Value::Object(raw) => raw["_raw"].as_str().unwrap().to_owned(),
                other => other.to_string(),
            };
            format!("{}={text}", escape(name))
        });
    pairs.collect::<Vec<_>>().join("&")
}

impl<'a> Replay<'a> {
    pub fn prepare(scenario: &'a Scenario) -> Self {
        let seed = match scenario.fixture()["base"].as_str() {
            Some("standard-solo") => solo(),
            Some("standard-cluster3") => cluster(),
            other => panic!("no such base: {other:?}"),
        };
        let mut sim = Sim::new(seed);
        sim.world.set_fingerprint("31:3B");
        for guest in scenario.list("guests") {
            prepare_guest(&mut sim, guest);
        }
        Self {
            scenario,
            sim,
            volatile: scenario.volatile(),
            bodies: BTreeMap::new(),
            compared: 0,
            skipped: Vec::new(),
            derailed: false,
            problems: Vec::new(),
        }
    }

    pub fn run(&mut self) {
        let steps = self.scenario.steps();
        let mut at = 0;
        while at < steps.len() {
            self.events(steps[at]["n"].as_u64().unwrap());
            match steps[at].get("concurrent_group") {
                None => {
                    self.single(at, &steps[at]);
                    at += 1;
                }
                Some(group) => {
                    let count = steps[at..]
                        .iter()
                        .take_while(|step| step.get("concurrent_group") == Some(group))
                        .count();
                    self.group(&steps[at..at + count]);
                    at += count;
                }
            }
        }
    }

    pub fn report(&self) -> String {
        let name = &self.scenario.document["name"];
        let mut text = format!(
            "{name}: {} of {} steps compared\n",
            self.compared,
            self.scenario.steps().len()
        );
        for line in self.skipped.iter().chain(&self.problems) {
            writeln!(text, "  {line}").unwrap();
        }
        text
    }

    fn events(&mut self, before: u64) {
        for event in self
            .scenario
            .list("events")
            .iter()
            .filter(|event| event["before_step"] == before)
        {
            match event["action"].as_str().unwrap() {
                "wait_s" => self.sim.pass(event["value"].as_u64().unwrap() * 1000),
                "clear_lock" => self.sim.world.set_lock(vmid(event), None),
                "api_call" => self.unrecorded(event),
                other => panic!("event {other} is not known"),
            }
        }
    }

    /// A call whose answer is not compared; one without behaviour is noted.
    fn unrecorded(&mut self, event: &Value) {
        let answer = self.send(event);
        match answer.payload().as_str() {
            Some(upid) if upid.starts_with("UPID:") => {
                let upid = upid.to_owned();
                self.sim.finish(&upid);
            }
            Some(_) | None => {
                self.derailed = true;
                self.skipped.push(format!(
                    "event {} {}: {}",
                    event["method"],
                    event["path"],
                    answer.status()
                ));
            }
        }
    }

    fn build(&self, step: &Value) -> Request {
        let mut path = step["path"].as_str().unwrap().to_owned();
        let mut form = parameters(&step["form"]);
        let mut query = parameters(&step["query"]);
        for reference in step["refs"].as_array().into_iter().flatten() {
            let literal = reference["literal"].as_str().unwrap();
            let Some(body) = reference["from_step"]
                .as_u64()
                .and_then(|n| self.bodies.get(&n))
            else {
                continue;
            };
            let ours = body
                .pointer(reference["pointer"].as_str().unwrap())
                .and_then(Value::as_str)
                .unwrap_or(literal);
            for text in [&mut path, &mut form, &mut query] {
                *text = text
                    .replace(&escape(literal), &escape(ours))
                    .replace(literal, ours);
            }
        }
        let mut request = Request::new(step["method"].as_str().unwrap(), &path);
        request.query = query;
        request.authorization = slice::credential(step["as"].as_str().unwrap()).map(credential);
        if let Some(headers) = step["auth_headers"].as_object() {
            request.authorization = headers
                .get("Authorization")
                .map(|value| value.as_str().unwrap().to_owned());
            request.cookie = headers
                .get("Cookie")
                .map(|value| value.as_str().unwrap().to_owned());
        }
        request.via = step["via_node"].as_str().map(str::to_owned);
        if !form.is_empty() {
            request.content_type = Some("application/x-www-form-urlencoded".into());
            request.body = form.into_bytes();
        } else if let Some(body) = step.get("json") {
            request.content_type = Some("application/json".into());
            request.body = body.to_string().into_bytes();
        }
        request
    }

    fn send(&mut self, step: &Value) -> Answer {
        let request = self.build(step);
        self.sim.call(request)
    }

    fn single(&mut self, at: usize, step: &Value) {
        let number = step["n"].as_u64().unwrap();
        let title = format!(
            "step {number} {} {}",
            step["as"].as_str().unwrap(),
            step["method"].as_str().unwrap()
        );
        let built = self.build(step);
        let template = describe(&built.clone().build(RequestId(0))).template;
        let why = slice::left_out(step, template.as_deref())
            .or_else(|| self.depends_on_left_out(step, template.as_deref()));
        if let Some(why) = why {
            self.skipped.push(format!("{title}: {why}"));
            return;
        }
        let answer = self.sim.call(built);
        self.bodies.insert(number, answer.body());
        let verb = step["method"].as_str().unwrap();
        let listed = slice::NO_BEHAVIOUR
            .iter()
            .any(|(v, p)| *v == verb && Some(*p) == template.as_deref());
        let unemulated = answer.message().ends_with("is not emulated yet");
        match (listed, unemulated) {
            (true, true) => {
                return self.skipped.push(format!(
                    "{title} {}: no behaviour yet",
                    template.unwrap_or_default()
                ));
            }
            (false, true) => return self.problems.push(format!("{title}: {}", answer.message())),
            // What is refused before the behaviour (rights, parameters) is compared like any other
            // answer.
            (true | false, false) => {}
        }
        let mut comparison = Comparison::new(&self.volatile);
        compare_answer(&mut comparison, at, step, &answer);
        let mut differences = comparison.differences;
        differences.extend(self.task(at, step, &answer));
        self.compared += 1;
        self.problems.extend(
            differences
                .into_iter()
                .map(|text| format!("{title}: {text}")),
        );
    }

    fn depends_on_left_out(&self, step: &Value, template: Option<&str>) -> Option<&'static str> {
        if self.derailed && slice::shows_guests(template) {
            return Some("shows the effect of an event without behaviour");
        }
        let mut references = step["refs"].as_array().into_iter().flatten();
        let lost = references.any(|reference| {
            let pointer = reference["pointer"].as_str().unwrap();
            let from = reference["from_step"].as_u64();
            from.is_some_and(|n| {
                !self
                    .bodies
                    .get(&n)
                    .and_then(|body| body.pointer(pointer))
                    .is_some_and(Value::is_string)
            })
        });
        lost.then_some("refers to a step that was left out")
    }

    /// Waits for the step's task and compares its end.
    fn task(&mut self, at: usize, step: &Value, answer: &Answer) -> Vec<String> {
        let (Some(recorded), Some(upid)) = (
            step["task"].as_object(),
            answer.payload().as_str().map(str::to_owned),
        ) else {
            return Vec::new();
        };
        let exit = self.sim.finish(&upid);
        let log = self.sim.log(&upid);
        let mut comparison = Comparison::new(&self.volatile);
        comparison.text(
            &format!("/steps/{at}/task/exitstatus"),
            &recorded["exitstatus"],
            &json!(exit),
        );
        let place = format!("/steps/{at}/task/log/last");
        let last = recorded["log"]
            .as_array()
            .and_then(|lines| lines.last())
            .cloned()
            .unwrap_or_default();
        if !comparison.is_volatile(&format!("/steps/{at}/task/exitstatus"), "") {
            comparison.text(&place, &last, &json!(log.last()));
        }
        let path = format!(
            "/nodes/{}/tasks/{}/status",
            upid.split(':').nth(1).unwrap(),
            escape(&upid)
        );
        let status = self.sim.root("GET", &path, &[]).payload();
        for key in ["type", "id", "user", "tokenid", "status"] {
            comparison.text(
                &format!("/steps/{at}/task/{key}"),
                &recorded[key],
                &status[key],
            );
        }
        comparison.differences
    }

    /// Steps sent at the same time: how many succeed, and which refusals occur.
    fn group(&mut self, steps: &[Value]) {
        let ids: Vec<RequestId> = steps
            .iter()
            .map(|step| {
                let request = self.build(step);
                self.sim.send(request)
            })
            .collect();
        let ours: Vec<Response> = ids.into_iter().map(|id| self.sim.wait(id)).collect();
        let recorded_kinds: BTreeSet<(u64, &str)> = steps
            .iter()
            .map(|step| {
                (
                    step["response"]["status"].as_u64().unwrap(),
                    step["response"]["reason"].as_str().unwrap(),
                )
            })
            .collect();
        let our_kinds: BTreeSet<(u64, &str)> = ours
            .iter()
            .map(|response| (u64::from(response.status), response.reason.as_str()))
            .collect();
        let successes =
            |kinds: &mut dyn Iterator<Item = u64>| kinds.filter(|status| *status == 200).count();
        let recorded = successes(
            &mut steps
                .iter()
                .map(|step| step["response"]["status"].as_u64().unwrap()),
        );
        let found = successes(&mut ours.iter().map(|response| u64::from(response.status)));
        if recorded != found || recorded_kinds != our_kinds {
            self.problems.push(format!(
                "group: recorded {recorded} {recorded_kinds:?}, ours {found} {our_kinds:?}"
            ));
        }
        self.compared += steps.len();
        for response in ours.iter().filter(|response| response.status == 200) {
            let body: Value = serde_json::from_slice(&response.body).unwrap();
            self.sim.finish(body["data"].as_str().unwrap());
        }
    }
}

fn vmid(object: &Value) -> u32 {
    u32::try_from(object["vmid"].as_u64().unwrap()).unwrap()
}

fn prepare_guest(sim: &mut Sim, guest: &Value) {
    let mut config = BTreeMap::from([
        ("ostemplate".to_owned(), ALPINE.to_owned()),
        ("memory".to_owned(), "128".to_owned()),
        ("swap".to_owned(), "0".to_owned()),
        ("cores".to_owned(), "1".to_owned()),
        (
            "hostname".to_owned(),
            guest["hostname"].as_str().unwrap().to_owned(),
        ),
        (
            "rootfs".to_owned(),
            guest["rootfs"].as_str().unwrap().to_owned(),
        ),
    ]);
    config.extend(
        guest["pool"]
            .as_str()
            .map(|pool| ("pool".to_owned(), pool.to_owned())),
    );
    for (key, value) in guest["config"].as_object().into_iter().flatten() {
        config.insert(
            key.clone(),
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        );
    }
    let pairs: Vec<(&str, &str)> = config
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let node = guest["node"].as_str().unwrap();
    sim.create(node, vmid(guest), &pairs);
    if guest["running"] == true {
        sim.start(node, vmid(guest));
    }
    if let Some(lock) = guest["lock"].as_str() {
        sim.world.set_lock(vmid(guest), Some(lock));
    }
}

fn compare_answer(comparison: &mut Comparison<'_>, at: usize, step: &Value, answer: &Answer) {
    let recorded = &step["response"];
    let place = |key: &str| format!("/steps/{at}/response/{key}");
    let response = &answer.response;
    comparison.text(
        &place("status"),
        &recorded["status"],
        &json!(response.status),
    );
    comparison.text(
        &place("reason"),
        &recorded["reason"],
        &json!(response.reason),
    );
    let keep_alive = response.status < 400;
    let connection = json!(response.handed.connection_headers(keep_alive));
    comparison.text(
        &place("headers/connection"),
        &recorded["headers"]["connection"],
        &connection,
    );
    let content_type = recorded["headers"]
        .get("content-type")
        .cloned()
        .unwrap_or(Value::Null);
    comparison.text(
        &place("headers/content-type"),
        &content_type,
        &json!(response.content_type),
    );
    comparison.text(
        &place("body_empty"),
        &json!(recorded["body_empty"] == true),
        &json!(response.body.is_empty()),
    );
    if response.status == 401 {
        comparison.text(&place("elapsed"), &json!(3000), &json!(answer.took_ms));
    }
    let ours = answer.body();
    match (&recorded["body"], &ours) {
        (Value::Object(recorded), Value::Object(_)) => {
            for key in ["message", "success", "status", "total"] {
                comparison.text(
                    &place(&format!("body/{key}")),
                    recorded.get(key).unwrap_or(&Value::Null),
                    &ours[key],
                );
            }
            let none = json!({});
            let errors = |body: &Value| body.get("errors").cloned().unwrap_or_else(|| none.clone());
            comparison.value(
                &place("body/errors"),
                &errors(&step["response"]["body"]),
                &errors(&ours),
            );
            comparison.value(&place("body/data"), &recorded["data"], &ours["data"]);
        }
        (recorded, ours) => comparison.text(&place("body"), recorded, ours),
    }
}
