//! What the clusters have is recorded when it changes, and only then.

use std::sync::atomic::{AtomicUsize, Ordering};

use proximity_domain::resource::{ResourceId, ResourceKey};
use proximity_engine::reconcile::ResourceReport;
use proximity_pve::transport::Transport;
use proximity_store::resources::ResourceRecord;
use serde_json::json;

use super::faces::listed;
use super::*;

impl Looked {
    async fn record(&self) -> ResourceReport {
        let reconciler = self.w.engine.reconciler();
        reconciler.record_resources().await.unwrap()
    }

    async fn container(&self, vmid: u32) -> ResourceRecord {
        let host = self.w.store.hosts().await.unwrap().remove(0).id;
        let key = ResourceKey::container(vmid.try_into().unwrap());
        let id = ResourceId::of(host, &key);
        self.w.store.resource(id).await.unwrap().unwrap()
    }

    /// Its changes, newest first.
    async fn timeline(&self, vmid: u32) -> Vec<&'static str> {
        let id = self.container(vmid).await.id;
        let all = self.w.store.snapshots(id, None, 100).await.unwrap();
        all.iter().map(|one| one.change.label()).collect()
    }
}

/// R10's second half: as long as nothing changes, nothing is written, and nothing asked for that a pass does not ask for anyway.
#[tokio::test]
async fn a_cluster_that_stays_as_it_is_writes_nothing() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    listed(&l, "web", "running").await;
    l.left_alone().await;
    l.pass().await;
    let first = l.record().await;
    assert_eq!((first.read, first.failed.len()), (1, 0), "{first:?}");
    assert_eq!(l.timeline(vmid).await, ["discovered"]);
    // Three nodes, at least one storage on each, and the container.
    assert!(first.written >= 7, "{first:?}");
    let told = l.events(EventKind::ResourceDiscovered).await as u64;
    assert_eq!(told, first.written, "each with its snapshot");
    let mut commits = l.w.store.commits();
    commits.mark_unchanged();
    let calls = l.w.pve.calls();
    for _ in 0..100 {
        l.clock.pass(10_000);
        l.pass().await;
        assert_eq!(l.record().await, ResourceReport::default());
    }
    assert!(!commits.has_changed().unwrap());
    assert_eq!(l.w.pve.calls() - calls, 300);
    // What no list of guests shows is read after a round of the sweep, which hands over configurations.
    let reconciler = l.w.engine.reconciler();
    reconciler.sweep().await.unwrap();
    assert_eq!(l.timeline(vmid).await, ["discovered"], "nothing changed");
    let id = l.container(vmid).await.id;
    let newest = l.w.store.snapshots(id, None, 1).await.unwrap().remove(0);
    assert!(newest.state.fields().contains_key("config.memory"));
    reconciler.sweep().await.unwrap();
    let again = l.record().await;
    assert_eq!((again.read, again.written), (1, 0));
    assert_eq!(l.timeline(vmid).await, ["discovered"]);
    l.assert_sound().await;
}

#[tokio::test]
async fn what_a_person_changes_is_one_snapshot_and_what_is_gone_is_one() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    listed(&l, "web", "running").await;
    l.pass().await;
    l.record().await;
    let config = format!("/nodes/pve2/lxc/{vmid}/config");
    l.w.pve.put(&config, &[("tags", "mine")]).await;
    l.pass().await;
    assert_eq!(l.record().await.written, 1);
    assert_eq!(l.timeline(vmid).await, ["updated", "discovered"]);
    assert_eq!(l.events(EventKind::ResourceUpdated).await, 1);
    let id = l.container(vmid).await.id;
    let newest = l.w.store.snapshots(id, None, 1).await.unwrap().remove(0);
    let tags = newest.state.fields()["tags"].as_str().unwrap();
    assert!(tags.split(',').any(|tag| tag == "mine"), "{tags}");
    l.delete_by_hand(vmid).await;
    l.pass().await;
    l.record().await;
    assert_eq!(l.timeline(vmid).await[0], "deleted");
    assert!(l.container(vmid).await.gone_at.is_some());
    l.pass().await;
    assert_eq!(l.record().await, ResourceReport::default());
    assert_eq!(l.events(EventKind::ResourceDeleted).await, 1);
    l.assert_sound().await;
}

#[tokio::test]
async fn what_cannot_be_seen_whole_is_never_gone() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    listed(&l, "web", "running").await;
    l.pass().await;
    l.record().await;
    l.w.pve.allow(Access::Empty);
    l.pass().await;
    l.w.engine.reconciler().sweep().await.unwrap();
    let unseen = l.record().await;
    assert_eq!((unseen.read, unseen.failed.len()), (0, 1), "{unseen:?}");
    assert_eq!(l.container(vmid).await.gone_at, None);
    l.w.pve.allow(Access::Full);
    l.pass().await;
    let resting = l.record().await;
    assert_eq!(resting, ResourceReport::default(), "it is left alone");
    l.clock.pass(10_000);
    l.pass().await;
    let seen = l.record().await;
    assert_eq!((seen.read, seen.failed.len()), (1, 0), "{seen:?}");
    assert_eq!(l.container(vmid).await.gone_at, None);
    l.assert_sound().await;
}

/// The cluster as it is to a token that has no access to this guest, and to all others.
fn hides(vmid: u32) -> Arc<Distort> {
    let list = list_without(vmid);
    let path = format!("/vms/{vmid}");
    Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            let is_of_it = request.params.iter().any(|(_, value)| *value == path);
            if request.path != "/access/permissions" || !is_of_it {
                return list(request, answer);
            }
            let body = json!({ "data": {} }).to_string().into();
            Ok(RawResponse { body, ..answer? })
        },
    )
}

#[tokio::test]
async fn what_is_hidden_from_the_token_is_not_gone() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    listed(&l, "web", "running").await;
    l.pass().await;
    l.record().await;
    l.w.pve.distort(Some(hides(vmid)));
    l.pass().await;
    assert_eq!(l.record().await.read, 1);
    assert_eq!(l.container(vmid).await.gone_at, None);
    l.w.pve.distort(None);
    l.pass().await;
    l.record().await;
    l.w.pve.distort(Some(list_without(vmid)));
    l.pass().await;
    assert_eq!(l.record().await.read, 1);
    assert_eq!(l.timeline(vmid).await[0], "deleted", "it may be seen");
    l.w.pve.distort(None);
    l.assert_sound().await;
}

/// The tasks are no word of the endpoint that said what else there is: all is read once more.
#[tokio::test]
async fn what_is_recorded_is_the_word_of_one_endpoint() {
    let l = Looked::new().await;
    l.pass().await;
    let (pve, asked) = (l.w.pve.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let moves = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.path == "/cluster/tasks" && counted.fetch_add(1, Ordering::Relaxed) == 0 {
            pve.prefer(1);
        }
        answer
    };
    l.w.pve.distort(Some(Arc::new(moves)));
    let recorded = l.record().await;
    l.w.pve.distort(None);
    assert_eq!((recorded.read, recorded.failed.len()), (1, 0));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    l.assert_sound().await;
}

/// A dry pass hands nothing over.
#[tokio::test]
async fn a_dry_pass_leads_to_no_record() {
    let l = Looked::new().await;
    let reconciler = l.w.engine.reconciler();
    reconciler.pass(&Pass::Dry).await.unwrap();
    assert_eq!(l.record().await, ResourceReport::default());
    l.pass().await;
    assert_eq!(l.record().await.read, 1);
}
