//! Commands inside the container of an app that people ask for, outside of any operation: whose container it is is read first, what is run is
//! audited before it is sent, and the app's secrets are taken out of what comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use proximity_domain::app::AppClass;
use proximity_domain::inside::{NotTaken, SafeCommand, SafeRequest, audited};
use proximity_domain::recorded::RecordedGuest;
use proximity_pve::guest::{Exec, GuestAccess, GuestError, GuestOwner, GuestTarget};
use proximity_store::error::StoreError;
use proximity_store::records::{Actor, AppRecord};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinError;

use super::create_app::{no_guest_access, of_step};
use super::drift::recorded_now;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::mask::{Masker, StreamMasker};
use crate::sagas::steps::guest_output::seen;
use crate::sagas::steps::guest_session::guest_failure;

/// How many commands of people run at the same time: a node takes few, and operations need theirs.
pub(crate) const MOST_INSIDE: usize = 4;
/// How many of them are programs of a person's choice: those may run for an hour, and one place is left to look what goes on.
pub(crate) const MOST_PROGRAMS: usize = 3;
/// How long a command that only looks may take, milliseconds.
const LOOK_MS: u64 = 20_000;
/// How much of its output is told, bytes of each kind.
const LOOK_BYTES: usize = 256 * 1024;

/// What a command that only looks came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RanSafe {
    /// Which.
    pub command: SafeCommand,
    /// Its exit code.
    pub exit_code: i32,
    /// What it printed, without the app's secrets and without signs that a terminal would act on.
    pub output: String,
    /// What it complained, likewise.
    pub complaints: String,
    /// Whether something of either was left out.
    pub truncated: bool,
}

/// The container of an app, which was read and is the one on record.
pub(super) struct Inside {
    pub(super) app: AppRecord,
    pub(super) access: Arc<dyn GuestAccess>,
    pub(super) target: GuestTarget,
    secrets: Vec<SecretString>,
}

impl Inside {
    /// What takes the app's secrets out of a stream.
    pub(super) fn stream_masker(&self) -> StreamMasker {
        StreamMasker::new(&self.secrets)
    }

    /// What is audited of arguments: bounded, and without the app's secrets.
    pub(super) fn audited(&self, argv: &[String]) -> Vec<String> {
        let masker = Masker::new(&self.secrets);
        let masked: Vec<String> = argv.iter().map(|word| masker.mask(word)).collect();
        audited(&masked)
    }
}

impl Engine {
    /// Runs one of the commands that only look in the container of an app, and gives what it printed. That of an adopted app is entered
    /// likewise: this is the request for it.
    ///
    /// # Errors
    /// A value that the command does not take; unknown app; a container that is not there, is another one, does not run, or cannot be
    /// entered; too many commands at the same time. A command that fails is none.
    pub async fn run_safe(
        &self,
        actor: &Actor,
        app: &str,
        request: &SafeRequest,
    ) -> Result<RanSafe, EngineError> {
        let argv = request.argv().map_err(|wrong| not_taken(&wrong))?;
        let place = self.place_inside()?;
        let inside = self.inside(app).await?;
        let details = json!({
            "hostname": inside.app.hostname,
            "command": request.command.label(),
            "argv": inside.audited(&argv),
        });
        let (id, now) = (inside.app.id, self.now());
        let store = self.store();
        store
            .note_command(id, "app.run", details, actor, now)
            .await?;
        let exec = Exec {
            argv,
            stdin: None,
            timeout_ms: LOOK_MS,
            max_output_bytes: LOOK_BYTES,
            send_before: None,
        };
        let (access, target) = (Arc::clone(&inside.access), inside.target.clone());
        // It goes on though nobody waits for it any more, and has its place until its end.
        let run = tokio::spawn(async move {
            let _place = place;
            access.exec(&target, exec).await
        });
        let lost = |error: &JoinError| GuestError::MaybeApplied {
            node: inside.target.node.to_string(),
            why: error.to_string(),
        };
        let ran = run.await.unwrap_or_else(|error| Err(lost(&error)));
        let ran = ran.map_err(|error| not_inside(&inside.app, "run", &error))?;
        Ok(RanSafe {
            command: request.command,
            exit_code: ran.exit_code,
            output: shown(&inside.secrets, &ran.stdout, ran.truncated),
            complaints: shown(&inside.secrets, &ran.stderr, ran.truncated),
            truncated: ran.truncated,
        })
    }

    /// A place among the commands that run at the same time, for as long as it is kept.
    fn place_inside(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let places = Arc::clone(&self.inner.inside);
        let place = places.try_acquire_owned();
        place.map_err(|_| EngineError::TooManyCommands)
    }

    /// As [`Engine::place_inside`], for a program.
    pub(super) fn place_of_program(&self) -> Result<[OwnedSemaphorePermit; 2], EngineError> {
        let programs = Arc::clone(&self.inner.programs);
        let place = programs.try_acquire_owned();
        let place = place.map_err(|_| EngineError::TooManyCommands)?;
        Ok([place, self.place_inside()?])
    }

    /// Reads the container of an app where it is now, and says how it is entered, if it is the one on record.
    pub(super) async fn inside(&self, app: &str) -> Result<Inside, EngineError> {
        let app = self.find_app(app).await?;
        let missing = || EngineError::NotFound {
            what: "container of",
            name: app.hostname.to_string(),
        };
        let guests = self.store().recorded_guests(app.id).await?;
        // Of several the newest is the app's.
        let guest = guests.last().ok_or_else(missing)?;
        let cluster = self.inner.clusters.get(app.host).await?;
        let access = cluster.guest_access().cloned();
        let access = access.ok_or_else(|| no_guest_access(cluster.host(), ""))?;
        let (place, _) = recorded_now(&cluster, guest).await?.ok_or_else(missing)?;
        let owner = match guest {
            RecordedGuest::Native(made) => GuestOwner::Made(made.identity.clone()),
            RecordedGuest::Adopted(_) => GuestOwner::Adopted,
        };
        let target = GuestTarget {
            node: place.node,
            vmid: place.vmid,
            owner,
        };
        let secrets = self.secrets_of(&app).await?;
        Ok(Inside {
            app,
            access,
            target,
            secrets,
        })
    }

    /// The secrets of an app that are known here; of an adopted one none are.
    async fn secrets_of(&self, app: &AppRecord) -> Result<Vec<SecretString>, EngineError> {
        match app.class {
            AppClass::Adopted => return Ok(Vec::new()),
            AppClass::Native => {}
        }
        let store = self.store();
        let mut secrets: Vec<SecretString> = Vec::new();
        secrets.extend(store.root_password(app.id).await?);
        let sealed = store.app_environment(app.id).await?;
        let settings: BTreeMap<String, Value> = serde_json::from_str(sealed.expose_secret())
            .map_err(|_| StoreError::Damaged {
                what: "environment",
                why: "it is no object".to_owned(),
            })?;
        let hash = app.entry_hash.as_deref();
        let entry = self.entry_by(&app.catalog_id, hash).await?;
        match entry.map(|entry| entry.resolve(&settings)) {
            Some(Ok(recipe)) => secrets.extend(recipe.secrets().cloned()),
            // Which of them are secret is not known any more: all texts are taken for it.
            Some(Err(_)) | None => {
                let texts = settings.values().filter_map(Value::as_str);
                secrets.extend(texts.map(SecretString::from));
            }
        }
        Ok(secrets)
    }
}

/// A text for people, without secrets. Where it was cut, its end may be the beginning of one.
fn shown(secrets: &[SecretString], bytes: &[u8], was_cut: bool) -> String {
    let plain = |bytes: &[u8]| seen(&String::from_utf8_lossy(bytes));
    let masked = |text: &[u8]| {
        let mut masker = StreamMasker::new(secrets);
        let mut masked = masker.push(text);
        masked.extend(match was_cut {
            true => masker.cut(),
            false => masker.rest(),
        });
        masked
    };
    // As it came, and once more as it is seen: what is not seen could stand within a secret.
    plain(&masked(plain(&masked(bytes)).as_bytes()))
}

/// A value that a command does not take, as a refusal.
pub(super) fn not_taken(wrong: &NotTaken) -> EngineError {
    EngineError::Invalid {
        field: wrong.field.to_owned(),
        message: wrong.why.clone(),
    }
}

/// What went wrong on the way in, to whoever asked for it.
pub(super) fn not_inside(app: &AppRecord, action: &str, error: &GuestError) -> EngineError {
    if matches!(error, GuestError::NotRunning { .. }) {
        return EngineError::NotInState {
            app: app.hostname.to_string(),
            status: "not running".to_owned(),
            action: action.to_owned(),
        };
    }
    let refused = of_step(guest_failure(error));
    match (refused, is_in_doubt(error)) {
        (EngineError::Upstream { code, message, .. }, true) => EngineError::Upstream {
            code,
            message,
            hint: "it may have run, or run on: look at what it was to do before you repeat it"
                .to_owned(),
        },
        (refused, _) => refused,
    }
}

/// Whether it may have run, or may run on.
pub(super) fn is_in_doubt(error: &GuestError) -> bool {
    !error.is_not_sent()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_in_no_text_whatever_stands_in_it_and_wherever_it_is_cut() {
        let secrets = [SecretString::from("hunter2")];
        for (bytes, was_cut, wanted) in [
            ("as hunter2\n", false, "as [secret]\n"),
            ("hun\u{7}ter2 hun\u{1b}[1mter2", false, "[secret] [secret]"),
            ("as hunter", false, "as hunter"),
            ("as hunter", true, "as [secret]"),
            ("as hun\u{7}ter", true, "as [secret]"),
            ("as you like", true, "as you like"),
        ] {
            let text = shown(&secrets, bytes.as_bytes(), was_cut);
            assert_eq!(text, wanted, "{bytes:?}");
        }
    }
}
