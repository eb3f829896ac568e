//! What is ours in Caddy's configuration: what it has to be, what it is, and the one change to make next. Pure.
//!
//! Ours are the objects whose `@id` is `proximity-INSTALLATION-APP`, a route, and the same with `-certificate`, a pair of files. All
//! others are somebody else's: they are read for the host names they have, and never part of what is sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proximity_domain::ids::{AppId, InstallationId};
use proximity_domain::site::{CertificateFiles, Site};
use serde_json::{Value, json};

use crate::seams::LedName;

/// Where Caddy's HTTP servers are, by name.
const SERVERS: &str = "/config/apps/http/servers";
/// Where it is told of certificates in files.
const FILES: &str = "/config/apps/tls/certificates/load_files";

/// Caddy's whole configuration as it was read; `null` if it has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen(pub(super) Value);

/// What an app's objects have to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) installation: InstallationId,
    pub(super) app: AppId,
    /// The name of the server that its route is in.
    pub(super) server: &'a str,
    /// Its site and where that leads; none: nothing of it is to be there.
    pub(super) site: Option<(&'a Site, SocketAddr)>,
}

/// How it is changed, in Caddy's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Appends to a list.
    Post,
    /// Inserts into a list, or makes what is not there.
    Put,
    /// Replaces what is there.
    Patch,
    Delete,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) verb: Verb,
    pub(super) path: String,
    /// Nothing for [`Verb::Delete`].
    pub(super) body: Option<Value>,
}

/// The id of an app's route.
pub(super) fn route_id(installation: InstallationId, app: AppId) -> String {
    format!("proximity-{installation}-{app}")
}

/// The id of its certificate.
fn certificate_id(installation: InstallationId, app: AppId) -> String {
    format!("{}-certificate", route_id(installation, app))
}

/// The app whose route, or certificate, has this id.
fn app_of(installation: InstallationId, id: &str) -> Option<AppId> {
    let app = id.strip_prefix(&format!("proximity-{installation}-"))?;
    let app: AppId = app
        .strip_suffix("-certificate")
        .unwrap_or(app)
        .parse()
        .ok()?;
    let known = [
        route_id(installation, app),
        certificate_id(installation, app),
    ];
    known.iter().any(|known| known == id).then_some(app)
}

fn route_object(id: &str, site: &Site, target: SocketAddr) -> Value {
    json!({
        "@id": id,
        "match": [{ "host": [site.name.as_str()] }],
        "handle": [{
            "handler": "reverse_proxy",
            "upstreams": [{ "dial": target.to_string() }],
        }],
        "terminal": true,
    })
}

fn certificate_object(id: &str, files: &CertificateFiles) -> Value {
    json!({
        "@id": id,
        "certificate": files.cert_file,
        "key": files.key_file,
        "tags": [id],
    })
}

fn id_of(object: &Value) -> Option<&str> {
    object.get("@id")?.as_str()
}

/// The elements of a list with this id.
fn with_id<'v>(list: &'v [Value], id: &str) -> Vec<&'v Value> {
    let ours = list.iter().filter(|object| id_of(object) == Some(id));
    ours.collect()
}

impl Seen {
    fn server(&self, name: &str) -> Option<&Value> {
        let server = self.0.pointer("/apps/http/servers")?.get(name)?;
        server.is_object().then_some(server)
    }

    /// Its list of routes, if it has one.
    fn route_list(&self, server: &str) -> Option<&Vec<Value>> {
        self.server(server)?.get("routes")?.as_array()
    }

    fn routes(&self, server: &str) -> &[Value] {
        self.route_list(server)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The list of certificates in files, if it has one.
    fn file_list(&self) -> Option<&Vec<Value>> {
        self.0
            .pointer("/apps/tls/certificates/load_files")?
            .as_array()
    }

    fn files(&self) -> &[Value] {
        self.file_list().map(Vec::as_slice).unwrap_or_default()
    }

    /// The names of the servers.
    fn servers(&self) -> Vec<&str> {
        let all = self.0.pointer("/apps/http/servers");
        let all = all.and_then(Value::as_object);
        all.map(|all| all.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    let list = value.and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// The change that brings the app's objects closer to what they have to be; none when they are that. What is changed is read again
/// before the next one is decided, so that none means that it was read back.
///
/// # Errors
/// It cannot be as wanted, as a sentence: there is no such server, or somebody else's route has the name.
pub(super) fn next(seen: &Seen, wanted: &Wanted<'_>) -> Result<Option<Change>, String> {
    if let Some(stray) = elsewhere(seen, wanted) {
        return Ok(Some(stray));
    }
    let route = route_change(seen, wanted)?;
    let files = wanted.site.and_then(|(site, _)| site.certificate.as_ref());
    let certificate = certificate_change(seen, wanted, files);
    // What a route shows is there before it, and goes after it.
    Ok(match files {
        Some(_) => certificate.or(route),
        None => route.or(certificate),
    })
}

fn delete(id: &str) -> Change {
    Change {
        verb: Verb::Delete,
        path: format!("/id/{id}"),
        body: None,
    }
}

/// A route of the app in another server: that one was configured before.
fn elsewhere(seen: &Seen, wanted: &Wanted<'_>) -> Option<Change> {
    let id = route_id(wanted.installation, wanted.app);
    let servers = seen.servers();
    let mut others = servers.iter().filter(|other| **other != wanted.server);
    let has_it = others.any(|other| !with_id(seen.routes(other), &id).is_empty());
    has_it.then(|| delete(&id))
}

fn certificate_change(
    seen: &Seen,
    wanted: &Wanted<'_>,
    files: Option<&CertificateFiles>,
) -> Option<Change> {
    let id = certificate_id(wanted.installation, wanted.app);
    let there = with_id(seen.files(), &id);
    let (Some(files), true) = (files, there.len() < 2) else {
        return (!there.is_empty()).then(|| delete(&id));
    };
    let object = certificate_object(&id, files);
    let (verb, path, body) = match there.first() {
        Some(found) if **found == object => return None,
        Some(_) => (Verb::Patch, format!("/id/{id}"), object),
        None => match seen.file_list() {
            Some(_) => (Verb::Post, FILES.to_owned(), object),
            // With what is around it, where that is not there.
            None => (Verb::Put, FILES.to_owned(), json!([object])),
        },
    };
    Some(Change {
        verb,
        path,
        body: Some(body),
    })
}

fn route_change(seen: &Seen, wanted: &Wanted<'_>) -> Result<Option<Change>, String> {
    let id = route_id(wanted.installation, wanted.app);
    let routes = seen.routes(wanted.server);
    let there = with_id(routes, &id);
    let Some((site, target)) = wanted.site else {
        return Ok((!there.is_empty()).then(|| delete(&id)));
    };
    if seen.server(wanted.server).is_none() {
        return Err(no_server(seen, wanted.server));
    }
    if let Some(whose) = holder(routes, &id, site) {
        return Err(format!(
            "{whose} of its server {} has the host name {}",
            wanted.server, site.name
        ));
    }
    if there.len() > 1 {
        return Ok(Some(delete(&id)));
    }
    let object = route_object(&id, site, target);
    let (verb, path, body) = match there.first() {
        Some(found) if **found == object => return Ok(None),
        Some(_) => (Verb::Patch, format!("/id/{id}"), object),
        None => {
            let path = format!("{SERVERS}/{}/routes", wanted.server);
            match seen.route_list(wanted.server) {
                // Before all others: one of them may take every request. This one takes those of its own host name alone.
                Some(_) => (Verb::Put, format!("{path}/0"), object),
                None => (Verb::Post, path, json!([object])),
            }
        }
    };
    Ok(Some(Change {
        verb,
        path,
        body: Some(body),
    }))
}

/// Why nothing can be led through a server.
fn no_server(seen: &Seen, server: &str) -> String {
    match seen.servers().as_slice() {
        [] => format!("it has no server {server:?}, nor any other"),
        names => format!("it has no server {server:?}; it has: {}", names.join(", ")),
    }
}

/// Which route has the host name, other than the one with this id.
fn holder(routes: &[Value], id: &str, site: &Site) -> Option<String> {
    let has_it = |route: &Value| {
        let matchers = list(route.get("match"));
        let mut hosts = matchers.iter().flat_map(|of| list(of.get("host")));
        hosts.any(|host| {
            host.as_str()
                .is_some_and(|host| host.eq_ignore_ascii_case(site.name.as_str()))
        })
    };
    let others = routes.iter().enumerate();
    let mut others = others.filter(|(_, route)| id_of(route) != Some(id));
    let (index, route) = others.find(|(_, route)| has_it(route))?;
    Some(match id_of(route) {
        Some(other) => format!("the route {other}"),
        None => format!("the route with index {index}"),
    })
}

/// What the apps of this installation are led to under, as it was read.
pub(super) fn names(
    seen: &Seen,
    installation: InstallationId,
    server: &str,
) -> BTreeMap<AppId, LedName> {
    let everywhere = seen.servers();
    let everywhere = everywhere.iter().flat_map(|server| seen.routes(server));
    let all = everywhere.chain(seen.files());
    let apps = all.filter_map(|object| app_of(installation, id_of(object)?));
    apps.map(|app| (app, name_of(seen, installation, server, app)))
        .collect()
}

fn name_of(seen: &Seen, installation: InstallationId, server: &str, app: AppId) -> LedName {
    let Some((site, target)) = as_read(seen, installation, server, app) else {
        return LedName::Changed;
    };
    let wanted = Wanted {
        installation,
        app,
        server,
        site: Some((&site, target)),
    };
    // Exactly what we would have written, and nothing beside it.
    match next(seen, &wanted) {
        Ok(None) => LedName::As { site, target },
        Ok(Some(_)) | Err(_) => LedName::Changed,
    }
}

/// What its objects say, if they say anything.
fn as_read(
    seen: &Seen,
    installation: InstallationId,
    server: &str,
    app: AppId,
) -> Option<(Site, SocketAddr)> {
    let id = route_id(installation, app);
    let route = with_id(seen.routes(server), &id).first().copied()?;
    let name = route.pointer("/match/0/host/0")?.as_str()?;
    let dial = route.pointer("/handle/0/upstreams/0/dial")?.as_str()?;
    let files = with_id(seen.files(), &certificate_id(installation, app));
    let certificate = match files.first() {
        Some(files) => Some(CertificateFiles {
            cert_file: files.get("certificate")?.as_str()?.to_owned(),
            key_file: files.get("key")?.as_str()?.to_owned(),
        }),
        None => None,
    };
    let site = Site {
        name: name.parse().ok()?,
        certificate,
    };
    Some((site, dial.parse().ok()?))
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
