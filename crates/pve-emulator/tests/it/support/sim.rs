//! A cluster on virtual time: the pure core with [`Machines`] as guests; no second passes in
//! reality.

use std::collections::BTreeMap;

use proximity_pve_emulator::core::guest::GuestDone;
use proximity_pve_emulator::core::{
    ApiRequest, Effects, Input, Payload, RequestId, Response, World, WorldSeed, handle,
    next_wakeup, resume,
};
use serde_json::Value;

use super::guests::Machines;

/// Later than any start of a task in the recordings.
const START_MS: u64 = 1_795_170_000_000;

pub struct Sim {
    pub world: World,
    pub now_ms: u64,
    pub machines: Machines,
    /// Answers of guests by when they come.
    coming: BTreeMap<(u64, u64), GuestDone>,
    responses: BTreeMap<RequestId, Response>,
    next: u64,
}

/// An answer, parsed.
#[derive(Debug, Clone)]
pub struct Answer {
    pub response: Response,
    pub took_ms: u64,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status
    }

    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.response.body).unwrap_or_else(|_| {
            match self.response.body.as_ref() {
                [] => Value::Null,
                bytes => Value::String(String::from_utf8_lossy(bytes).into_owned()),
            }
        })
    }

    pub fn payload(&self) -> Value {
        self.body()["data"].clone()
    }

    pub fn message(&self) -> String {
        self.body()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Sim {
    pub fn new(seed: WorldSeed) -> Self {
        Self {
            world: World::new(seed, START_MS),
            now_ms: START_MS,
            machines: Machines {
                deaf: vec!["labhttpd_1.0.tar".into()],
                ..Machines::default()
            },
            coming: BTreeMap::new(),
            responses: BTreeMap::new(),
            next: 0,
        }
    }

    fn absorb(&mut self, effects: Effects) {
        for response in effects.responses {
            let twice = self.responses.insert(response.request, response);
            assert!(twice.is_none(), "two answers to one request");
        }
        for command in effects.commands {
            let (done, took_ms) = self.machines.run(&command);
            self.next += 1;
            self.coming.insert((self.now_ms + took_ms, self.next), done);
        }
    }

    /// Goes on to the next moment something happens, at most to `limit_ms`; false when nothing
    /// does.
    pub fn step(&mut self, limit_ms: u64) -> bool {
        let guest = self.coming.keys().next().copied();
        let core = next_wakeup(&self.world).unwrap_or(u64::MAX);
        let at = guest.map_or(core, |(at, _)| at.min(core));
        if at > limit_ms {
            self.now_ms = self.now_ms.max(limit_ms);
            return false;
        }
        self.now_ms = self.now_ms.max(at);
        let input = match guest.filter(|(due, _)| *due <= self.now_ms) {
            Some(key) => Input::GuestDone(self.coming.remove(&key).unwrap()),
            None => Input::Tick,
        };
        let effects = handle(&mut self.world, input, self.now_ms);
        self.absorb(effects);
        true
    }

    /// Lets virtual time pass.
    pub fn pass(&mut self, ms: u64) {
        let limit = self.now_ms + ms;
        while self.step(limit) {}
    }

    /// Sends a request without waiting for its answer.
    pub fn send(&mut self, request: Request) -> RequestId {
        self.next += 1;
        let id = RequestId(self.next);
        let mut request = request;
        request
            .via
            .get_or_insert_with(|| self.world.nodes()[0].name.clone());
        let effects = handle(
            &mut self.world,
            Input::Request(request.build(id)),
            self.now_ms,
        );
        self.absorb(effects);
        id
    }

    /// The answer to a request, waiting for it in virtual time.
    pub fn wait(&mut self, id: RequestId) -> Response {
        let limit = self.now_ms + 60_000;
        loop {
            if let Some(response) = self.responses.remove(&id) {
                return response;
            }
            assert!(self.step(limit), "no answer within a minute");
        }
    }

    /// The answer to a request, if it is there already.
    pub fn answered(&mut self, id: RequestId) -> Option<Response> {
        self.responses.remove(&id)
    }

    /// Sends and waits. Holding an answer back counts as taking that long.
    pub fn call(&mut self, request: Request) -> Answer {
        let before = self.now_ms;
        let id = self.send(request);
        let response = self.wait(id);
        let took_ms = self.now_ms - before + response.hold_ms;
        Answer { response, took_ms }
    }

    /// A call as root.
    pub fn root(&mut self, method: &str, path: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call(Request::new(method, path).parameters(parameters))
    }

    /// A call as root that must give a UPID; waits for the task and gives its exit status.
    pub fn task(&mut self, method: &str, path: &str, parameters: &[(&str, &str)]) -> String {
        let answer = self.root(method, path, parameters);
        assert_eq!(answer.status(), 200, "{}", answer.message());
        self.finish(answer.payload().as_str().unwrap())
    }

    /// Waits for a task; its exit status.
    pub fn finish(&mut self, upid: &str) -> String {
        let limit = self.now_ms + 200_000;
        loop {
            let task = self
                .world
                .tasks()
                .find(|task| task.upid.to_string() == upid)
                .expect("the task exists");
            if let Some(exit) = task.exit() {
                return exit.to_owned();
            }
            assert!(self.step(limit), "the task does not end");
        }
    }

    pub fn log(&self, upid: &str) -> Vec<String> {
        self.world
            .tasks()
            .find(|task| task.upid.to_string() == upid)
            .unwrap()
            .log
            .clone()
    }

    /// A stopped container made through the API.
    pub fn create(&mut self, node: &str, vmid: u32, extra: &[(&str, &str)]) {
        let vmid = vmid.to_string();
        let mut parameters = vec![
            ("vmid", vmid.as_str()),
            ("ostemplate", super::seed::ALPINE),
            ("rootfs", "local:1"),
        ];
        parameters.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        parameters.extend_from_slice(extra);
        assert_eq!(
            self.task("POST", &format!("/nodes/{node}/lxc"), &parameters),
            "OK"
        );
    }

    pub fn start(&mut self, node: &str, vmid: u32) {
        assert_eq!(
            self.task(
                "POST",
                &format!("/nodes/{node}/lxc/{vmid}/status/start"),
                &[]
            ),
            "OK"
        );
    }

    /// The emulator is killed and started again: waiting calls and answers on their way are lost;
    /// guests live on.
    pub fn kill_and_restart(&mut self) {
        let bytes = serde_json::to_vec(&self.world).unwrap();
        self.world = serde_json::from_slice(&bytes).unwrap();
        self.coming.clear();
        self.responses.clear();
        let effects = resume(&mut self.world, self.now_ms);
        self.absorb(effects);
    }
}

/// A request in the making; by default root at the first node, urlencoded.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
    pub authorization: Option<String>,
    pub cookie: Option<String>,
    pub csrf: Option<String>,
    /// Further headers; only a real server sees them.
    pub headers: Vec<(String, String)>,
    pub via: Option<String>,
}

pub fn credential(id: &str) -> String {
    format!("PVEAPIToken={id}=secret")
}

impl Request {
    /// `path` without `/api2/json`, unless it starts with `/api`.
    pub fn new(method: &str, path: &str) -> Self {
        let path = if path.starts_with("/api") || path == "/" || path.starts_with("//") {
            path.to_owned()
        } else {
            format!("/api2/json{path}")
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path.to_owned(), query.to_owned()),
            None => (path, String::new()),
        };
        Self {
            method: method.to_owned(),
            path,
            query,
            content_type: None,
            body: Vec::new(),
            authorization: Some(credential("root@pam!gold")),
            cookie: None,
            csrf: None,
            headers: Vec::new(),
            via: None,
        }
    }

    pub fn by(mut self, token: &str) -> Self {
        self.authorization = Some(credential(token));
        self
    }

    pub fn via(mut self, node: &str) -> Self {
        self.via = Some(node.to_owned());
        self
    }

    /// In the query of GET and DELETE, in the body otherwise.
    pub fn parameters(mut self, parameters: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = parameters
            .iter()
            .map(|(k, v)| format!("{}={}", escape(k), escape(v)))
            .collect();
        let text = pairs.join("&");
        match self.method.as_str() {
            "GET" | "DELETE" => self.query = text,
            _ => {
                self.body = text.into_bytes();
                self.content_type = Some("application/x-www-form-urlencoded".into());
            }
        }
        self
    }

    pub fn build(self, id: RequestId) -> ApiRequest {
        ApiRequest {
            id,
            via: self.via.unwrap_or_default(),
            method: self.method,
            path: self.path,
            query: self.query,
            content_type: self.content_type,
            authorization: self.authorization,
            cookie: self.cookie,
            user_agent: None,
            csrf: self.csrf,
            payload: if self.body.is_empty() {
                Payload::None
            } else if self.body.len() > 512 * 1024 {
                Payload::TooLarge
            } else {
                Payload::Bytes(self.body)
            },
        }
    }
}

pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
