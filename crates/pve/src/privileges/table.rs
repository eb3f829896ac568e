//! The table: every call, who sends it, and what it needs.

use super::entry::{Entry, Need};
use super::needs::{
    ACCESS, ALL, ANOTHERS_TASK, BACKUP, BACKUP_ACCESS, BACKUPS, BRIDGE, CONFIG, CONTENT, COPY,
    CREATE, DISK, GUEST, LOOKS_AT_GUEST, LOOKS_AT_NODE, NEW, NODE, POOLS, POWER, PRUNE,
    REACHES_OUT, RIGHTS, ROLES, SNAPSHOT, STORAGE, TAKES_TEMPLATES, TEMPLATES, USERS, VOLUME,
    brings, operates, reads, sets_up,
};
use super::privilege::Privilege as P;
use super::scope::Scope;
use crate::transport::Method;

/// Every call the client can send. Of several entries for a method and path the first one counts whose parameter is there.
pub static TABLE: &[Entry] = &[
    // The cluster and its nodes.
    reads("/version", "PVE's version", &[]),
    reads(
        "/cluster/status",
        "quorum and membership",
        &[Need::of(P::SysAudit, ALL)],
    ),
    reads(
        "/cluster/resources",
        "all guests",
        &[Need::of(P::VmAudit, GUEST).shown("guests")],
    ),
    reads("/cluster/nextid", "whether a VMID is free", &[]),
    reads(
        "/cluster/options",
        "the range VMIDs are taken from",
        &[Need::of(P::SysAudit, ALL).shown("most options")],
    ),
    reads(
        "/cluster/tasks",
        "tasks of all nodes",
        &[Need::of(P::SysAudit, ALL).shown("tasks of others")],
    ),
    reads(
        "/cluster/backup",
        "jobs of backups",
        &[Need::of(P::SysAudit, ALL)],
    ),
    reads(
        "/cluster/replication",
        "replication jobs",
        &[Need::of(P::VmAudit, GUEST).shown("replication jobs")],
    ),
    reads(
        "/cluster/backup-info/not-backed-up",
        "guests in no backup job",
        &[Need::of(P::SysAudit, ALL)],
    ),
    reads(
        "/nodes",
        "all nodes",
        &[Need::of(P::SysAudit, NODE).shown("figures of nodes")],
    ),
    reads("/nodes/{node}/status", "a node's figures", LOOKS_AT_NODE),
    reads("/nodes/{node}/time", "a node's clock", LOOKS_AT_NODE),
    reads("/nodes/{node}/dns", "a node's name servers", LOOKS_AT_NODE),
    reads(
        "/nodes/{node}/rrddata",
        "a node's past figures",
        LOOKS_AT_NODE,
    ),
    reads(
        "/nodes/{node}/network",
        "bridges",
        &[Need::of(P::SdnAudit, &[Scope::Bridge])
            .or(&[P::SdnUse])
            .shown("bridges")],
    ),
    reads(
        "/nodes/{node}/tasks",
        "a node's tasks",
        &[Need::of(P::SysAudit, NODE).shown("tasks of others")],
    ),
    reads(
        "/nodes/{node}/tasks/{upid}/status",
        "whether a task has ended, and how",
        ANOTHERS_TASK,
    ),
    reads(
        "/nodes/{node}/tasks/{upid}/log",
        "what a task said",
        ANOTHERS_TASK,
    ),
    // Rights.
    reads(
        "/access/permissions",
        "what another token of the host may do",
        &[Need::of(P::SysAudit, &[Scope::Access]).checked(RIGHTS)],
    )
    .with("userid", None),
    reads("/access/permissions", "what the token itself may do", &[]),
    reads("/access/roles", "roles", &[]),
    reads(
        "/access/users",
        "users and their tokens",
        &[Need::of(P::SysAudit, ACCESS)
            .or(&[P::UserModify])
            .shown("users other than oneself")],
    ),
    reads(
        "/access/acl",
        "grants",
        &[Need::of(P::SysAudit, ACCESS)
            .or(&[P::PermissionsModify])
            .shown("grants")],
    ),
    // Storages and what is on them.
    reads(
        "/nodes/{node}/storage",
        "storages",
        &[Need::of(P::DatastoreAudit, STORAGE)
            .or(&[P::DatastoreAllocateSpace])
            .shown("storages")],
    ),
    reads(
        "/nodes/{node}/storage/{storage}/rrddata",
        "a storage's past figures",
        &[Need::of(P::DatastoreAudit, STORAGE).or(&[P::DatastoreAllocateSpace])],
    ),
    operates(
        Method::Get,
        "/nodes/{node}/storage/{storage}/content",
        "backups of guests of ours",
        &[
            Need::of(P::DatastoreAllocateSpace, BACKUPS).or(&[P::DatastoreAudit]),
            Need::of(P::VmBackup, GUEST).shown("backups"),
        ],
    )
    .with("content", Some("backup")),
    reads(
        "/nodes/{node}/storage/{storage}/content",
        "OS templates and volumes",
        &[Need::of(P::DatastoreAudit, STORAGE).or(&[P::DatastoreAllocateSpace])],
    ),
    operates(
        Method::Get,
        "/nodes/{node}/storage/{storage}/content/{volume}",
        "a backup",
        BACKUP_ACCESS,
    ),
    operates(
        Method::Put,
        "/nodes/{node}/storage/{storage}/content/{volume}",
        "notes of a backup, and its protection",
        BACKUP_ACCESS,
    ),
    operates(
        Method::Delete,
        "/nodes/{node}/storage/{storage}/content/{volume}",
        "removes a backup",
        &[
            Need::of(P::DatastoreAllocateSpace, BACKUPS)
                .or(&[P::DatastoreAllocate])
                .checked(CONTENT),
            Need::of(P::VmBackup, GUEST).checked(CONTENT),
        ],
    ),
    reads(
        "/nodes/{node}/storage/{storage}/prunebackups",
        "which backups a rule would remove",
        &[Need::of(P::DatastoreAudit, BACKUPS).or(&[P::DatastoreAllocateSpace])],
    ),
    operates(
        Method::Delete,
        "/nodes/{node}/storage/{storage}/prunebackups",
        "removes the backups of a guest that a rule does not keep",
        &[
            Need::of(P::DatastoreAllocateSpace, BACKUPS)
                .or(&[P::DatastoreAllocate])
                .checked(PRUNE),
            Need::of(P::VmBackup, GUEST).checked(PRUNE),
        ],
    ),
    // Templates and images.
    reads("/nodes/{node}/aplinfo", "OS templates that PVE offers", &[]),
    brings(
        Method::Post,
        "/nodes/{node}/aplinfo",
        "downloads an OS template that PVE offers",
        &[TAKES_TEMPLATES],
    ),
    brings(
        Method::Get,
        "/nodes/{node}/query-oci-repo-tags",
        "tags of an OCI image",
        &[REACHES_OUT],
    ),
    brings(
        Method::Get,
        "/nodes/{node}/query-url-metadata",
        "size and type of a download",
        &[REACHES_OUT],
    ),
    brings(
        Method::Post,
        "/nodes/{node}/storage/{storage}/download-url",
        "downloads a template",
        &[TAKES_TEMPLATES, REACHES_OUT],
    ),
    brings(
        Method::Post,
        "/nodes/{node}/storage/{storage}/oci-registry-pull",
        "pulls an OCI image",
        &[TAKES_TEMPLATES, REACHES_OUT],
    ),
    // Containers: looking.
    reads(
        "/nodes/{node}/lxc",
        "containers of a node",
        &[Need::of(P::VmAudit, GUEST).shown("containers")],
    ),
    operates(
        Method::Get,
        "/nodes/{node}/lxc/{vmid}/config",
        "a container's configuration with the variables of its program",
        &[
            Need::of(P::VmAudit, GUEST),
            Need::of(P::VmConfigOptions, GUEST).shown("the variables"),
        ],
    )
    .with("current", Some("1")),
    reads(
        "/nodes/{node}/lxc/{vmid}/config",
        "a container's configuration",
        LOOKS_AT_GUEST,
    ),
    reads(
        "/nodes/{node}/lxc/{vmid}/pending",
        "changes that wait for its next start",
        LOOKS_AT_GUEST,
    ),
    reads(
        "/nodes/{node}/lxc/{vmid}/status/current",
        "whether it runs",
        LOOKS_AT_GUEST,
    ),
    reads(
        "/nodes/{node}/lxc/{vmid}/interfaces",
        "its addresses",
        LOOKS_AT_GUEST,
    ),
    reads(
        "/nodes/{node}/lxc/{vmid}/feature",
        "whether it can be copied or take guest snapshots",
        LOOKS_AT_GUEST,
    ),
    reads(
        "/nodes/{node}/lxc/{vmid}/rrddata",
        "its past figures",
        LOOKS_AT_GUEST,
    ),
    reads(
        "/nodes/{node}/lxc/{vmid}/snapshot",
        "its guest snapshots",
        LOOKS_AT_GUEST,
    ),
    reads(
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
        "the configuration in a guest snapshot",
        &[Need::of(P::VmAudit, GUEST).or(&[P::VmSnapshot, P::VmSnapshotRollback])],
    ),
    // Containers: making.
    operates(
        Method::Post,
        "/nodes/{node}/lxc",
        "puts a backup in the place of a container",
        &[
            Need::of(P::VmAllocate, NEW)
                .or(&[P::VmBackup])
                .checked(CREATE),
            Need::of(P::DatastoreAllocateSpace, STORAGE).checked(CREATE),
            Need::of(P::DatastoreAllocateSpace, BACKUPS)
                .or(&[P::DatastoreAllocate])
                .checked(VOLUME),
            Need::of(P::VmBackup, GUEST).checked(VOLUME),
            Need::of(P::VmConfigNetwork, NEW)
                .given(&["hostname", "net0"])
                .checked(CONFIG),
            Need::of(P::VmConfigOptions, NEW)
                .given(&["description", "protection"])
                .checked(CONFIG),
            Need::of(P::SdnUse, &[Scope::Bridge]).checked(BRIDGE),
        ],
    )
    .with("force", Some("1")),
    operates(
        Method::Post,
        "/nodes/{node}/lxc",
        "makes a container from a backup",
        &[
            Need::of(P::VmAllocate, NEW).checked(CREATE),
            Need::of(P::DatastoreAllocateSpace, STORAGE).checked(CREATE),
            Need::of(P::DatastoreAllocateSpace, BACKUPS)
                .or(&[P::DatastoreAllocate])
                .checked(VOLUME),
            Need::of(P::VmBackup, GUEST).checked(VOLUME),
            Need::of(P::VmConfigNetwork, NEW)
                .given(&["hostname", "net0"])
                .checked(CONFIG),
            Need::of(P::VmConfigOptions, NEW)
                .given(&["description", "protection"])
                .checked(CONFIG),
            Need::of(P::SdnUse, &[Scope::Bridge]).checked(BRIDGE),
        ],
    )
    .with("restore", Some("1")),
    operates(
        Method::Post,
        "/nodes/{node}/lxc",
        "makes a container from a template",
        &[
            Need::of(P::VmAllocate, NEW).checked(CREATE),
            Need::of(P::DatastoreAudit, TEMPLATES)
                .or(&[P::DatastoreAllocateSpace, P::DatastoreAllocate])
                .given(&["ostemplate"])
                .checked(VOLUME),
            Need::of(P::DatastoreAllocateSpace, STORAGE)
                .given(&["rootfs"])
                .checked(CONFIG),
            Need::of(P::VmConfigDisk, NEW)
                .given(&["rootfs"])
                .checked(CONFIG),
            Need::of(P::VmConfigCpu, NEW)
                .given(&["cores"])
                .checked(CONFIG),
            Need::of(P::VmConfigMemory, NEW)
                .given(&["memory", "swap"])
                .checked(CONFIG),
            Need::of(P::VmConfigNetwork, NEW)
                .given(&["hostname", "net0"])
                .checked(CONFIG),
            Need::of(P::SdnUse, &[Scope::Bridge])
                .given(&["net0"])
                .checked(BRIDGE),
            Need::of(P::VmConfigOptions, NEW)
                .given(&["description", "onboot", "protection"])
                .checked(CONFIG),
        ],
    ),
    operates(
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/clone",
        "copies a container",
        &[
            Need::of(P::VmClone, GUEST),
            Need::of(P::VmAllocate, NEW),
            Need::of(P::DatastoreAllocateSpace, STORAGE).checked(COPY),
            Need::of(P::SdnUse, &[Scope::Bridge]).checked(COPY),
        ],
    ),
    operates(
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/template",
        "makes a template of a container",
        &[Need::of(P::VmAllocate, GUEST)],
    ),
    // Containers: changing.
    operates(
        Method::Put,
        "/nodes/{node}/lxc/{vmid}/config",
        "tags and protection; memory and cores; keys that are restored",
        &[
            // PVE declares that any privilege of a configuration will do, and its code wants that of each key.
            Need::of(P::VmConfigOptions, GUEST).checked(CONFIG),
            Need::of(P::VmConfigCpu, GUEST)
                .given(&["cores", "cpulimit", "cpuunits"])
                .by_hand()
                .checked(CONFIG),
            Need::of(P::VmConfigMemory, GUEST)
                .given(&["memory", "swap"])
                .by_hand()
                .checked(CONFIG),
            Need::of(P::VmConfigNetwork, GUEST)
                .given(&["hostname", "nameserver", "searchdomain", "net0"])
                .by_hand()
                .checked(CONFIG),
            Need::of(P::SdnUse, &[Scope::Bridge])
                .given(&["net0"])
                .by_hand()
                .checked(BRIDGE),
        ],
    )
    .for_adopted_too(),
    operates(
        Method::Put,
        "/nodes/{node}/lxc/{vmid}/resize",
        "makes a volume larger",
        &[
            Need::of(P::VmConfigDisk, GUEST),
            Need::of(P::DatastoreAllocateSpace, STORAGE).checked(DISK),
        ],
    ),
    operates(
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/move_volume",
        "copies a volume to another storage and uses it there",
        &[
            Need::of(P::VmConfigDisk, GUEST),
            Need::of(P::DatastoreAllocateSpace, STORAGE).checked(DISK),
        ],
    ),
    operates(
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/status/start",
        "starts a container",
        POWER,
    )
    .for_adopted_too(),
    operates(
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/status/shutdown",
        "shuts a container down",
        POWER,
    )
    .for_adopted_too(),
    operates(
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/status/stop",
        "kills what runs in a container",
        POWER,
    )
    .for_adopted_too(),
    operates(
        Method::Delete,
        "/nodes/{node}/lxc/{vmid}",
        "destroys a container",
        &[Need::of(P::VmAllocate, GUEST)],
    ),
    // Guest snapshots and backups.
    operates(
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/snapshot",
        "takes a guest snapshot",
        SNAPSHOT,
    )
    .for_adopted_too(),
    operates(
        Method::Put,
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
        "describes a guest snapshot",
        SNAPSHOT,
    )
    .for_adopted_too(),
    operates(
        Method::Delete,
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}",
        "removes a guest snapshot",
        SNAPSHOT,
    )
    .for_adopted_too(),
    operates(
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback",
        "goes back to a guest snapshot",
        &[Need::of(P::VmSnapshot, GUEST).or(&[P::VmSnapshotRollback])],
    )
    .for_adopted_too(),
    operates(
        Method::Post,
        "/nodes/{node}/vzdump",
        "makes a backup",
        &[
            Need::of(P::VmBackup, GUEST).checked(BACKUP),
            Need::of(P::DatastoreAllocateSpace, BACKUPS).checked(BACKUP),
        ],
    )
    .for_adopted_too(),
    // Pools.
    reads(
        "/pools",
        "pools and their members",
        &[Need::of(P::PoolAudit, &[Scope::Pool]).shown("pools")],
    ),
    sets_up(
        Method::Post,
        "/pools",
        "makes a pool",
        &[Need::of(P::PoolAllocate, &[Scope::Pool])],
    ),
    sets_up(
        Method::Put,
        "/pools",
        "adds to a pool, or takes from it",
        &[
            Need::of(P::PoolAllocate, &[Scope::Pool]),
            Need::of(P::VmAllocate, GUEST)
                .or(&[P::PermissionsModify])
                .given(&["vms"])
                .checked(POOLS),
            Need::of(P::DatastoreAllocate, STORAGE)
                .or(&[P::PermissionsModify])
                .given(&["storage"])
                .checked(POOLS),
        ],
    ),
    sets_up(
        Method::Delete,
        "/pools",
        "removes a pool",
        &[Need::of(P::PoolAllocate, &[Scope::Pool])],
    ),
    // Accounts: by a person who logs in.
    sets_up(Method::Get, "/access/domains", "realms", &[]),
    sets_up(
        Method::Get,
        "/access/roles/{roleid}",
        "a role's privileges",
        &[],
    ),
    sets_up(
        Method::Get,
        "/access/users/{userid}/token",
        "a user's tokens",
        &[Need::of(P::UserModify, ACCESS)],
    ),
    sets_up(Method::Post, "/access/roles", "makes a role", ROLES),
    sets_up(
        Method::Put,
        "/access/roles/{roleid}",
        "changes a role of ours",
        ROLES,
    ),
    sets_up(
        Method::Delete,
        "/access/roles/{roleid}",
        "removes a role of ours",
        ROLES,
    ),
    sets_up(Method::Post, "/access/users", "makes a user", USERS),
    sets_up(
        Method::Put,
        "/access/users/{userid}",
        "switches a user of ours on",
        &[Need::of(P::UserModify, ACCESS)],
    ),
    sets_up(
        Method::Delete,
        "/access/users/{userid}",
        "removes a user of ours",
        USERS,
    ),
    sets_up(
        Method::Post,
        "/access/users/{userid}/token/{tokenid}",
        "makes a token",
        &[Need::of(P::UserModify, ACCESS)],
    ),
    sets_up(
        Method::Delete,
        "/access/users/{userid}/token/{tokenid}",
        "removes a token of ours",
        &[Need::of(P::UserModify, ACCESS)],
    ),
    sets_up(
        Method::Put,
        "/access/acl",
        "grants a role of ours, or takes it back",
        &[Need::of(P::PermissionsModify, ALL)],
    ),
];
