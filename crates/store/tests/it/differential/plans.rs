//! Plans that are kept.

use proximity_domain::app::AppClass;
use proximity_domain::desired::Documents;
use proximity_domain::ids::PlanId;
use proximity_domain::manifest::Manifest;
use proximity_domain::names::Hostname;
use proximity_domain::plan::{Act, Change, Downtime, Place, Plan};
use proximity_store::plans::PlanRecord;
use serde_json::json;
use uuid::Uuid;

use super::pair::{Pair, both};
use super::play::Play;

/// So few that most are kept twice, which is refused.
const IDS: u8 = 4;

pub fn id(n: u8) -> PlanId {
    PlanId(Uuid::from_u128(1 + u128::from(n % IDS)))
}

/// The apps of plans.
pub fn name(n: u8) -> Hostname {
    format!("app-{}", n % 5).parse().unwrap()
}

/// The apps of the plan but the last of three, and one that stays as it is.
pub fn documents(n: u8) -> Documents {
    let settings = match n % 4 {
        0 => json!({}),
        of => json!({"PASSWORD": {"secret": format!("secret-{of}")}}),
    };
    let spec = json!({"catalog_id": "nginx", "settings": settings});
    let documents = [0, 1, 3].map(|at| Manifest::App {
        name: name(n.wrapping_add(at)),
        spec: serde_json::from_value(spec.clone()).unwrap(),
    });
    Documents::of(&documents[usize::from(n / 128)..])
}

/// All that may have been kept.
pub async fn look(pair: &Pair) {
    for n in 0..IDS {
        both!(pair, store => store.plan(id(n))).unwrap();
        both!(pair, store => store.plan_documents(id(n))).unwrap();
    }
}

impl Play {
    pub async fn keep_plan(&mut self, n: u8) -> bool {
        let change = |at: u8| Change {
            name: name(n.wrapping_add(at)),
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
                changes: (0..n % 3).map(change).collect(),
                unchanged: u64::from(n),
                uncompared: u64::from(n / 2),
                ignored: Vec::new(),
                brake: None,
                rollback: None,
            },
            applied_at: None,
        };
        let (documents, actor) = (documents(n), self.actor());
        let kept = both!(self.pair, store => store.keep_plan(&record, &documents, &actor));
        look(&self.pair).await;
        kept.is_err()
    }
}
