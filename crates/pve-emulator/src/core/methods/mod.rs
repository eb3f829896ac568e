//! What the emulated methods do. A method of the schema that is not listed here answers 501 with
//! its name.

mod access;
mod cluster;
mod config_rights;
mod index;
mod lxc_config;
mod lxc_create;
mod lxc_power;
mod lxc_read;
mod node;
mod pools;
mod storage;
mod tasks;

use super::call::{Call, Outcome};

/// Does what a method is for; its parameters are verified and its caller is admitted.
pub(crate) type Behaviour = fn(&mut Call<'_>) -> Outcome;

/// The behaviour of a method, by verb and schema path.
pub(crate) fn behaviour(verb: &str, path: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, path) {
        ("GET", "/version" | "/nodes/{node}/version") => node::version,
        ("GET", "/cluster/status") => cluster::status,
        ("GET", "/cluster/resources") => cluster::resources,
        ("GET", "/cluster/nextid") => cluster::next_id,
        ("GET", "/cluster/tasks") => tasks::cluster_list,
        ("GET", "/nodes") => node::list,
        ("GET", "/nodes/{node}/status") => node::status,
        ("GET", "/nodes/{node}/network") => node::network,
        ("GET", "/nodes/{node}/tasks") => tasks::node_list,
        ("GET", "/nodes/{node}/tasks/{upid}/status") => tasks::status,
        ("GET", "/nodes/{node}/tasks/{upid}/log") => tasks::log,
        ("DELETE", "/nodes/{node}/tasks/{upid}") => tasks::kill,
        ("GET", "/nodes/{node}/storage") => storage::node_list,
        ("GET", "/nodes/{node}/storage/{storage}/status") => storage::status,
        ("GET", "/nodes/{node}/storage/{storage}/content") => storage::content,
        ("GET", "/storage") => storage::list,
        ("GET", "/pools") => pools::list,
        ("GET", "/pools/{poolid}") => pools::read,
        ("PUT", "/pools" | "/pools/{poolid}") => pools::update,
        ("POST", "/pools") => pools::create,
        ("DELETE", "/pools" | "/pools/{poolid}") => pools::delete,
        ("GET", "/nodes/{node}/lxc") => lxc_read::list,
        ("GET", "/nodes/{node}/lxc/{vmid}/status/current") => lxc_read::current,
        ("GET", "/nodes/{node}/lxc/{vmid}/interfaces") => lxc_read::interfaces,
        ("GET", "/nodes/{node}/lxc/{vmid}/config") => lxc_read::config,
        ("GET", "/nodes/{node}/lxc/{vmid}/pending") => lxc_read::pending,
        ("PUT", "/nodes/{node}/lxc/{vmid}/config") => lxc_config::update,
        ("POST", "/nodes/{node}/lxc") => lxc_create::create,
        ("DELETE", "/nodes/{node}/lxc/{vmid}") => lxc_power::destroy,
        ("POST", "/nodes/{node}/lxc/{vmid}/status/start") => lxc_power::start,
        ("POST", "/nodes/{node}/lxc/{vmid}/status/stop") => lxc_power::stop,
        ("POST", "/nodes/{node}/lxc/{vmid}/status/shutdown") => lxc_power::shutdown,
        ("POST", "/nodes/{node}/lxc/{vmid}/status/reboot") => lxc_power::reboot,
        ("GET", _) => return access_behaviour(verb, path).or_else(|| index::behaviour(path)),
        (_, _) => return access_behaviour(verb, path),
    };
    Some(behaviour)
}

fn access_behaviour(verb: &str, path: &str) -> Option<Behaviour> {
    use access::{acl, domains, groups, permissions, roles, tfa, ticket, tokens, users};
    let behaviour: Behaviour = match (verb, path.strip_prefix("/access")?) {
        ("GET", "/permissions") => permissions::read,
        ("GET", "/acl") => acl::read,
        ("PUT", "/acl") => acl::update,
        ("GET", "/domains") => domains::list,
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
