//! Addresses that deploys give by hand.

use proximity_domain::operation::OperationKind;

use super::state::State;
use crate::addresses::{given, taken};
use crate::error::StoreError;
use crate::records::{NewApp, NewOperation};

impl State {
    /// Refuses an address that another live app of the host entry was given.
    pub(super) fn refuse_given(
        &self,
        app: &NewApp,
        deploy: &NewOperation,
    ) -> Result<(), StoreError> {
        for address in given(&deploy.input)? {
            for other in self.operations.values() {
                let record = &other.record;
                let of = self.apps.get(&record.app);
                let is_there = of.is_some_and(|of| of.is_live() && of.asked.host == app.host);
                let is_deploy = record.kind == OperationKind::Deploy;
                if is_there && is_deploy && given(&record.input)?.contains(&address) {
                    return Err(taken(address));
                }
            }
        }
        Ok(())
    }
}
