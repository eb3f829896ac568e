//! `PATCH /api/apps/{app}`: a change of a native app in place, first shown, then recorded as an operation.
//!
//! Decided from the record and from the container's configuration as it is now; the digest of that configuration goes with the
//! operation, which sends nothing where it is another one by then.

use std::collections::BTreeMap;
use std::sync::Arc;

use proximity_domain::app::{AppClass, StatusEvent, StatusLabel};
use proximity_domain::create::{self, ResourceRequest};
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::operation::OperationKind;
use proximity_domain::plan::size_text;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::update::{DiskStep, Limits, disk_step, filled};
use proximity_pve::cluster::GuestStatus;
use proximity_pve::lxc::LxcConfig;
use proximity_store::records::{Actor, AppRecord, NewOperation, OperationRecord, RequestKey};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::create_app::{no_guest_access, upstream};
use super::drift::recorded_now;
use super::entry_move::{self, EntryInput};
use crate::catalog::{CatalogEntry, Offered, ResolvedRecipe, Setting, SettingValue};
use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::saga::{Cx, StepResult};
use crate::sagas::steps::configuration::{disk_bytes, limits_of};
use crate::sagas::steps::set_limits::unreadable;

/// A request to change an app that is there. Everything absent stays as it is, in the record and in the cluster.
#[derive(Debug, Clone, Default)]
pub struct UpdateApp {
    /// Memory, cores, disk as they are wanted.
    pub resources: ResourceRequest,
    /// Settings that get another value, by their `env` or their `name`; the others keep theirs, secrets too. `null` = the catalog's
    /// default.
    pub settings: Map<String, Value>,
    /// Moves it to what the catalog has by now in place of the entry that it was made from, where that is another one: the recipe is
    /// carried out as the catalog says it.
    pub newest_entry: bool,
    /// It is moved also to an entry that fetches what is held against nothing.
    pub allow_unpinned: bool,
    /// Digest of the configuration that the caller saw; `None` = as it is when the request is decided.
    pub digest: Option<String>,
    /// The host name, typed again: needed only where the disk grows, which nobody can take back.
    pub confirm: Option<String>,
    /// The same key gives the same operation.
    pub key: Option<RequestKey>,
}

/// What an update would do. Nothing is changed by looking.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdatePreview {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: String,
    /// Names the state of the configuration that was looked at.
    pub digest: String,
    /// The container runs now.
    pub running: bool,
    /// What is not as it is wanted; empty if nothing is to be done.
    pub changes: Vec<FieldChange>,
    /// The calls that would be sent, in order; what is done inside the container is told in words.
    pub calls: Vec<String>,
    /// The host name has to be typed: something of it cannot be taken back.
    pub confirm: bool,
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// As a plan names it: `memory`, `cores`, `rootfs`, `settings.NAME`.
    pub path: String,
    /// As it is; `null` = nothing, of a secret `[secret]`.
    pub from: Value,
    /// As it is to be; the same.
    pub to: Value,
}

/// What the operation is given. The settings that were asked for are sealed beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UpdateInput {
    /// Memory, cores, disk as they are wanted.
    pub(crate) resources: ResourceRequest,
    /// Names of the settings that get another value.
    pub(crate) settings: Vec<String>,
    /// The state of the configuration that this was decided from.
    pub(crate) digest: String,
    /// The entry that it is moved to, if to another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<EntryInput>,
    /// Why it is done, where no person asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) because: Option<String>,
}

impl UpdateInput {
    /// The recipe is carried out again.
    pub(crate) fn works_inside(&self) -> bool {
        !self.settings.is_empty() || self.entry.is_some()
    }

    /// What this operation was given.
    pub(crate) fn of(cx: &Cx) -> StepResult<Self> {
        let read = serde_json::from_value(cx.op.input.clone());
        read.map_err(|_| unreadable("what was asked for"))
    }
}

/// The app and its container as they are now, and what is wanted of them.
struct Decided {
    app: AppRecord,
    /// What it is moved to, if to another one.
    moves_to: Option<Arc<Offered>>,
    place: ContainerRef,
    config: LxcConfig,
    running: bool,
    changed: Changed,
    disk: DiskStep,
}

/// Settings that get another value, and the recipe with all of them; none where none is asked for.
#[derive(Default)]
struct Changed {
    recipe: Option<ResolvedRecipe>,
    fields: Vec<FieldChange>,
    names: Vec<String>,
    /// Those that the request names, whether or not that is another value, and those that were made by chance.
    asked: Vec<String>,
}

impl Engine {
    /// Says what an update would do. Nothing is changed.
    ///
    /// # Errors
    /// Those of [`Engine::update_app`], but for the confirmation and the key.
    pub async fn preview_update(
        &self,
        app: &str,
        request: &UpdateApp,
    ) -> Result<UpdatePreview, EngineError> {
        let app = self.find_app(app).await?;
        let decided = self.decide_update(app, request).await?;
        Ok(preview(&decided, request))
    }

    /// Records an operation that changes the app in place. Where nothing is to be done the operation is recorded all the same, and
    /// sends no call.
    ///
    /// # Errors
    /// An unknown app, an adopted one, one that is neither running nor stopped, or that something else is at work on; wrong figures or
    /// settings; a smaller disk (`needs_replacement`); settings of a stopped app (`app_stopped`); a disk that grows without the host
    /// name; a configuration that is not the one that was seen (`preview_outdated`); a container that is not there, is another one, or
    /// cannot be read. Nothing is recorded or sent then.
    pub async fn update_app(
        &self,
        actor: &Actor,
        app: &str,
        request: UpdateApp,
    ) -> Result<OperationRecord, EngineError> {
        self.update_app_because(actor, app, request, None).await
    }

    /// As [`Engine::update_app`], with the reason that is audited where no person asked for it.
    pub(crate) async fn update_app_because(
        &self,
        actor: &Actor,
        app: &str,
        request: UpdateApp,
        because: Option<String>,
    ) -> Result<OperationRecord, EngineError> {
        if let Some(first) = self.updated_before(actor, request.key.as_ref()).await? {
            return Ok(first);
        }
        let app = self.find_app(app).await?;
        let status = app.status.clone();
        let decided = self.decide_update(app, &request).await?;
        let hostname = decided.app.hostname.to_string();
        // A disk that grew stays: that is typed.
        if may_not_be_taken_back(decided.disk) && request.confirm.as_deref() != Some(&*hostname) {
            return Err(grows_for_good(hostname));
        }
        let updating = status
            .next(StatusEvent::UpdateStarted)
            .map_err(|_| not_in_state(&decided.app))?;
        let entry = self.kept_for_move(decided.moves_to.as_deref()).await?;
        let input = UpdateInput {
            resources: request.resources,
            settings: decided.changed.names,
            digest: digest(&decided.config),
            entry,
            because,
        };
        let recipe = decided.changed.recipe.filter(|_| input.works_inside());
        let asked = decided.changed.asked;
        let sealed = recipe.map(|recipe| recipe.sealed_settings_of(&asked));
        let operation = NewOperation {
            id: OperationId(self.inner.parts.ids.uuid()),
            kind: OperationKind::Update,
            app: decided.app.id,
            input: json!(input),
            retry_of: None,
            key: request.key,
        };
        let made = self
            .store()
            .enqueue_sealed(operation, sealed, Some(updating), actor, self.now())
            .await?;
        self.inner.bell.notify_one();
        Ok(made)
    }

    /// The operation that the same request has made before.
    async fn updated_before(
        &self,
        actor: &Actor,
        key: Option<&RequestKey>,
    ) -> Result<Option<OperationRecord>, EngineError> {
        let Some(key) = key else {
            return Ok(None);
        };
        let store = self.store();
        let first = store.request(&actor.account, key, self.now()).await?;
        match first.and_then(|id| id.parse().ok()) {
            Some(id) => Ok(store.operation(id).await?),
            None => Ok(None),
        }
    }

    /// Looks at record and container, and decides what is to be done.
    async fn decide_update(
        &self,
        app: AppRecord,
        request: &UpdateApp,
    ) -> Result<Decided, EngineError> {
        refuse_class_and_state(&app)?;
        let (entry, moves_to) = self.entry_for(&app, request).await?;
        figures(&entry, &app, request.resources)?;
        let changed = self
            .changed_settings(&entry, &app, &request.settings, moves_to.is_some())
            .await?;
        let is_changed = !changed.names.is_empty() || moves_to.is_some();
        if entry.base.image().is_some() && is_changed {
            return Err(made_of_image(&app));
        }
        let guests = self.store().native_guests(app.id).await?;
        let guest = guests
            .into_iter()
            .next()
            .ok_or_else(|| no_container(&app))?;
        let cluster = self.inner.clusters.get(app.host).await?;
        let guest = RecordedGuest::Native(guest);
        let now = recorded_now(&cluster, &guest).await?;
        let (place, config) = now.ok_or_else(|| no_container(&app))?;
        if let Some(seen) = &request.digest
            && *seen != digest(&config)
        {
            return Err(outdated(&app));
        }
        let disk = disk(&app, &config, request.resources.disk_gib)?;
        let running = running(&cluster, &place).await?;
        if is_changed {
            self.refuse_outside(&app, running, &cluster, &changed)
                .await?;
        }
        Ok(Decided {
            app,
            moves_to,
            place,
            config,
            running,
            changed,
            disk,
        })
    }

    /// All settings of the app with those of the request, and which of them get another value.
    async fn changed_settings(
        &self,
        entry: &CatalogEntry,
        app: &AppRecord,
        asked: &Map<String, Value>,
        moves: bool,
    ) -> Result<Changed, EngineError> {
        if asked.is_empty() && !moves {
            return Ok(Changed::default());
        }
        let sealed = self.store().app_environment(app.id).await?;
        let before: BTreeMap<String, Value> = serde_json::from_str(sealed.expose_secret())
            .map_err(|_| EngineError::Upstream {
                code: "internal",
                message: format!("the settings of {} cannot be read back", app.hostname),
                hint: "look at the server's log".to_owned(),
            })?;
        let mut chance = || self.inner.parts.ids.nonce();
        let random: &mut dyn FnMut() -> u128 = &mut chance;
        changed(entry, &before, asked, moves.then_some(random))
    }

    /// Settings are files in the container and services that run in it.
    async fn refuse_outside(
        &self,
        app: &AppRecord,
        running: bool,
        cluster: &Cluster,
        changed: &Changed,
    ) -> Result<(), EngineError> {
        if !running {
            return Err(EngineError::NotUpdated {
                code: "app_stopped",
                message: format!(
                    "{} does not run, and its settings are changed inside its container",
                    app.hostname
                ),
            });
        }
        let works_inside = changed
            .recipe
            .as_ref()
            .is_some_and(|recipe| !recipe.steps.is_empty());
        if !works_inside || cluster.guest_access().is_some() {
            return Ok(());
        }
        let host = self.store().host(app.host).await?;
        let host = host.ok_or_else(|| EngineError::NotFound {
            what: "host",
            name: app.host.to_string(),
        })?;
        Err(no_guest_access(
            &host,
            ", and settings are changed inside of them",
        ))
    }
}

/// What is asked for on top of what there is. A setting has two names, and what is given takes the place of what was given by either.
/// `moves`: the app is moved to this entry, and what it makes by chance and the one of before did not have is made like this.
fn changed(
    entry: &CatalogEntry,
    before: &BTreeMap<String, Value>,
    asked: &Map<String, Value>,
    moves: Option<&mut dyn FnMut() -> u128>,
) -> Result<Changed, EngineError> {
    let is_asked = |one: &Setting| asked.contains_key(&one.env) || asked.contains_key(&one.name);
    let named: Vec<&Setting> = entry.settings.iter().filter(|one| is_asked(one)).collect();
    let mut given = before.clone();
    if moves.is_some() {
        entry.forget_unknown(&mut given);
    }
    for one in &named {
        given.remove(&one.env);
        given.remove(&one.name);
    }
    given.extend(
        asked
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    let makes = moves.is_some();
    let recipe = match moves {
        Some(random) => entry.resolve_new(&given, random),
        None => entry.resolve(&given),
    };
    let recipe = recipe.map_err(EngineError::Settings)?;
    // What was made goes with the operation, as if it had been asked for: it is made once.
    let is_made = |one: &&Setting| {
        let is_given = given.contains_key(&one.env) || given.contains_key(&one.name);
        makes && !is_given && one.is_made_by_chance()
    };
    let made: Vec<&Setting> = entry.settings.iter().filter(is_made).collect();
    entry
        .refuse_hidden(asked, &recipe)
        .map_err(EngineError::Settings)?;
    let (mut fields, mut names) = (Vec::new(), Vec::new());
    for setting in &recipe.settings {
        let (name, value) = (&setting.env, setting.value.to_json());
        let was = before.get(name);
        if was == Some(&value) || !named.iter().any(|one| one.env == *name) {
            continue;
        }
        let is_secret = matches!(setting.value, SettingValue::Secret(_));
        fields.push(field_of_setting(name, was, value, is_secret));
        names.push(name.clone());
    }
    let sealed = named.iter().chain(&made);
    Ok(Changed {
        recipe: Some(recipe),
        fields,
        names,
        asked: sealed.map(|one| one.env.clone()).collect(),
    })
}

fn refuse_class_and_state(app: &AppRecord) -> Result<(), EngineError> {
    if app.class == AppClass::Adopted {
        return Err(EngineError::NotUpdated {
            code: "adopted_app",
            message: format!(
                "{} was adopted: its container is nothing that is changed here",
                app.hostname
            ),
        });
    }
    match app.status.label() {
        StatusLabel::Running | StatusLabel::Stopped => Ok(()),
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error => Err(not_in_state(app)),
    }
}

/// The figures that are asked for are such as a new app could have.
fn figures(
    entry: &CatalogEntry,
    app: &AppRecord,
    asked: ResourceRequest,
) -> Result<(), EngineError> {
    let whole = filled(asked, app.resources, entry.needs.min_memory_mib);
    create::resources(&entry.id, &entry.needs, whole)?;
    Ok(())
}

/// What is to become of the root file system.
fn disk(
    app: &AppRecord,
    config: &LxcConfig,
    wanted_gib: Option<u32>,
) -> Result<DiskStep, EngineError> {
    if wanted_gib.is_none() {
        return Ok(DiskStep::Nothing);
    }
    let now = disk_bytes(config).ok_or_else(|| EngineError::Upstream {
        code: "view_incomplete",
        message: format!(
            "the size of the root file system of {} is not in its container's configuration",
            app.hostname
        ),
        hint: "let Proxmox VE write it down on its node: pct rescan --vmid VMID".to_owned(),
    })?;
    match disk_step(now, wanted_gib) {
        DiskStep::Shrinks => Err(EngineError::NotUpdated {
            code: "needs_replacement",
            message: format!(
                "the root file system of {} is {}, and none is ever made smaller",
                app.hostname,
                size_text(now)
            ),
        }),
        step @ (DiskStep::Nothing | DiskStep::Grows { .. }) => Ok(step),
    }
}

fn may_not_be_taken_back(disk: DiskStep) -> bool {
    matches!(disk, DiskStep::Grows { .. })
}

async fn running(cluster: &Cluster, place: &ContainerRef) -> Result<bool, EngineError> {
    let status = cluster.read().lxc_status(&place.node, place.vmid).await;
    let status = status.map_err(|e| upstream(cluster.label(), &e))?;
    Ok(status.status == GuestStatus::Running)
}

fn digest(config: &LxcConfig) -> String {
    let digest = config.digest.as_ref().map(ToString::to_string);
    digest.unwrap_or_default()
}

fn field_of_setting(name: &str, was: Option<&Value>, value: Value, is_secret: bool) -> FieldChange {
    let shown = |value: Value| {
        if is_secret && !value.is_null() {
            json!("[secret]")
        } else {
            value
        }
    };
    FieldChange {
        path: format!("settings.{name}"),
        from: shown(was.cloned().unwrap_or(Value::Null)),
        to: shown(value),
    }
}

fn preview(decided: &Decided, request: &UpdateApp) -> UpdatePreview {
    let (node, vmid) = (&decided.place.node, decided.place.vmid);
    let limits = limits_of(&decided.config).differing(Limits::wanted(request.resources));
    let (mut changes, mut calls) = (Vec::new(), Vec::new());
    for diff in &limits {
        changes.push(FieldChange {
            path: diff.key.to_owned(),
            from: json!(diff.from),
            to: json!(diff.to),
        });
    }
    if !limits.is_empty() {
        let keys: Vec<&str> = limits.iter().map(|diff| diff.key).collect();
        let keys = keys.join(", ");
        calls.push(format!("PUT /nodes/{node}/lxc/{vmid}/config ({keys})"));
    }
    if let DiskStep::Grows { to_gib } = decided.disk {
        changes.push(FieldChange {
            path: "rootfs".to_owned(),
            from: json!(disk_bytes(&decided.config).map(size_text)),
            to: json!(format!("{to_gib}G")),
        });
        calls.push(format!(
            "PUT /nodes/{node}/lxc/{vmid}/resize (rootfs to {to_gib}G)"
        ));
    }
    let moves_to = decided.moves_to.as_ref();
    changes.extend(moves_to.map(|to| entry_move::difference(&decided.app, to)));
    if !decided.changed.fields.is_empty() || moves_to.is_some() {
        changes.extend(decided.changed.fields.iter().cloned());
        calls.push("the app's recipe again, inside its container".to_owned());
    }
    UpdatePreview {
        app: decided.app.id,
        hostname: decided.app.hostname.to_string(),
        digest: digest(&decided.config),
        running: decided.running,
        changes,
        calls,
        confirm: may_not_be_taken_back(decided.disk),
    }
}

/// What an image is started with is decided when its container is made.
fn made_of_image(app: &AppRecord) -> EngineError {
    EngineError::NotUpdated {
        code: "needs_replacement",
        message: format!(
            "the container of {} is made of an image: other settings, and another entry, need another container",
            app.hostname
        ),
    }
}

fn not_in_state(app: &AppRecord) -> EngineError {
    EngineError::NotInState {
        app: app.hostname.to_string(),
        status: app.status.label().label().to_owned(),
        action: "update".to_owned(),
    }
}

fn grows_for_good(hostname: String) -> EngineError {
    EngineError::NotUpdated {
        code: "confirmation_needed",
        message: format!(
            "the root file system of {hostname} would grow, which is never taken back: that needs its host name as confirmation"
        ),
    }
}

fn no_container(app: &AppRecord) -> EngineError {
    EngineError::NotFound {
        what: "container of",
        name: app.hostname.to_string(),
    }
}

fn outdated(app: &AppRecord) -> EngineError {
    EngineError::NotUpdated {
        code: "preview_outdated",
        message: format!(
            "the configuration of the container of {} is not the one that was previewed",
            app.hostname
        ),
    }
}
