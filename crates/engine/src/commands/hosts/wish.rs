//! A request to add a host with every value read: what is wrong with it is refused before anything is asked.

use std::collections::BTreeMap;

use proximity_domain::names::{BadName, BridgeName, HostLabel, NodeName, PoolName, StorageName};
use proximity_pve::guest::ssh::{HostKey, PlainSsh};
use proximity_pve::transport::https::{ApiToken, Fingerprint};
use proximity_pve::transport::tokens::Tokens;
use proximity_store::records::PurposeTokens;
use secrecy::{ExposeSecret, SecretString};

use super::address::{Address, SSH_PORT};
use super::public_key::public_line;
use super::{AddHost, AddSsh};
use crate::cluster::joined;
use crate::error::EngineError;

/// The longest token id or secret that is taken.
const LONGEST_TOKEN_BYTES: usize = 256;
/// The longest PEM that is taken: some dozens of certificates.
const LONGEST_PEM_BYTES: usize = 256 * 1024;
/// The longest SSH key that is taken: RSA with 16,384 bits has about 12 KiB.
const LONGEST_KEY_BYTES: usize = 32 * 1024;

/// How the request wants the certificate judged.
#[derive(Debug, Clone)]
pub(super) enum Judge {
    /// It is this one.
    Pin(Fingerprint),
    /// One of these authorities, PEM, issued it.
    Ca(String),
    /// Nothing was said: the system's authorities are asked.
    System,
}

/// Who asks the host.
#[derive(Debug, Clone)]
pub(super) enum Asker {
    /// A token.
    Token {
        /// `USER@REALM!NAME`.
        name: String,
        /// The token that looks for it, if there is one.
        observer: Option<String>,
    },
    /// A person who logs in, `USER@REALM`.
    Person(String),
}

impl Asker {
    /// Its name, for what is said of it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Token { name, .. } | Self::Person(name) => name,
        }
    }
}

/// The request, read.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) label: HostLabel,
    pub(super) address: Address,
    pub(super) judge: Judge,
    pub(super) asker: Asker,
    pub(super) pool: Option<PoolName>,
    pub(super) storage: Option<StorageName>,
    pub(super) template_storage: Option<StorageName>,
    pub(super) bridge: Option<BridgeName>,
    pub(super) ssh: Option<SshWish>,
}

/// Plain guest access as wanted.
#[derive(Debug, Clone)]
pub(super) struct SshWish {
    pub(super) user: String,
    /// `None`: one is to be made.
    pub(super) private_key: Option<SecretString>,
    pub(super) addresses: BTreeMap<NodeName, Address>,
    pub(super) host_keys: BTreeMap<NodeName, HostKey>,
}

/// A value that breaks its rule.
pub(super) fn invalid(field: impl Into<String>, message: impl Into<String>) -> EngineError {
    EngineError::Invalid {
        field: field.into(),
        message: message.into(),
    }
}

impl Wish {
    /// Reads a request.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] naming the first field that is wrong; never its value if that is a secret.
    pub(super) fn read(request: &AddHost) -> Result<Self, EngineError> {
        Ok(Self {
            label: name("label", &request.label)?,
            address: Address::from_url(&request.url)
                .map_err(|rule| invalid("url", format!("the address of the host {rule}")))?,
            judge: judge(request.fingerprint.as_deref(), request.ca_pem.as_deref())?,
            asker: Asker::Token {
                observer: request
                    .purpose_tokens
                    .observe
                    .as_ref()
                    .map(|t| t.id.clone()),
                name: given(request)?.main.id,
            },
            pool: optional("pool", request.pool.as_deref())?,
            storage: optional("storage", request.storage.as_deref())?,
            template_storage: optional("template_storage", request.template_storage.as_deref())?,
            bridge: optional("bridge", request.bridge.as_deref())?,
            ssh: request.ssh.as_ref().map(SshWish::read).transpose()?,
        })
    }
}

/// The tokens of a request.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) main: ApiToken,
    pub(super) others: PurposeTokens,
}

impl Given {
    /// All of them, as calls choose among them.
    pub(super) fn joined(&self) -> Tokens {
        joined(self.main.clone(), &self.others)
    }
}

/// The tokens of a request.
///
/// # Errors
/// [`EngineError::Invalid`] if one is none.
pub(super) fn given(request: &AddHost) -> Result<Given, EngineError> {
    Ok(Given {
        main: token(&request.token_id, &request.token_secret)?,
        others: purpose_tokens(&request.purpose_tokens)?,
    })
}

/// Each as [`token`] wants it.
fn purpose_tokens(tokens: &PurposeTokens) -> Result<PurposeTokens, EngineError> {
    for (_, given) in tokens.iter() {
        token(&given.id, &given.secret)?;
    }
    Ok(tokens.clone())
}

impl SshWish {
    pub(super) fn read(ssh: &AddSsh) -> Result<Self, EngineError> {
        let mut addresses = BTreeMap::new();
        for (node, text) in &ssh.addresses {
            let field = format!("ssh.addresses.{node}");
            let address = Address::from_place(text, SSH_PORT)
                .map_err(|rule| invalid(&field, format!("the SSH address of {node} {rule}")))?;
            addresses.insert(name(&field, node)?, address);
        }
        let mut host_keys = BTreeMap::new();
        for (node, text) in &ssh.host_keys {
            let field = format!("ssh.host_keys.{node}");
            let key: HostKey = text
                .parse()
                .map_err(|e| invalid(&field, format!("node {node}: {e}")))?;
            host_keys.insert(name(&field, node)?, key);
        }
        let user = account(&ssh.user)?;
        if let Some(key) = &ssh.private_key {
            usable(&user, key)?;
        }
        Ok(Self {
            user,
            private_key: ssh.private_key.clone(),
            addresses,
            host_keys,
        })
    }
}

/// Refuses a key that could never be used, without showing anything of it.
fn usable(user: &str, key: &SecretString) -> Result<(), EngineError> {
    if key.expose_secret().len() > LONGEST_KEY_BYTES || public_line(key).is_none() {
        return Err(not_openssh());
    }
    PlainSsh::new(user, key, []).map(drop).map_err(|e| {
        invalid(
            "ssh.private_key",
            format!("the SSH key cannot be used: {e}"),
        )
    })
}

/// The SSH key is none.
pub(super) fn not_openssh() -> EngineError {
    invalid(
        "ssh.private_key",
        "the SSH key must be a private key in OpenSSH's own format without a passphrase, as ssh-keygen makes it; \
         an older one is converted by ssh-keygen -p -N '' -f FILE",
    )
}

/// A name in a field.
pub(super) fn name<T: std::str::FromStr<Err = BadName>>(
    field: &str,
    text: &str,
) -> Result<T, EngineError> {
    text.parse()
        .map_err(|e: BadName| invalid(field, e.to_string()))
}

/// A name in a field that may be left out.
pub(super) fn optional<T: std::str::FromStr<Err = BadName>>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<T>, EngineError> {
    text.map(|text| name(field, text)).transpose()
}

/// How a certificate is judged.
pub(super) fn judge(fingerprint: Option<&str>, ca_pem: Option<&str>) -> Result<Judge, EngineError> {
    match (fingerprint, ca_pem) {
        (None, None) => Ok(Judge::System),
        (Some(text), None) => text.parse().map(Judge::Pin).map_err(|e| {
            invalid(
                "fingerprint",
                format!("the fingerprint cannot be read: {e}"),
            )
        }),
        (None, Some(pem)) if pem.len() > LONGEST_PEM_BYTES => Err(invalid(
            "ca_pem",
            format!("more than {LONGEST_PEM_BYTES} bytes of certificates"),
        )),
        (None, Some(pem)) => Ok(Judge::Ca(pem.to_owned())),
        (Some(_), Some(_)) => Err(invalid(
            "ca_pem",
            "the certificate is judged by a fingerprint or by an authority, not by both; give one of them",
        )),
    }
}

fn token(id: &str, secret: &SecretString) -> Result<ApiToken, EngineError> {
    if !is_token_id(id) {
        let message = "the token id must be USER@REALM!NAME, e.g. root@pam!proximity";
        return Err(invalid("token_id", message));
    }
    let text = secret.expose_secret();
    let sendable = |c: u8| c.is_ascii_graphic() && c != b'=';
    if text.is_empty() || text.len() > LONGEST_TOKEN_BYTES || !text.bytes().all(sendable) {
        let message = "the token secret must be what PVE showed when the token was made, a UUID, and nothing else";
        return Err(invalid("token_secret", message));
    }
    Ok(ApiToken {
        id: id.to_owned(),
        secret: secret.clone(),
    })
}

/// PVE's own rule for token ids.
fn is_token_id(id: &str) -> bool {
    let word = |s: &str| {
        s.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && s.len() >= 2
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
    };
    let user = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_graphic() && !b":/!=".contains(&b))
    };
    id.len() <= LONGEST_TOKEN_BYTES
        && id.rsplit_once('!').is_some_and(|(account, token)| {
            word(token)
                && account
                    .rsplit_once('@')
                    .is_some_and(|(u, realm)| user(u) && word(realm))
        })
}

fn account(text: &str) -> Result<String, EngineError> {
    let first = |b: u8| b.is_ascii_lowercase() || b == b'_';
    let rest = |b: u8| first(b) || b.is_ascii_digit() || b == b'-';
    let good = (1..=32).contains(&text.len())
        && text.bytes().next().is_some_and(first)
        && text.bytes().all(rest);
    if good {
        Ok(text.to_owned())
    } else {
        Err(invalid(
            "ssh.user",
            "the SSH account must be a Unix account name such as root",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> AddHost {
        AddHost {
            label: "home".to_owned(),
            url: "https://192.0.2.10".to_owned(),
            fingerprint: None,
            ca_pem: None,
            token_id: "root@pam!proximity".to_owned(),
            token_secret: SecretString::from("11111111-2222-3333-4444-555555555555"),
            purpose_tokens: PurposeTokens::default(),
            pool: None,
            storage: None,
            template_storage: None,
            bridge: None,
            ssh: None,
        }
    }

    fn field_of(request: &AddHost) -> String {
        match Wish::read(request) {
            Err(EngineError::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_bad_value_is_named() {
        let with = |change: fn(&mut AddHost)| {
            let mut request = request();
            change(&mut request);
            field_of(&request)
        };
        assert_eq!(with(|r| r.label = "-x".to_owned()), "label");
        assert_eq!(with(|r| r.url = "http://192.0.2.10".to_owned()), "url");
        assert_eq!(
            with(|r| r.fingerprint = Some("AB:CD".to_owned())),
            "fingerprint"
        );
        assert_eq!(with(|r| r.token_id = "root@pam".to_owned()), "token_id");
        assert_eq!(
            with(|r| r.token_secret = SecretString::from("a\nb")),
            "token_secret"
        );
        assert_eq!(
            with(|r| r.token_secret = SecretString::from("")),
            "token_secret"
        );
        assert_eq!(with(|r| r.pool = Some("a//b".to_owned())), "pool");
        assert_eq!(with(|r| r.storage = Some("1".to_owned())), "storage");
        assert_eq!(
            with(|r| r.template_storage = Some("a b".to_owned())),
            "template_storage"
        );
        assert_eq!(with(|r| r.bridge = Some(String::new())), "bridge");
        assert_eq!(
            with(|r| {
                r.fingerprint = Some("00".repeat(32));
                r.ca_pem = Some("x".to_owned());
            }),
            "ca_pem"
        );
    }

    #[test]
    fn ssh_values_are_named_with_their_node() {
        let ssh = |user: &str, address: &str, key: Option<&str>| {
            let mut request = request();
            request.ssh = Some(AddSsh {
                user: user.to_owned(),
                private_key: None,
                addresses: BTreeMap::from([("pve1".to_owned(), address.to_owned())]),
                host_keys: key
                    .map(|k| ("pve1".to_owned(), k.to_owned()))
                    .into_iter()
                    .collect(),
            });
            request
        };
        assert_eq!(field_of(&ssh("ro ot", "192.0.2.10", None)), "ssh.user");
        assert_eq!(
            field_of(&ssh("-oProxyCommand", "192.0.2.10", None)),
            "ssh.user"
        );
        assert_eq!(
            field_of(&ssh("root", "192.0.2.10:0", None)),
            "ssh.addresses.pve1"
        );
        assert_eq!(
            field_of(&ssh("root", "192.0.2.10", Some("x"))),
            "ssh.host_keys.pve1"
        );
        let mut keyed = ssh("root", "192.0.2.10", None);
        keyed.ssh.as_mut().unwrap().private_key = Some(SecretString::from("hush"));
        assert_eq!(field_of(&keyed), "ssh.private_key");
        let read = Wish::read(&ssh("root", "192.0.2.10", None))
            .unwrap()
            .ssh
            .unwrap();
        assert_eq!(
            read.addresses.values().next().unwrap().to_string(),
            "192.0.2.10:22"
        );
    }

    #[test]
    fn secrets_are_not_in_any_text() {
        let mut request = request();
        request.token_secret = SecretString::from("hush=hush");
        let error = Wish::read(&request).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
        request.token_secret = SecretString::from("hushhush");
        assert!(!format!("{:?}", Wish::read(&request).unwrap()).contains("hush"));
    }

    #[test]
    fn token_ids_follow_pves_rule() {
        for good in ["root@pam!proximity", "a.b@x@pve!t1", "me@my-realm!a_b"] {
            assert!(is_token_id(good), "{good}");
        }
        for bad in [
            "",
            "root",
            "root@pam",
            "root!x1@pam",
            "@pam!t1",
            "root@!t1",
            "root@pam!",
            "a b@pam!t1",
        ] {
            assert!(!is_token_id(bad), "{bad}");
        }
    }
}
