//! Plans that are kept.

use proximity_domain::app::AppClass;
use proximity_domain::ids::PlanId;
use proximity_domain::plan::{Act, Change, Downtime, Place, Plan};
use proximity_store::plans::PlanRecord;
use uuid::Uuid;

use super::pair::{Pair, both};
use super::play::Play;

/// So few that most are kept twice, which is refused.
const IDS: u8 = 12;

fn id(n: u8) -> PlanId {
    PlanId(Uuid::from_u128(1 + u128::from(n % IDS)))
}

/// All that may have been kept.
pub async fn look(pair: &Pair) {
    for n in 0..IDS {
        both!(pair, store => store.plan(id(n))).unwrap();
    }
}

impl Play {
    pub async fn keep_plan(&mut self, n: u8) -> bool {
        let change = Change {
            name: format!("app-{}", n % 5).parse().unwrap(),
            app: self.app(n),
            class: AppClass::ALL[usize::from(n % 2)],
            place: Place::default(),
            layer: u32::from(n),
            depends_on: Vec::new(),
            act: Act::ALL[usize::from(n) % Act::ALL.len()],
            fields: Vec::new(),
            downtime: Downtime::None,
            at_risk: Vec::new(),
            lacks: Vec::new(),
            obstacles: Vec::new(),
            notes: Vec::new(),
        };
        let record = PlanRecord {
            id: id(n),
            made_at: self.at(),
            made_by: ["admin", "robot"][usize::from(n % 2)].to_owned(),
            plan: Plan {
                digest: "d".repeat(64),
                basis: "b".repeat(64),
                prune: n.is_multiple_of(2),
                changes: vec![change; usize::from(n % 3)],
                unchanged: u64::from(n),
                uncompared: u64::from(n / 2),
                brake: None,
            },
        };
        let actor = self.actor();
        let kept = both!(self.pair, store => store.keep_plan(&record, &actor));
        look(&self.pair).await;
        kept.is_err()
    }
}
