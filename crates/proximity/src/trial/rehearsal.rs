//! An entry of the catalog from its deploy to its removal, looked at more closely than `try` looks at nginx.

use std::path::PathBuf;
use std::time::Duration;

use proximity_api::apps::{ActionName, App, ResourceConfig, UpdateApp};
use proximity_domain::time::Clock;
use proximity_engine::catalog::{Catalog, CatalogEntry, Setting, SettingKind};
use proximity_engine::seams::IdSource;
use proximity_pve_emulator::lab::Guests;
use serde_json::{Map, Value};

use super::checks::{act, node_dirs, remove, wanted, wrong};
use super::entrance::{Entrance, Sign};
use super::files::Files;
use super::rehearsed::Rehearsed;
use super::seconds;
use super::stack::World;
use crate::cli::Waiting;
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;
use crate::roles::ids::SystemIds;

/// Longest time the app may take to answer once its operation has succeeded.
const AGAIN: Duration = Duration::from_secs(60);
/// Longest time a deploy or a change may take: packages are fetched, and some are compiled.
const WAITING: Waiting = Waiting {
    detach: false,
    wait_timeout: 1_800,
};

/// The shipped entry of this id.
///
/// # Errors
/// There is none; all there are are named.
pub(crate) fn entry(id: &str) -> Result<CatalogEntry, Failed> {
    let catalog = Catalog::load(&[]).map_err(|e| wrong(&e.to_string()))?;
    let mut entries = catalog.entries();
    let found = entries.find(|entry| entry.id.as_str() == id).cloned();
    found.ok_or_else(|| {
        let ids: Vec<&str> = catalog.entries().map(|entry| entry.id.as_str()).collect();
        let hint = format!("there are {}", ids.join(", "));
        Failed::usage(format!("no shipped entry is called {id}"), hint)
    })
}

/// Deploys it, restarts it, carries its recipe out twice more, stops, starts and removes it, looking after each.
///
/// # Errors
/// An operation failed; what does not come out as promised is in the report instead.
pub(crate) async fn whole_life(
    context: &Context,
    world: &World,
    clock: &dyn Clock,
    entry: &CatalogEntry,
) -> Result<Rehearsed, Failed> {
    let given = given(entry);
    let body = wanted(entry.id.as_str(), given.clone());
    context.output.note(&format!("deploying {}", entry.id));
    let key = SystemIds.uuid().to_string();
    let app = world.client.create_app(&body, &key).await?;
    let accepted = clock.monotonic();
    let ports = app.ports.ok_or_else(|| wrong("the new app has no ports"))?;
    let sign = Sign::of(entry);
    let word = sign.word();
    let entrance = Entrance::new(ports.public, sign)?;
    let operation = app.operation_id.clone();
    let operation = operation.ok_or_else(|| wrong("the new app has no operation"))?;
    let operation = world.client.operation(&operation).await?;
    follow::settle(context, &world.client, operation, WAITING).await?;
    let answers = entrance.answers(AGAIN).await;
    let took_ms = clock.monotonic().since_ms(accepted);
    // Its container has a number only now.
    let app = world.client.app(&app.id).await?;
    act(context, world, &app, ActionName::Restart).await?;
    let answers_after_restart = entrance.answers(AGAIN).await;
    let changed = carried_out_twice(context, world, &app, entry, &given).await?;
    let answers_after_change = entrance.answers(AGAIN).await;
    act(context, world, &app, ActionName::Stop).await?;
    let stop_refuses = entrance.refuses().await;
    act(context, world, &app, ActionName::Start).await?;
    let answers_after_start = entrance.answers(AGAIN).await;
    let (removed, leftovers) = remove(context, world, &app, ports).await?;
    Ok(Rehearsed {
        guests: world.lab.guests.word(),
        app: entry.id.to_string(),
        version: entry.version.clone(),
        sign: word,
        answers,
        seconds_to_answer: seconds(took_ms),
        answers_after_restart,
        changed,
        answers_after_change,
        stop_refuses,
        answers_after_start,
        removed,
        leftovers,
    })
}

/// What a user would have to give: passwords, made up.
fn given(entry: &CatalogEntry) -> Map<String, Value> {
    let needed = entry.settings.iter().filter(|setting| setting.required);
    needed
        .map(|setting| (setting.env.clone(), made_up()))
        .collect()
}

/// 32 characters that any rule for a password takes.
fn made_up() -> Value {
    Value::from(format!("{:032x}", SystemIds.nonce()))
}

/// Gives a setting another value, and back, which carries the recipe out each time. The files below `/etc` that are others
/// afterwards; `None` where no setting has another value, or the containers are simulated.
async fn carried_out_twice(
    context: &Context,
    world: &World,
    app: &App,
    entry: &CatalogEntry,
    given: &Map<String, Value>,
) -> Result<Option<Vec<String>>, Failed> {
    let Some((env, other, back)) = other_value(entry, given) else {
        return Ok(None);
    };
    let look = || match world.lab.guests {
        Guests::Lxc => etc(world, app).map(Some),
        Guests::Simulated => Ok(None),
    };
    let before = look()?;
    for value in [other, back] {
        let body = UpdateApp {
            resources: ResourceConfig::default(),
            settings: Map::from_iter([(env.clone(), value)]),
            newest_entry: false,
            allow_unpinned: false,
            digest: None,
            confirm: None,
        };
        let key = SystemIds.uuid().to_string();
        let operation = world.client.update_app(&app.id, &body, &key).await?;
        context
            .output
            .note(&format!("{}: {} of {env}", app.hostname, operation.kind));
        follow::settle(context, &world.client, operation, WAITING).await?;
    }
    let after = look()?;
    Ok(before
        .zip(after)
        .map(|(before, after)| before.differing(&after)))
}

/// A setting's name, another value that it can have, and the one that it has. One that no other setting hides, and rather none
/// that is secret.
fn other_value(entry: &CatalogEntry, given: &Map<String, Value>) -> Option<(String, Value, Value)> {
    let shown = || {
        let settings = entry.settings.iter();
        settings.filter(|setting| setting.shown_when.is_none())
    };
    let open = |setting: &Setting| {
        let (other, back) = other_and_own(&setting.kind)?;
        Some((setting.env.clone(), other, back))
    };
    let secret = |setting: &Setting| {
        let back = given.get(&setting.env)?.clone();
        Some((setting.env.clone(), made_up(), back))
    };
    shown().find_map(open).or_else(|| shown().find_map(secret))
}

/// Another value than the default, and the default, of what has both and no rule of its own.
fn other_and_own(kind: &SettingKind) -> Option<(Value, Value)> {
    match kind {
        SettingKind::Boolean { default } => {
            let own = (*default)?;
            Some((Value::from(!own), Value::from(own)))
        }
        SettingKind::Integer { default, min, max } => {
            let own = (*default)?;
            let other = [own.checked_add(1), own.checked_sub(1)];
            let mut other = other.into_iter().flatten();
            let other = other.find(|other| (*min..=*max).contains(other))?;
            Some((Value::from(other), Value::from(own)))
        }
        SettingKind::Choice { default, options } => {
            let own = default.as_ref()?;
            let other = options.iter().find(|option| *option != own)?;
            Some((Value::from(other.as_str()), Value::from(own.as_str())))
        }
        SettingKind::Text { .. }
        | SettingKind::Secret { .. }
        | SettingKind::Port { .. }
        | SettingKind::Path { .. } => None,
    }
}

/// What the app's container has below `/etc` that its template has not.
fn etc(world: &World, app: &App) -> Result<Files, Failed> {
    let vmid = app.vmid.ok_or_else(|| wrong("the app has no container"))?;
    let dirs = node_dirs(world.lab.pid, &app.node)?;
    let deltas: Vec<PathBuf> = dirs
        .into_iter()
        .map(|dir| dir.join(vmid.to_string()).join("overlay/delta"))
        .filter(|delta| delta.is_dir())
        .collect();
    let [delta] = deltas.as_slice() else {
        let found = deltas.len();
        return Err(wrong(&format!(
            "{found} labs have a container {vmid} on {}, so which is this one's is not known",
            app.node
        )));
    };
    let below = delta.join("etc");
    Files::below(&below).map_err(|e| wrong(&format!("cannot look into {}: {e}", below.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_is_told_with_those_that_are() {
        assert_eq!(entry("nginx").unwrap().id.as_str(), "nginx");
        let failed = entry("ngnix").unwrap_err();
        assert!(failed.body.hint.contains("nginx"), "{}", failed.body.hint);
    }

    #[test]
    fn each_shipped_entry_takes_what_is_made_up_and_can_be_carried_out_again() {
        let catalog = Catalog::load(&[]).unwrap();
        for entry in catalog.entries() {
            let mut settings = given(entry);
            let made = |settings: &Map<String, Value>| {
                let settings = settings.clone().into_iter().collect();
                entry.resolve_new(&settings, &mut || 7).map(drop)
            };
            let first = made(&settings);
            assert!(first.is_ok(), "{}: {first:?}", entry.id);
            let other = other_value(entry, &settings);
            let (env, other, back) = other.unwrap_or_else(|| panic!("{}", entry.id));
            assert_ne!(other, back, "{}", entry.id);
            for value in [other, back] {
                settings.insert(env.clone(), value);
                let again = made(&settings);
                assert!(again.is_ok(), "{}: {again:?}", entry.id);
            }
        }
    }
}
