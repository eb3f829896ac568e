//! Commands on host entries.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

/// `proximity hosts …`.
#[derive(Debug, Subcommand)]
pub(crate) enum HostsCommand {
    /// Look at a cluster or node, show what was found, and add it
    Add(Box<HostsAdd>),
    /// List host entries
    List,
    /// Change where new containers go
    Set(HostsSet),
    /// Let Proximity into the containers of a node that joined later, or has a new SSH host key
    Ssh(HostsSsh),
    /// Trust another certificate of a host, which was renewed while no other node of it answers
    Trust(HostsTrust),
    /// Put the helper on the nodes, so that Proximity reaches its containers and is root on the nodes no more
    InstallHelper(HostsInstallHelper),
    /// Take the helper away from the nodes
    RemoveHelper(HostsRemoveHelper),
    /// Say that a node has left its cluster for good, so that it is no longer waited for
    ForgetNode(HostsForgetNode),
    /// Remove a host entry that has no apps; nothing on the host is changed
    Remove(HostsRemove),
}

/// `proximity hosts add`.
#[derive(Debug, Args)]
#[command(
    after_help = "The secret of the API token is asked for, or read from --secret-stdin or --secret-file; \
it is never an argument, because arguments can be seen by everybody on this machine."
)]
pub(crate) struct HostsAdd {
    /// Name you want to use for it, e.g. home
    #[arg(value_name = "LABEL")]
    pub(crate) label: String,
    /// Any node's API, e.g. https://192.0.2.10:8006
    #[arg(value_name = "URL")]
    pub(crate) api_url: String,
    /// API token, e.g. proximity@pve!deploy [default: asked for]
    #[arg(long, value_name = "USER@REALM!NAME")]
    pub(crate) token_id: Option<String>,
    /// Read the token's secret from the first line of stdin
    #[arg(long, conflicts_with = "secret_file")]
    pub(crate) secret_stdin: bool,
    /// Read the token's secret from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// SHA-256 fingerprint of the node's certificate (node, System, Certificates)
    #[arg(long, value_name = "AB:CD:…", conflicts_with = "ca_file")]
    pub(crate) fingerprint: Option<String>,
    /// Certificate of the authority to trust, PEM (on a node: /etc/pve/pve-root-ca.pem)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Pool for new containers [default: none]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<String>,
    /// Storage for root file systems, e.g. local-zfs [default: found]
    #[arg(long, value_name = "STORAGE")]
    pub(crate) storage: Option<String>,
    /// Storage with the templates, e.g. local [default: found]
    #[arg(long, value_name = "STORAGE")]
    pub(crate) template_storage: Option<String>,
    /// Bridge for the containers' network, e.g. vmbr0 [default: found]
    #[arg(long, value_name = "BRIDGE")]
    pub(crate) bridge: Option<String>,
    #[command(flatten)]
    pub(crate) ssh: SshArgs,
    /// Do not ask whether what was found is right
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Plain guest access.
#[derive(Debug, Args)]
pub(crate) struct SshArgs {
    /// Let Proximity log in to the nodes as root, to set apps up inside their containers. Whoever holds
    /// its key is root on the node
    #[arg(long)]
    pub(crate) ssh: bool,
    /// Private key for it, OpenSSH format without a passphrase [default: one is made, and its public
    /// part printed]
    #[arg(long, value_name = "FILE", requires = "ssh")]
    pub(crate) ssh_key: Option<PathBuf>,
    /// Where a node's SSH listens, if not at its cluster address, port 22; may be given several times
    #[arg(long, value_name = "NODE=ADDRESS:PORT", requires = "ssh")]
    pub(crate) ssh_address: Vec<NodeValue>,
    /// A node's SSH host key [default: the one it shows now]; may be given several times
    #[arg(long, value_name = "NODE=KEY", requires = "ssh")]
    pub(crate) ssh_host_key: Vec<NodeValue>,
}

/// `NODE=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeValue {
    pub(crate) node: String,
    pub(crate) value: String,
}

impl FromStr for NodeValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((node, value)) if !node.is_empty() && !value.is_empty() => Ok(Self {
                node: node.to_owned(),
                value: value.to_owned(),
            }),
            Some(_) | None => Err("write it as NODE=VALUE".to_owned()),
        }
    }
}

/// `proximity hosts set`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct HostsSet {
    /// Label or id of the host entry
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    /// Numbers for new containers, e.g. 5000-5999; "pve" lets PVE choose. Existing ones keep theirs
    #[arg(long, value_name = "FIRST-LAST", group = "change")]
    pub(crate) vmids: Option<String>,
    /// Keep new apps off this node; may be given several times
    #[arg(long, value_name = "NODE", group = "change")]
    pub(crate) exclude: Vec<String>,
    /// Let new apps onto this node again; may be given several times
    #[arg(long, value_name = "NODE", group = "change")]
    pub(crate) include: Vec<String>,
    /// Whether a deploy downloads an OS template through PVE where it is missing
    #[arg(long, value_name = "YES|NO", group = "change", value_parser = yes_or_no)]
    pub(crate) fetch_templates: Option<bool>,
    /// Name of the network that its bridges lead to, the same on entries that share it; "none" for none. An address is one app's there
    #[arg(long, value_name = "NAME", group = "change")]
    pub(crate) lan: Option<String>,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("write yes or no".to_owned()),
    }
}

/// `proximity hosts forget-node`.
#[derive(Debug, Args)]
pub(crate) struct HostsForgetNode {
    /// Label or id of the host entry
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    /// The node; its cluster must not list it any more
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Show what becomes of the apps that are recorded on it if their containers are lost with it; also of a
    /// node that its cluster lists as off
    #[arg(long)]
    pub(crate) containers_lost: bool,
    /// So many apps are shown as lost, and are: archive them with their history
    #[arg(long, value_name = "N", requires = "containers_lost", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) confirm_lost: Option<u64>,
}

/// `proximity hosts ssh`.
#[derive(Debug, Args)]
pub(crate) struct HostsSsh {
    /// Label or id of the host entry; it must have been added with --ssh
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    /// The node
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Where its SSH listens [default: as before; at first its cluster address, port 22]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) address: Option<String>,
    /// Its SSH host key [default: the pinned one; at first the one it shows now]
    #[arg(long, value_name = "KEY")]
    pub(crate) host_key: Option<String>,
    /// Do not ask whether the host key is the node's
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `proximity hosts trust`.
#[derive(Debug, Args)]
#[command(
    after_help = "Where another node of the cluster answers, a renewed certificate is learned by itself within a minute."
)]
pub(crate) struct HostsTrust {
    /// Label or id of the host entry
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    /// SHA-256 of the certificate that is the node's, as `pvenode cert info` says it [default: what is shown
    /// is asked for]
    #[arg(long, value_name = "SHA256")]
    pub(crate) fingerprint: Option<String>,
    /// Say which certificates are shown, and change nothing
    #[arg(long, conflicts_with = "fingerprint")]
    pub(crate) dry_run: bool,
}

/// `proximity hosts install-helper`.
#[derive(Debug, Args)]
pub(crate) struct HostsInstallHelper {
    /// Label or id of the host entry
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    /// Only on this node, and go over to the helper though others lack it; may be given several times
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Vec<String>,
    /// A private key that root on the nodes takes, OpenSSH format without a passphrase; used once and
    /// forgotten [default: the host entry's, if it leads to root]
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Option<PathBuf>,
    /// Where a node's SSH listens, for a host entry without SSH, if not at the node's cluster address, port
    /// 22; may be given several times
    #[arg(long, value_name = "NODE=ADDRESS:PORT", requires = "ssh_key")]
    pub(crate) ssh_address: Vec<NodeValue>,
    /// A node's SSH host key, for a host entry without SSH [default: the one it shows now]; may be given
    /// several times
    #[arg(long, value_name = "NODE=KEY", requires = "ssh_key")]
    pub(crate) ssh_host_key: Vec<NodeValue>,
    /// Show what would be changed on each node, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask whether what would be changed is right
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `proximity hosts remove-helper`.
#[derive(Debug, Args)]
pub(crate) struct HostsRemoveHelper {
    /// Label or id of the host entry
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    /// A private key that root on the nodes takes, OpenSSH format without a passphrase; used once and
    /// forgotten
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: PathBuf,
    /// Show what would be removed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask whether the way into the containers may go
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `proximity doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is changed, neither here nor on a host. Ends with 0 if nothing is worse than a note, with 13 after \
warnings, and with 14 if something does not work or could not be looked at."
)]
pub(crate) struct DoctorArgs {
    /// Only this host entry (label or id)
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Tell what is well, too
    #[arg(long)]
    pub(crate) all: bool,
}

/// `proximity nodes`.
#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    /// Only of this host entry (label or id)
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
}

/// `proximity hosts remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "Where the helper is on the nodes, take it away first: proximity hosts remove-helper HOST --ssh-key FILE. \
Once the entry is gone only root on each node can."
)]
pub(crate) struct HostsRemove {
    /// Label or id of the host entry
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
}
