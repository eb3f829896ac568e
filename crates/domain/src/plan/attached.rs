//! What of an app a plan compares that no container shows by itself: how it was attached and who may log in as root, under which host name
//! it is led to, and which apps it is kept apart from. Against the record alone.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Source;
use super::compare::Compared;
use super::state::Recorded;
use super::wanted::WantedApp;
use crate::names::Hostname;
use crate::network::Network;
use crate::site::Site;

impl Compared {
    /// What a container is made with: no command changes it afterwards, so that another container is needed.
    pub(super) fn made(&mut self, wanted: &WantedApp, recorded: &Recorded) {
        let before = self.fields.len();
        if let Some(network) = &wanted.network {
            self.network(network, recorded);
        }
        let root = recorded.made_with.root();
        if let Some(wish) = wanted.root.as_ref().filter(|wish| !wish.is_same(&root)) {
            let (from, to) = (root.shown(), wish.shown());
            self.differs("root_access", Some(from), Some(to), Source::Documents);
        }
        self.needs_another |= self.fields.len() > before;
    }

    /// What is written down of it, and changed where it is.
    pub(super) fn ties(&mut self, wanted: &WantedApp, recorded: &Recorded) {
        if let Some(wish) = &wanted.site {
            let (now, then) = (recorded.site.as_ref(), wish.site());
            self.is_not("host_name", name(now), name(then));
            self.is_not("certificate", files(now), files(then));
        }
        if let Some(wish) = &wanted.apart_from {
            let now: BTreeSet<&Hostname> = recorded.made_with.apart_from.iter().collect();
            let wish: BTreeSet<&Hostname> = wish.iter().collect();
            self.ours("apart_from", json!(now), json!(wish));
        }
    }

    /// Each word of it that is another one. Where no bridge is named the host entry's is meant.
    fn network(&mut self, wanted: &Network, recorded: &Recorded) {
        let now = recorded.meant(&recorded.made_with.network).words();
        let then = recorded.meant(wanted).words();
        let some = |text: Option<String>| text.map(Value::from);
        let several = |all: Vec<String>| (!all.is_empty()).then(|| json!(all));
        self.is_not("network.bridge", some(now.bridge), some(then.bridge));
        let (from, to) = (now.vlan.map(Value::from), then.vlan.map(Value::from));
        self.is_not("network.vlan", from, to);
        self.is_not("network.ipv4", some(now.ipv4), some(then.ipv4));
        self.is_not("network.gateway", some(now.gateway), some(then.gateway));
        self.is_not("network.ipv6", some(now.ipv6), some(then.ipv6));
        self.is_not("network.gateway6", some(now.gateway6), some(then.gateway6));
        self.is_not("network.dns", several(now.dns), several(then.dns));
        self.is_not("network.search", some(now.search), some(then.search));
    }

    fn is_not(&mut self, path: &str, now: Option<Value>, wanted: Option<Value>) {
        if now != wanted {
            self.differs(path, now, wanted, Source::Documents);
        }
    }
}

fn name(site: Option<&Site>) -> Option<Value> {
    site.map(|site| json!(site.name))
}

fn files(site: Option<&Site>) -> Option<Value> {
    let files = site.and_then(|site| site.certificate.as_ref());
    files.map(|files| json!(files))
}
