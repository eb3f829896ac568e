//! What of an app can be carried. Everything that speaks against it is told, also where one thing would do.

use super::carriers::{Carrier, carrier_of, shipped_as, software_of};
use super::read::{App, Container};
use super::{ImportCode, ImportNote, note};

/// The socket by which a container commands the Docker of its machine.
const SOCKET: &str = "docker.sock";
/// Parts of the names of variables whose values are secret.
const SECRET_WORDS: [&str; 8] = [
    "PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "API_KEY", "_KEY", "SALT",
];

/// How its software is installed, as far as somebody has written that. What refuses it is among the notes.
pub(super) fn carrier(app: &App, notes: &mut Vec<ImportNote>) -> Option<&'static Carrier> {
    for (name, service) in &app.containers {
        let at = format!("docker_compose.services.{}", short(name));
        look(service, &at, notes);
        peers(app, name, service, &at, notes);
    }
    if app.containers.len() > 1 {
        let names: Vec<String> = app.containers.keys().map(|name| short(name)).collect();
        let message = format!("it is made of {}: {}", names.len(), names.join(", "));
        notes.push(note(
            ImportCode::SeveralServices,
            "docker_compose.services",
            message,
        ));
    }
    let (name, service) = main_of(app)?;
    let at = format!("docker_compose.services.{}.image", short(name));
    if let Some(id) = shipped_as(&service.image) {
        let message = format!("the program installs it by itself: proximity deploy {id} HOSTNAME");
        notes.push(note(ImportCode::Shipped, &at, message));
        return None;
    }
    let carrier = carrier_of(&service.image);
    if carrier.is_none() && app.containers.len() == 1 {
        let message = match service.image.is_empty() {
            true => "it names no image".to_owned(),
            false => {
                let image = short(&service.image);
                format!("nobody has written how {image} is installed without its image")
            }
        };
        notes.push(note(ImportCode::NoRecipe, &at, message));
    }
    carrier.filter(|_| app.containers.len() == 1)
}

/// The container that the app is about: that of its name, else the first one.
fn main_of(app: &App) -> Option<(&String, &Container)> {
    let id = app.id.as_str();
    let named = app
        .containers
        .iter()
        .find(|(name, service)| name.as_str() == id || software_of(&service.image) == id);
    named.or_else(|| app.containers.iter().next())
}

/// A name of theirs, within bounds.
fn short(name: &str) -> String {
    name.chars().take(60).collect()
}

fn look(service: &Container, at: &str, notes: &mut Vec<ImportNote>) {
    if service.volumes.iter().any(|volume| volume.contains(SOCKET)) {
        let message = "it commands the Docker of its machine, which no container here does";
        notes.push(note(
            ImportCode::DockerSocket,
            &format!("{at}.volumes"),
            message,
        ));
    }
    for asked in &service.asks {
        let message = "it asks for something of its machine that a container here does not get";
        notes.push(note(
            ImportCode::NeedsMachine,
            &format!("{at}.{asked}"),
            message,
        ));
    }
    let network_at = format!("{at}.network_mode");
    match service.network_mode.as_deref() {
        None | Some("bridge") => {}
        Some("host") => {
            let message = "it shared the network of its machine, and has one of its own here";
            notes.push(note(ImportCode::HostNetwork, &network_at, message));
        }
        Some(_) => {
            let message = "it shares the network of another container, which there is not here";
            notes.push(note(ImportCode::NeedsMachine, &network_at, message));
        }
    }
    if is_loose(&service.image) {
        let message = "its image is whatever has that name on the day, and is not used here";
        notes.push(note(
            ImportCode::UnpinnedImage,
            &format!("{at}.image"),
            message,
        ));
    }
}

/// Its image has no tag, or one that moves.
fn is_loose(image: &str) -> bool {
    if image.is_empty() || image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').is_none_or(|(_, tag)| {
        matches!(
            tag,
            "latest" | "stable" | "main" | "master" | "edge" | "nightly"
        )
    })
}

/// Whether one that shares the network of its machine asks for another one by its name, which nothing resolves there.
fn peers(app: &App, own: &str, service: &Container, at: &str, notes: &mut Vec<ImportNote>) {
    if service.network_mode.as_deref() != Some("host") {
        return;
    }
    for other in app.containers.keys().filter(|name| *name != own) {
        let asked = service.environment.iter();
        for (name, _) in asked.filter(|(_, value)| names_host(value, other)) {
            let message = format!(
                "it asks for {} by that name, which nothing resolves in the network of a machine: it never worked",
                short(other)
            );
            let at = format!("{at}.environment.{}", short(name));
            notes.push(note(ImportCode::PeerByName, &at, message));
        }
    }
}

/// Whether a value is a host of this name, or an address with it.
fn names_host(value: &str, name: &str) -> bool {
    let ends = |sign: char| !sign.is_alphanumeric() && sign != '-' && sign != '_' && sign != '.';
    value.split(ends).any(|part| part == name)
}

/// Whether a variable of this name has a value that is secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let names_a_file = name.ends_with("_FILE") || name.ends_with("_PATH");
    !names_a_file && (name == "PASS" || name.ends_with("_PASS") || has_word(&name))
}

fn has_word(name: &str) -> bool {
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether what is mounted is a folder of the machine; else it is a volume with a name.
pub(super) fn is_of_machine(volume: &str) -> bool {
    volume.starts_with(['/', '.', '~', '$'])
}
