//! A guest's LXC configuration, as text: pure, so that it can be read and tested without LXC.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use super::place::Place;
use crate::core::guest::{GuestKey, GuestNet, GuestSpec};
use crate::lab::{Layout, SHIFT, SHIFT_COUNT};

/// What a network device gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// Up, without an address.
    None,
    /// An address with prefix length and perhaps a gateway.
    Static {
        address: Ipv4Addr,
        prefix: u8,
        gateway: Option<Ipv4Addr>,
    },
}

/// Everything the text depends on.
pub(crate) struct Plan<'a> {
    pub(crate) place: &'a Place,
    pub(crate) guest: &'a GuestKey,
    pub(crate) spec: &'a GuestSpec,
    pub(crate) base: &'a Path,
    pub(crate) bridge: &'a str,
    pub(crate) mtu: u32,
    pub(crate) layout: Layout,
    pub(crate) cores_there: u32,
    pub(crate) addresses: &'a BTreeMap<u8, Address>,
}

impl Plan<'_> {
    /// The configuration file.
    pub(crate) fn render(&self) -> String {
        let mut text = self.head();
        self.groups(&mut text);
        self.limits(&mut text);
        for (index, net) in &self.spec.nets {
            self.device(&mut text, *index, net);
        }
        text
    }

    fn head(&self) -> String {
        let directory = self.place.directory(self.guest);
        // The overlay is mounted from inside the user namespace, which may not set trusted.* attributes: without
        // userxattr a new directory cannot be renamed (EXDEV), and dpkg does exactly that.
        format!(
            "lxc.include = /usr/share/lxc/config/common.conf\n\
             lxc.include = /usr/share/lxc/config/userns.conf\n\
             lxc.arch = {arch}\n\
             lxc.uts.name = {name}\n\
             lxc.rootfs.path = overlay:{base}:{dir}/overlay/delta\n\
             lxc.rootfs.options = userxattr\n\
             lxc.rootfs.mount = {dir}/rootfs\n\
             lxc.apparmor.profile = unconfined\n\
             lxc.idmap = u 0 {SHIFT} {SHIFT_COUNT}\n\
             lxc.idmap = g 0 {SHIFT} {SHIFT_COUNT}\n",
            arch = std::env::consts::ARCH,
            name = self.spec.hostname,
            base = self.base.display(),
            dir = directory.display(),
        )
    }

    /// All groups below the lab's own, so that none of another's is ever touched.
    fn groups(&self, text: &mut String) {
        let (root, group) = (self.place.cgroup_root(), self.place.cgroup(self.guest));
        let _ = write!(
            text,
            "lxc.cgroup.dir.container = {group}\n\
             lxc.cgroup.dir.monitor = {group}.monitor\n\
             lxc.cgroup.dir.monitor.pivot = {root}/pivot\n"
        );
    }

    fn limits(&self, text: &mut String) {
        let memory_bytes = self.spec.memory_mib.saturating_mul(1 << 20);
        let cores = self.spec.cores.filter(|cores| *cores < self.cores_there);
        let quota_us = cores.map(|cores| u64::from(cores) * 100_000);
        let _ = match self.layout {
            Layout::Legacy => {
                writeln!(text, "lxc.cgroup.memory.limit_in_bytes = {memory_bytes}")
            }
            Layout::Unified => writeln!(text, "lxc.cgroup2.memory.max = {memory_bytes}"),
        };
        if let Some(quota_us) = quota_us {
            let _ = match self.layout {
                Layout::Legacy => writeln!(text, "lxc.cgroup.cpu.cfs_quota_us = {quota_us}"),
                Layout::Unified => writeln!(text, "lxc.cgroup2.cpu.max = {quota_us} 100000"),
            };
        }
    }

    fn device(&self, text: &mut String, index: u8, net: &GuestNet) {
        let _ = write!(
            text,
            "lxc.net.{index}.type = veth\n\
             lxc.net.{index}.link = {bridge}\n\
             lxc.net.{index}.veth.pair = {pair}\n\
             lxc.net.{index}.name = {name}\n\
             lxc.net.{index}.hwaddr = {hwaddr}\n\
             lxc.net.{index}.flags = up\n\
             lxc.net.{index}.mtu = {mtu}\n",
            bridge = self.bridge,
            pair = self.place.veth(self.guest, index),
            name = net.name,
            hwaddr = net.hwaddr,
            mtu = self.mtu,
        );
        match self.addresses.get(&index) {
            None | Some(Address::None) => {}
            Some(Address::Static {
                address,
                prefix,
                gateway,
            }) => {
                let _ = writeln!(text, "lxc.net.{index}.ipv4.address = {address}/{prefix}");
                if let Some(gateway) = gateway {
                    let _ = writeln!(text, "lxc.net.{index}.ipv4.gateway = {gateway}");
                }
            }
        }
    }
}

/// Reads `ip=` and `gw=` as configured; `lease` is asked for an address only for `dhcp`.
///
/// # Errors
/// The text is no address, or there was none to lease.
pub(crate) fn address_of(
    net: &GuestNet,
    lease: impl FnOnce() -> Result<(Ipv4Addr, Ipv4Addr), String>,
) -> Result<Address, String> {
    let text = match net.ip.as_deref() {
        None | Some("manual" | "") => return Ok(Address::None),
        Some("dhcp") => {
            let (address, gateway) = lease()?;
            return Ok(Address::Static {
                address,
                prefix: 24,
                gateway: Some(gateway),
            });
        }
        Some(text) => text,
    };
    let bad = || format!("invalid ip '{text}'");
    let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
    let address = address.parse().map_err(|_| bad())?;
    let prefix = prefix
        .parse()
        .ok()
        .filter(|prefix| *prefix <= 32)
        .ok_or_else(bad)?;
    let gateway = match net.gw.as_deref() {
        None => None,
        Some(gw) => Some(gw.parse().map_err(|_| format!("invalid gateway '{gw}'"))?),
    };
    Ok(Address::Static {
        address,
        prefix,
        gateway,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(ip: Option<&str>, gw: Option<&str>) -> GuestNet {
        GuestNet {
            name: "eth0".to_owned(),
            hwaddr: "BC:24:11:00:00:01".to_owned(),
            bridge: "vmbr0".to_owned(),
            ip: ip.map(str::to_owned),
            gw: gw.map(str::to_owned),
        }
    }

    fn render(layout: Layout, cores: Option<u32>) -> String {
        let spec = GuestSpec {
            template: "t.tar.zst".to_owned(),
            hostname: "web".to_owned(),
            memory_mib: 256,
            cores,
            unprivileged: true,
            nets: BTreeMap::from([(0, net(Some("dhcp"), None))]),
            init: None,
            login: None,
        };
        let guest = GuestKey {
            node: "pve1".to_owned(),
            vmid: 100,
        };
        let lease = || Ok((Ipv4Addr::new(10, 77, 1, 10), Ipv4Addr::new(10, 77, 1, 1)));
        let addresses = BTreeMap::from([(0, address_of(&spec.nets[&0], lease).unwrap())]);
        let place = Place::new("a1b2", None);
        Plan {
            place: &place,
            guest: &guest,
            spec: &spec,
            base: Path::new("/var/lib/lxc/base"),
            bridge: "pxlaba1b2",
            mtu: 1400,
            layout,
            cores_there: 4,
            addresses: &addresses,
        }
        .render()
    }

    #[test]
    fn limits_use_the_keys_of_the_mounted_layout() {
        let legacy = render(Layout::Legacy, Some(1));
        assert!(legacy.contains("lxc.cgroup.memory.limit_in_bytes = 268435456\n"));
        assert!(legacy.contains("lxc.cgroup.cpu.cfs_quota_us = 100000\n"));
        assert!(!legacy.contains("cgroup2"));
        let unified = render(Layout::Unified, Some(2));
        assert!(unified.contains("lxc.cgroup2.memory.max = 268435456\n"));
        assert!(unified.contains("lxc.cgroup2.cpu.max = 200000 100000\n"));
    }

    #[test]
    fn as_many_cores_as_the_machine_has_are_no_limit() {
        assert!(!render(Layout::Legacy, Some(4)).contains("cfs_quota"));
        assert!(!render(Layout::Legacy, None).contains("cfs_quota"));
    }

    #[test]
    fn a_lease_becomes_address_and_gateway() {
        let text = render(Layout::Legacy, None);
        assert!(text.contains("lxc.net.0.ipv4.address = 10.77.1.10/24\n"));
        assert!(text.contains("lxc.net.0.ipv4.gateway = 10.77.1.1\n"));
        assert!(text.contains("lxc.net.0.link = pxlaba1b2\n"));
    }

    #[test]
    fn addresses_are_read_as_configured() {
        let never = || -> Result<_, String> { panic!("no lease wanted") };
        assert_eq!(address_of(&net(None, None), never), Ok(Address::None));
        assert_eq!(
            address_of(&net(Some("manual"), None), never),
            Ok(Address::None)
        );
        let expected = Address::Static {
            address: Ipv4Addr::new(10, 77, 1, 200),
            prefix: 24,
            gateway: Some(Ipv4Addr::new(10, 77, 1, 1)),
        };
        let net = |ip, gw| net(Some(ip), gw);
        assert_eq!(
            address_of(&net("10.77.1.200/24", Some("10.77.1.1")), never),
            Ok(expected)
        );
        assert!(address_of(&net("10.77.1.200", None), never).is_err());
        assert!(address_of(&net("10.77.1.200/33", None), never).is_err());
        assert!(address_of(&net("10.77.1.200/24", Some("x")), never).is_err());
    }
}
