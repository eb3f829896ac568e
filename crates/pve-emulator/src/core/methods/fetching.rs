//! What a node fetches from elsewhere: files by URL, appliances, OCI images. There is no network but the registries of the
//! lab, so most of it fails as it does on a node without one.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::stored::{Arrival, NewFile, RegistryImage, complete, plain_name, quoted};
use super::super::task::Work;
use super::super::worker;
use super::super::world::{Storage, World};
use super::{settings, storage};

/// wget's exit code for a network that is not there.
const NO_NETWORK: u32 = 4;

/// A task that brings a file.
pub(super) fn begin(call: &mut Call<'_>, kind: &str, id: &str, arrival: Arrival) -> Outcome {
    let node = call.node.clone();
    let work = Work::Arrive(Box::new(arrival));
    let place = (node.as_str(), kind, id);
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}

/// Whether a file of this kind may have this name.
pub(super) fn check_name(content: &str, name: &str) -> Result<(), ApiError> {
    let lower = name.to_ascii_lowercase();
    let ends = |endings: &[&str]| {
        endings
            .iter()
            .any(|ending| lower.ends_with(ending) && lower.len() > ending.len())
    };
    let safe = |name: &str| {
        name.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.+=_".contains(c))
    };
    let (fits, words) = match content {
        "iso" => (ends(&[".iso", ".img"]), "wrong file extension"),
        "vztmpl" => (
            ends(&[".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"]),
            "wrong file extension",
        ),
        _ => (
            ends(&[".ova", ".qcow2", ".raw", ".vmdk"]) && safe(name),
            "invalid filename or wrong extension",
        ),
    };
    match fits {
        true => Ok(()),
        false => Err(ApiError::parameter("filename", words)),
    }
}

/// A storage whose files lie in a folder.
fn file_storage(world: &World, id: &str, node: &str) -> Result<Storage, ApiError> {
    let found = storage::require(world, id, node)?;
    if found.has_files() {
        return Ok(found.clone());
    }
    Err(ApiError::died(format!(
        "can't upload to storage type '{}', not a file based storage!",
        found.kind
    )))
}

/// wget does not get there.
fn lost(call: &mut Call<'_>, url: &str, path: &str) -> (Vec<String>, String) {
    let (pid, _) = call.world.fork(&call.node.clone(), call.now_ms);
    let log = vec![format!("downloading {url} to {path}")];
    let command = format!(
        "wget --progress=dot:giga -O {path}.tmp_dwnl.{pid} {}",
        quoted(url)
    );
    let error = format!("download failed: command '{command}' failed: exit code {NO_NETWORK}");
    (log, error)
}

pub(super) fn download(call: &mut Call<'_>) -> Outcome {
    let id = call.text("storage").unwrap_or_default();
    let content = call.text("content").unwrap_or_default();
    let store = file_storage(call.world, &id, &call.node)?;
    if !store.holds(&content) {
        let text = format!("storage '{id}' is not configured for content-type '{content}'");
        return Err(ApiError::died(text).into());
    }
    let name = plain_name(&call.text("filename").unwrap_or_default());
    check_name(&content, &name)?;
    let url = call.text("url").unwrap_or_default();
    let path = store.volume_path(&format!("{content}/{name}"));
    let there = call
        .world
        .volume_exists(&format!("{id}:{content}/{name}"), &call.node);
    let (log, error) = match (call.text("compression"), there, call.text("checksum")) {
        (Some(_), _, _) if content != "iso" => (
            Vec::new(),
            format!("decompression not supported for {content}"),
        ),
        (_, true, None) => (
            vec![format!("downloading {url} to {path}")],
            format!("refusing to override existing file '{path}'"),
        ),
        (_, true, Some(wanted)) => (
            vec![format!("downloading {url} to {path}")],
            format!(
                "checksum mismatch: got '{}' != expect '{wanted}', aborting",
                "0".repeat(wanted.len())
            ),
        ),
        (_, false, _) => lost(call, &url, &path),
    };
    let arrival = Arrival {
        log,
        error: Some(error),
        ..Arrival::default()
    };
    begin(call, "download", &name, arrival)
}

/// What a URL would give can only be said by who can be reached.
pub(super) fn url_metadata(call: &mut Call<'_>) -> Outcome {
    let url = call.text("url").unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let default = if scheme == "https" { 443 } else { 80 };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.to_owned()),
        Some(_) | None => (host, default.to_string()),
    };
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let why = if is_address {
        "Network is unreachable"
    } else {
        "Temporary failure in name resolution"
    };
    let text = format!("invalid server response: '500 Can't connect to {name}:{port} ({why})'");
    Err(ApiError::died(text).into())
}

/// An appliance comes from the lab's own templates, wherever one of its name is.
pub(super) fn appliance(call: &mut Call<'_>) -> Outcome {
    let name = call.text("template").unwrap_or_default();
    let Some(location) = settings::appliance_location(call.world, &name) else {
        return Err(ApiError::parameter("template", "no such template").into());
    };
    let id = call.text("storage").unwrap_or_default();
    let store = storage::require(call.world, &id, &call.node)?.clone();
    if !store.holds("vztmpl") {
        let text = format!("storage '{id}' does not support templates");
        return Err(ApiError::died(text).into());
    }
    let path = store.volume_path(&format!("vztmpl/{name}"));
    let start = vec![format!("downloading {location} to {path}")];
    let known = call
        .world
        .templates
        .iter()
        .find(|template| template.file == name);
    let arrival = match known.cloned() {
        Some(known)
            if call
                .world
                .volume_exists(&format!("{id}:vztmpl/{name}"), &call.node) =>
        {
            let line = "calculating checksum of existing file...OK, got correct file already, no need to download";
            Arrival {
                log: [start, vec![line.to_owned()]].concat(),
                finished: vec![format!("{} bytes", known.size_bytes)],
                ..Arrival::default()
            }
        }
        Some(known) => Arrival {
            log: [
                start,
                vec!["calculating checksum...OK, checksum verified".to_owned()],
            ]
            .concat(),
            error: None,
            file: Some(NewFile {
                storage: id,
                node: call.node.clone(),
                content: "vztmpl".into(),
                file: name.clone(),
                size_bytes: known.size_bytes,
                ostype: known.ostype,
                image: None,
            }),
            finished: vec![format!("download of '{location}' to '{path}' finished")],
        },
        None => {
            let (log, error) = lost(call, &location, &path);
            Arrival {
                log,
                error: Some(error),
                ..Arrival::default()
            }
        }
    };
    begin(call, "download", &name, arrival)
}

/// What a registry says to a repository and a tag.
fn look_up(world: &World, reference: &str) -> Result<RegistryImage, String> {
    let (repository, tag) = complete(reference);
    let host = repository.split('/').next().unwrap_or_default();
    let Some(registry) = &world.registry else {
        let host = if host == "docker.io" {
            "registry-1.docker.io"
        } else {
            host
        };
        return Err(format!(
            "initializing source docker://{reference}: pinging container registry {host}: Get \"https://{host}/v2/\": dial tcp: lookup {host}: Temporary failure in name resolution"
        ));
    };
    let found = registry.get(&repository).and_then(|tags| tags.get(&tag));
    found.cloned().ok_or_else(|| {
        let path = repository.split_once('/').map_or("", |(_, path)| path);
        format!(
            "initializing source docker://{reference}: reading manifest {tag} in {host}/{path}: manifest unknown"
        )
    })
}

pub(super) fn pull(call: &mut Call<'_>) -> Outcome {
    let id = call.text("storage").unwrap_or_default();
    let reference = call.text("reference").unwrap_or_default();
    let store = file_storage(call.world, &id, &call.node)?;
    if !store.holds("vztmpl") {
        let text = format!("storage '{id}' is not configured for content-type 'vztmpl'");
        return Err(ApiError::died(text).into());
    }
    let given = call.text("filename").unwrap_or_else(|| reference.clone());
    let name = format!("{}.tar", plain_name(&given));
    if call
        .world
        .volume_exists(&format!("{id}:vztmpl/{name}"), &call.node)
    {
        let text = format!("refusing to override existing file '{name}'");
        return Err(ApiError::died(text).into());
    }
    let path = store.volume_path(&format!("vztmpl/{name}"));
    let arrival = match look_up(call.world, &reference) {
        Ok(found) => Arrival {
            log: vec![
                "Getting image source signatures".into(),
                format!("Copying config {}", found.config_digest),
                "Writing manifest to image destination".into(),
            ],
            error: None,
            file: Some(NewFile {
                storage: id,
                node: call.node.clone(),
                content: "vztmpl".into(),
                file: name.clone(),
                size_bytes: found.size_bytes,
                ostype: "unmanaged".into(),
                image: Some(found.image),
            }),
            finished: Vec::new(),
        },
        Err(why) => {
            let (pid, _) = call.world.fork(&call.node.clone(), call.now_ms);
            let command = format!("skopeo copy docker://{reference} oci-archive:{path}.tmp.{pid}");
            Arrival {
                log: vec![format!("level=fatal msg={why:?}")],
                error: Some(format!("command '{command}' failed: exit code 1")),
                ..Arrival::default()
            }
        }
    };
    begin(call, "ociregistrypull", &name, arrival)
}

/// Tags of a repository, if there is such a one.
pub(super) fn tags(call: &mut Call<'_>) -> Outcome {
    let reference = call.text("reference").unwrap_or_default();
    let (repository, _) = complete(&reference);
    let registry = call.world.registry.as_ref();
    match registry.and_then(|registry| registry.get(&repository)) {
        Some(tags) => Ok(json!(tags.keys().collect::<Vec<_>>()).into()),
        None => {
            let text =
                format!("command 'skopeo list-tags docker://{reference}' failed: exit code 1");
            Err(ApiError::died(text).into())
        }
    }
}
