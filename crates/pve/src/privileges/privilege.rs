//! PVE's privileges, as far as calls of this client need them.

use std::fmt;

/// One of PVE's privileges (pve-access-control's `AccessControl.pm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each is explained by its name, which is PVE's
pub enum Privilege {
    DatastoreAllocate,
    DatastoreAllocateSpace,
    DatastoreAllocateTemplate,
    DatastoreAudit,
    PermissionsModify,
    PoolAllocate,
    PoolAudit,
    RealmAllocateUser,
    SdnAudit,
    SdnUse,
    SysAccessNetwork,
    SysAudit,
    SysModify,
    UserModify,
    VmAllocate,
    VmAudit,
    VmBackup,
    VmClone,
    VmConfigCpu,
    VmConfigDisk,
    VmConfigMemory,
    VmConfigNetwork,
    VmConfigOptions,
    VmMigrate,
    VmPowerMgmt,
    VmSnapshot,
    VmSnapshotRollback,
}

impl Privilege {
    /// As PVE writes it, e.g. `VM.Audit`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DatastoreAllocate => "Datastore.Allocate",
            Self::DatastoreAllocateSpace => "Datastore.AllocateSpace",
            Self::DatastoreAllocateTemplate => "Datastore.AllocateTemplate",
            Self::DatastoreAudit => "Datastore.Audit",
            Self::PermissionsModify => "Permissions.Modify",
            Self::PoolAllocate => "Pool.Allocate",
            Self::PoolAudit => "Pool.Audit",
            Self::RealmAllocateUser => "Realm.AllocateUser",
            Self::SdnAudit => "SDN.Audit",
            Self::SdnUse => "SDN.Use",
            Self::SysAccessNetwork => "Sys.AccessNetwork",
            Self::SysAudit => "Sys.Audit",
            Self::SysModify => "Sys.Modify",
            Self::UserModify => "User.Modify",
            Self::VmAllocate => "VM.Allocate",
            Self::VmAudit => "VM.Audit",
            Self::VmBackup => "VM.Backup",
            Self::VmClone => "VM.Clone",
            Self::VmConfigCpu => "VM.Config.CPU",
            Self::VmConfigDisk => "VM.Config.Disk",
            Self::VmConfigMemory => "VM.Config.Memory",
            Self::VmConfigNetwork => "VM.Config.Network",
            Self::VmConfigOptions => "VM.Config.Options",
            Self::VmMigrate => "VM.Migrate",
            Self::VmPowerMgmt => "VM.PowerMgmt",
            Self::VmSnapshot => "VM.Snapshot",
            Self::VmSnapshotRollback => "VM.Snapshot.Rollback",
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
