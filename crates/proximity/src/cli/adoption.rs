//! Commands on containers that are there.

use std::str::FromStr;

use clap::Args;

use super::Waiting;

/// `proximity discover`.
#[derive(Debug, Args)]
pub(crate) struct DiscoverArgs {
    /// Only of this host entry, by label or id
    #[arg(long, value_name = "LABEL")]
    pub(crate) host: Option<String>,
}

/// `proximity adopt`.
#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// Containers: the label of the host entry and Proxmox VE's number, e.g. lab/105
    #[arg(value_name = "HOST/VMID", required = true, num_args = 1..=100)]
    pub(crate) containers: Vec<ContainerName>,
    /// What they are, e.g. postgres [default: from name and tags]
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// The port they listen on [default: the usual one of the type]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Look inside for what listens, and take type and port from that where they are left out; one command that only reads
    #[arg(long)]
    pub(crate) probe: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// `HOST/VMID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerName {
    pub(crate) host: String,
    pub(crate) vmid: u32,
}

impl FromStr for ContainerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write it as HOST/VMID, e.g. lab/105".to_owned();
        let (host, vmid) = text.split_once('/').ok_or_else(wrong)?;
        let vmid = vmid.parse().map_err(|_| wrong())?;
        if host.is_empty() {
            return Err(wrong());
        }
        let host = host.to_owned();
        Ok(Self { host, vmid })
    }
}

/// `proximity expose`.
#[derive(Debug, Args)]
pub(crate) struct ExposeArgs {
    /// Host name or id of the app, an adopted one unless --host-name is given
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Port inside the container that is led to [default: the one on record]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Host name under which people reach it, e.g. blog.example.org, where the ingress is Caddy's
    #[arg(long, value_name = "NAME")]
    pub(crate) host_name: Option<String>,
    /// File with the certificate for it, on Caddy's machine [default: Caddy gets one by itself]
    #[arg(long, value_name = "FILE", requires_all = ["host_name", "key_file"])]
    pub(crate) cert_file: Option<String>,
    /// File with the key of that certificate
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub(crate) key_file: Option<String>,
}

/// `proximity restore-keys`.
#[derive(Debug, Args)]
pub(crate) struct RestoreKeysArgs {
    /// Host name or id of the adopted app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Keys of the configuration, e.g. memory [default: show all that differ and can be restored]
    #[arg(value_name = "KEY", num_args = 0..=200)]
    pub(crate) keys: Vec<String>,
    /// Restore the keys named, if the configuration is still the one with this digest; the preview shows the command
    #[arg(long, value_name = "DIGEST", requires = "keys")]
    pub(crate) digest: Option<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// `proximity forget`.
#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Host name or id of the adopted app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Only say what would be done; changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: RestoreKeysArgs,
    }

    #[test]
    fn a_digest_restores_only_keys_that_are_named() {
        let parse = |words: &[&str]| {
            let mut line = vec!["restore-keys", "db"];
            line.extend_from_slice(words);
            Line::try_parse_from(line)
        };
        let preview = parse(&[]).unwrap().args;
        assert!(preview.keys.is_empty() && preview.digest.is_none());
        let done = parse(&["memory", "tty", "--digest", "ab"]).unwrap().args;
        assert_eq!(done.keys, ["memory", "tty"]);
        assert_eq!(done.digest.as_deref(), Some("ab"));
        let refused = parse(&["--digest", "ab"]).unwrap_err();
        assert_eq!(
            refused.kind(),
            clap::error::ErrorKind::MissingRequiredArgument
        );
    }

    #[test]
    fn containers_are_named_by_host_and_number() {
        let name: ContainerName = "lab/105".parse().unwrap();
        assert_eq!((name.host.as_str(), name.vmid), ("lab", 105));
        for bad in ["", "105", "/105", "lab/", "lab/x", "lab/105/1", "lab/-1"] {
            assert!(bad.parse::<ContainerName>().is_err(), "{bad}");
        }
    }
}
