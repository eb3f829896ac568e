//! The sagas: one file each, its step table on top; steps that several share are in `steps`.

mod adopt_app;
mod deploy_app;
mod forget_app;
mod power_adopted;
mod remove_app;
mod restart_app;
mod restore_keys;
mod start_app;
pub(crate) mod steps;
mod stop_app;
mod update_app;

use proximity_domain::app::AppClass;
use proximity_domain::operation::OperationKind;

use crate::saga::{Row, Saga};

/// The saga of a kind of operation on an app of this class.
pub(crate) fn saga(kind: OperationKind, class: AppClass) -> &'static Saga {
    match (kind, class) {
        (OperationKind::Deploy, _) => &deploy_app::SAGA,
        (OperationKind::Start, AppClass::Native) => &start_app::SAGA,
        (OperationKind::Stop, AppClass::Native) => &stop_app::SAGA,
        (OperationKind::Restart, AppClass::Native) => &restart_app::SAGA,
        (OperationKind::Start, AppClass::Adopted) => &power_adopted::START,
        (OperationKind::Stop, AppClass::Adopted) => &power_adopted::STOP,
        (OperationKind::Restart, AppClass::Adopted) => &power_adopted::RESTART,
        // The store queues neither for an app of the other class; and each of their steps knows guests of its class alone.
        (OperationKind::Remove, _) => &remove_app::SAGA,
        (OperationKind::Adopt, _) => &adopt_app::SAGA,
        (OperationKind::Forget, _) => &forget_app::SAGA,
        (OperationKind::RestoreKeys, _) => &restore_keys::SAGA,
        (OperationKind::Update, _) => &update_app::SAGA,
    }
}

/// All step tables by the label of their operation. Those of adopted apps repeat steps of the native ones.
pub(crate) fn tables() -> Vec<(&'static str, &'static [Row])> {
    OperationKind::ALL
        .into_iter()
        .map(|k| (k.label(), saga(k, AppClass::Native).steps))
        .collect()
}
