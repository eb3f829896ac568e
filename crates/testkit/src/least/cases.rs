//! One case for each privilege of each token: what breaks without it.

use proximity_domain::token_purpose::TokenPurpose::{Adopted, Images, Observe, Operate};
use proximity_pve::privileges::{Privilege as P, Scope as S};

use super::flows::{Flow, run};
use super::{Held, Least, cluster, path};

/// One privilege that is dropped, and what is done without it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// What is dropped.
    pub without: Held,
    /// What breaks.
    pub flow: Flow,
}

const fn case(name: &'static str, without: Held, flow: Flow) -> Case {
    Case {
        name,
        without,
        flow,
    }
}

/// All of them.
pub const CASES: &[Case] = &[
    case(
        "observe_datastore_audit",
        (Observe, P::DatastoreAudit, S::Everything),
        Flow::Lifecycle,
    ),
    case(
        "observe_pool_audit",
        (Observe, P::PoolAudit, S::Everything),
        Flow::Rights,
    ),
    case(
        "observe_sdn_audit",
        (Observe, P::SdnAudit, S::Everything),
        Flow::Lifecycle,
    ),
    case(
        "observe_sys_audit",
        (Observe, P::SysAudit, S::Everything),
        Flow::Lifecycle,
    ),
    case(
        "observe_vm_audit",
        (Observe, P::VmAudit, S::Everything),
        Flow::Lifecycle,
    ),
    case(
        "operate_vm_allocate",
        (Operate, P::VmAllocate, S::Pool),
        Flow::Lifecycle,
    ),
    case(
        "operate_vm_audit",
        (Operate, P::VmAudit, S::Pool),
        Flow::Rights,
    ),
    case(
        "operate_vm_backup",
        (Operate, P::VmBackup, S::Pool),
        Flow::Copies,
    ),
    case(
        "operate_vm_clone",
        (Operate, P::VmClone, S::Pool),
        Flow::Copies,
    ),
    case(
        "operate_vm_config_cpu",
        (Operate, P::VmConfigCpu, S::Pool),
        Flow::Lifecycle,
    ),
    case(
        "operate_vm_config_disk",
        (Operate, P::VmConfigDisk, S::Pool),
        Flow::Lifecycle,
    ),
    case(
        "operate_vm_config_memory",
        (Operate, P::VmConfigMemory, S::Pool),
        Flow::Lifecycle,
    ),
    case(
        "operate_vm_config_network",
        (Operate, P::VmConfigNetwork, S::Pool),
        Flow::Lifecycle,
    ),
    case(
        "operate_vm_config_options",
        (Operate, P::VmConfigOptions, S::Pool),
        Flow::Lifecycle,
    ),
    case(
        "operate_vm_migrate",
        (Operate, P::VmMigrate, S::Pool),
        Flow::Rights,
    ),
    case(
        "operate_vm_power_mgmt",
        (Operate, P::VmPowerMgmt, S::Pool),
        Flow::Lifecycle,
    ),
    case(
        "operate_vm_snapshot",
        (Operate, P::VmSnapshot, S::Pool),
        Flow::Copies,
    ),
    case(
        "operate_storage_allocate_space",
        (Operate, P::DatastoreAllocateSpace, S::Storage),
        Flow::Lifecycle,
    ),
    case(
        "operate_templates_audit",
        (Operate, P::DatastoreAudit, S::TemplateStorage),
        Flow::Lifecycle,
    ),
    case(
        "operate_backups_allocate_space",
        (Operate, P::DatastoreAllocateSpace, S::BackupStorage),
        Flow::Copies,
    ),
    case(
        "operate_bridge_use",
        (Operate, P::SdnUse, S::Bridge),
        Flow::Lifecycle,
    ),
    case(
        "images_allocate_template",
        (Images, P::DatastoreAllocateTemplate, S::TemplateStorage),
        Flow::Images,
    ),
    case(
        "images_access_network",
        (Images, P::SysAccessNetwork, S::Node),
        Flow::Images,
    ),
    case(
        "adopted_vm_backup",
        (Adopted, P::VmBackup, S::Guest),
        Flow::Adopted,
    ),
    case(
        "adopted_vm_config_options",
        (Adopted, P::VmConfigOptions, S::Guest),
        Flow::Adopted,
    ),
    case(
        "adopted_vm_power_mgmt",
        (Adopted, P::VmPowerMgmt, S::Guest),
        Flow::Adopted,
    ),
    case(
        "adopted_vm_snapshot",
        (Adopted, P::VmSnapshot, S::Guest),
        Flow::Adopted,
    ),
    case(
        "adopted_backups_allocate_space",
        (Adopted, P::DatastoreAllocateSpace, S::BackupStorage),
        Flow::Adopted,
    ),
];

/// All that is done.
pub const FLOWS: [Flow; 5] = [
    Flow::Lifecycle,
    Flow::Copies,
    Flow::Images,
    Flow::Adopted,
    Flow::Rights,
];

impl Case {
    /// Does it without the privilege: something has to be denied, and what is said has to name the privilege and a path.
    ///
    /// # Errors
    /// Nothing was denied, or what was said names them not.
    pub async fn breaks(&self) -> Result<(), String> {
        self.breaks_with(Some(self.without)).await
    }

    /// The same on a cluster where something else, or nothing, is dropped.
    ///
    /// # Errors
    /// As [`Case::breaks`].
    pub async fn breaks_with(&self, dropped: Option<Held>) -> Result<(), String> {
        let pve = cluster();
        let least = Least::on(&pve, dropped).await?;
        match run(self.flow, &pve, &least).await {
            Ok(()) => Err(format!("{}: nothing was denied", self.name)),
            Err(said) if self.is_named(&said) => Ok(()),
            Err(said) => Err(format!("{}: it is not named: {said}", self.name)),
        }
    }

    fn is_named(&self, said: &str) -> bool {
        let (_, privilege, on) = self.without;
        let there = path(on);
        // What is granted above is missed below.
        let below: &[&str] = match on {
            S::Everything => &["/vms/", "/storage/", "/sdn/", "/nodes/", "on /", "(/,"],
            S::Pool => &["/vms/", "/pool/"],
            S::Access
            | S::Guest
            | S::Storage
            | S::TemplateStorage
            | S::BackupStorage
            | S::Bridge
            | S::Node => &[],
        };
        said.contains(privilege.as_str())
            && (said.contains(&there) || below.iter().any(|path| said.contains(path)))
    }
}
