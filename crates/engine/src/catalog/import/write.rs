//! Writes an entry of ours.

use super::carriers::{Carrier, PORT};
use super::judge::{is_of_machine, is_secret};
use super::read::{App, Container, slug};
use super::{ImportCode, ImportNote, note};

const MOST_NAME: usize = 64;
const MOST_SUMMARY: usize = 120;
const MOST_DESCRIPTION: usize = 4000;
const MOST_VERSION: usize = 32;
const MOST_TAGS: usize = 16;
const MOST_TAG: usize = 32;
const MOST_WEBSITE: usize = 256;
/// Below, a program needs more rights than it should.
const LOWEST_PORT: u64 = 1024;
/// Unless the file asks for more, GiB.
const DISK_GIB: u64 = 8;

/// The entry's text. What of the app is not in it is told.
pub(super) fn entry(
    file: &str,
    app: &App,
    carrier: &Carrier,
    notes: &mut Vec<ImportNote>,
) -> String {
    for (name, service) in &app.containers {
        let at = format!("docker_compose.services.{name}");
        left_out(service, &at, carrier, notes);
    }
    let port = port(app, carrier, notes);
    let name = line(&app.name, MOST_NAME, "name", app.id.as_str(), notes);
    let (summary, description) = about(app, notes);
    let (least, given) = memory(app, carrier);
    let cores = app.min_cores.unwrap_or(1).clamp(1, 256);
    let disk = app.min_disk_gib.unwrap_or(DISK_GIB).clamp(1, 16_384);
    let tags: Vec<String> = tags(app, notes);
    let website = website(app, notes).map_or_else(String::new, |website| {
        format!("website: {}\n", quoted(website))
    });
    format!(
        "# Imported from {}; nobody has seen it work.
format: 1
id: {}
name: {}
version: {}
summary: {}
description: {}
category: {}
tags: [{}]
{website}os_template: debian-12-standard
resources:
  memory_mib: {{ min: {least}, default: {given} }}
  cores: {{ default: {cores} }}
  disk_gib: {{ default: {disk} }}
{}",
        file.replace(char::is_control, " "),
        app.id,
        quoted(&name),
        quoted(&version(app, notes)),
        quoted(&summary),
        quoted(&description),
        category(app),
        tags.join(", "),
        carrier.recipe.replace(PORT, &port.to_string()),
    )
}

/// As YAML reads it in double quotes, as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What of a container the recipe does not do.
fn left_out(service: &Container, at: &str, carrier: &Carrier, notes: &mut Vec<ImportNote>) {
    for (name, value) in &service.environment {
        let shown: String = name.chars().take(60).collect();
        let at = format!("{at}.environment.{shown}");
        let mut secrets = carrier.secrets.iter();
        if let Some(secret) = secrets.find(|secret| secret.variable == name) {
            let becomes = match secret.is_made {
                true => "is made by chance",
                false => "is asked for",
            };
            let message = format!(
                "it is the setting {} here, which {becomes}; the value that stood there is left out",
                secret.setting
            );
            notes.push(note(ImportCode::HardCodedSecret, &at, message));
        } else if is_secret(name) && !value.is_empty() {
            let message = "a password stood there, and is left out";
            notes.push(note(ImportCode::HardCodedSecret, &at, message));
        } else {
            let message = "the recipe has no setting for it";
            notes.push(note(ImportCode::Environment, &at, message));
        }
    }
    if service.has_command {
        let message = "the recipe starts the software in its own way";
        notes.push(note(ImportCode::Command, &format!("{at}.command"), message));
    }
    for volume in &service.volumes {
        let at = format!("{at}.volumes");
        match is_of_machine(volume) {
            true => {
                let message = "a folder of its machine was in it, and is not here";
                notes.push(note(ImportCode::MachineFolder, &at, message));
            }
            false => {
                let message = "what it keeps lies in the container's own file system";
                notes.push(note(ImportCode::Volume, &at, message));
            }
        }
    }
}

fn port(app: &App, carrier: &Carrier, notes: &mut Vec<ImportNote>) -> u64 {
    let own = u64::from(carrier.port);
    let first = app.ports.first().copied();
    let published = app.containers.values().flat_map(|service| &service.ports);
    let mut inside = published.filter_map(|port| inside(port));
    let Some(asked) = first.or_else(|| inside.next()) else {
        let message = format!("it names no port; here it listens on {own}");
        notes.push(note(ImportCode::NoPorts, "ports", message));
        return own;
    };
    if asked < LOWEST_PORT {
        let message = format!("here it listens on {own} instead of {asked}, without more rights");
        notes.push(note(ImportCode::OtherPort, "ports", message));
        return own;
    }
    if app.ports.len() > 1 {
        let message = format!("only the first of its ports, {asked}, is led to");
        notes.push(note(ImportCode::OtherPort, "ports", message));
    }
    asked
}

/// The port inside of `8080:80`, `127.0.0.1:8080:80/tcp` or `80`.
fn inside(published: &str) -> Option<u64> {
    let inside = published.rsplit(':').next()?;
    let number = inside.split('/').next()?;
    let number = number.parse::<u64>().ok()?;
    (1..=65_535).contains(&number).then_some(number)
}

fn memory(app: &App, carrier: &Carrier) -> (u64, u64) {
    let (least, given) = carrier.memory_mib;
    let asked = app.min_memory_mib.unwrap_or(0).min(1_048_576);
    let least = least.max(asked);
    (least, given.max(least))
}

/// One line of at most so many characters; `instead` where nothing is left.
fn line(text: &str, most: usize, at: &str, instead: &str, notes: &mut Vec<ImportNote>) -> String {
    let plain: String = text.replace(char::is_control, " ");
    let short: String = plain.trim().chars().take(most).collect();
    let short = short.trim_end();
    if short != text {
        let message = format!("it is one line of at most {most} characters here");
        notes.push(note(ImportCode::BadValue, at, message));
    }
    match short {
        "" => instead.to_owned(),
        short => short.to_owned(),
    }
}

/// One line, and the whole.
fn about(app: &App, notes: &mut Vec<ImportNote>) -> (String, String) {
    let plain: String = app
        .description
        .chars()
        .map(|sign| match sign {
            '\n' => '\n',
            sign if sign.is_control() => ' ',
            sign => sign,
        })
        .collect();
    let mut description: String = plain.trim().chars().take(MOST_DESCRIPTION).collect();
    if description.is_empty() {
        description = app.id.to_string();
    }
    let first = description.lines().next().unwrap_or_default();
    let mut summary: String = first.trim().chars().take(MOST_SUMMARY).collect();
    summary.truncate(summary.trim_end().len());
    if plain.trim().chars().nth(MOST_DESCRIPTION).is_some() {
        let message = format!("of it {MOST_DESCRIPTION} characters are carried");
        notes.push(note(ImportCode::BadValue, "description", message));
    }
    (summary, description)
}

fn version(app: &App, notes: &mut Vec<ImportNote>) -> String {
    let Some(version) = &app.version else {
        return "1".to_owned();
    };
    let fits = |sign: &char| sign.is_ascii_alphanumeric() || ".+~:-".contains(*sign);
    let plain: String = version.chars().filter(fits).take(MOST_VERSION).collect();
    let plain = plain.trim_start_matches(['.', '+', '~', ':', '-']);
    if plain != version {
        let message = "it is written otherwise here";
        notes.push(note(ImportCode::BadValue, "version", message));
    }
    match plain {
        "" => "1".to_owned(),
        plain => plain.to_owned(),
    }
}

fn category(app: &App) -> String {
    let plain = slug(app.category.as_deref().unwrap_or_default(), MOST_TAG);
    match plain.starts_with(|sign: char| sign.is_ascii_lowercase()) {
        true => plain,
        false => "other".to_owned(),
    }
}

fn tags(app: &App, notes: &mut Vec<ImportNote>) -> Vec<String> {
    let plain = app.tags.iter().map(|tag| slug(tag, MOST_TAG));
    let mut tags: Vec<String> = Vec::new();
    for tag in plain.filter(|tag| !tag.is_empty()) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > MOST_TAGS {
        let message = format!("{MOST_TAGS} of them are carried");
        notes.push(note(ImportCode::BadValue, "tags", message));
        tags.truncate(MOST_TAGS);
    }
    // One of digits alone is a number without quotes.
    tags.iter().map(|tag| quoted(tag)).collect()
}

/// One that begins with `https://` and is short enough.
fn website<'a>(app: &'a App, notes: &mut Vec<ImportNote>) -> Option<&'a str> {
    let website = app.website.as_deref()?;
    let is_right = website.strip_prefix("https://").is_some_and(|rest| {
        !rest.is_empty()
            && rest.bytes().all(|sign| sign.is_ascii_graphic())
            && website.len() <= MOST_WEBSITE
    });
    if !is_right {
        let message = "an address that begins with https:// is carried, and no other";
        notes.push(note(ImportCode::BadValue, "website", message));
    }
    is_right.then_some(website)
}
