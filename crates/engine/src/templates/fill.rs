//! What is done inside a template: packages are fetched and not installed, and what must not be the same in two clones is taken out.

use std::time::Duration;

use proximity_domain::destroy::PERMIT_VALID_MS;
use proximity_domain::failure::Failure;
use proximity_pve::Warrant;
use proximity_pve::guest::{Exec, ExecOutput, GuestOwner, GuestTarget};
use proximity_store::prepared::TemplateCall;
use serde_json::json;

use super::hands::Hands;
use crate::reconcile::system;
use crate::saga::{StepError, StepResult};

/// How long a command may take.
const WORK_MS: u64 = 1_200_000;
/// How much of its output is kept.
const MAX_OUTPUT_BYTES: usize = 16 * 1024;
/// How much of it is told.
const TOLD_CHARS: usize = 400;
/// How often it is tried: the network of a container that has just started may need a moment.
const TRIES: u32 = 3;
/// From one try to the next.
const PAUSE: Duration = Duration::from_secs(3);

/// Fetches packages with what they need.
const FETCH: &str = r#"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >&2 || exit
apt-get -q -y --no-install-recommends --download-only install -- "$@" >&2
"#;

/// Takes out what each clone has to have of its own. An empty machine-id is filled at the next start. The folder of the journal stays, for
/// without it nothing is kept of what a clone says; its owner and mode are put right at the next start.
const STRIP: &str = r#"
rm -rf -- "$@" || exit
if [ -d /var/log/journal ]; then
  rm -rf -- /var/log/journal && mkdir -- /var/log/journal || exit
fi
true > /etc/machine-id
"#;

/// SSH host keys, by every name that Debian gives them; the second place of the machine-id; what was drawn by chance for it; by what a
/// server of addresses knows it; and what it said while it was filled.
const STRIPPED: [&str; 26] = [
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_rsa_key.pub",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ecdsa_key.pub",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/ssh/ssh_host_dsa_key",
    "/etc/ssh/ssh_host_dsa_key.pub",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/dhcp/dhclient.leases",
    "/var/lib/dhcp/dhclient.eth0.leases",
    "/var/lib/dhcp/dhclient6.leases",
    "/var/lib/dhcp/dhclient6.eth0.leases",
    "/var/lib/dhcpcd/duid",
    "/var/lib/dhcpcd/secret",
    "/var/lib/dhcpcd/eth0.lease",
    "/var/lib/dhcpcd/eth0.lease6",
    "/var/log/auth.log",
    "/var/log/btmp",
    "/var/log/daemon.log",
    "/var/log/lastlog",
    "/var/log/syslog",
    "/var/log/wtmp",
    "/var/log/wtmp.db",
];

impl Hands<'_> {
    /// Fills a running template, and takes out what is its own. Whatever was done before is done once more.
    pub(super) async fn fill(&self) -> StepResult<()> {
        self.is_booted().await?;
        let base = &self.kept.prepared.base;
        let packages: Vec<&str> = base.packages.iter().map(String::as_str).collect();
        if !packages.is_empty() {
            self.fetch(&packages).await?;
        }
        let strip = [locked("strip", STRIP).as_slice(), STRIPPED.as_slice()].concat();
        let output = self.inside(&strip).await?;
        match output.exit_code {
            0 => Ok(()),
            _ => Err(failed("taking out what is its own", &output)),
        }
    }

    /// Waits until its init has brought everything up: what is taken out before that may be made after it.
    async fn is_booted(&self) -> StepResult<()> {
        let booted = ["systemctl", "is-system-running", "--wait"];
        let output = self.inside(&booted).await?;
        let state = String::from_utf8_lossy(&output.stdout);
        match state.trim() {
            "running" | "degraded" => Ok(()),
            other => Err(StepError::Transient(Failure::new(
                "guest_not_booted",
                format!("the template's init says {other:?}"),
                "it is looked at again",
            ))),
        }
    }

    async fn fetch(&self, packages: &[&str]) -> StepResult<()> {
        let fetch = [locked("fetch", FETCH).as_slice(), packages].concat();
        let mut tried = 1;
        loop {
            let output = self.inside(&fetch).await?;
            if output.exit_code == 0 {
                return Ok(());
            }
            if tried == TRIES {
                return Err(failed("fetching packages", &output));
            }
            tried += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Runs a command in the template, if it is ours still: the one before may have taken long. It is audited before.
    async fn inside(&self, argv: &[&str]) -> StepResult<ExecOutput> {
        let access = self.cluster.guest_access().cloned().ok_or_else(|| {
            StepError::Failed(Failure::new(
                "no_guest_access",
                format!(
                    "host {} has no way into its containers",
                    self.cluster.label()
                ),
                "let Proximity in: proximity hosts install-helper HOST --ssh-key FILE",
            ))
        })?;
        self.must_be_ours().await?;
        let prepared = &self.kept.prepared;
        let target = self.name();
        let told = TemplateCall {
            action: "exec",
            target: &target,
            details: json!({ "argv": argv, "template": prepared.id.to_string() }),
        };
        let clock = &self.engine.inner.parts.clock;
        let warrant = Warrant {
            send_by: clock.monotonic().plus_ms(PERMIT_VALID_MS),
            reference: format!("template {}", prepared.id),
        };
        let (store, now) = (self.engine.store(), self.engine.now());
        store.note_template_act(told, &system(), now).await?;
        let Some(send_before) = warrant.send_before(clock.as_ref()) else {
            return Err(unsent("the time in which it might be sent was over"));
        };
        let exec = Exec {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            stdin: None,
            timeout_ms: WORK_MS,
            max_output_bytes: MAX_OUTPUT_BYTES,
            send_before: Some(send_before),
        };
        let target = GuestTarget {
            node: prepared.spot.node.clone(),
            vmid: prepared.identity.vmid,
            owner: GuestOwner::Made(prepared.identity.clone()),
        };
        let ran = access.exec(&target, exec).await;
        ran.map_err(|e| unsent(&e.to_string()))
    }
}

/// It was not run, or that is not known: running it twice is running it once.
fn unsent(why: &str) -> StepError {
    StepError::Transient(Failure::new(
        "guest_outcome_unknown",
        why,
        "it is looked at again before it is repeated",
    ))
}

/// A script under a lock in the guest: one that was left behind by a process that died is waited for.
fn locked<'s>(name: &'s str, script: &'s str) -> [&'s str; 8] {
    [
        "flock",
        "--wait",
        "900",
        "/run/lock/proximity-template",
        "/bin/sh",
        "-c",
        script,
        name,
    ]
}

fn failed(doing: &str, output: &ExecOutput) -> StepError {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.trim().chars().take(TOLD_CHARS).collect();
    StepError::Failed(Failure::new(
        "command_failed",
        format!("{doing}: exit code {}: {said}", output.exit_code),
        "look at the message; the next deploy of this base in a day tries again",
    ))
}
