//! Which method has which behaviour.

use super::{
    Behaviour, access, backup, backup_jobs, bulk, cluster, console, corosync, export, fetching,
    firewall, ha, ha_rules, index, jobs, lxc_config, lxc_copy, lxc_create, lxc_disk, lxc_migrate,
    lxc_power, lxc_read, lxc_snapshot, machine, metric_servers, metrics, node, notify_table, pools,
    replication, settings, storage, storage_config, tasks, units, upload, volumes,
};

/// The behaviour of a method, by verb and schema path.
pub(crate) fn behaviour(verb: &str, path: &str) -> Option<Behaviour> {
    if let Some(rest) = path.strip_prefix("/nodes/{node}/lxc") {
        return of_guests(verb, rest).or_else(|| listing(verb, path));
    }
    if let Some(rest) = path.strip_prefix("/nodes/{node}/storage") {
        return of_storage(verb, rest).or_else(|| listing(verb, path));
    }
    if let Some(rest) = path.strip_prefix("/nodes/{node}") {
        return of_node(verb, rest).or_else(|| listing(verb, path));
    }
    if let Some(rest) = path.strip_prefix("/cluster") {
        return of_cluster(verb, rest).or_else(|| listing(verb, path));
    }
    if let Some(rest) = path.strip_prefix("/access") {
        return of_access(verb, rest).or_else(|| listing(verb, path));
    }
    let behaviour: Behaviour = match (verb, path) {
        ("GET", "/version") => node::version,
        ("GET", "/nodes") => node::list,
        ("GET", "/storage") => storage::list,
        ("POST", "/storage") => storage_config::create,
        ("GET", "/storage/{storage}") => storage_config::read,
        ("PUT", "/storage/{storage}") => storage_config::update,
        ("DELETE", "/storage/{storage}") => storage_config::delete,
        ("GET", "/pools") => pools::list,
        ("GET", "/pools/{poolid}") => pools::read,
        ("PUT", "/pools" | "/pools/{poolid}") => pools::update,
        ("POST", "/pools") => pools::create,
        ("DELETE", "/pools" | "/pools/{poolid}") => pools::delete,
        (_, _) => return listing(verb, path),
    };
    Some(behaviour)
}

fn listing(verb: &str, path: &str) -> Option<Behaviour> {
    index::behaviour(path).filter(|_| verb == "GET")
}

fn of_guests(verb: &str, rest: &str) -> Option<Behaviour> {
    let Some(rest) = rest.strip_prefix("/{vmid}") else {
        return match (verb, rest) {
            ("GET", "") => Some(lxc_read::list),
            ("POST", "") => Some(lxc_create::create),
            (_, _) => None,
        };
    };
    let behaviour: Behaviour = match (verb, rest) {
        ("DELETE", "") => lxc_power::destroy,
        ("GET", "/status/current") => lxc_read::current,
        ("POST", "/status/start") => lxc_power::start,
        ("POST", "/status/stop") => lxc_power::stop,
        ("POST", "/status/shutdown") => lxc_power::shutdown,
        ("POST", "/status/reboot") => lxc_power::reboot,
        ("POST", "/status/suspend") => lxc_power::suspend,
        ("POST", "/status/resume") => lxc_power::resume,
        ("GET", "/interfaces") => lxc_read::interfaces,
        ("GET", "/config") => lxc_read::config,
        ("PUT", "/config") => lxc_config::update,
        ("GET", "/pending") => lxc_read::pending,
        ("GET", "/feature") => lxc_copy::feature,
        ("POST", "/template") => lxc_copy::template,
        ("POST", "/clone") => lxc_copy::clone,
        ("GET", "/migrate") => lxc_migrate::targets,
        ("POST", "/migrate") => lxc_migrate::migrate,
        ("PUT", "/resize") => lxc_disk::resize,
        ("POST", "/move_volume") => lxc_disk::move_volume,
        ("GET", "/rrddata") => metrics::guest_points,
        ("POST", "/termproxy") => console::of_guest,
        ("GET", "/vncwebsocket") => console::guest_websocket,
        ("GET", "/snapshot") => lxc_snapshot::list,
        ("POST", "/snapshot") => lxc_snapshot::create,
        ("GET", "/snapshot/{snapname}") => lxc_snapshot::index,
        ("DELETE", "/snapshot/{snapname}") => lxc_snapshot::delete,
        ("POST", "/snapshot/{snapname}/rollback") => lxc_snapshot::rollback,
        ("GET", "/snapshot/{snapname}/config") => lxc_snapshot::read_config,
        ("PUT", "/snapshot/{snapname}/config") => lxc_snapshot::update_config,
        (verb, rest) => {
            let rest = rest.strip_prefix("/firewall")?;
            return firewall::behaviour(verb, "/nodes/{node}/lxc/{vmid}", rest);
        }
    };
    Some(behaviour)
}

fn of_storage(verb: &str, rest: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "") => storage::node_list,
        ("GET", "/{storage}/status") => storage::status,
        ("GET", "/{storage}/content") => storage::content,
        ("POST", "/{storage}/content") => volumes::allocate,
        ("GET", "/{storage}/content/{volume}") => volumes::read,
        ("PUT", "/{storage}/content/{volume}") => volumes::update,
        ("DELETE", "/{storage}/content/{volume}") => volumes::delete,
        ("GET", "/{storage}/prunebackups") => volumes::prune_preview,
        ("DELETE", "/{storage}/prunebackups") => volumes::prune,
        ("GET", "/{storage}/rrddata") => metrics::storage_points,
        ("POST", "/{storage}/upload") => upload::upload,
        ("POST", "/{storage}/download-url") => fetching::download,
        ("POST", "/{storage}/oci-registry-pull") => fetching::pull,
        (_, _) => return None,
    };
    Some(behaviour)
}

fn of_node(verb: &str, rest: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "/version") => node::version,
        ("GET", "/status") => node::status,
        ("GET", "/network") => node::network,
        ("GET", "/time") => settings::time,
        ("GET", "/dns") => machine::dns,
        ("PUT", "/dns") => machine::set_dns,
        ("GET", "/config") => machine::config,
        ("PUT", "/config") => machine::set_config,
        ("GET", "/hosts") => machine::hosts,
        ("POST", "/hosts") => machine::set_hosts,
        ("GET", "/subscription") => machine::subscription,
        ("GET", "/services") => units::list,
        ("GET", "/services/{service}") => units::index,
        ("GET", "/services/{service}/state") => units::read,
        ("POST", "/services/{service}/start") => units::start,
        ("POST", "/services/{service}/stop") => units::stop,
        ("POST", "/services/{service}/restart") => units::restart,
        ("POST", "/services/{service}/reload") => units::reload,
        ("GET", "/aplinfo") => settings::appliances,
        ("GET", "/netstat" | "/qemu" | "/replication") => settings::none,
        ("GET", "/rrddata") => metrics::node_points,
        ("POST", "/termproxy") => console::of_node,
        ("GET", "/vncwebsocket") => console::node_websocket,
        ("GET", "/tasks") => tasks::node_list,
        ("GET", "/tasks/{upid}/status") => tasks::status,
        ("GET", "/tasks/{upid}/log") => tasks::log,
        ("DELETE", "/tasks/{upid}") => tasks::kill,
        ("POST", "/vzdump") => backup::vzdump,
        ("GET", "/vzdump/defaults") => backup::defaults,
        ("GET", "/vzdump/extractconfig") => backup::extract_config,
        ("POST", "/startall") => bulk::start_all,
        ("POST", "/stopall") => bulk::stop_all,
        ("POST", "/suspendall") => bulk::suspend_all,
        ("POST", "/migrateall") => bulk::migrate_all,
        ("POST", "/aplinfo") => fetching::appliance,
        ("GET", "/query-oci-repo-tags") => fetching::tags,
        ("GET", "/query-url-metadata") => fetching::url_metadata,
        (verb, rest) => {
            let rest = rest.strip_prefix("/firewall")?;
            return firewall::behaviour(verb, "/nodes/{node}", rest);
        }
    };
    Some(behaviour)
}

fn of_cluster(verb: &str, rest: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "/status") => cluster::status,
        ("GET", "/resources") => cluster::resources,
        ("GET", "/nextid") => cluster::next_id,
        ("GET", "/tasks") => tasks::cluster_list,
        ("GET", "/options") => settings::options,
        ("PUT", "/options") => settings::set_options,
        ("GET", "/config") => corosync::index,
        ("GET", "/config/nodes") => settings::members,
        ("GET", "/config/totem") => corosync::totem,
        ("GET", "/config/join") => corosync::join,
        ("GET", "/config/qdevice") => corosync::device,
        ("GET", "/config/apiversion") => corosync::version,
        ("GET", "/log") => corosync::log,
        ("GET", "/replication") => replication::list,
        ("GET", "/jobs/realm-sync") => settings::none,
        ("GET", "/mapping/dir" | "/mapping/pci" | "/mapping/usb") => settings::none,
        ("GET", "/sdn/zones" | "/sdn/vnets" | "/sdn/controllers" | "/sdn/dns") => settings::none,
        ("GET", "/mapping") => jobs::mapping_index,
        ("GET", "/jobs") => jobs::index,
        ("GET", "/jobs/schedule-analyze") => jobs::analyze,
        ("GET", "/backup") => backup_jobs::list,
        ("POST", "/backup") => backup_jobs::create,
        ("GET", "/backup/{id}") => backup_jobs::read,
        ("PUT", "/backup/{id}") => backup_jobs::update,
        ("DELETE", "/backup/{id}") => backup_jobs::delete,
        ("GET", "/backup/{id}/included_volumes") => backup_jobs::volumes,
        ("GET", "/backup-info") => backup_jobs::topics,
        ("GET", "/backup-info/not-backed-up") => backup_jobs::not_backed_up,
        ("GET", "/bulk-action") => bulk::index,
        ("GET", "/bulk-action/guest") => bulk::guest_index,
        ("POST", "/bulk-action/guest/start") => bulk::start,
        ("POST", "/bulk-action/guest/shutdown") => bulk::shutdown,
        ("POST", "/bulk-action/guest/suspend") => bulk::suspend,
        ("POST", "/bulk-action/guest/migrate") => bulk::migrate,
        (_, rest) if rest.starts_with("/ha") => return of_ha(verb, rest),
        (_, rest) if rest.starts_with("/notifications") => {
            let rest = rest.trim_start_matches("/notifications");
            return notify_table::behaviour(verb, rest);
        }
        ("GET", "/metrics") => metrics::index,
        ("GET", "/metrics/server") => metric_servers::list,
        ("GET", "/metrics/server/{id}") => metric_servers::read,
        ("POST", "/metrics/server/{id}") => metric_servers::create,
        ("PUT", "/metrics/server/{id}") => metric_servers::update,
        ("DELETE", "/metrics/server/{id}") => metric_servers::delete,
        ("GET", "/metrics/export") => export::export,
        (verb, rest) => {
            let rest = rest.strip_prefix("/firewall")?;
            return firewall::behaviour(verb, "/cluster", rest);
        }
    };
    Some(behaviour)
}

fn of_ha(verb: &str, rest: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "/ha") => ha::index,
        ("GET", "/ha/status") => ha::status_index,
        ("GET", "/ha/status/current") => ha::current,
        ("GET", "/ha/status/manager_status") => ha::crm_status,
        ("POST", "/ha/status/disarm-ha") => ha::disarm,
        ("POST", "/ha/status/arm-ha") => ha::arm,
        ("GET", "/ha/resources") => ha::resources,
        ("POST", "/ha/resources") => ha::create,
        ("GET", "/ha/resources/{sid}") => ha::read,
        ("PUT", "/ha/resources/{sid}") => ha::update,
        ("DELETE", "/ha/resources/{sid}") => ha::delete,
        ("POST", "/ha/resources/{sid}/migrate") => ha::migrate,
        ("POST", "/ha/resources/{sid}/relocate") => ha::relocate,
        ("GET", "/ha/rules") => ha_rules::list,
        ("POST", "/ha/rules") => ha_rules::create,
        ("GET", "/ha/rules/{rule}") => ha_rules::read,
        ("PUT", "/ha/rules/{rule}") => ha_rules::update,
        ("DELETE", "/ha/rules/{rule}") => ha_rules::delete,
        ("GET", "/ha/groups") => ha_rules::groups,
        ("POST", "/ha/groups") => ha_rules::create_group,
        ("GET", "/ha/groups/{group}") => ha_rules::read_group,
        ("PUT", "/ha/groups/{group}") => ha_rules::update_group,
        ("DELETE", "/ha/groups/{group}") => ha_rules::delete_group,
        (_, _) => return None,
    };
    Some(behaviour)
}

fn of_access(verb: &str, rest: &str) -> Option<Behaviour> {
    use access::{acl, domains, groups, permissions, roles, tfa, ticket, tokens, users};
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "/permissions") => permissions::read,
        ("GET", "/acl") => acl::read,
        ("PUT", "/acl") => acl::update,
        ("GET", "/domains") => domains::list,
        ("GET", "/domains/{realm}") => domains::read,
        ("GET", "/groups") => groups::list,
        ("POST", "/groups") => groups::create,
        ("GET", "/groups/{groupid}") => groups::read,
        ("PUT", "/groups/{groupid}") => groups::update,
        ("DELETE", "/groups/{groupid}") => groups::delete,
        ("PUT", "/password") => users::change_password,
        ("GET", "/roles") => roles::list,
        ("POST", "/roles") => roles::create,
        ("GET", "/roles/{roleid}") => roles::read,
        ("PUT", "/roles/{roleid}") => roles::update,
        ("DELETE", "/roles/{roleid}") => roles::delete,
        ("GET", "/tfa") => tfa::list,
        ("GET", "/tfa/{userid}") => tfa::of_user,
        ("POST", "/tfa/{userid}") => tfa::add,
        ("GET", "/tfa/{userid}/{id}") => tfa::read,
        ("PUT", "/tfa/{userid}/{id}") => tfa::update,
        ("DELETE", "/tfa/{userid}/{id}") => tfa::delete,
        ("GET", "/ticket") => ticket::read,
        ("POST", "/ticket") => ticket::create,
        ("POST", "/vncticket") => console::verify,
        ("GET", "/users") => users::list,
        ("POST", "/users") => users::create,
        ("GET", "/users/{userid}") => users::read,
        ("PUT", "/users/{userid}") => users::update,
        ("DELETE", "/users/{userid}") => users::delete,
        ("PUT", "/users/{userid}/unlock-tfa") => tfa::unlock,
        ("GET", "/users/{userid}/token") => tokens::list,
        ("GET", "/users/{userid}/token/{tokenid}") => tokens::read,
        ("POST", "/users/{userid}/token/{tokenid}") => tokens::create,
        ("PUT", "/users/{userid}/token/{tokenid}") => tokens::update,
        ("DELETE", "/users/{userid}/token/{tokenid}") => tokens::delete,
        (_, _) => return None,
    };
    Some(behaviour)
}

/// What a method that writes accounts, grants or pools says first when it cannot: those lie in one
/// file, which needs a majority.
pub(crate) fn user_config_writer(verb: &str, path: &str) -> Option<&'static str> {
    Some(match (verb, path) {
        ("POST", "/pools") => "create pool failed",
        ("PUT", "/pools" | "/pools/{poolid}") => "update pools failed",
        ("DELETE", "/pools" | "/pools/{poolid}") => "delete pool failed",
        ("PUT", "/access/acl") => "ACL update failed",
        ("POST", "/access/groups") => "create group failed",
        ("PUT", "/access/groups/{groupid}") => "update group failed",
        ("DELETE", "/access/groups/{groupid}") => "delete group failed",
        ("POST", "/access/roles") => "create role failed",
        ("PUT", "/access/roles/{roleid}") => "update role failed",
        ("DELETE", "/access/roles/{roleid}") => "delete role failed",
        ("POST", "/access/users") => "create user failed",
        ("PUT", "/access/users/{userid}") => "update user failed",
        ("DELETE", "/access/users/{userid}") => "delete user failed",
        ("POST", "/access/users/{userid}/token/{tokenid}") => "generating token failed",
        ("PUT", "/access/users/{userid}/token/{tokenid}") => "updating token info failed",
        ("DELETE", "/access/users/{userid}/token/{tokenid}") => "deleting token failed",
        (_, _) => return None,
    })
}
