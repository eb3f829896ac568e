//! Creating a container.

use proximity_domain::ids::Vmid;
use proximity_domain::names::{BridgeName, Hostname, Mac, NodeName, PoolName, StorageName, Volid};
use proximity_domain::network::{Ipv4, Ipv6, Network};
use secrecy::{ExposeSecret, SecretString};

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::property::PropertyString;
use crate::upid::Upid;

/// A container to be created from a template. It is not started.
///
/// Tags are not offered: PVE refuses them at create for tokens with rights on a pool only; set them afterwards.
#[derive(Debug, Clone)]
pub struct CreateLxc {
    /// The number it gets; refused if taken.
    pub vmid: Vmid,
    /// The template's volume, e.g. `local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst`.
    pub ostemplate: Volid,
    /// Host name.
    pub hostname: Hostname,
    /// Storage of the root file system.
    pub storage: StorageName,
    /// Size of the root file system.
    pub disk_gib: u32,
    /// Volumes beside it, on the same storage: `mp0`, `mp1` and so on, in this order.
    pub mounts: Vec<NewMount>,
    /// Memory limit, at least 16.
    pub memory_mib: u32,
    /// Swap limit.
    pub swap_mib: u32,
    /// CPUs, 1 to 8192.
    pub cores: u32,
    /// First network device.
    pub net0: NewNet,
    /// VLAN, addresses and name servers. Its bridge does not count: `net0` has one.
    pub network: Network,
    /// Public keys that root logs in with, OpenSSH's form, one each. Without any, and without a password, root has no way in but through
    /// the node.
    pub root_keys: Vec<String>,
    /// Root's password, 5 characters and more. Proxmox VE keeps its hash inside the container alone.
    pub root_password: Option<SecretString>,
    /// Notes, with the mark as the last line; at most 8192 bytes.
    pub description: String,
    /// Pool it becomes a member of.
    pub pool: Option<PoolName>,
    /// Whether root inside is an ordinary user outside. PVE's default differs between its tools, so it is always sent.
    pub unprivileged: bool,
    /// Whether it starts with the node.
    pub onboot: bool,
    /// Whether removal is blocked from the first moment on.
    pub protection: bool,
    /// Whether systemd and containers inside get what they need.
    pub nesting: bool,
}

/// A volume that is made with a container. It is part of backups of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMount {
    /// Where it is inside: an absolute path without a comma.
    pub path: String,
    /// Its size.
    pub size_gib: u32,
}

/// The first network device of a new container. Its address comes from DHCP unless something else is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNet {
    /// Name inside, e.g. `eth0`.
    pub name: String,
    /// Bridge on the node.
    pub bridge: BridgeName,
    /// Its MAC, chosen by us.
    pub hwaddr: Mac,
}

impl NewNet {
    pub(super) fn property(&self) -> PropertyString {
        self.attached(&Network::default())
    }

    pub(super) fn attached(&self, network: &Network) -> PropertyString {
        let net = PropertyString::default()
            .with("name", &self.name)
            .with("bridge", &self.bridge)
            .with("hwaddr", self.hwaddr);
        let net = match &network.ipv4 {
            Ipv4::Dhcp => net.with("ip", "dhcp"),
            Ipv4::Static {
                address,
                prefix,
                gateway,
            } => with_some(
                net.with("ip", format!("{address}/{prefix}")),
                "gw",
                *gateway,
            ),
        };
        let net = match &network.ipv6 {
            Ipv6::None => net,
            Ipv6::Auto => net.with("ip6", "auto"),
            Ipv6::Dhcp => net.with("ip6", "dhcp"),
            Ipv6::Static {
                address,
                prefix,
                gateway,
            } => {
                let net = net.with("ip6", format!("{address}/{prefix}"));
                with_some(net, "gw6", *gateway)
            }
        };
        with_some(net, "tag", network.vlan)
    }
}

fn with_some(
    property: PropertyString,
    key: &str,
    value: Option<impl std::fmt::Display>,
) -> PropertyString {
    match value {
        Some(value) => property.with(key, value),
        None => property,
    }
}

/// As Proxmox VE takes them; `None` for those of the node.
pub(super) fn name_servers(network: &Network) -> Option<String> {
    let servers: Vec<String> = network.dns.iter().map(ToString::to_string).collect();
    (!servers.is_empty()).then(|| servers.join(" "))
}

impl CreateLxc {
    fn call(&self, node: &NodeName) -> Call {
        let password = self.root_password.as_ref();
        let keys = (!self.root_keys.is_empty()).then(|| self.root_keys.join("\n"));
        let call = Call::post(&["nodes", node.as_str(), "lxc"])
            .with("vmid", self.vmid)
            .with("ostemplate", &self.ostemplate)
            .with("hostname", &self.hostname)
            .with("rootfs", format!("{}:{}", self.storage, self.disk_gib));
        let mounts = self.mounts.iter().enumerate();
        let call = mounts.fold(call, |call, (n, mount)| {
            let NewMount { path, size_gib } = mount;
            let volume = format!("{}:{size_gib},mp={path},backup=1", self.storage);
            call.with(&format!("mp{n}"), volume)
        });
        call.with("memory", self.memory_mib)
            .with("swap", self.swap_mib)
            .with("cores", self.cores)
            .with("net0", self.net0.attached(&self.network))
            .with_some("nameserver", name_servers(&self.network))
            .with_some("searchdomain", self.network.search.as_ref())
            .with_some("ssh-public-keys", keys)
            .with_some("password", password.map(SecretString::expose_secret))
            .with("description", &self.description)
            .with_some("pool", self.pool.as_ref())
            .with_flag("unprivileged", self.unprivileged)
            .with_flag("onboot", self.onboot)
            .with_flag("protection", self.protection)
            .with_some("features", self.nesting.then_some("nesting=1"))
    }
}

impl Client {
    /// Creates a container; the task does the work. A UPID proves nothing: a missing template, for instance, shows
    /// only in the task's exit status.
    ///
    /// # Errors
    /// [`crate::Error::is_vmid_taken`] when the id was lost to somebody else; otherwise see [`crate::Error`].
    pub async fn create_lxc(&self, node: &NodeName, new: CreateLxc) -> Result<Upid> {
        self.change(new.call(node)).await
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::network::NetworkWish;

    use super::*;

    #[test]
    fn volumes_are_asked_for_with_their_place_and_size() {
        let new = CreateLxc {
            vmid: Vmid::try_from(100).unwrap(),
            ostemplate: "local:vztmpl/web_1.tar".parse().unwrap(),
            hostname: "web".parse().unwrap(),
            storage: "fast".parse().unwrap(),
            disk_gib: 4,
            mounts: vec![
                NewMount {
                    path: "/data".to_owned(),
                    size_gib: 8,
                },
                NewMount {
                    path: "/var/lib/web".to_owned(),
                    size_gib: 1,
                },
            ],
            memory_mib: 64,
            swap_mib: 0,
            cores: 1,
            net0: NewNet {
                name: "eth0".to_owned(),
                bridge: "vmbr0".parse().unwrap(),
                hwaddr: "BC:24:11:00:00:01".parse().unwrap(),
            },
            network: Network::default(),
            root_keys: Vec::new(),
            root_password: None,
            description: String::new(),
            pool: None,
            unprivileged: true,
            onboot: false,
            protection: false,
            nesting: false,
        };
        let request = new.call(&"pve1".parse().unwrap()).into_read();
        let of = |name: &str| {
            let mut params = request.params.iter();
            params
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(of("rootfs"), Some("fast:4"));
        assert_eq!(of("mp0"), Some("fast:8,mp=/data,backup=1"));
        assert_eq!(of("mp1"), Some("fast:1,mp=/var/lib/web,backup=1"));
        assert_eq!(of("mp2"), None);
    }

    fn net0(wish: &NetworkWish) -> String {
        let net = NewNet {
            name: "eth0".to_owned(),
            bridge: "vmbr0".parse().unwrap(),
            hwaddr: "BC:24:11:00:00:01".parse().unwrap(),
        };
        net.attached(&wish.check().unwrap()).to_string()
    }

    #[test]
    fn a_device_is_written_as_proxmox_ve_takes_it() {
        let begins = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01";
        let dhcp = net0(&NetworkWish::default());
        assert_eq!(dhcp, format!("{begins},ip=dhcp"));
        let given = net0(&NetworkWish {
            vlan: Some(30),
            ipv4: Some("192.0.2.10/24".to_owned()),
            gateway: Some("192.0.2.1".to_owned()),
            ipv6: Some("2001:db8::10/64".to_owned()),
            gateway6: Some("fe80::1".to_owned()),
            ..NetworkWish::default()
        });
        let ip = "ip=192.0.2.10/24,gw=192.0.2.1,ip6=2001:db8::10/64,gw6=fe80::1,tag=30";
        assert_eq!(given, format!("{begins},{ip}"));
        let auto = net0(&NetworkWish {
            ipv6: Some("auto".to_owned()),
            ..NetworkWish::default()
        });
        assert_eq!(auto, format!("{begins},ip=dhcp,ip6=auto"));
    }
}
