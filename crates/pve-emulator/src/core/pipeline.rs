//! The way of a request: format, authentication, method, permission, proxying, verification,
//! behaviour.
//!
//! The order is that of PVE: credentials are looked at before the path, permissions before
//! parameters, and a call for another node leaves before its parameters are verified there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::access::{self, Caller};
use super::answer::{self, Reply, Style, UNAUTHORIZED_HOLD_MS};
use super::call::{CLUSTER_LOCK_MS, Call, Outcome, Stop};
use super::checks::{self, Doer};
use super::decode;
use super::error::ApiError;
use super::methods;
use super::park::{self, Progress, Wait};
use super::request::{ApiRequest, Handed, Payload, Response};
use super::rights::Rights;
use super::world::{Reach, World};
use super::{Description, Effects, faults};
use crate::schema::{Method, Params, join_lists, perl_text, table, verify};

const BASE: &str = "/api2";

/// Parameters whose values are nobody's business: no journal and no file has them.
pub(crate) const SECRETS: [&str; 12] = [
    "confirmation-password",
    "encryption-key",
    "key",
    "otp",
    "password",
    "secret",
    "ssh-public-keys",
    "tfa-challenge",
    "token",
    "totp",
    "value",
    "vncticket",
];

/// A call on its way to its behaviour.
struct Admitted {
    style: Style,
    method: &'static Method,
    params: Params,
    caller: Caller,
    node: String,
    handed: Handed,
}

/// Takes a new request in.
pub(crate) fn accept(world: &mut World, request: ApiRequest, now_ms: u64, effects: &mut Effects) {
    run(
        world,
        request,
        Progress {
            arrived_ms: now_ms,
            ..Progress::default()
        },
        now_ms,
        effects,
    );
}

/// Runs a request as far as it goes: to its answer, or to the next wait.
pub(crate) fn run(
    world: &mut World,
    request: ApiRequest,
    mut progress: Progress,
    now_ms: u64,
    effects: &mut Effects,
) {
    let response = match admit(world, &request, progress.caller.as_ref(), now_ms) {
        Err(response) => *response,
        Ok(admitted) => {
            checks::acts(world, Doer::call(&request, &admitted.node));
            let outcome = perform(world, &request, &admitted, &mut progress, now_ms, effects);
            checks::acted(world);
            match outcome {
                Ok(reply) => answer::success(request.id, admitted.style, reply, admitted.handed),
                Err(Stop::Refused(error)) => {
                    answer::failure(request.id, admitted.style, &error, admitted.handed)
                }
                Err(Stop::Park(wait)) => return park::park(world, request, progress, wait),
            }
        }
    };
    world.live.creating.remove(&request.id);
    if progress.answered {
        faults::unheard(world, &response);
    } else {
        faults::depart(world, response, now_ms, effects);
    }
}

/// The format a call wants its answer in, if its path says one.
pub(crate) fn style_of(path: &str) -> Option<Style> {
    let (format, _) = split(&decode::unescape(path))?;
    Style::named(&format)
}

/// Path and format of a call below `/api2`.
fn split(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix(BASE)?.trim_start_matches('/');
    let at = rest.find('/').unwrap_or(rest.len());
    let (format, relative) = rest.split_at(at);
    let named = format.len() >= 2
        && format.starts_with(|c: char| c.is_ascii_lowercase())
        && format
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    named.then(|| {
        (
            format.to_owned(),
            if relative.is_empty() {
                "/".to_owned()
            } else {
                relative.to_owned()
            },
        )
    })
}

/// For the journal.
pub(crate) fn describe(request: &ApiRequest) -> Description {
    let path = decode::unescape(&request.path);
    let found = split(&path).and_then(|(_, relative)| table().lookup(&request.method, &relative));
    let Some(found) = found else {
        return Description::default();
    };
    let given = decode::parameters(
        &request.method,
        &request.query,
        request.content_type.as_deref(),
        &request.payload,
    );
    let given = given.unwrap_or_default().into_iter().map(|(name, value)| {
        let text = perl_text(&value).unwrap_or_else(|| value.to_string());
        (name, text)
    });
    let mut parameters: BTreeMap<String, String> = given.collect();
    parameters.extend(found.placeholders);
    let vmid = parameters.get("vmid").and_then(|text| text.parse().ok());
    Description {
        template: Some(found.method.path.clone()),
        vmid,
        parameters,
    }
}

fn admit(
    world: &World,
    request: &ApiRequest,
    known: Option<&Caller>,
    now_ms: u64,
) -> Result<Admitted, Box<Response>> {
    let id = request.id;
    if !matches!(request.method.as_str(), "GET" | "POST" | "PUT" | "DELETE") {
        return Err(Box::new(Response::bare(
            id,
            501,
            &format!("method '{}' not available", request.method),
            0,
        )));
    }
    let path = decode::unescape(&request.path);
    if !path.starts_with(BASE) {
        check_payload(request)?;
        let message = format!("no such file '{path}'\n");
        return Err(Box::new(Response::plain(id, 500, &message)));
    }
    let Some((format, relative)) = split(&path) else {
        return Err(Box::new(Response::plain(id, 501, "no such uri")));
    };
    let caller = match known.filter(|caller| access::is_welcome(world, caller, now_ms)) {
        Some(caller) => caller.clone(),
        None => authenticate(world, request, &relative, now_ms)?,
    };
    check_payload(request)?;
    let Some(style) = Style::named(&format) else {
        return Err(Box::new(Response::plain(
            id,
            501,
            &format!("no formatter for uri {relative}, {format}"),
        )));
    };
    let given = decode::parameters(
        &request.method,
        &request.query,
        request.content_type.as_deref(),
        &request.payload,
    )
    .map_err(|message| Box::new(Response::plain(id, 500, &message)))?;
    let (method, mut params, node) = route(world, request, &caller, &relative, given)
        .map_err(|error| Box::new(answer::failure(id, style, &error, Handed::Direct)))?;
    let handed = hand_over(world, request, method, &node)?;
    join_lists(method, &mut params);
    let errors = verify(method, &params);
    if !errors.is_empty() {
        return Err(Box::new(answer::failure(
            id,
            style,
            &ApiError::Parameters(errors),
            handed,
        )));
    }
    Ok(Admitted {
        style,
        method,
        params,
        caller,
        node,
        handed,
    })
}

/// Who a call is of; nobody when it would not be let in.
pub(crate) fn caller_of(world: &World, request: &ApiRequest, now_ms: u64) -> Option<Caller> {
    let (_, relative) = split(&decode::unescape(&request.path))?;
    authenticate(world, request, &relative, now_ms).ok()
}

/// The storage a file is sent to by this path.
pub(crate) fn upload_storage(path: &str) -> Option<String> {
    let (_, relative) = split(&decode::unescape(path))?;
    let parts: Vec<&str> = relative.split('/').collect();
    match parts.as_slice() {
        ["", "nodes", node, "storage", storage, "upload"]
            if !node.is_empty() && !storage.is_empty() =>
        {
            Some((*storage).to_owned())
        }
        _ => None,
    }
}

/// The answer to who may not send a file.
pub(crate) fn refuse_upload(world: &World, request: &ApiRequest, now_ms: u64) -> Option<Response> {
    let (_, relative) = split(&decode::unescape(&request.path))?;
    let refused = authenticate(world, request, &relative, now_ms).err()?;
    Some(*refused)
}

/// Whether a caller may send files is asked before anything else, and refused as late as a wrong password.
fn check_upload(world: &World, request: &ApiRequest, caller: &Caller) -> Result<(), Box<Response>> {
    if request.method != "POST" {
        return Ok(());
    }
    let Some(storage) = upload_storage(&request.path) else {
        return Ok(());
    };
    let rights = Rights { world, caller };
    let place = format!("/storage/{storage}");
    match rights.need(&place, &["Datastore.AllocateTemplate"]) {
        Ok(()) => Ok(()),
        Err(error) => Err(Box::new(Response::bare(
            request.id,
            error.status(),
            error.text().as_str(),
            UNAUTHORIZED_HOLD_MS,
        ))),
    }
}

fn authenticate(
    world: &World,
    request: &ApiRequest,
    relative: &str,
    now_ms: u64,
) -> Result<Caller, Box<Response>> {
    let open = match request.method.as_str() {
        "GET" => matches!(relative, "/access/domains" | "/access/ticket"),
        "POST" => matches!(
            relative,
            "/access/ticket"
                | "/access/vncticket"
                | "/access/openid/auth-url"
                | "/access/openid/login"
        ),
        _ => false,
    };
    if open {
        let token = request
            .authorization
            .as_ref()
            .is_some_and(|header| header.contains("PVEAPIToken"));
        return Ok(Caller {
            token,
            ..Caller::default()
        });
    }
    match access::authenticate(world, request, now_ms) {
        Ok(caller) => {
            check_upload(world, request, &caller)?;
            Ok(caller)
        }
        Err(reason) => Err(Box::new(Response::bare(
            request.id,
            401,
            reason,
            UNAUTHORIZED_HOLD_MS,
        ))),
    }
}

fn check_payload(request: &ApiRequest) -> Result<(), Box<Response>> {
    let refused =
        |status, message: &str| Err(Box::new(Response::plain(request.id, status, message)));
    if matches!(request.payload, Payload::None | Payload::Upload(_)) {
        return Ok(());
    }
    if !matches!(request.method.as_str(), "PUT" | "POST") {
        return refused(
            501,
            &format!("Unexpected content for method '{}'", request.method),
        );
    }
    if request.payload == Payload::TooLarge {
        return refused(501, "for data too large");
    }
    match request.content_type.as_deref() {
        None => Ok(()),
        Some(given) => match decode::media_type(given) {
            "" | "application/x-www-form-urlencoded" | "application/json" => Ok(()),
            _ => refused(
                506,
                &format!("upload 'Content-Type '{given}' not implemented"),
            ),
        },
    }
}

type Route = (&'static Method, Params, String);

/// Method, parameters with those of the path, and the node the call is for.
fn route(
    world: &World,
    request: &ApiRequest,
    caller: &Caller,
    relative: &str,
    mut params: Params,
) -> Result<Route, ApiError> {
    let Some(found) = table().lookup(&request.method, relative) else {
        return Err(ApiError::NotImplemented(format!(
            "Method '{} {relative}' not implemented",
            request.method
        )));
    };
    for (name, value) in found.placeholders {
        if params
            .get(&name)
            .is_some_and(|given| perl_text(given).as_ref() != Some(&value))
        {
            return Err(ApiError::parameter(
                &name,
                "duplicate parameter (already defined in URI) with conflicting values!",
            ));
        }
        params.insert(name, Value::String(value));
    }
    if found.method.ticket_only && caller.token {
        let what = format!("URI '{relative}' not available with API token, need proper ticket.\n");
        return Err(ApiError::denied(what));
    }
    Rights { world, caller }.admit(found.method.permissions.as_ref(), &params)?;
    let target = found
        .method
        .proxyto
        .as_ref()
        .and_then(|name| perl_text(params.get(name)?));
    let node = match target {
        None => request.via.clone(),
        Some(node) if node == "localhost" => request.via.clone(),
        Some(node) if world.node(&node).is_some() => node,
        Some(node) => {
            return Err(ApiError::died(format!(
                "hostname lookup '{node}' failed - failed to get address info for: {node}: Temporary failure in name resolution"
            )));
        }
    };
    Ok((found.method, params, node))
}

/// Who answers, or the proxy's failure to reach it.
fn hand_over(
    world: &World,
    request: &ApiRequest,
    method: &Method,
    node: &str,
) -> Result<Handed, Box<Response>> {
    let remote = node != request.via;
    let failed = |status, reason, hold_ms| {
        Err(Box::new(Response::bare(
            request.id, status, reason, hold_ms,
        )))
    };
    let Some(target) = world.node(node) else {
        return Ok(Handed::Direct);
    };
    if remote {
        if world.node(&request.via).is_some_and(|via| via.partitioned) {
            return failed(595, "No route to host", 3_000);
        }
        match target.reach {
            Reach::Up => {}
            Reach::Refused => return failed(595, "Connection refused", 0),
            Reach::NoRoute => return failed(595, "No route to host", 3_000),
            Reach::Silent => return failed(596, "Connection timed out", 30_000),
        }
    }
    if remote && !target.proxy_up || method.protected && !target.daemon_up {
        return failed(595, "Connection refused", 0);
    }
    Ok(match (remote, method.protected) {
        (false, false) => Handed::Direct,
        (false, true) => Handed::Daemon,
        // A POST goes to the other node over a connection of its own, which ends with it.
        (true, _) if request.method == "POST" => Handed::Daemon,
        (true, false) => Handed::Remote,
        (true, true) => Handed::RemoteDaemon,
    })
}

/// A call that a task of the cluster makes for who began it.
pub(crate) struct Inner<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) params: Params,
    /// Where the task runs.
    pub(crate) via: &'a str,
    /// It is no call but the method itself: rights are not asked for again.
    pub(crate) trusted: bool,
}

/// Does what such a call is for, with what is known of the guests. One that would have to wait is refused.
pub(crate) fn call_from_within(
    world: &mut World,
    inner: Inner<'_>,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<Value, ApiError> {
    let request = ApiRequest::within(inner.method, inner.path, inner.via);
    let caller = if inner.trusted {
        &Caller::root()
    } else {
        inner.caller
    };
    let (method, params, node) = route(world, &request, caller, inner.path, inner.params)?;
    hand_over(world, &request, method, &node)
        .map_err(|response| ApiError::raised(response.status, response.reason))?;
    let admitted = Admitted {
        style: Style::Json,
        method,
        params,
        caller: inner.caller.clone(),
        node,
        handed: Handed::Direct,
    };
    let mut progress = Progress {
        arrived_ms: now_ms,
        looked: true,
        ..Progress::default()
    };
    match perform(world, &request, &admitted, &mut progress, now_ms, effects) {
        Ok(Reply::Data { data, .. }) => Ok(data),
        Ok(Reply::Whole(_) | Reply::File { .. }) => Ok(Value::Null),
        Err(Stop::Refused(error)) => Err(error),
        Err(Stop::Park(_)) => Err(ApiError::died("got timeout")),
    }
}

fn perform(
    world: &mut World,
    request: &ApiRequest,
    admitted: &Admitted,
    progress: &mut Progress,
    now_ms: u64,
    effects: &mut Effects,
) -> Outcome {
    let Admitted {
        method,
        params,
        caller,
        node,
        ..
    } = admitted;
    let Some(behaviour) = methods::behaviour(&method.verb, &method.path) else {
        let Method {
            verb, path, name, ..
        } = method;
        return Err(ApiError::not_emulated(format!("Method '{verb} {path}' ({name})")).into());
    };
    if let Some(failed) = methods::user_config_writer(&method.verb, &method.path)
        && !world.is_quorate(node, now_ms)
    {
        let until_ms = progress.arrived_ms + CLUSTER_LOCK_MS;
        if now_ms < until_ms {
            return Err(Stop::Park(Wait::Until(until_ms)));
        }
        let text = format!("{failed}: cfs-lock 'file-user_cfg' error: no quorum!");
        return Err(ApiError::died(text).into());
    }
    let mut call = Call {
        world,
        now_ms,
        request: request.id,
        caller,
        params,
        node: node.clone(),
        via: request.via.clone(),
        upload: match &request.payload {
            Payload::Upload(upload) => Some(&**upload),
            Payload::None | Payload::Bytes(_) | Payload::TooLarge => None,
        },
        progress,
        effects,
    };
    behaviour(&mut call)
}
