//! The sagas: one file each, its step table on top; steps that several share are in `steps`.

mod deploy_app;
mod remove_app;
mod restart_app;
mod start_app;
pub(crate) mod steps;
mod stop_app;

use proximity_domain::operation::OperationKind;

use crate::saga::{Row, Saga};

/// The saga of a kind of operation.
pub(crate) fn saga(kind: OperationKind) -> &'static Saga {
    match kind {
        OperationKind::Deploy => &deploy_app::SAGA,
        OperationKind::Start => &start_app::SAGA,
        OperationKind::Stop => &stop_app::SAGA,
        OperationKind::Restart => &restart_app::SAGA,
        OperationKind::Remove => &remove_app::SAGA,
    }
}

/// All step tables by the label of their operation.
pub(crate) fn tables() -> Vec<(&'static str, &'static [Row])> {
    OperationKind::ALL
        .into_iter()
        .map(|k| (k.label(), saga(k).steps))
        .collect()
}
