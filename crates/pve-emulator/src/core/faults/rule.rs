//! A fault as it is asked for and as it stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::world::World;
use super::super::{ApiRequest, Description, SECRETS};
use crate::schema::{Method, table};

/// Longest text of a refusal or a task's end, characters.
const TEXT_CHARS: usize = 4_096;
/// Most parameters or log lines.
const MOST_TEXTS: usize = 64;
/// Longest time a fault takes, milliseconds: an hour.
const LONGEST_MS: u64 = 3_600_000;

/// Names a rule; counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// Which calls; what is absent is any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calls {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// The schema's path, e.g. `/nodes/{node}/lxc/{vmid}/config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The node a call is about: the one its path names, or the one that took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The node whose listener took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The guest in its path or among its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u32>,
}

/// A fault that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultWish {
    /// Which calls.
    #[serde(default)]
    pub calls: Calls,
    /// The first of these calls that is hit, counted from 1.
    #[serde(default = "first")]
    pub nth: u64,
    /// How many are hit from there on; absent: all, until the fault is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What happens to them.
    pub kind: FaultKind,
}

fn first() -> u64 {
    1
}

fn yes() -> bool {
    true
}

/// What happens to a call that is hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// No effect: 400 with texts by parameter, or 500 with a message, as PVE refuses.
    Refused {
        /// Refused parameters.
        #[serde(default)]
        errors: BTreeMap<String, String>,
        /// PVE's `die`.
        #[serde(default)]
        message: Option<String>,
    },
    /// No effect: 401, held back as every 401.
    Unauthorized {},
    /// No effect: 403.
    Forbidden {
        /// What is missing, e.g. `/vms/100, VM.PowerMgmt`.
        #[serde(default)]
        missing: Option<String>,
    },
    /// No effect: 500 out of the HTTP layer, plain text.
    Broken {
        /// The text.
        message: String,
    },
    /// No effect: 595 of the proxy, `Connection refused` at once or `No route to host` after three seconds.
    Unreachable {
        /// The latter.
        #[serde(default)]
        no_route: bool,
    },
    /// 596 of the proxy after its thirty seconds.
    GivenUp {
        /// What was asked for happens all the same.
        #[serde(default)]
        effect: bool,
    },
    /// No effect, no answer; the connection stays.
    Timeout {},
    /// The connection is cut without a byte.
    Cut {
        /// What was asked for has happened by then.
        #[serde(default = "yes")]
        effect: bool,
    },
    /// The connection is cut without a byte now, what was asked for happens later.
    Late {
        /// Milliseconds.
        ms: u64,
    },
    /// The effect at once, the answer later.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// The call is held until it is released.
    Hang {
        /// Behind its effect, before its answer; otherwise before anything happens.
        #[serde(default)]
        after_effect: bool,
    },
    /// The task that the call starts fails.
    TaskError {
        /// What it ends with.
        message: String,
        /// Its work was done by then.
        #[serde(default)]
        after_effect: bool,
    },
    /// The task ends well, with warnings.
    TaskWarnings {
        /// Warnings for its log.
        lines: Vec<String>,
    },
    /// The task's end is never known.
    TaskLost {
        /// It works to its end, and no list, status or log knows of it; otherwise its process dies at its work, and
        /// leaves that half done.
        #[serde(default)]
        forgotten: bool,
    },
}

/// A fault as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// Its name.
    pub id: FaultId,
    /// As it was asked for.
    pub wish: FaultWish,
    /// Calls so far that it is for; of faults for tasks those that started one.
    pub seen: u64,
    /// Those of them it hit.
    pub hits: u64,
}

/// A call that faults are looked for.
pub(super) struct Target<'a> {
    request: &'a ApiRequest,
    about: &'a Description,
    method: Option<&'static Method>,
}

impl<'a> Target<'a> {
    /// A call and what it is about.
    pub(super) fn of(request: &'a ApiRequest, about: &'a Description) -> Self {
        let template = about.template.as_deref();
        let method = template.and_then(|path| table().of_template(&request.method, path));
        Self {
            request,
            about,
            method,
        }
    }
}

impl Calls {
    /// Whether a call may be among them, by its verb and by the node that took it: what it is about was not looked at.
    pub(super) fn may_have(&self, request: &ApiRequest) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| wanted == found)
        };
        is(&self.verb, &request.method) && is(&self.via, &request.via)
    }

    /// Whether a call is among them.
    pub(crate) fn has(&self, request: &ApiRequest, about: &Description) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        is(&self.verb, Some(&request.method))
            && is(&self.path, about.template.as_deref())
            && is(&self.node, Some(node_of(request, about)))
            && is(&self.via, Some(&request.via))
            && self.vmid.is_none_or(|vmid| about.vmid == Some(vmid))
    }

    /// The methods they may be of.
    fn methods(&self) -> impl Iterator<Item = &'static Method> {
        let verb = |found: &str| self.verb.as_deref().is_none_or(|verb| verb == found);
        let path = |found: &str| self.path.as_deref().is_none_or(|path| path == found);
        let methods = table().methods().iter();
        methods.filter(move |method| verb(&method.verb) && path(&method.path))
    }

    fn check(&self, world: &World) -> Result<(), String> {
        if self.methods().next().is_none() {
            let verb = self.verb.as_deref().unwrap_or("any verb");
            let path = self.path.as_deref().unwrap_or("any path");
            return Err(format!("calls: the schema has no method for {verb} {path}"));
        }
        let mut nodes = [&self.node, &self.via].into_iter().flatten();
        match nodes.find(|name| world.node(name).is_none()) {
            Some(name) => Err(format!("calls: there is no node '{name}'")),
            None => Ok(()),
        }
    }
}

/// The node a call is about.
pub(super) fn node_of<'a>(request: &'a ApiRequest, about: &'a Description) -> &'a str {
    match about.parameters.get("node") {
        Some(node) if node != "localhost" => node,
        Some(_) | None => &request.via,
    }
}

impl FaultWish {
    /// Whether it can be fulfilled.
    pub(super) fn check(&self, world: &World) -> Result<(), String> {
        if self.nth == 0 {
            return Err("nth: counts from 1".to_owned());
        }
        if self.times == Some(0) {
            return Err("times: 0 hits nothing; leave it out for every call".to_owned());
        }
        self.calls.check(world)?;
        self.kind.check()?;
        let mut methods = self.calls.methods();
        // A call about the node that takes it is passed on to nobody.
        let local = self.calls.node.is_some() && self.calls.node == self.calls.via;
        let may = |method: &Method| self.kind.may_be(method, method.proxyto.is_some() && !local);
        if methods.any(may) {
            Ok(())
        } else {
            Err(format!("calls: {}", self.kind.why_not()))
        }
    }

    /// Whether a call is one that it is for.
    pub(super) fn is_for(&self, target: &Target<'_>) -> bool {
        let Target {
            request,
            about,
            method,
        } = target;
        let remote = node_of(request, about) != request.via;
        let may = |method: &Method| self.kind.may_be(method, remote && method.proxyto.is_some());
        // What is put off is kept on disk.
        let kept = matches!(self.kind, FaultKind::Late { .. });
        let secret = |name: &&str| about.parameters.contains_key(*name);
        self.calls.has(request, about)
            && (self.kind.may_be_any() || method.is_some_and(may))
            && !(kept && SECRETS.iter().any(secret))
    }
}

impl FaultKind {
    /// It is for the task that a call starts.
    pub(super) fn is_for_task(&self) -> bool {
        match self {
            Self::TaskError { .. } | Self::TaskWarnings { .. } | Self::TaskLost { .. } => true,
            Self::Refused { .. }
            | Self::Unauthorized {}
            | Self::Forbidden { .. }
            | Self::Broken { .. }
            | Self::Unreachable { .. }
            | Self::GivenUp { .. }
            | Self::Timeout {}
            | Self::Cut { .. }
            | Self::Late { .. }
            | Self::Slow { .. }
            | Self::Hang { .. } => false,
        }
    }

    /// It may happen to calls that are of no method, too.
    fn may_be_any(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::GivenUp { .. } => false,
            Self::Refused { errors, .. } => errors.is_empty(),
            _ => !self.is_for_task(),
        }
    }

    /// Whether it may happen in Proxmox VE to calls of a method; `remote`: passed on to another node.
    fn may_be(&self, method: &Method, remote: bool) -> bool {
        match self {
            // The privileged daemon of the same node refuses connections when it is down; it always has a route.
            Self::Unreachable { no_route: false } | Self::GivenUp { .. } => {
                remote || method.protected
            }
            Self::Unreachable { no_route: true } => remote,
            Self::Refused { errors, .. } => {
                let mut names = errors.keys();
                names.all(|name| method.parameter(name).is_some())
            }
            _ => !self.is_for_task() || method.verb != "GET",
        }
    }

    /// Why it can happen to none of the calls.
    fn why_not(&self) -> String {
        match self {
            Self::Unreachable { .. } | Self::GivenUp { .. } => {
                "none of them is passed on, neither to another node nor to the privileged daemon"
                    .to_owned()
            }
            Self::Refused { errors, .. } => {
                let names: Vec<&str> = errors.keys().map(String::as_str).collect();
                format!(
                    "no method of theirs has the parameters {}",
                    names.join(", ")
                )
            }
            _ => "none of them starts a task".to_owned(),
        }
    }

    fn check(&self) -> Result<(), String> {
        let ms = |ms: u64| match ms {
            1..=LONGEST_MS => Ok(()),
            _ => Err(format!("ms: from 1 to {LONGEST_MS}")),
        };
        match self {
            Self::Refused { errors, message } => {
                if errors.is_empty() == message.is_none() {
                    return Err("refused: either errors or message".to_owned());
                }
                errors
                    .values()
                    .chain(message)
                    .try_for_each(|line| text(line))?;
                few(errors.len())
            }
            Self::Forbidden { missing } => missing.iter().try_for_each(|line| text(line)),
            Self::Broken { message } | Self::TaskError { message, .. } => text(message),
            Self::TaskWarnings { lines } if lines.is_empty() => {
                Err("task_warnings: at least one line".to_owned())
            }
            Self::TaskWarnings { lines } => {
                lines.iter().try_for_each(|line| text(line))?;
                few(lines.len())
            }
            Self::Late { ms: given } | Self::Slow { ms: given } => ms(*given),
            Self::Unauthorized {}
            | Self::Unreachable { .. }
            | Self::GivenUp { .. }
            | Self::Timeout {}
            | Self::Cut { .. }
            | Self::Hang { .. }
            | Self::TaskLost { .. } => Ok(()),
        }
    }
}

fn text(given: &str) -> Result<(), String> {
    match given.chars().count() {
        1..=TEXT_CHARS => Ok(()),
        _ => Err(format!("a text has from 1 to {TEXT_CHARS} characters")),
    }
}

fn few(count: usize) -> Result<(), String> {
    if count <= MOST_TEXTS {
        Ok(())
    } else {
        Err(format!("at most {MOST_TEXTS} texts"))
    }
}

impl FaultRule {
    /// Whether the next call that it is for is hit.
    pub(super) fn would_hit(&self) -> bool {
        self.seen + 1 >= self.wish.nth && self.wish.times.is_none_or(|t| self.hits < t)
    }

    /// One more call that it is for arrived: whether it is hit.
    pub(super) fn meet(&mut self) -> bool {
        let hit = self.would_hit();
        self.seen += 1;
        self.hits += u64::from(hit);
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pipeline;
    use super::*;

    /// What cannot be among them by its verb or its node is none of them when it is looked at.
    #[test]
    fn a_call_that_is_among_some_may_be_among_them() {
        let some = |text: &str| Some(text.to_owned());
        let path = "/nodes/{node}/lxc/{vmid}/config";
        let mut hits = 0;
        for verb in [None, some("GET"), some("PUT")] {
            for via in [None, some("pve1"), some("pve2")] {
                for (path, vmid) in [(None, None), (some(path), None), (None, Some(100))] {
                    let calls = Calls {
                        verb: verb.clone(),
                        via: via.clone(),
                        path,
                        vmid,
                        node: None,
                    };
                    for (method, path) in [
                        ("GET", "/api2/json/nodes/pve1/lxc/100/config"),
                        ("PUT", "/api2/json/nodes/pve2/lxc/101/config"),
                        ("GET", "/api2/json/cluster/status"),
                        ("GET", "/nothing"),
                    ] {
                        let request = ApiRequest::within(method, path, "pve1");
                        let has = calls.has(&request, &pipeline::describe(&request));
                        assert!(calls.may_have(&request) || !has, "{calls:?} {path}");
                        hits += usize::from(has);
                    }
                }
            }
        }
        assert!(hits > 10, "{hits}");
    }
}
