//! What doctor says: findings, each with a code of a fixed level.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// It was looked at and is as it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// It works, and should be otherwise.
    Warning,
    /// It could not be looked at, so nothing is said of it.
    Unknown,
    /// Something does not work, or is not safe.
    Fault,
}

impl Level {
    /// Each one, the worst first.
    pub const ALL: [Self; 5] = [
        Self::Fault,
        Self::Unknown,
        Self::Warning,
        Self::Note,
        Self::Ok,
    ];

    /// As it is shown.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is; never gets another meaning.
    pub code: Code,
    /// Label of the host entry; none if it is of this installation itself.
    pub host: Option<String>,
    /// What it is about, e.g. `node pve1`.
    pub subject: String,
    /// What was found, a sentence.
    pub what: String,
    /// What to do, each a command or a sentence, in order; empty where there is nothing to do.
    pub next: Vec<String>,
}

/// Longer texts are cut; what is found may quote what a node said.
const LONGEST: usize = 2_000;

/// Text for a terminal, one line: without control characters, and without those that change the direction or hide.
fn plain(text: &str) -> String {
    let hides = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let shown = |c: char| if c.is_control() || hides(c) { ' ' } else { c };
    text.chars().map(shown).collect()
}

/// The beginning of a text that is too long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A step as it is, or none of a command: half a command is another one.
fn step(text: &str) -> String {
    let text = plain(text);
    match text.chars().count() > LONGEST {
        true => "what would mend it is too long to be told here".to_owned(),
        false => text,
    }
}

impl Finding {
    /// A finding whose texts can be shown as they are, whatever they quote.
    pub(super) fn new(
        code: Code,
        host: Option<&str>,
        subject: &str,
        what: &str,
        next: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            code,
            host: host.map(str::to_owned),
            subject: cut(&plain(subject)),
            what: cut(&plain(what)),
            next: next.into_iter().map(|text| step(&text)).collect(),
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.code.level()
    }
}

macro_rules! codes {
    ($($name:ident $label:literal $level:ident $means:literal $repair:literal)*) => {
        /// What kind of thing was found. Each has one level and one meaning, for ever.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $means] $name,)*
        }

        impl Code {
            /// Each one, in the order in which a host is looked at.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As scripts see it.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// How bad it is.
            #[must_use]
            pub fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)* }
            }

            /// What it says, for the reference.
            #[must_use]
            pub fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }

            /// How it is mended, for the reference.
            #[must_use]
            pub fn repair(self) -> &'static str {
                match self { $(Self::$name => $repair,)* }
            }
        }
    };
}

codes! {
    CaddyAnswers "caddy_answers" Ok "Caddy tells its configuration; where the ingress is Caddy's." ""
    CaddySilent "caddy_silent" Fault "Caddy does not answer, or not as it has to, so no app gets or loses its host name, and none with one is stopped." "Start it, or correct `ingress.caddy.admin`; the reason is told."
    GatewayAnswers "gateway_answers" Ok "The gateway tells its routes." ""
    GatewaySilent "gateway_silent" Fault "The gateway does not answer, so no app gets or loses a port." "Start it: `proximity gateway`."
    RecordSound "record_sound" Ok "The rules of the database hold in all it has." ""
    RecordBroken "record_broken" Fault "A rule of the database does not hold." "Keep a copy of the data directory, and report the sentences."
    RecordUnread "record_unread" Unknown "The database could not be checked." "Read the reason."
    AuditWhole "audit_whole" Ok "The audit is whole as far as it goes: each entry fits the one before it." ""
    AuditBroken "audit_broken" Fault "An entry of the audit was altered or removed." "Keep a copy of the database, and find out who could write to it."
    AuditLong "audit_long" Note "The audit is too long to be read whole in a look." "`proximity audit verify`."
    AuditUnread "audit_unread" Unknown "The audit could not be read." "Read the reason."
    EndpointAnswers "endpoint_answers" Ok "An endpoint answers; the time is the median of three small calls." ""
    EndpointSilent "endpoint_silent" Warning "An endpoint does not answer; others do." "See that the node is up and runs `pveproxy`, and that no firewall is in between."
    EndpointFails "endpoint_fails" Warning "An endpoint is reached, and answers with an error, breaks off, or does not take a token that others take; others answer." "See on that node what `pveproxy`, `pvedaemon` and `pve-cluster` say (`journalctl`)."
    HostUnreachable "host_unreachable" Fault "No endpoint of the host answers." "As `endpoint_silent`, for any one of them."
    CertificateGood "certificate_good" Ok "The certificate is the recorded one, or an authority vouches for it, and it is good for 30 days or more." ""
    CertificateEndsSoon "certificate_ends_soon" Warning "The certificate ends within 30 days." "Renew it on the node: `pvecm updatecerts --force`, or by ACME. With another endpoint that answers, a renewed one is learned within a minute; else trust it with: `proximity hosts trust`."
    CertificateEnded "certificate_ended" Fault "The certificate has ended." "As `certificate_ends_soon`."
    CertificateOther "certificate_other" Fault "Another certificate is shown than the recorded one: it was renewed, or somebody else answers there." "Compare with what the node says itself (`pvenode cert info`). With another endpoint that answers, it is learned within a minute; else trust it with: `proximity hosts trust`."
    CertificateUntrusted "certificate_untrusted" Fault "No authority that counts vouches for the certificate." "Compare with what the node says itself (`pvenode cert info`); then renew the certificate, or remove the host and set it up with the fingerprint that you read there."
    CertificateUnread "certificate_unread" Unknown "The certificate, or how long it is good for, could not be read." "Read the reason."
    Quorum "quorum" Ok "The cluster has quorum and is the recorded one." ""
    NoQuorum "no_quorum" Fault "The node that answers has no quorum: what it says may be old, and nothing can be changed." "Bring nodes back until more than half are up (`pvecm status`)."
    OtherCluster "other_cluster" Fault "The node that answers is in another cluster than the recorded one." "Add that cluster as a host of its own; remove this entry if it is gone for good."
    ClusterUnread "cluster_unread" Unknown "Membership and quorum could not be read." "Read the reason."
    NodeOnline "node_online" Ok "A node is up." ""
    NodeOffline "node_offline" Warning "A node is off, or cut off from its cluster; what is on it is not known." "Bring it back; if it has left for good: `proximity hosts forget-node`."
    NodeUnlisted "node_unlisted" Warning "A recorded node is not in its cluster any more." "If it has left for good: `proximity hosts forget-node`."
    VersionSupported "version_supported" Ok "The node's Proxmox VE is of a version that was tested." ""
    VersionTooOld "version_too_old" Fault "The node's Proxmox VE is older than 9.0." "Upgrade it."
    VersionUntested "version_untested" Warning "The node's Proxmox VE is newer than the newest that was tested." "See whether a newer Proximity knows it."
    VersionsDiffer "versions_differ" Note "The nodes have different versions, as in the middle of an upgrade." "Upgrade the others."
    VersionUnread "version_unread" Unknown "The node's version could not be read." "Read the reason."
    ClockClose "clock_close" Ok "The node's clock is close to this machine's." ""
    ClockOff "clock_off" Warning "The node's clock is more than 5 s from this machine's: times of tasks and events do not fit." "Set both by NTP (`chronyc tracking`)."
    ClockWrong "clock_wrong" Fault "The node's clock is more than 60 s from this machine's: codes of authenticators and tickets are refused, and tasks are not found by their times." "Set both by NTP (`chronyc tracking`)."
    ClockUnread "clock_unread" Unknown "The node's clock could not be read." "Read the reason."
    TokenExact "token_exact" Ok "A token has what the table of privileges gives it, and no more." ""
    TokenTooNarrow "token_too_narrow" Fault "A token lacks privileges that calls need; they will be refused." "The commands that are told, for the token, and for its user if `init` made it; of any other user a person decides. Or `proximity init` again."
    TokenLacksSpare "token_lacks_spare" Warning "A token lacks privileges that it should have and no call needs yet." "As `token_too_narrow`."
    TokenTooWide "token_too_wide" Warning "A token may do more than it needs, so that a stolen one, or a mistake, reaches further." "The commands that are told."
    TokenNotSeparated "token_not_separated" Warning "A token has all the rights of its user, now and whatever that user gets later." "`pveum user token modify USER TOKEN --privsep 1`, and its grants."
    TokenForAll "token_for_all" Note "One token does everything at this host, so none can be narrow." "Remove the host and set it up with `proximity init`."
    TokenRefused "token_refused" Fault "PVE does not take a token: it has expired, was deleted or made anew, or its user is disabled." "As is told; or `proximity init` again, which makes it anew. Whoever disabled a user that `init` did not make is to be asked."
    TokenEndsSoon "token_ends_soon" Warning "A token, or its user, expires within 30 days." "`pveum user token modify USER TOKEN --expire 0`."
    TokenEnds "token_ends" Note "A token, or its user, expires later." "As `token_ends_soon`, when the time comes."
    TokenUnread "token_unread" Unknown "What a token may do could not be read." "Read the reason."
    AccessUnread "access_unread" Unknown "Users, roles and grants could not be read, so that no exact repair is told, and no end of a token." "Give the token that looks the rights it lacks."
    StorageUsable "storage_usable" Ok "A storage takes what it is used for on each node that gets new apps." ""
    StorageUnusable "storage_unusable" Fault "A storage takes on no node what it is used for: it is missing, off, inactive, or its content is another." "The command that is told, or choose another storage."
    StorageUnusableOnNode "storage_unusable_on_node" Warning "The same on some nodes: they get no new apps." "The same; or keep apps off: `proximity hosts set HOST --exclude NODE`."
    StorageNearlyFull "storage_nearly_full" Warning "More than nine tenths of a storage are in use." "Make room, or choose another storage."
    StorageUnread "storage_unread" Unknown "Storages of a node could not be read whole." "Read the reason."
    BridgeThere "bridge_there" Ok "The bridge of new containers is on each node that gets new apps." ""
    BridgeMissing "bridge_missing" Fault "The bridge is on no node." "Make it in PVE (node, System, Network), or choose another one."
    BridgeMissingOnNode "bridge_missing_on_node" Warning "The bridge is missing on some nodes: they get no new apps." "The same; or keep apps off these nodes."
    BridgeUnread "bridge_unread" Unknown "Bridges of a node could not be read whole." "Read the reason."
    NoGuestAccess "no_guest_access" Note "There is no way into containers, so apps that are set up inside cannot be deployed." "`proximity hosts install-helper HOST --ssh-key FILE`."
    RootOnNodes "root_on_nodes" Warning "The way into containers is root's shell on the nodes: whoever has the key of this installation is root there." "`proximity hosts install-helper HOST`."
    NodeWithoutSsh "node_without_ssh" Warning "No way into containers of a node is recorded; it gets no apps that are set up inside." "`proximity hosts ssh HOST NODE`."
    NodeEntered "node_entered" Ok "The recorded key lets us in at a node, as recorded." ""
    NodeNotEntered "node_not_entered" Fault "A node does not let us in, or its helper does not answer." "Read the reason; put line and program back: `proximity hosts install-helper HOST --ssh-key FILE`."
    NodeOtherHostKey "node_other_host_key" Fault "A node shows another SSH host key than the recorded one." "Compare with the node (`ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub`), then `proximity hosts ssh HOST NODE --host-key KEY`."
    NodeEntryUnread "node_entry_unread" Unknown "Whether a node lets us in could not be tried, for it is off." "Bring the node back."
    HelperOtherVersion "helper_other_version" Warning "A node's helper is of another version than this server." "`proximity hosts install-helper HOST --ssh-key FILE`."
    HelperOfOthers "helper_of_others" Fault "A node's helper serves another installation of Proximity." "`proximity hosts install-helper HOST --ssh-key FILE`."
    PoolOurs "pool_ours" Ok "The pool holds guests of ours, all of them, and no others." ""
    NoPool "no_pool" Note "No pool is recorded, so the token has to have its rights on all guests." "Set the host up with `proximity init`."
    PoolGone "pool_gone" Fault "The recorded pool is not there." "`proximity init` again, or make it: `pveum pool add POOL`."
    PoolAdopted "pool_adopted" Fault "A guest that was adopted is in our pool, where the operate token may destroy it." "`pveum pool modify POOL --vms VMID --delete 1`."
    PoolStranger "pool_stranger" Warning "A guest that is not recorded here is in our pool, where the operate token may change it." "`pveum pool modify POOL --vms VMID --delete 1`."
    GuestOutsidePool "guest_outside_pool" Fault "A guest of ours is not in our pool, so that the operate token may not act on it." "See who took it out, or put it into another pool; then: `pveum pool modify POOL --vms VMID`."
    GuestConflict "guest_conflict" Fault "At the number of a guest of ours stands another one: mark, MAC or volume is not what was recorded. Proximity does nothing to it." "Compare it with the app's record, and decide by hand: there is no command for what is not proven to be ours."
    GuestUnread "guest_unread" Unknown "The configuration of a recorded guest could not be read, so whose it is is not known." "Read the reason."
    PoolUnread "pool_unread" Unknown "What is in the pool could not be read whole." "Read the reason."
    HostUnread "host_unread" Unknown "The host could not be looked at in time, or its entry cannot be used." "Read the reason."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
