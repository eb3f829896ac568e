//! What the rows of the table are made of: where each fact is from, on what rights are held, and who sends.

use proximity_domain::token_purpose::TokenPurpose;

use super::entry::{Entry, Need, Sender};
use super::privilege::Privilege as P;
use super::scope::Scope;
use crate::transport::Method;

pub(super) const CONFIG: &str = "pve-container, LXC.pm, check_ct_modify_config_perm";
pub(super) const CREATE: &str = "pve-container, API2/LXC.pm, create_vm";
pub(super) const VOLUME: &str = "pve-storage, Storage.pm, check_volume_access";
pub(super) const CONTENT: &str = "pve-storage, API2/Storage/Content.pm, delete";
pub(super) const PRUNE: &str = "pve-storage, API2/Storage/PruneBackups.pm, delete";
pub(super) const BACKUP: &str = "pve-manager, API2/VZDump.pm, vzdump, and VZDump.pm";
pub(super) const COPY: &str = "pve-container, API2/LXC.pm, clone_vm";
pub(super) const DISK: &str = "pve-container, API2/LXC.pm, resize_vm and move_volume";
pub(super) const BRIDGE: &str = "pve-guest-common, GuestHelpers.pm, check_vnet_access";
pub(super) const POOLS: &str = "pve-access-control, API2/Pool.pm, update_pool";
pub(super) const OTHERS: &str = "pve-manager, API2/Tasks.pm: the task is another token's";
pub(super) const RIGHTS: &str = "pve-access-control, API2/AccessControl.pm, permissions";

pub(super) const ALL: &[Scope] = &[Scope::Everything];
pub(super) const GUEST: &[Scope] = &[Scope::Guest];
/// A guest that is made has no pool yet, so PVE looks at the pool it is to be in as well.
pub(super) const NEW: &[Scope] = &[Scope::Pool, Scope::Guest];
pub(super) const STORAGE: &[Scope] = &[Scope::Storage];
pub(super) const TEMPLATES: &[Scope] = &[Scope::TemplateStorage];
pub(super) const BACKUPS: &[Scope] = &[Scope::BackupStorage];
pub(super) const NODE: &[Scope] = &[Scope::Node];
/// Groups and realms are below it.
pub(super) const ACCESS: &[Scope] = &[Scope::Access];

pub(super) const LOOKS_AT_GUEST: &[Need] = &[Need::of(P::VmAudit, GUEST)];
pub(super) const LOOKS_AT_NODE: &[Need] = &[Need::of(P::SysAudit, NODE)];
pub(super) const POWER: &[Need] = &[Need::of(P::VmPowerMgmt, GUEST)];
pub(super) const SNAPSHOT: &[Need] = &[Need::of(P::VmSnapshot, GUEST)];
pub(super) const ANOTHERS_TASK: &[Need] = &[Need::of(P::SysAudit, NODE).checked(OTHERS)];
pub(super) const BACKUP_ACCESS: &[Need] = &[
    Need::of(P::DatastoreAllocateSpace, BACKUPS)
        .or(&[P::DatastoreAllocate])
        .checked(VOLUME),
    Need::of(P::VmBackup, GUEST).checked(VOLUME),
];
pub(super) const ROLES: &[Need] = &[Need::of(P::SysModify, ACCESS)];
pub(super) const USERS: &[Need] = &[
    Need::of(P::RealmAllocateUser, ACCESS),
    Need::of(P::UserModify, ACCESS),
];
pub(super) const REACHES_OUT: Need = Need::of(P::SysAccessNetwork, NODE);
pub(super) const TAKES_TEMPLATES: Need = Need::of(P::DatastoreAllocateTemplate, TEMPLATES);

pub(super) const fn reads(path: &'static str, does: &'static str, needs: &'static [Need]) -> Entry {
    let sender = Sender::Token(TokenPurpose::Observe);
    Entry::of(Method::Get, path, sender, does, needs)
}

pub(super) const fn operates(
    method: Method,
    path: &'static str,
    does: &'static str,
    needs: &'static [Need],
) -> Entry {
    let sender = Sender::Token(TokenPurpose::Operate);
    Entry::of(method, path, sender, does, needs)
}

pub(super) const fn brings(
    method: Method,
    path: &'static str,
    does: &'static str,
    needs: &'static [Need],
) -> Entry {
    let sender = Sender::Token(TokenPurpose::Images);
    Entry::of(method, path, sender, does, needs)
}

pub(super) const fn sets_up(
    method: Method,
    path: &'static str,
    does: &'static str,
    needs: &'static [Need],
) -> Entry {
    Entry::of(method, path, Sender::SetUp, does, needs)
}
