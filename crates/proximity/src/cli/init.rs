//! `proximity init` and `proximity uninit`.

use std::path::PathBuf;

use clap::Args;

use super::SshArgs;

/// Who logs in at Proxmox VE.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// User who logs in, once
    #[arg(long, value_name = "USER@REALM", default_value = "root@pam")]
    pub(crate) user: String,
    /// Read the user's password, or a ticket, from the first line of stdin
    #[arg(long, conflicts_with = "password_file")]
    pub(crate) password_stdin: bool,
    /// Read the user's password, or a ticket, from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Code the user's authenticator shows now [default: asked for, if one is needed]
    #[arg(long, value_name = "CODE")]
    pub(crate) totp: Option<String>,
}

/// `proximity init`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is there as it should be is left alone, so init can be run again at any time: it goes on where it was \
cut off, and puts back what is missing. The password is asked for, or read from --password-stdin or --password-file; it is \
used for the login and kept nowhere."
)]
pub(crate) struct InitArgs {
    /// Name you want to use for it, e.g. home
    #[arg(value_name = "LABEL")]
    pub(crate) label: String,
    /// Any node's API, e.g. https://192.0.2.10:8006
    #[arg(value_name = "URL")]
    pub(crate) api_url: String,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// SHA-256 fingerprint of the node's certificate (node, System, Certificates)
    #[arg(long, value_name = "AB:CD:…", conflicts_with = "ca_file")]
    pub(crate) fingerprint: Option<String>,
    /// Certificate of the authority to trust, PEM (on a node: /etc/pve/pve-root-ca.pem)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Pool for the containers, made if it is not there [default: proximity]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<String>,
    /// Storage that root file systems may go onto; may be given several times, new ones go onto the first
    /// [default: found]
    #[arg(long, value_name = "STORAGE")]
    pub(crate) storage: Vec<String>,
    /// Storage with the templates, e.g. local [default: found]
    #[arg(long, value_name = "STORAGE")]
    pub(crate) template_storage: Option<String>,
    /// Bridge for the containers' network, e.g. vmbr0 [default: found]
    #[arg(long, value_name = "BRIDGE")]
    pub(crate) bridge: Option<String>,
    /// Make a token too that may bring templates and images onto the template storage
    #[arg(long)]
    pub(crate) images: bool,
    /// Guest of others that a token of its own may start, stop, snapshot and back up; may be given several times
    #[arg(long, value_name = "VMID")]
    pub(crate) adopted: Vec<u32>,
    #[command(flatten)]
    pub(crate) ssh: SshArgs,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do not ask whether what was found is right
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `proximity uninit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Refused while apps are on the host: remove them first. What somebody else has put something on stays, and \
is listed with the reason."
)]
pub(crate) struct UninitArgs {
    /// Label or id of the host entry
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do not ask for the label as confirmation
    #[arg(long, short)]
    pub(crate) yes: bool,
}
