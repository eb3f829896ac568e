//! Usage over time, from PVE's round-robin databases.

use proximity_domain::ids::Vmid;
use proximity_domain::names::{NodeName, StorageName};
use serde::Deserialize;

use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;

/// How far back; the further, the coarser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timeframe {
    /// The last hour, a point a minute.
    Hour,
    /// The last day.
    Day,
    /// The last week.
    Week,
    /// The last month.
    Month,
    /// The last year.
    Year,
}

impl Timeframe {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// Usage of a container around one moment, on the average. All figures are missing for times in which it did not run, and
/// for some minutes after its creation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GuestPoint {
    /// Seconds since 1970 by the node's clock.
    #[serde(rename = "time", deserialize_with = "lenient::u64")]
    pub at_s: u64,
    /// Fraction of its CPUs in use.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub cpu: Option<f64>,
    /// CPUs it may use.
    #[serde(default, rename = "maxcpu", deserialize_with = "lenient::opt_f64")]
    pub max_cpu: Option<f64>,
    /// Memory in use.
    #[serde(default, rename = "mem", deserialize_with = "lenient::opt_f64")]
    pub memory_bytes: Option<f64>,
    /// Memory it may use.
    #[serde(default, rename = "maxmem", deserialize_with = "lenient::opt_f64")]
    pub max_memory_bytes: Option<f64>,
    /// Root disk in use.
    #[serde(default, rename = "disk", deserialize_with = "lenient::opt_f64")]
    pub disk_bytes: Option<f64>,
    /// Size of the root disk.
    #[serde(default, rename = "maxdisk", deserialize_with = "lenient::opt_f64")]
    pub max_disk_bytes: Option<f64>,
    /// What came in, bytes per second.
    #[serde(default, rename = "netin", deserialize_with = "lenient::opt_f64")]
    pub in_bytes_per_s: Option<f64>,
    /// What went out, bytes per second.
    #[serde(default, rename = "netout", deserialize_with = "lenient::opt_f64")]
    pub out_bytes_per_s: Option<f64>,
    /// What was read from disks, bytes per second.
    #[serde(default, rename = "diskread", deserialize_with = "lenient::opt_f64")]
    pub read_bytes_per_s: Option<f64>,
    /// What was written to disks, bytes per second.
    #[serde(default, rename = "diskwrite", deserialize_with = "lenient::opt_f64")]
    pub written_bytes_per_s: Option<f64>,
}

/// Usage of a node around one moment, on the average.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NodePoint {
    /// Seconds since 1970 by the node's clock.
    #[serde(rename = "time", deserialize_with = "lenient::u64")]
    pub at_s: u64,
    /// Fraction of the CPUs in use.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub cpu: Option<f64>,
    /// CPU threads.
    #[serde(default, rename = "maxcpu", deserialize_with = "lenient::opt_f64")]
    pub max_cpu: Option<f64>,
    /// Fraction of the time spent waiting for disks.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub iowait: Option<f64>,
    /// Processes that run or wait.
    #[serde(default, rename = "loadavg", deserialize_with = "lenient::opt_f64")]
    pub load: Option<f64>,
    /// Memory built in.
    #[serde(default, rename = "memtotal", deserialize_with = "lenient::opt_f64")]
    pub memory_bytes: Option<f64>,
    /// Memory in use.
    #[serde(default, rename = "memused", deserialize_with = "lenient::opt_f64")]
    pub memory_used_bytes: Option<f64>,
    /// Size of the root file system.
    #[serde(default, rename = "roottotal", deserialize_with = "lenient::opt_f64")]
    pub root_bytes: Option<f64>,
    /// Of that, in use.
    #[serde(default, rename = "rootused", deserialize_with = "lenient::opt_f64")]
    pub root_used_bytes: Option<f64>,
    /// What came in, bytes per second.
    #[serde(default, rename = "netin", deserialize_with = "lenient::opt_f64")]
    pub in_bytes_per_s: Option<f64>,
    /// What went out, bytes per second.
    #[serde(default, rename = "netout", deserialize_with = "lenient::opt_f64")]
    pub out_bytes_per_s: Option<f64>,
}

/// Usage of a storage around one moment, on the average.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StoragePoint {
    /// Seconds since 1970 by the node's clock.
    #[serde(rename = "time", deserialize_with = "lenient::u64")]
    pub at_s: u64,
    /// Its size.
    #[serde(default, rename = "total", deserialize_with = "lenient::opt_f64")]
    pub total_bytes: Option<f64>,
    /// Of that, in use.
    #[serde(default, rename = "used", deserialize_with = "lenient::opt_f64")]
    pub used_bytes: Option<f64>,
}

fn call(segments: &[&str], timeframe: Timeframe) -> Call {
    Call::get(segments)
        .with("timeframe", timeframe.as_str())
        .with("cf", "AVERAGE")
}

impl ReadClient {
    /// A container's usage over time.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn lxc_usage(
        &self,
        node: &NodeName,
        vmid: Vmid,
        timeframe: Timeframe,
    ) -> Result<Vec<GuestPoint>> {
        let vmid = vmid.to_string();
        let path = ["nodes", node.as_str(), "lxc", &vmid, "rrddata"];
        self.get(call(&path, timeframe)).await
    }

    /// A node's usage over time.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn node_usage(
        &self,
        node: &NodeName,
        timeframe: Timeframe,
    ) -> Result<Vec<NodePoint>> {
        let path = ["nodes", node.as_str(), "rrddata"];
        self.get(call(&path, timeframe)).await
    }

    /// A storage's usage over time, as that node sees it.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn storage_usage(
        &self,
        node: &NodeName,
        storage: &StorageName,
        timeframe: Timeframe,
    ) -> Result<Vec<StoragePoint>> {
        let path = [
            "nodes",
            node.as_str(),
            "storage",
            storage.as_str(),
            "rrddata",
        ];
        self.get(call(&path, timeframe)).await
    }
}
