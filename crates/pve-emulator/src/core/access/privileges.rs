//! The privileges and the roles every PVE 9.2 has.

pub(crate) use crate::schema::PRIVILEGES;

/// What only the administrator role has.
const ROOT_ONLY: [&str; 7] = [
    "Mapping.Modify",
    "Permissions.Modify",
    "Realm.Allocate",
    "Sys.AccessNetwork",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
];

/// Role ids that exist everywhere and cannot be changed.
pub(crate) const SPECIAL_ROLES: [&str; 17] = [
    "Administrator",
    "NoAccess",
    "PVEAdmin",
    "PVEAuditor",
    "PVEDatastoreAdmin",
    "PVEDatastoreUser",
    "PVEMappingAdmin",
    "PVEMappingUser",
    "PVEPoolAdmin",
    "PVEPoolUser",
    "PVESDNAdmin",
    "PVESDNUser",
    "PVESysAdmin",
    "PVETemplateUser",
    "PVEUserAdmin",
    "PVEVMAdmin",
    "PVEVMUser",
];

/// The privileges of a special role.
pub(super) fn of_special_role(role: &str) -> Option<Vec<&'static str>> {
    let of = |prefix: &str| -> Vec<&'static str> {
        let all = PRIVILEGES.iter().copied();
        all.filter(|name| name.starts_with(prefix)).collect()
    };
    Some(match role {
        "Administrator" => PRIVILEGES.to_vec(),
        "NoAccess" => Vec::new(),
        "PVEAdmin" => {
            let all = PRIVILEGES.iter().copied();
            all.filter(|name| !ROOT_ONLY.contains(name)).collect()
        }
        "PVEAuditor" => {
            let all = PRIVILEGES.iter().copied();
            all.filter(|name| name.ends_with(".Audit")).collect()
        }
        "PVEDatastoreAdmin" => of("Datastore."),
        "PVEDatastoreUser" => vec!["Datastore.AllocateSpace", "Datastore.Audit"],
        "PVEMappingAdmin" => of("Mapping."),
        "PVEMappingUser" => vec!["Mapping.Audit", "Mapping.Use"],
        "PVEPoolAdmin" => of("Pool."),
        "PVEPoolUser" => vec!["Pool.Audit"],
        "PVESDNAdmin" => of("SDN."),
        "PVESDNUser" => vec!["SDN.Audit", "SDN.Use"],
        "PVESysAdmin" => vec!["Sys.Audit", "Sys.Console", "Sys.Syslog"],
        "PVETemplateUser" => vec!["VM.Audit", "VM.Clone"],
        "PVEUserAdmin" => vec!["Group.Allocate", "Realm.AllocateUser", "User.Modify"],
        "PVEVMAdmin" => of("VM."),
        "PVEVMUser" => vec![
            "VM.Audit",
            "VM.Backup",
            "VM.Config.CDROM",
            "VM.Config.Cloudinit",
            "VM.Console",
            "VM.GuestAgent.Audit",
            "VM.GuestAgent.FileRead",
            "VM.GuestAgent.FileSystemMgmt",
            "VM.GuestAgent.FileWrite",
            "VM.PowerMgmt",
        ],
        _ => return None,
    })
}

/// The name in the list, if there is such a privilege.
pub(super) fn known(privilege: &str) -> Option<&'static str> {
    PRIVILEGES.into_iter().find(|name| *name == privilege)
}
