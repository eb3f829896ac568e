//! Nodes and what they have.

use proximity_domain::names::NodeName;
use serde::Deserialize;

use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;

/// One node in the list. Figures are missing without `Sys.Audit` on the node and for nodes long off.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NodeRow {
    /// Its name.
    pub node: NodeName,
    /// Whether it is up and in the cluster. PVE's `offline` and `unknown` are both false.
    #[serde(rename = "status", deserialize_with = "is_online")]
    pub online: bool,
    /// CPU threads.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub maxcpu: Option<u64>,
    /// Fraction of the CPUs in use.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub cpu: Option<f64>,
    /// Memory built in.
    #[serde(default, rename = "maxmem", deserialize_with = "lenient::opt_u64")]
    pub maxmem_bytes: Option<u64>,
    /// Memory in use.
    #[serde(default, rename = "mem", deserialize_with = "lenient::opt_u64")]
    pub mem_bytes: Option<u64>,
    /// SHA-256 of its certificate as PVE prints it, pairs of hex digits with colons.
    #[serde(default)]
    pub ssl_fingerprint: Option<String>,
}

fn is_online<'de, D: serde::Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(lenient::text(d)? == "online")
}

/// One node, asked itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeStatus {
    /// E.g. `pve-manager/9.2.11/14a22df35955d97d`.
    #[serde(default, rename = "pveversion")]
    pub pve_version: Option<String>,
    /// Seconds since it booted.
    #[serde(default, rename = "uptime", deserialize_with = "lenient::opt_u64")]
    pub uptime_s: Option<u64>,
    /// Its memory.
    pub memory: Memory,
    /// Its processors.
    #[serde(rename = "cpuinfo")]
    pub cpus: Cpus,
}

/// Memory of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Memory {
    /// Built in.
    #[serde(rename = "total", deserialize_with = "lenient::u64")]
    pub total_bytes: u64,
    /// In use.
    #[serde(rename = "used", deserialize_with = "lenient::u64")]
    pub used_bytes: u64,
    /// What a new process could get.
    #[serde(default, rename = "available", deserialize_with = "lenient::opt_u64")]
    pub available_bytes: Option<u64>,
}

/// Processors of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Cpus {
    /// Threads.
    #[serde(rename = "cpus", deserialize_with = "lenient::u64")]
    pub threads: u64,
}

/// A node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct NodeTime {
    /// Seconds since 1970, whole ones: what is after the point is cut off.
    #[serde(rename = "time", deserialize_with = "lenient::u64")]
    pub time_s: u64,
}

/// What a node looks names up with. A container without name servers of its own is given these when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct NodeDns {
    /// First name server, an address.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub dns1: Option<String>,
    /// Second.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub dns2: Option<String>,
    /// Third.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub dns3: Option<String>,
    /// Search domain.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub search: Option<String>,
}

impl NodeDns {
    /// The name servers that are set, in order.
    #[must_use]
    pub fn servers(self) -> Vec<String> {
        let all = [self.dns1, self.dns2, self.dns3];
        all.into_iter().flatten().collect()
    }
}

impl ReadClient {
    /// All nodes of the cluster, also those that are off.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn nodes(&self) -> Result<Vec<NodeRow>> {
        let mut nodes: Vec<NodeRow> = self.get(Call::quick(&["nodes"])).await?;
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(nodes)
    }

    /// One node's memory, processors and version. Needs `Sys.Audit` on the node.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn node_status(&self, node: &NodeName) -> Result<NodeStatus> {
        self.get(Call::get(&["nodes", node.as_str(), "status"]))
            .await
    }

    /// One node's clock. Needs `Sys.Audit` on the node.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn node_time(&self, node: &NodeName) -> Result<NodeTime> {
        self.get(Call::get(&["nodes", node.as_str(), "time"])).await
    }

    /// One node's name servers. Needs `Sys.Audit` on the node.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn node_dns(&self, node: &NodeName) -> Result<NodeDns> {
        self.get(Call::get(&["nodes", node.as_str(), "dns"])).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_those_that_are_set_in_order() {
        let told = r#"{"dns1":"192.0.2.1","dns3":"2001:db8::1","search":"example.org"}"#;
        let dns: NodeDns = serde_json::from_str(told).unwrap();
        assert_eq!(dns.search.as_deref(), Some("example.org"));
        assert_eq!(dns.servers(), ["192.0.2.1", "2001:db8::1"]);
        let none: NodeDns = serde_json::from_str("{}").unwrap();
        assert!(none.servers().is_empty());
    }
}
