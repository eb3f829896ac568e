//! Plans as they were shown.

use std::collections::BTreeSet;

use proximity_domain::desired::Documents;
use proximity_domain::ids::PlanId;

use super::state::State;
use crate::error::StoreError;
use crate::journal::Act;
use crate::plans::{MADE, PLANS_KEPT, PlanRecord, details, exists};
use crate::records::Actor;

impl State {
    pub(crate) fn keep_plan(
        &mut self,
        record: &PlanRecord,
        documents: &Documents,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        if self.plans.contains_key(&record.id) {
            return Err(exists(record.id));
        }
        let open = self
            .applies
            .values()
            .filter(|apply| apply.ended_at.is_none());
        let open: BTreeSet<PlanId> = open.map(|apply| apply.plan).collect();
        let mut others: Vec<(i64, PlanId)> = self
            .plans
            .values()
            .filter(|kept| kept.made_by == record.made_by)
            .map(|kept| (kept.made_at.0, kept.id))
            .collect();
        others.sort_unstable();
        let most = PLANS_KEPT as usize - 1;
        let gone = others.len().saturating_sub(most);
        let gone = others.into_iter().take(gone).map(|(_, id)| id);
        for id in gone.filter(|id| !open.contains(id)) {
            self.plans.remove(&id);
            self.documents.remove(&id);
        }
        self.plans.put(record.id, record.clone());
        self.documents.put(record.id, documents.clone());
        let target = record.id.to_string();
        let act = Act::request(MADE, &target, details(record));
        self.add_audit(actor, act, record.made_at);
        Ok(())
    }

    pub(crate) fn plan_documents(&self, id: PlanId) -> Option<Documents> {
        self.documents.get(&id).cloned()
    }

    pub(crate) fn plan(&self, id: PlanId) -> Option<PlanRecord> {
        self.plans.get(&id).cloned()
    }
}
