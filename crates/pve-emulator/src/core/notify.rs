//! Whom the cluster tells about what: targets and matchers (pve-manager, `API2/Cluster/Notifications.pm`; their rules are
//! those of Proxmox' library `proxmox-notify`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::world::World;

/// A target or a matcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entity {
    /// `gotify`, `sendmail`, `smtp`, `webhook` or `matcher`.
    pub(crate) kind: String,
    /// As the API shows it; what is secret is not kept.
    pub(crate) keys: BTreeMap<String, Value>,
}

pub(crate) const MATCHER: &str = "matcher";

impl Entity {
    pub(crate) fn new(kind: &str, keys: BTreeMap<String, Value>) -> Self {
        Self {
            kind: kind.to_owned(),
            keys,
        }
    }

    /// The entries of a list; none when it is not there.
    pub(crate) fn list(&self, key: &str) -> Vec<&str> {
        let list = self.keys.get(key).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }
}

/// What is always there: it can be changed, and is as before when it is removed.
fn builtin(name: &str) -> Option<Entity> {
    let (kind, keys) = match name {
        "mail-to-root" => (
            "sendmail",
            json!({"mailto-user": ["root@pam"], "comment": "Send mails to root@pam's email address"}),
        ),
        "default-matcher" => (
            MATCHER,
            json!({"mode": "all", "target": ["mail-to-root"], "comment": "Route all notifications to mail-to-root"}),
        ),
        _ => return None,
    };
    let keys = keys.as_object().cloned().unwrap_or_default();
    Some(Entity::new(kind, keys.into_iter().collect()))
}

/// Who made an entity what it is.
pub(crate) fn origin(name: &str, entity: &Entity) -> &'static str {
    match builtin(name) {
        None => "user-created",
        Some(known) if known == *entity => "builtin",
        Some(_) => "modified-builtin",
    }
}

impl World {
    /// All targets and matchers by name.
    pub(crate) fn notify_entities(&self) -> BTreeMap<String, Entity> {
        let mut all = self.notifications.clone();
        for name in ["mail-to-root", "default-matcher"] {
            if let Some(known) = builtin(name) {
                all.entry(name.to_owned()).or_insert(known);
            }
        }
        all
    }

    /// SHA-256 of the configuration, hex.
    pub(crate) fn notify_digest(&self) -> String {
        let all = self.notifications.iter();
        let text: String = all.map(|entry| format!("{entry:?}\n")).collect();
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}

/// The entity of a kind, or that there is none.
pub(crate) fn find(world: &World, kind: &str, name: &str) -> Result<Entity, ApiError> {
    let found = world.notify_entities().remove(name);
    let word = if kind == MATCHER { MATCHER } else { "endpoint" };
    let missing = || ApiError::raised(404, format!("{word} '{name}' not found"));
    found
        .filter(|entity| entity.kind == kind)
        .ok_or_else(missing)
}

fn is_target(entity: &Entity) -> bool {
    entity.kind != MATCHER
}

/// What an entity has to be like.
pub(crate) fn check(world: &World, entity: &Entity) -> Result<(), ApiError> {
    let mails = matches!(entity.kind.as_str(), "sendmail" | "smtp");
    let lonely = entity.list("mailto").is_empty() && entity.list("mailto-user").is_empty();
    if mails && lonely {
        let text = "must at least provide one recipient, either in mailto or in mailto-user";
        return Err(ApiError::raised(400, text));
    }
    let all = world.notify_entities();
    let missing = |name: &&&str| !all.get(**name).is_some_and(is_target);
    match entity.list("target").iter().find(missing) {
        None => Ok(()),
        Some(name) => {
            let text = format!("endpoint '{name}' does not exist");
            Err(ApiError::raised(404, text))
        }
    }
}

/// Whether an entity can go: what others use cannot, except what is there again at once.
pub(crate) fn check_removal(world: &World, name: &str) -> Result<(), ApiError> {
    if builtin(name).is_some() {
        return Ok(());
    }
    let all = world.notify_entities();
    let users = all
        .iter()
        .filter(|(_, other)| other.list("target").contains(&name));
    let users: Vec<&str> = users.map(|(name, _)| name.as_str()).collect();
    if users.is_empty() {
        return Ok(());
    }
    let text = format!(
        "cannot delete '{name}', referenced by: {}",
        users.join(", ")
    );
    Err(ApiError::raised(400, text))
}

/// What a test of a target says: there is no network, and mails go to whom has an address.
pub(crate) fn test(world: &World, name: &str) -> Result<(), ApiError> {
    let Some(target) = world.notify_entities().remove(name).filter(is_target) else {
        let text = format!("endpoint '{name}' does not exist");
        return Err(ApiError::raised(404, text));
    };
    let text_of = |key: &str| {
        target
            .keys
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    const LOOKUP: &str =
        "failed to lookup address information: Temporary failure in name resolution";
    let why = match target.kind.as_str() {
        "sendmail" => {
            let users = target.list("mailto-user").into_iter();
            let address = |user: &str| {
                let user = world.accounts.users.get(user);
                user.is_some_and(|user| user.texts.contains_key("email"))
            };
            if !target.list("mailto").is_empty() || users.into_iter().any(address) {
                return Ok(());
            }
            "no recipients provided for the mail, cannot send it.".to_owned()
        }
        "smtp" => format!("Connection error: {LOOKUP}"),
        "gotify" => format!("{}/message: Dns Failed: {LOOKUP}", text_of("server")),
        _ => format!("{}: Dns Failed: {LOOKUP}", text_of("url")),
    };
    let text = format!("Could not test target: could not notify via endpoint(s): {name}: {why}");
    Err(ApiError::raised(500, text))
}
