//! A request to set a host up, read.

use std::collections::BTreeSet;

use proximity_domain::ids::Vmid;
use proximity_domain::names::{PoolName, StorageName};
use proximity_store::records::HostRecord;

use super::person::{Person, PersonLogin};
use crate::commands::hosts::AddSsh;
use crate::commands::hosts::address::Address;
use crate::commands::hosts::wish::{SshWish, Wish, invalid, judge, name, optional};
use crate::error::EngineError;

/// The pool when none is named.
const POOL: &str = "proximity";
/// The most storages or adopted guests of one request.
const MOST: usize = 64;

/// A request to set a host up (or to look at what that would do).
#[derive(Debug, Clone)]
pub struct InitHost {
    /// Name people use.
    pub label: String,
    /// e.g. `https://192.0.2.10:8006`.
    pub url: String,
    /// Pinned SHA-256 of the certificate, as PVE prints it.
    pub fingerprint: Option<String>,
    /// Or an authority, PEM. With neither, the system's authorities are asked.
    pub ca_pem: Option<String>,
    /// Who sets it up.
    pub login: PersonLogin,
    /// Pool new guests go into; `proximity` when absent.
    pub pool: Option<String>,
    /// Storages of root file systems that may be used; new guests go onto the first. Found when empty.
    pub storages: Vec<String>,
    /// Storage of templates; found when absent.
    pub template_storage: Option<String>,
    /// Bridge; found when absent.
    pub bridge: Option<String>,
    /// Make a token that brings templates and images.
    pub images: bool,
    /// Guests that the token for adopted guests may act on.
    pub adopted: Vec<u32>,
    /// Plain guest access, if wanted.
    pub ssh: Option<AddSsh>,
}

/// The request, read.
pub(super) struct InitWish {
    /// What adding the host would wish.
    pub(super) host: Wish,
    pub(super) person: Person,
    /// All storages that were named.
    pub(super) storages: BTreeSet<StorageName>,
    pub(super) images: bool,
    pub(super) adopted: BTreeSet<Vmid>,
}

impl InitWish {
    /// Reads a request.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] naming the first field that is wrong; never its value if that is a secret.
    pub(super) fn read(request: &InitHost) -> Result<Self, EngineError> {
        if request.storages.len() > MOST || request.adopted.len() > MOST {
            return Err(invalid("adopted", format!("at most {MOST} at a time")));
        }
        let person = Person::read(&request.login)?;
        let address = Address::from_url(&request.url)
            .map_err(|rule| invalid("url", format!("the address of the host {rule}")))?;
        let host = Wish {
            label: name("label", &request.label)?,
            address,
            judge: judge(request.fingerprint.as_deref(), request.ca_pem.as_deref())?,
            asker: person.asker(),
            pool: optional("pool", request.pool.as_deref())?,
            storage: optional("storages", request.storages.first().map(String::as_str))?,
            template_storage: optional("template_storage", request.template_storage.as_deref())?,
            bridge: optional("bridge", request.bridge.as_deref())?,
            ssh: request.ssh.as_ref().map(SshWish::read).transpose()?,
        };
        let storages = request.storages.iter().map(|text| name("storages", text));
        let adopted = request
            .adopted
            .iter()
            .map(|number| Vmid::try_from(*number).map_err(|e| invalid("adopted", e.to_string())));
        Ok(Self {
            host,
            person,
            storages: storages.collect::<Result<_, _>>()?,
            images: request.images,
            adopted: adopted.collect::<Result<_, _>>()?,
        })
    }

    /// What was left out is as the entry has it, and at first as is usual.
    pub(super) fn completed(mut self, known: Option<&HostRecord>) -> Result<Self, EngineError> {
        let host = &mut self.host;
        if let Some(known) = known {
            host.pool = host.pool.take().or_else(|| known.pool.clone());
            host.storage = host.storage.take().or_else(|| Some(known.storage.clone()));
            let templates = || Some(known.template_storage.clone());
            host.template_storage = host.template_storage.take().or_else(templates);
            host.bridge = host.bridge.take().or_else(|| Some(known.bridge.clone()));
        }
        if host.pool.is_none() {
            let pool: PoolName = name("pool", POOL)?;
            host.pool = Some(pool);
        }
        Ok(self)
    }
}
