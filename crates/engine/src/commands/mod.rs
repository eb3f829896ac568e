//! Commands: each authorises, looks, asks the domain, and commits once.

mod accounts;
mod act;
mod addresses;
mod adopt;
mod apply;
mod create_app;
mod deadline;
mod discover;
mod drift;
mod entry_move;
mod entry_sources;
mod exec;
mod export;
mod expose;
mod guard;
mod health;
mod hosts;
mod inside;
mod live_apps;
mod made_with;
mod neighbours;
mod nodes;
mod operations;
mod plan;
mod plan_remove;
mod ports;
mod preflight;
mod reidentify;
mod rejections;
mod resolve;
mod restore_keys;
mod rollback;
mod secrets;
mod sources;
mod stacks;
mod update_app;

pub use accounts::{BegunSession, GivenLink};
pub use act::Action;
pub use addresses::{AddressView, ContainerAddresses};
pub use adopt::AdoptContainer;
pub(crate) use adopt::refuse_what_is_marked;
pub use apply::StartApply;
pub use create_app::CreateApp;
pub(crate) use create_app::{bridge_of, find_template, no_guest_access, upstream};
pub use deadline::Deadline;
pub use discover::{Discovered, DiscoveredMark, Discovery};
pub use drift::DriftView;
pub use entry_sources::{AddEntrySource, EntryDifference, EntryFate, EntryUpdate};
pub use exec::{ExecApp, ExecRun, ExecStream, ExecTold, LONGEST_EXEC_S, MOST_STDIN_BYTES};
pub use export::{Export, Exports, NotExported};
pub use expose::ExposedApp;
pub use guard::GuardView;
pub use health::{HealthView, HostHealth};
pub use hosts::{
    AddHost, AddSsh, AppLoss, Becomes, CertificateReport, ChangeHost, Code, EndpointCertificate,
    Finding, GiveUp, HelperOnNode, HelperProgram, HelperReport, HelperState, HostProbe, InitDone,
    InitHost, InitPlan, InstallHelper, Level, NoProgram, NodeLoss, NodeProbe, PersonLogin,
    RemoveHelper, SshEntry, SshProbe, TrustCertificate, UninitHost, UninitPlan, doctor_markdown,
};
pub use inside::RanSafe;
pub(crate) use inside::{MOST_INSIDE, MOST_PROGRAMS};
pub use nodes::{NodeStorageView, NodeView, NodesView};
pub use plan::MakePlan;
pub use plan_remove::{PlannedGuest, RemovalPlan};
pub use ports::{PortReason, PortVerdict, PortsReport, RangeView, UsedPorts};
pub use preflight::{Preflight, PreflightLine};
pub use reidentify::{Reidentification, Reidentify};
pub(crate) use rejections::by_name;
pub use rejections::{MOST_REASON_CHARS, RejectPlan};
pub(crate) use restore_keys::RestoreInput;
pub use restore_keys::{RestoreKeys, RestorePreview, wanted};
pub use rollback::{RollbackAll, RollbackApp};
pub use secrets::MOST_SECRET_BYTES;
pub use sources::{AddSource, SourceCredential};
pub use stacks::{MemberRun, PartOfRun, StackMember, StackRequest, StackRun, StackView};
pub(crate) use update_app::UpdateInput;
pub use update_app::{FieldChange, UpdateApp, UpdatePreview};
