//! `/access/ticket`: logging in.

use serde_json::{Map, Value, json};

use super::super::super::access::{Ticket, normal_path, permissions, step_of};
use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::super::super::world::World;
use crate::schema::split_list;

/// Wrong codes in a row that are tolerated.
const CODE_TRIES: u32 = 8;

/// What the GUI shows and hides, by section; what is granted on the sections' paths counts.
const SECTIONS: [(&str, &str, &[&str]); 7] = [
    (
        "access",
        "/access/groups",
        &["User.", "Group.", "Permissions.Modify"],
    ),
    ("dc", "/", &["Sys.Audit", "Sys.Modify", "SDN."]),
    ("mapping", "/mapping", &["Mapping.", "Permissions.Modify"]),
    ("nodes", "/nodes", &["Sys.", "Permissions.Modify"]),
    ("sdn", "/sdn", &["SDN.", "Permissions.Modify"]),
    ("storage", "/storage", &["Datastore.", "Permissions.Modify"]),
    ("vms", "/vms", &["VM.", "Permissions.Modify"]),
];

/// For login pages.
pub(in super::super) fn read(_: &mut Call<'_>) -> Outcome {
    Ok(Value::Null.into())
}

/// Why no ticket is given is not told to the caller.
fn refused() -> ApiError {
    ApiError::raised(401, "authentication failure")
}

pub(in super::super) fn create(call: &mut Call<'_>) -> Outcome {
    let mut user = call.text("username").unwrap_or_default();
    if let Some(realm) = call.text("realm").filter(|realm| !realm.is_empty()) {
        user = format!("{user}@{realm}");
    }
    if !call.world.accounts.enabled(&user, call.now_s()) {
        return Err(refused().into());
    }
    let challenge = log_in(call, &user).ok_or_else(refused)?;
    let asked = call.text("path").zip(call.text("privs"));
    let mut row = match asked {
        Some((path, privileges)) => {
            let path = normal_path(&path).ok_or_else(refused)?;
            let held = permissions(call.world, &user, &path);
            let wanted = split_list(&privileges);
            if wanted.is_empty() || !wanted.iter().all(|name| held.contains_key(name)) {
                return Err(refused().into());
            }
            Map::from_iter([("username".to_owned(), json!(user))])
        }
        None => give(call, &user, challenge.as_deref()),
    };
    if !row.contains_key("NeedTFA") {
        row.insert("cap".into(), capabilities(call.world, &user));
    }
    if let Some(name) = &call.world.cluster_name
        && permissions(call.world, &user, "/").contains_key("Sys.Audit")
    {
        row.insert("clustername".into(), name.clone().into());
    }
    Ok(Value::Object(row).into())
}

/// Checks password, ticket or code; the challenge that is left, if the credentials were right.
#[allow(clippy::option_option)] // Refused, let in, or asked for more.
fn log_in(call: &mut Call<'_>, user: &str) -> Option<Option<String>> {
    let now_s = call.now_s();
    let given = call.text("password")?;
    let otp = call.text("otp");
    if let Some(challenge) = call.text("tfa-challenge") {
        let own = call.world.keys.is_half_ticket_of(&challenge, user, now_s);
        return (otp.is_none() && own && answer(call, user, &given)).then_some(None);
    }
    if let Some(Ticket::Full(owner)) = call.world.keys.verify(&given, now_s) {
        // Root can take the place of others.
        return (owner == "root@pam" || owner == user).then_some(None);
    }
    let account = call.world.accounts.users.get(user)?;
    if !account.password.as_ref()?.fits(&given) {
        return None;
    }
    if !account.totp.is_armed() {
        return otp.is_none().then_some(None);
    }
    match otp {
        Some(code) => answer(call, user, &code).then_some(None),
        None => Some(Some(json!({"totp": true}).to_string())),
    }
}

/// Checks a second factor, `totp:CODE`. That a code was taken is written into a file of the cluster.
fn answer(call: &mut Call<'_>, user: &str, given: &str) -> bool {
    let now_s = call.now_s();
    let quorate = call.world.is_quorate(&call.via, call.now_ms);
    let Some(account) = call.world.accounts.users.get_mut(user).filter(|_| quorate) else {
        return false;
    };
    let totp = &mut account.totp;
    if totp.locked {
        return false;
    }
    let code = given.strip_prefix("totp:").unwrap_or_default();
    let enabled = totp.entries.values_mut().filter(|entry| entry.enabled);
    let found = enabled.filter_map(|entry| step_of(entry, code, now_s).map(|step| (entry, step)));
    // The first one that fits decides; a code is good once.
    let right = match { found }.next() {
        Some((entry, step)) if entry.last_step.is_none_or(|last| last < step) => {
            entry.last_step = Some(step);
            true
        }
        Some(_) | None => false,
    };
    if right {
        totp.failures = 0;
    } else {
        totp.failures += 1;
        totp.locked = totp.failures >= CODE_TRIES;
    }
    right
}

fn give(call: &Call<'_>, user: &str, challenge: Option<&str>) -> Map<String, Value> {
    let (keys, now_s) = (&call.world.keys, call.now_s());
    let mut row = Map::from_iter([
        ("username".to_owned(), json!(user)),
        (
            "CSRFPreventionToken".to_owned(),
            json!(keys.csrf(user, now_s)),
        ),
    ]);
    match challenge {
        Some(challenge) => {
            row.insert(
                "ticket".into(),
                keys.half_ticket(user, challenge, now_s).into(),
            );
            row.insert("NeedTFA".into(), 1.into());
        }
        None => {
            row.insert("ticket".into(), keys.ticket(user, now_s).into());
        }
    }
    row
}

fn capabilities(world: &World, user: &str) -> Value {
    let mut sections: Map<String, Value> = SECTIONS
        .iter()
        .map(|(name, ..)| ((*name).to_owned(), json!({})))
        .collect();
    let fixed = SECTIONS.iter().map(|(_, path, _)| *path);
    for path in fixed.chain(world.accounts.grants.paths()) {
        let top = path
            .split('/')
            .nth(1)
            .filter(|top| !top.is_empty())
            .unwrap_or("dc");
        let held = permissions(world, user, path);
        for name in held.keys() {
            if top == "pool" {
                for (section, prefix) in [("vms", "VM."), ("storage", "Datastore.")] {
                    if name.starts_with(prefix) || *name == "Permissions.Modify" {
                        sections[section][*name] = 1.into();
                    }
                }
            } else if let Some((_, _, prefixes)) =
                SECTIONS.iter().find(|(section, ..)| *section == top)
                && prefixes.iter().any(|prefix| name.starts_with(prefix))
            {
                sections[top][*name] = 1.into();
            }
        }
    }
    Value::Object(sections)
}
