//! Everything that can be read.

use proximity_domain::audit::Head;
use proximity_domain::ids::{AppId, HostId, OperationId, Vmid};
use proximity_domain::time::Timestamp;
use proximity_store::records::HostRecord;
use proximity_store::views::{AppFilter, ArchiveFilter, OperationFilter};
use proximity_store::{KeptRecord, StoreError};
use secrecy::ExposeSecret;

use super::accounts;
use super::applies;
use super::entry_sources;
use super::notices;
use super::pair::{Pair, both};
use super::people::{key_of, secret_of};
use super::plans;
use super::prepared;
use super::resources;
use super::sources;

/// What was ever made, to ask for.
#[derive(Debug, Default)]
pub struct Known {
    pub hosts: Vec<HostId>,
    pub apps: Vec<AppId>,
    pub operations: Vec<OperationId>,
}

/// The whole readable state of both, compared.
pub async fn at_everything(pair: &Pair, known: &Known, now: Timestamp) {
    at_what_is_live(pair).await;
    at_hosts(pair, known, now).await;
    at_apps(pair, known).await;
    at_operations(pair, known).await;
    both!(pair, store => store.events(0, 1000)).unwrap();
    both!(pair, store => store.newest_event()).unwrap();
    both!(pair, store => store.journal_counts()).unwrap();
    both!(pair, store => store.ended_operations(None, 1000)).unwrap();
    both!(pair, store => store.audit(1000, 0)).unwrap();
    let chain = both!(pair, store => store.verify_audit(Head::NONE, Vec::new())).unwrap();
    chain.unwrap();
    let chain = both!(pair, store => store.verify_events(Vec::new())).unwrap();
    chain.unwrap();
    notices::look(pair).await;
    plans::look(pair).await;
    applies::look(pair).await;
    sources::look(pair).await;
    entry_sources::look(pair).await;
    prepared::look(pair).await;
    accounts::look(pair, now).await;
    let wrong = both!(pair, store => store.invariants()).unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The part that changes most, looked at after every call.
pub async fn at_what_is_live(pair: &Pair) {
    both!(pair, store => store.apps(AppFilter::default())).unwrap();
    let live = both!(pair, store => store.apps_by_id(None)).unwrap();
    if let Some(first) = live.first() {
        both!(pair, store => store.apps_by_id(Some(first.id))).unwrap();
    }
    both!(pair, store => store.live_operations()).unwrap();
    both!(pair, store => store.claimable()).unwrap();
    both!(pair, store => store.ports()).unwrap();
    both!(pair, store => store.transitional_apps()).unwrap();
    both!(pair, store => store.suspicions()).unwrap();
    both!(pair, store => store.alarms()).unwrap();
    both!(pair, store => store.guards()).unwrap();
    both!(pair, store => store.desired_drifts()).unwrap();
    both!(pair, store => store.rejected_revisions()).unwrap();
    both!(pair, store => store.exposed_apps()).unwrap();
    both!(pair, store => store.claimable_applies()).unwrap();
    both!(pair, store => store.all_desired()).unwrap();
    both!(pair, store => store.desired_ties()).unwrap();
    let some: Vec<_> = live.iter().step_by(2).map(|app| app.id).collect();
    both!(pair, store => store.desired_ties_of(&some)).unwrap();
}

/// How seldom each of the copies is refreshed, in calls: of SQLite one always and one when much was written, of memory one.
const REFRESHED: [u32; 3] = [1, 7, 1];

/// Copies of what is on record of guests, and how many calls there were.
pub struct Copies {
    kept: [KeptRecord; 3],
    calls: u32,
}

impl Copies {
    pub fn of(pair: &Pair) -> Self {
        let sqlite = || pair.sqlite.keep_record();
        Self {
            kept: [sqlite(), sqlite(), pair.memory.keep_record()],
            calls: 0,
        }
    }

    /// Whatever was called since, a copy that is refreshed is what is read anew.
    pub async fn look(&mut self, pair: &Pair, known: &Known) {
        self.calls += 1;
        let calls = self.calls;
        for (kept, seldom) in self.kept.iter_mut().zip(REFRESHED) {
            if !calls.is_multiple_of(seldom) {
                continue;
            }
            kept.refresh().await.unwrap();
            let live = pair.memory.live_apps().await.unwrap();
            assert_eq!(kept.live_apps(), live);
            for host in &known.hosts {
                let guests = pair.memory.watched_guests(*host).await.unwrap();
                assert_eq!(*kept.guests(*host), guests);
            }
        }
    }
}

async fn at_hosts(pair: &Pair, known: &Known, now: Timestamp) {
    let hosts = both!(pair, store => store.hosts()).unwrap();
    for label in hosts.iter().map(|host| host.label.to_string()) {
        both!(pair, store => store.host_by_label(&label)).unwrap();
    }
    for id in &known.hosts {
        both!(pair, store => store.host(*id)).unwrap();
        both!(pair, store => store.host_guests(*id)).unwrap();
        both!(pair, store => store.watched_guests(*id)).unwrap();
        resources::look(pair, *id).await;
        let held = both!(pair, store => store.recorded_guests_of_host(*id)).unwrap();
        for vmid in held.iter().map(|guest| guest.place().vmid) {
            assert!(both!(pair, store => store.is_held(*id, vmid)).unwrap());
        }
        for n in 100..110 {
            let vmid = Vmid::try_from(n).unwrap();
            both!(pair, store => store.is_held(*id, vmid)).unwrap();
            let at = both!(pair, store => store.recorded_guest_at(*id, vmid)).unwrap();
            let mut listed = held.iter();
            assert_eq!(at.as_ref(), listed.find(|guest| guest.place().vmid == vmid));
        }
    }
    let secrets = |hosts: Result<Vec<HostRecord>, StoreError>| {
        let secrets = |host: &HostRecord| {
            let ssh = host.ssh.as_ref();
            let key = ssh.map(|ssh| ssh.private_key.expose_secret().to_owned());
            let others = host.purpose_tokens.iter();
            let others: Vec<_> = others
                .map(|(purpose, token)| (purpose, token.secret.expose_secret().to_owned()))
                .collect();
            (host.token_secret.expose_secret().to_owned(), key, others)
        };
        hosts.unwrap().iter().map(secrets).collect::<Vec<_>>()
    };
    assert_eq!(
        secrets(pair.sqlite.hosts().await),
        secrets(pair.memory.hosts().await)
    );
    both!(pair, store => store.tokens()).unwrap();
    for n in 0..4 {
        both!(pair, store => store.token_by_hash(&secret_of(n))).unwrap();
        let key = key_of(n);
        // Refused where the key was used for another request.
        let _ = both!(pair, store => store.request("admin", &key, now));
    }
}

async fn at_apps(pair: &Pair, known: &Known) {
    both!(pair, store => store.mass_brake()).unwrap();
    both!(pair, store => store.live_apps()).unwrap();
    both!(pair, store => store.orphans_archived_after(Timestamp(0))).unwrap();
    for before in [None, known.apps.first().copied()] {
        let filter = ArchiveFilter {
            before,
            ..ArchiveFilter::default()
        };
        both!(pair, store => store.archived_apps(filter.clone())).unwrap();
    }
    for n in 0..5 {
        let filter = ArchiveFilter {
            hostname: Some(format!("app-{n}")),
            ..ArchiveFilter::default()
        };
        both!(pair, store => store.archived_apps(filter.clone())).unwrap();
    }
    both!(pair, store => store.app_counts(None)).unwrap();
    both!(pair, store => store.app_counts(Some("someone"))).unwrap();
    both!(pair, store => store.promised()).unwrap();
    both!(pair, store => store.guests_of_apps(&known.apps)).unwrap();
    for id in &known.apps {
        both!(pair, store => store.app(*id)).unwrap();
        both!(pair, store => store.archived_app(*id)).unwrap();
        both!(pair, store => store.native_guests(*id)).unwrap();
        both!(pair, store => store.recorded_guests(*id)).unwrap();
        both!(pair, store => store.adoption(*id)).unwrap();
        both!(pair, store => store.past_guests(*id)).unwrap();
        both!(pair, store => store.mutations_of_app(*id, 1000)).unwrap();
        both!(pair, store => store.log(*id, 0, 1000)).unwrap();
        both!(pair, store => store.log_tail(*id, 3)).unwrap();
        let left = both!(pair, store => store.app_environment(*id));
        if let Ok(left) = left {
            let right = pair.sqlite.app_environment(*id).await.unwrap();
            assert_eq!(left.expose_secret(), right.expose_secret());
        }
    }
    for n in 0..5 {
        let name = format!("app-{n}");
        both!(pair, store => store.app_by_hostname(&name)).unwrap();
        let name = name.parse().unwrap();
        both!(pair, store => store.apps_apart_from(&name)).unwrap();
    }
}

async fn at_operations(pair: &Pair, known: &Known) {
    let filter = OperationFilter {
        limit: OperationFilter::MAX_LIMIT,
        ..Default::default()
    };
    both!(pair, store => store.operations(filter.clone())).unwrap();
    for id in &known.operations {
        both!(pair, store => store.operation(*id)).unwrap();
        both!(pair, store => store.steps(*id)).unwrap();
        let left = both!(pair, store => store.sealed_input(*id)).unwrap();
        let right = pair.sqlite.sealed_input(*id).await.unwrap();
        let shown = [left, right].map(|text| text.map(|text| text.expose_secret().to_owned()));
        assert_eq!(shown[0], shown[1]);
        for step in 0..3 {
            both!(pair, store => store.mutations(*id, step)).unwrap();
        }
    }
}
