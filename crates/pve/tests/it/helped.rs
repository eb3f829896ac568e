//! A node with the helper behind OpenSSH's server: its key leads to a helper, which one is its caller's choice.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use proximity_domain::guest::ContainerIdentity;
use proximity_domain::ids::{AppId, InstallationId};
use proximity_domain::mark::Mark;
use proximity_node_helper::ground::Ground;
use proximity_pve::guest::ssh::NodeHelper;
use proximity_pve::guest::{GuestOwner, GuestTarget};

use crate::sshd::{Sshd, user};
use crate::world::{node, vmid};

/// The installation whose containers these are.
pub(crate) const INSTALLATION: u128 = 1;
/// Runs what it is given as it is.
pub(crate) const ATTACH: &str = "#!/bin/sh\nshift 4\nexec env -i PATH=\"$PATH\" \"$@\"\n";

/// Where things are on a node whose server has this folder.
pub(crate) fn ground(at: &Path) -> Ground {
    Ground {
        conf_dir: at.join("conf"),
        lxc_path: at.join("lxc"),
        lxc_attach: at.join("bin/lxc-attach"),
        state_dir: at.join("helper"),
    }
}

/// A node with the helper, and containers of ours that run.
pub(crate) struct HelpedNode {
    pub(crate) sshd: Sshd,
    running: Vec<UnixListener>,
}

impl HelpedNode {
    /// With the line of a key that leads to a helper for the server's folder.
    pub(crate) async fn with_key_line(line: impl Fn(&Path, &str) -> String) -> Self {
        let sshd = Sshd::with_key_line(line).await;
        let node = Self {
            sshd,
            running: Vec::new(),
        };
        std::fs::create_dir(node.ground().conf_dir).unwrap();
        node.sshd.write_program("lxc-attach", ATTACH);
        node
    }

    fn ground(&self) -> Ground {
        ground(self.sshd.folder())
    }

    pub(crate) fn add(&mut self, identity: &ContainerIdentity, runs: bool) {
        let text = format!(
            "#{}\nnet0: name=eth0,hwaddr={}\nrootfs: {},size=4G\n",
            identity.mark.to_string().replace(':', "%3A"),
            identity.net0_mac,
            identity.rootfs_volid.as_ref().unwrap()
        );
        let ground = self.ground();
        let file = ground.conf_dir.join(format!("{}.conf", identity.vmid));
        std::fs::write(file, text).unwrap();
        if runs {
            let name = format!("{}/{}/command", ground.lxc_path.display(), identity.vmid);
            let address = SocketAddr::from_abstract_name(name).unwrap();
            self.running
                .push(UnixListener::bind_addr(&address).unwrap());
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.sshd.folder()
    }

    pub(crate) fn access(&self) -> NodeHelper {
        let key = &self.sshd.key.private_pem;
        NodeHelper::new(&user(), key, [(node("pve1"), self.sshd.at())]).unwrap()
    }
}

pub(crate) fn identity(id: u32, app: u128) -> ContainerIdentity {
    ContainerIdentity {
        vmid: vmid(id),
        mark: Mark {
            installation: InstallationId(uuid::Uuid::from_u128(INSTALLATION)),
            app: AppId(uuid::Uuid::from_u128(app)),
            nonce: app,
        },
        net0_mac: "BC:24:11:00:00:01".parse().unwrap(),
        rootfs_volid: format!("local:{id}/vm-{id}-disk-0.raw").parse().ok(),
    }
}

pub(crate) fn target(identity: ContainerIdentity) -> GuestTarget {
    GuestTarget {
        node: node("pve1"),
        vmid: identity.vmid,
        owner: GuestOwner::Made(identity),
    }
}
