//! `/api/sources`: branches of repositories with documents, which are looked at again and again.

use proximity_domain::ids::SourceId;
use proximity_domain::names::{BranchName, RepositoryPath, SourceName};
use proximity_domain::source::{
    EVERY_S, LEAST_EVERY_S, MOST_EVERY_S, RepositoryUrl, Scheme, SourcePolicy,
};
use proximity_store::plans::PlanRecord;
use proximity_store::records::Actor;
use proximity_store::sources::{NewSource, SourceRecord, SourceSecrets};
use secrecy::{ExposeSecret, SecretString};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::sources::{Credential, HookSignature};

/// Longest key, list of host keys and list of signers, bytes.
const MOST_TEXT_BYTES: usize = 64 * 1024;
/// Longest token, bytes.
const MOST_TOKEN_BYTES: usize = 4 * 1024;

/// What a repository is read with.
#[derive(Debug, Clone)]
pub enum SourceCredential {
    /// A token of an HTTPS server; sent to that server alone.
    Token(SecretString),
    /// A key of an SSH server, and the keys that the server itself shows.
    SshKey {
        /// The private key, without a passphrase.
        key: SecretString,
        /// The host's keys, as OpenSSH lists known hosts.
        known_hosts: String,
    },
}

/// A request for a source.
#[derive(Debug, Clone)]
pub struct AddSource {
    /// Its name.
    pub name: String,
    /// The repository.
    pub url: String,
    /// The branch; `main` when absent.
    pub branch: Option<String>,
    /// The folder or file with the documents; the whole repository when absent.
    pub path: Option<String>,
    /// Seconds from one look to the next; a default when absent.
    pub every_s: Option<u32>,
    /// What is done with what differs.
    pub policy: SourcePolicy,
    /// Apps that no document names are removed.
    pub prune: bool,
    /// Who may sign commits, as OpenSSH lists allowed signers; commits need no signature when absent.
    pub signers: Option<String>,
    /// What the repository is read with; it is open to everybody when absent.
    pub credential: Option<SourceCredential>,
    /// The account whose apps it is about; `None` = all.
    pub owner: Option<String>,
}

impl Engine {
    /// Records a source, to be looked at at once. Gives what nudges are to be signed with; it is shown this once.
    ///
    /// # Errors
    /// A value that breaks its rule; a name that is taken; a source that prunes beside another one.
    pub async fn add_source(
        &self,
        actor: &Actor,
        request: AddSource,
    ) -> Result<(SourceRecord, SecretString), EngineError> {
        let parts = &self.inner.parts;
        let (one, two) = (parts.ids.nonce(), parts.ids.nonce());
        let hook = SecretString::from(format!("{one:032x}{two:032x}"));
        let id = SourceId(parts.ids.uuid());
        let new = checked(request, id, hook.clone(), parts.limits.sources.allow_files)?;
        let added = self.store().add_source(&new, actor, self.now()).await?;
        self.inner.sources.notify_one();
        Ok((added, hook))
    }

    /// Forgets a source. What was applied of it stays.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn remove_source(&self, actor: &Actor, name: &SourceName) -> Result<(), EngineError> {
        Ok(self.store().remove_source(name, actor, self.now()).await?)
    }

    /// Has a source looked at as soon as that may be, and what was done with its commit done anew.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn ask_source(&self, name: &SourceName) -> Result<SourceRecord, EngineError> {
        let asked = self.store().nudge_source(name, true, self.now()).await?;
        self.inner.sources.notify_one();
        Ok(asked)
    }

    /// What a source would change, were its newest commit applied now. Nothing is kept. `sees_only`: of apps of others than this account
    /// nothing is told, whatever the source is about; `None` = of all.
    ///
    /// # Errors
    /// There is none of this name; the repository cannot be read; its documents are wrong.
    pub async fn preview_source(
        &self,
        name: &SourceName,
        sees_only: Option<&str>,
    ) -> Result<PlanRecord, EngineError> {
        let source = self.store().source(name).await?;
        let source = source.ok_or_else(|| EngineError::NotFound {
            what: "source",
            name: name.to_string(),
        })?;
        let owner = sees_only.map(str::to_owned).or(source.owner);
        self.preview_of(&SourceRecord { owner, ..source }).await
    }

    /// Somebody without an account says that a source may have something new. Nothing but the signature is taken from what they say.
    ///
    /// # Errors
    /// [`EngineError::HookRefused`] unless it is signed with the secret of a source of this name.
    pub async fn nudge_source(
        &self,
        name: &str,
        signature: &HookSignature,
        body: &[u8],
    ) -> Result<(), EngineError> {
        let name: SourceName = name.parse().map_err(|_| EngineError::HookRefused)?;
        let secrets = self.store().source_secrets(&name).await?;
        // Where there is none the same is computed, so that time tells nothing.
        let nobody = SecretString::from("");
        let (is_there, hook) = match &secrets {
            Some(secrets) => (true, &secrets.hook),
            None => (false, &nobody),
        };
        let is_signed = signature.is_of(hook, body, self.now());
        if !(is_there && is_signed) {
            return Err(EngineError::HookRefused);
        }
        self.store().nudge_source(&name, false, self.now()).await?;
        self.inner.sources.notify_one();
        Ok(())
    }
}

fn checked(
    request: AddSource,
    id: SourceId,
    hook: SecretString,
    allows_files: bool,
) -> Result<NewSource, EngineError> {
    let name: SourceName = parsed("name", &request.name)?;
    let url: RepositoryUrl = parsed("url", &request.url)?;
    let branch = request.branch.as_deref().unwrap_or("main");
    let branch: BranchName = parsed("branch", branch)?;
    let path = request.path.as_deref().map(|path| parsed("path", path));
    let path: Option<RepositoryPath> = path.transpose()?;
    let every_s = request.every_s.unwrap_or(EVERY_S);
    if !(LEAST_EVERY_S..=MOST_EVERY_S).contains(&every_s) {
        let rule = format!("{every_s} is not {LEAST_EVERY_S} to {MOST_EVERY_S} seconds");
        return Err(wrong("every_s", rule));
    }
    if let Some(signers) = &request.signers {
        check_text("signers", signers)?;
    }
    let credential = request.credential.as_ref();
    check_way(url.scheme(), credential, allows_files)?;
    let credential = credential.map(sealable).transpose()?;
    Ok(NewSource {
        id,
        name,
        url,
        branch,
        path,
        every_s,
        policy: request.policy,
        prune: request.prune,
        signers: request.signers,
        owner: request.owner,
        secrets: SourceSecrets { hook, credential },
    })
}

/// Whether a repository that is reached like this is read with that.
pub(super) fn check_way(
    scheme: Scheme,
    credential: Option<&SourceCredential>,
    allows_files: bool,
) -> Result<(), EngineError> {
    match (scheme, credential) {
        (Scheme::Https, None | Some(SourceCredential::Token(_)))
        | (Scheme::Ssh, Some(SourceCredential::SshKey { .. })) => Ok(()),
        (Scheme::File, None) if allows_files => Ok(()),
        (Scheme::File, _) => Err(wrong(
            "url",
            "repositories that are folders of the server are not taken here".to_owned(),
        )),
        (Scheme::Https, Some(SourceCredential::SshKey { .. })) => Err(wrong(
            "ssh_key",
            "a repository over HTTPS is read with a token, or openly".to_owned(),
        )),
        (Scheme::Ssh, None | Some(SourceCredential::Token(_))) => Err(wrong(
            "ssh_key",
            "a repository over SSH is read with a key, and with the keys that its host shows"
                .to_owned(),
        )),
    }
}

pub(super) fn sealable(credential: &SourceCredential) -> Result<SecretString, EngineError> {
    let credential = match credential {
        SourceCredential::Token(token) => {
            let token = token.expose_secret();
            let is_word = token.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_word || !(1..=MOST_TOKEN_BYTES).contains(&token.len()) {
                let rule = format!("a token is one word of 1 to {MOST_TOKEN_BYTES} characters");
                return Err(wrong("token", rule));
            }
            Credential::Token {
                token: token.to_owned(),
            }
        }
        SourceCredential::SshKey { key, known_hosts } => {
            check_text("ssh_key", key.expose_secret())?;
            check_text("known_hosts", known_hosts)?;
            Credential::SshKey {
                key: key.expose_secret().to_owned(),
                known_hosts: known_hosts.clone(),
            }
        }
    };
    Ok(SecretString::from(credential.text()))
}

/// No message repeats the text.
pub(super) fn check_text(field: &str, text: &str) -> Result<(), EngineError> {
    let is_text = !text.trim().is_empty() && !text.contains('\0');
    if is_text && text.len() <= MOST_TEXT_BYTES {
        return Ok(());
    }
    let rule = format!("it has to be text of at most {MOST_TEXT_BYTES} bytes");
    Err(wrong(field, rule))
}

pub(super) fn parsed<T>(field: &str, text: &str) -> Result<T, EngineError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|e: T::Err| wrong(field, e.to_string()))
}

fn wrong(field: &str, message: String) -> EngineError {
    EngineError::Invalid {
        field: field.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> AddSource {
        AddSource {
            name: "web".to_owned(),
            url: url.to_owned(),
            branch: None,
            path: None,
            every_s: None,
            policy: SourcePolicy::Plan,
            prune: false,
            signers: None,
            credential: None,
            owner: None,
        }
    }

    fn field(request: AddSource, allows_files: bool) -> Option<String> {
        let id = SourceId(uuid::Uuid::nil());
        match checked(request, id, SecretString::from("x"), allows_files) {
            Ok(_) => None,
            Err(EngineError::Invalid { field, message }) => {
                assert!(!message.contains("hunter2"), "{message}");
                Some(field)
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_repository_is_read_with_what_its_way_takes() {
        let (https, ssh) = ("https://example.org/apps", "ssh://git@example.org/apps");
        let with = |url, credential| {
            let request = AddSource {
                credential: Some(credential),
                ..request(url)
            };
            field(request, false)
        };
        let token = |text: &str| SourceCredential::Token(SecretString::from(text));
        let key = |known_hosts: &str| SourceCredential::SshKey {
            key: SecretString::from("hunter2"),
            known_hosts: known_hosts.to_owned(),
        };
        assert_eq!(field(request(https), false), None);
        assert_eq!(with(https, token("hunter2")), None);
        assert_eq!(with(ssh, key("example.org ssh-ed25519 AAAA")), None);
        let told = |field: &str| Some(field.to_owned());
        assert_eq!(with(https, token("hunter2\nEvil: yes")), told("token"));
        assert_eq!(with(https, token("")), told("token"));
        assert_eq!(with(https, key("x")), told("ssh_key"));
        assert_eq!(
            with(ssh, key(" ")),
            told("known_hosts"),
            "nobody is trusted unseen"
        );
        assert_eq!(with(ssh, token("hunter2")), told("ssh_key"));
        assert_eq!(field(request(ssh), false), told("ssh_key"));
        assert_eq!(field(request("file:///srv/apps"), false), told("url"));
        assert_eq!(field(request("file:///srv/apps"), true), None);
    }

    #[test]
    fn looks_are_neither_too_close_nor_too_far_apart() {
        let every = |every_s| {
            let request = AddSource {
                every_s: Some(every_s),
                ..request("https://example.org/apps")
            };
            field(request, false)
        };
        assert_eq!((every(30), every(86_400)), (None, None));
        let told = Some("every_s".to_owned());
        assert_eq!((every(29), every(86_401)), (told.clone(), told));
    }
}
