//! What a rule may say, in the order in which Proxmox VE looks at it.

use std::collections::BTreeMap;

use super::row::Row;
use super::{Kind, Sight, macros};
use crate::schema::{
    check_format, check_ports, check_protocol, is_firewall_name, is_icmp_type, is_icmp_v6_type,
    parse_addresses,
};

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A part, and what is wrong with it.
    Part(String, String),
    /// Its parts do not go together.
    Whole(String),
}

/// Checks a rule and completes it. A lenient check writes what is wrong into it instead of refusing it.
pub(crate) fn verify(
    row: &mut Row,
    sight: Sight<'_>,
    kind: Kind,
    lenient: bool,
) -> Result<(), Fault> {
    let mut check = Check {
        errors: std::mem::take(&mut row.errors),
        row,
        sight,
        kind,
        lenient,
        version: None,
    };
    check.kind()?;
    check.iface()?;
    check.name_of_macro()?;
    check.protocol()?;
    check.target_port()?;
    check.icmp_type()?;
    check.source_port()?;
    check.address("source")?;
    check.address("dest")?;
    if let Some(version) = check.version {
        let version = version.to_string();
        check.row.keys.insert("ipversion".into(), version);
    }
    check.macro_parts()?;
    let errors = check.errors;
    row.errors = errors;
    Ok(())
}

fn is_icmp(protocol: &str) -> bool {
    matches!(protocol, "icmp" | "icmpv6" | "ipv6-icmp")
}

fn has_ports(protocol: &str) -> bool {
    let known = [
        "udp", "17", "udplite", "136", "tcp", "6", "dccp", "33", "sctp", "132",
    ];
    known.contains(&protocol)
}

struct Check<'a> {
    row: &'a mut Row,
    sight: Sight<'a>,
    kind: Kind,
    lenient: bool,
    errors: BTreeMap<String, String>,
    version: Option<u8>,
}

impl Check<'_> {
    fn complain(&mut self, part: &str, text: impl Into<String>) -> Result<(), Fault> {
        let (part, text) = (part.to_owned(), text.into());
        if !self.lenient {
            return Err(Fault::Part(part, text));
        }
        self.errors.entry(part).or_insert(text);
        Ok(())
    }

    fn part(&self, key: &str) -> Option<String> {
        self.row.set(key).map(str::to_owned)
    }

    /// All addresses of a rule are of one version.
    fn set_version(&mut self, version: Option<u8>) -> Result<(), Fault> {
        let Some(version) = version else {
            return Ok(());
        };
        if self.version.is_some_and(|other| other != version) {
            let text = "detected mixed ipv4/ipv6 addresses in rule";
            return Err(Fault::Whole(text.into()));
        }
        self.version = Some(version);
        Ok(())
    }

    fn kind(&mut self) -> Result<(), Fault> {
        let action = self.part("action");
        let Some(kind) = self.part("type") else {
            return self.complain("type", "missing property");
        };
        if action.is_none() {
            self.complain("action", "missing property")?;
        }
        let action = action.unwrap_or_default();
        if !self.kind.types().contains(&kind.as_str()) {
            let place = self.kind.name();
            let text = format!("invalid rule type '{kind}' for rule_env '{place}'");
            self.complain("type", text)?;
        }
        match kind.as_str() {
            "in" | "out" | "forward" => {
                if kind == "forward" && action == "REJECT" {
                    self.complain("action", "cannot define REJECT rules on forward chain")?;
                }
                if !matches!(action.as_str(), "" | "ACCEPT" | "DROP" | "REJECT") {
                    self.complain("action", format!("unknown action '{action}'"))?;
                }
            }
            "group" => {
                if self.kind == Kind::Group {
                    self.complain("type", "security groups not allowed")?;
                }
                if !action.is_empty() && !is_firewall_name(&action) {
                    self.complain("action", "invalid characters in security group name")?;
                }
            }
            _ => self.complain("type", format!("unknown rule type '{kind}'"))?,
        }
        Ok(())
    }

    fn iface(&mut self) -> Result<(), Fault> {
        let Some(iface) = self.part("iface") else {
            return Ok(());
        };
        if self.kind == Kind::Group {
            self.complain("type", "parameter -i not allowed for this rule type")?;
        }
        if let Err(error) = check_format("pve-iface", &iface) {
            self.complain("iface", error)?;
        }
        let number = iface.strip_prefix("net").unwrap_or_default();
        let named = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        if self.kind == Kind::Guest && !named {
            let text = "value does not match the regex pattern 'net\\d+'";
            self.complain("iface", text)?;
        }
        Ok(())
    }

    fn name_of_macro(&mut self) -> Result<(), Fault> {
        let Some(name) = self.part("macro") else {
            return Ok(());
        };
        match macros::find(&name) {
            Some(found) => {
                self.row.keys.insert("macro".into(), found.name.to_owned());
                Ok(())
            }
            None => self.complain("macro", format!("unknown macro '{name}'")),
        }
    }

    fn protocol(&mut self) -> Result<(), Fault> {
        let Some(protocol) = self.part("proto") else {
            return Ok(());
        };
        if let Err(error) = check_protocol(&protocol) {
            self.complain("proto", error)?;
        }
        self.set_version(match protocol.as_str() {
            "icmp" => Some(4),
            "icmpv6" | "ipv6-icmp" => Some(6),
            _ => None,
        })
    }

    fn target_port(&mut self) -> Result<(), Fault> {
        let protocol = self.part("proto").unwrap_or_default();
        let icmp = is_icmp(&protocol);
        self.port("dport", icmp, icmp || has_ports(&protocol))
    }

    fn source_port(&mut self) -> Result<(), Fault> {
        let protocol = self.part("proto").unwrap_or_default();
        self.port("sport", false, has_ports(&protocol))
    }

    fn port(&mut self, key: &str, icmp: bool, able: bool) -> Result<(), Fault> {
        let Some(port) = self.part(key) else {
            return Ok(());
        };
        if let Err(error) = check_ports(&port, icmp) {
            self.complain(key, error)?;
        }
        let protocol = self.part("proto").unwrap_or_default();
        if protocol.is_empty() {
            let text = format!("missing property - '{key}' requires this property");
            self.complain("proto", text)?;
        }
        if !able {
            let text = format!("protocol '{protocol}' does not support ports");
            self.complain(key, text)?;
        }
        Ok(())
    }

    fn icmp_type(&mut self) -> Result<(), Fault> {
        let Some(kind) = self.part("icmp-type") else {
            return Ok(());
        };
        let protocol = self.part("proto").unwrap_or_default();
        if !is_icmp(&protocol) {
            let text = "missing property - 'icmp-type' requires this property";
            self.complain("proto", text)?;
        }
        if self.part("dport").is_some() {
            let text = "'icmp-type' cannot be specified together with 'dport'";
            self.complain("icmp-type", text)?;
        }
        let known = match protocol.as_str() {
            "icmp" => is_icmp_type(&kind),
            "icmpv6" | "ipv6-icmp" => is_icmp_v6_type(&kind),
            _ => true,
        };
        if !known {
            let text = format!("invalid icmp-type '{kind}' for proto '{protocol}'");
            self.complain("icmp-type", text)?;
        }
        Ok(())
    }

    fn address(&mut self, key: &str) -> Result<(), Fault> {
        let Some(value) = self.part(key) else {
            return Ok(());
        };
        let read = parse_addresses(&value).map_err(Fault::Whole);
        if let Err(Fault::Whole(text)) = read.and_then(|version| self.set_version(version)) {
            self.complain(key, text)?;
        }
        if let Some(reference) = value.strip_prefix('+') {
            return self.set(key, &value, reference);
        }
        let Some((scope, name)) = crate::schema::scoped_alias(&value) else {
            return Ok(());
        };
        if !self.sight.has_alias(name) {
            self.complain(key, format!("no such alias '{value}'"))?;
        }
        let alias = self.sight.alias(scope, name);
        let version = alias.and_then(|alias| alias.text("ipversion").parse().ok());
        self.set_version(version)
    }

    /// A set that is referred to.
    fn set(&mut self, key: &str, value: &str, reference: &str) -> Result<(), Fault> {
        let scopes = ["guest/", "dc/", "sdn/"];
        let name = scopes
            .iter()
            .find_map(|scope| reference.strip_prefix(scope));
        let name = name.unwrap_or(reference);
        if !is_firewall_name(name) {
            return self.complain(key, format!("invalid ipset name '{value}'"));
        }
        if !self.sight.has_set(name) {
            return self.complain(key, format!("no such ipset '{name}'"));
        }
        Ok(())
    }

    /// What stands beside a macro must go with each of its parts.
    fn macro_parts(&mut self) -> Result<(), Fault> {
        let Some(name) = self.part("macro").filter(|_| self.errors.is_empty()) else {
            return Ok(());
        };
        let Some(found) = macros::find(&name) else {
            return Ok(());
        };
        match found.clash(&self.row.keys, self.version) {
            Some((part, text)) => self.complain(&part, text),
            None => Ok(()),
        }
    }
}
