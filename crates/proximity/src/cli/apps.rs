//! Commands on apps.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

/// `proximity deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Entry of the catalog, e.g. nginx
    #[arg(value_name = "CATALOG")]
    pub(crate) catalog_id: String,
    /// Host name of the new container: 3 to 63 lower-case letters, digits and dashes
    #[arg(value_name = "HOSTNAME")]
    pub(crate) hostname: String,
    /// Memory limit in MiB [default: what the catalog says]
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u64>,
    /// CPU cores [default: what the catalog says]
    #[arg(long, value_name = "N")]
    pub(crate) cores: Option<u32>,
    /// Size of the root file system in GiB [default: what the catalog says]
    #[arg(long, value_name = "GIB")]
    pub(crate) disk: Option<u32>,
    /// A setting of the catalog entry; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<Setting>,
    /// A secret setting, read from a file; may be given several times
    #[arg(long = "set-file", value_name = "KEY=FILE")]
    pub(crate) setting_files: Vec<Setting>,
    /// Take also an entry that fetches what is held against no SHA-256
    #[arg(long)]
    pub(crate) allow_unpinned: bool,
    /// Host entry, by label or id [default: the best node of all]
    #[arg(long, value_name = "LABEL")]
    pub(crate) host: Option<String>,
    /// Node [default: the online one with the most free memory that fits]
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// App that it is to be kept apart from, on another node where one fits; may be given several times
    #[arg(long, value_name = "APP")]
    pub(crate) apart_from: Vec<String>,
    /// File with a public SSH key that root of the container logs in with; may be given several times [default: root has neither key nor password]
    #[arg(long = "root-key", value_name = "FILE")]
    pub(crate) root_keys: Vec<PathBuf>,
    /// Make a password for root of the container, instead of keys; `proximity root-password APP` shows it once
    #[arg(long, conflicts_with = "root_keys")]
    pub(crate) root_password: bool,
    /// Only look whether it can be deployed, and say in numbers what speaks against it; makes nothing
    #[arg(long, conflicts_with = "detach")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Host name under which people reach it, e.g. blog.example.org, where the ingress is Caddy's
    #[arg(long, value_name = "NAME")]
    pub(crate) host_name: Option<String>,
    /// File with the certificate for it, on Caddy's machine [default: Caddy gets one by itself]
    #[arg(long, value_name = "FILE", requires_all = ["host_name", "key_file"])]
    pub(crate) cert_file: Option<String>,
    /// File with the key of that certificate
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub(crate) key_file: Option<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// How a new container is attached to the network.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Bridge on the node [default: the host entry's]
    #[arg(long, value_name = "BRIDGE")]
    pub(crate) bridge: Option<String>,
    /// VLAN tag, 1 to 4094
    #[arg(long, value_name = "TAG")]
    pub(crate) vlan: Option<u32>,
    /// "dhcp", or an address with its prefix, e.g. 192.0.2.10/24 [default: dhcp]
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub(crate) ip: Option<String>,
    /// Gateway of the address
    #[arg(long, value_name = "ADDRESS", requires = "ip")]
    pub(crate) gateway: Option<String>,
    /// "none", "auto", "dhcp", or an IPv6 address with its prefix [default: none]
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub(crate) ip6: Option<String>,
    /// Gateway of the IPv6 address
    #[arg(long, value_name = "ADDRESS", requires = "ip6")]
    pub(crate) gateway6: Option<String>,
    /// Address of a name server; may be given up to three times [default: the node's]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<String>,
    /// Search domain [default: the node's, unless --dns is given]
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) search_domain: Option<String>,
}

/// `proximity configure`.
#[derive(Debug, Args)]
pub(crate) struct ConfigureArgs {
    /// Host name or id of the app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Memory limit in MiB [default: as it is]
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u64>,
    /// CPU cores [default: as they are]
    #[arg(long, value_name = "N")]
    pub(crate) cores: Option<u32>,
    /// Size of the root file system in GiB; it only grows [default: as it is]
    #[arg(long, value_name = "GIB")]
    pub(crate) disk: Option<u32>,
    /// A setting of the catalog entry; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<Setting>,
    /// A secret setting, read from a file; may be given several times
    #[arg(long = "set-file", value_name = "KEY=FILE")]
    pub(crate) setting_files: Vec<Setting>,
    /// Move it to what the catalog has by now in place of the entry that it is made from
    #[arg(long)]
    pub(crate) newest_entry: bool,
    /// Move it also to an entry that fetches what is held against no SHA-256
    #[arg(long, requires = "newest_entry")]
    pub(crate) allow_unpinned: bool,
    /// Only if the container's configuration is still the one with this digest; the preview shows it
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    /// Only say what would be done; changes nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do not ask for the host name where the disk grows
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Self {
                key: key.trim().to_owned(),
                value: value.to_owned(),
            }),
            Some(_) | None => Err("write it as KEY=VALUE".to_owned()),
        }
    }
}

/// Whether and how long to wait for an operation.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Waiting {
    /// Do not wait: print what was recorded and end
    #[arg(long)]
    pub(crate) detach: bool,
    /// How long to wait, in seconds; the operation goes on afterwards
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 900,
        conflicts_with = "detach"
    )]
    pub(crate) wait_timeout: u64,
}

impl Waiting {
    pub(crate) fn limit(self) -> Duration {
        Duration::from_secs(self.wait_timeout)
    }
}

/// `proximity apps`.
#[derive(Debug, Args)]
pub(crate) struct AppsArgs {
    /// Only apps with this status, e.g. running
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Only apps whose host name or catalog entry contains this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only apps on this host entry
    #[arg(long, value_name = "LABEL")]
    pub(crate) host: Option<String>,
}

/// `proximity show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Host name or id of the app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
}

/// `proximity logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Host name or id of the app; a removed one by its id
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Go on with new lines until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many of the newest lines to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) lines: u16,
}

/// `proximity start`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Host name or id of the app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// `proximity stop`, `proximity restart`.
#[derive(Debug, Args)]
pub(crate) struct PowerArgs {
    /// Host name or id of the app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Pull the plug instead of shutting down
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// `proximity remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Host name or id of the app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Only say what would be done; changes nothing
    #[arg(long, conflicts_with_all = ["yes", "force_stop"])]
    pub(crate) dry_run: bool,
    /// Do not ask for the host name
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Pull the plug if the container does not shut down in time
    #[arg(long)]
    pub(crate) force_stop: bool,
    /// Take the container's number out of Proxmox VE's jobs of backups too
    #[arg(long)]
    pub(crate) purge: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
