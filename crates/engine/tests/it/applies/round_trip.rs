//! Many apps by documents: applied, nothing is left to be done; and one document that changes is one change.

use std::time::Duration;

use proximity_domain::apply::{ApplyState, ChangeState, Consent};
use proximity_domain::manifest::{Manifest, SettingSource, WantedPower};
use proximity_domain::plan::Act;
use proximity_engine::commands::StartApply;
use proximity_engine::engine::EngineLimits;
use proximity_pve_emulator::core::Access;
use proximity_store::views::AppFilter;
use proximity_testkit::pve::{NodeRoom, Pve};
use proximity_testkit::world::{Place, TestWorld, WorldParts};

use super::{Stand, app, spec};

const APPS: u32 = 300;
/// For all of them; a fault of the test, and no bound of the product.
const DEADLINE: Duration = Duration::from_secs(90);

/// Every tenth is needed by the nine that follow it; they differ in all that a document may say of an app of this catalog.
fn documents() -> Vec<Manifest> {
    let one = |number: u32| {
        let first = format!("app-{:03}", number - number % 10);
        let needs = (!number.is_multiple_of(10)).then_some(first.as_str());
        let mut document = app(&format!("app-{number:03}"), needs.as_slice());
        let wish = spec(&mut document);
        wish.resources.memory_mib = [None, Some(64), Some(96)][(number % 3) as usize];
        wish.resources.cores = [None, Some(1), Some(2), Some(3)][(number % 4) as usize];
        wish.resources.disk_gib = [None, Some(2)][(number % 2) as usize];
        if number.is_multiple_of(5) {
            let greeting = SettingSource::Text(format!("<app> & \"{number}\""));
            wish.settings = [("greeting".parse().unwrap(), greeting)].into();
        }
        wish.power = [None, Some(WantedPower::Running), Some(WantedPower::Stopped)]
            [(number / 10 % 3) as usize];
        document
    };
    (0..APPS).map(one).collect()
}

async fn with_room() -> Stand {
    let room = NodeRoom {
        cpus: 16,
        memory_bytes: 256 << 30,
        disk_bytes: 4 << 40,
    };
    let world = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start_in(Access::Full, room)],
        limits: EngineLimits {
            operations: 32,
            operations_per_host: 32,
            ..EngineLimits::default()
        },
        pairs: 320,
        place: Place::Memory,
        ..WorldParts::default()
    });
    Stand::over(world.await.unwrap())
}

impl Stand {
    /// Applies them with as many at once as there may be, and waits for as long as so many take.
    async fn all_are_applied(&self, documents: &[Manifest]) {
        let plan = self.plan(documents, true).await;
        let request = StartApply {
            plan: plan.id,
            consent: Consent::default(),
            parallel: Some(16),
            owner: None,
            key: None,
        };
        let begun = self.w.engine.start_apply(&self.w.actor, request).await;
        let id = begun.unwrap().id;
        let is_over = async || {
            self.pass().await;
            let apply = self.w.store.apply(id).await.unwrap().unwrap();
            apply.state.is_over()
        };
        self.w.within(DEADLINE, is_over).await.unwrap();
        let state = self.w.store.apply(id).await.unwrap().unwrap().state;
        let mut changes = self.w.store.apply_changes(id).await.unwrap();
        changes.retain(|one| one.state != ChangeState::Done);
        assert_eq!(state, ApplyState::Done, "{changes:?}");
    }
}

#[tokio::test]
async fn three_hundred_apps_are_as_their_documents_want_them_and_nothing_is_left_to_do() {
    let s = with_room().await;
    let mut documents = documents();
    s.all_are_applied(&documents).await;
    s.is_as_wanted(&documents).await;
    let filter = AppFilter {
        per_page: 1,
        ..AppFilter::default()
    };
    let (_, total) = s.w.store.apps(filter).await.unwrap();
    assert_eq!(total, u64::from(APPS));
    // The order in which they are given says nothing.
    documents.reverse();
    s.is_as_wanted(&documents).await;
    // One wish of three hundred is one change.
    spec(&mut documents[7]).resources.memory_mib = Some(256);
    let plan = s.plan(&documents, true).await.plan;
    let changes: Vec<_> = plan
        .changes
        .iter()
        .map(|one| (&one.name, one.act))
        .collect();
    let changed = documents[7].name().parse().unwrap();
    assert_eq!(changes, [(&changed, Act::Update)]);
    let id = s.apply(&documents).await;
    assert_eq!(s.ended(id).await.0, ApplyState::Done);
    s.is_as_wanted(&documents).await;
    assert_eq!(s.w.store.invariants().await.unwrap(), Vec::<String>::new());
}
