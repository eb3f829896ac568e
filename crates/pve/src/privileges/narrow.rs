//! What a host's token should hold there, and whether it does.

use std::collections::BTreeMap;

use proximity_domain::names::{BridgeName, PoolName, StorageName};
use proximity_domain::token_purpose::TokenPurpose;

use super::grants::grants;
use super::lack::Lack;
use super::privilege::Privilege;
use super::scope::Scope;
use crate::error::Result;
use crate::read::ReadClient;

/// Where a host's guests go: what fills the paths of the table.
#[derive(Debug, Clone)]
pub struct Places {
    /// Their pool.
    pub pool: PoolName,
    /// The storage of their root file systems.
    pub storage: StorageName,
    /// The storage of OS templates.
    pub template_storage: StorageName,
    /// Their bridge.
    pub bridge: BridgeName,
}

impl Places {
    /// The path of a scope; none for what belongs to single guests, nodes and backups.
    fn path(&self, scope: Scope) -> Option<String> {
        match scope {
            Scope::Everything | Scope::Access => Some(scope.pattern().to_owned()),
            Scope::Pool => Some(format!("/pool/{}", self.pool)),
            Scope::Storage => Some(format!("/storage/{}", self.storage)),
            Scope::TemplateStorage => Some(format!("/storage/{}", self.template_storage)),
            Scope::Bridge => Some(format!("/sdn/zones/localnetwork/{}", self.bridge)),
            Scope::Guest | Scope::BackupStorage | Scope::Node => None,
        }
    }

    /// What a token of this purpose should hold there, by path.
    #[must_use]
    pub fn wanted(&self, purpose: TokenPurpose) -> BTreeMap<String, Vec<Privilege>> {
        let mut wanted: BTreeMap<String, Vec<Privilege>> = BTreeMap::new();
        for grant in grants(purpose) {
            if let Some(path) = self.path(grant.on) {
                wanted.entry(path).or_default().push(grant.privilege);
            }
        }
        wanted
    }
}

impl ReadClient {
    /// What the token of this purpose lacks, of what the table gives it, as PVE tells: its own rights for the one that looks, and
    /// by `token_id` those of another. Single guests, nodes and storages of backups are not looked at.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn lacks_of(
        &self,
        purpose: TokenPurpose,
        token_id: &str,
        places: &Places,
    ) -> Result<Vec<Lack>> {
        let mut lacks = Vec::new();
        for (path, privileges) in places.wanted(purpose) {
            let told = match purpose {
                TokenPurpose::Observe => self.permissions(Some(&path)).await?,
                TokenPurpose::Operate | TokenPurpose::Images | TokenPurpose::Adopted => {
                    self.permissions_of(token_id, Some(&path)).await?
                }
            };
            let held = told.get(&path);
            let missing = privileges
                .iter()
                .filter(|wanted| !held.is_some_and(|held| held.contains(wanted.as_str())));
            lacks.extend(missing.map(|privilege| Lack {
                privilege: privilege.to_string(),
                path: path.clone(),
            }));
        }
        Ok(lacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_filled_with_the_names_of_the_host() {
        let name = "apps";
        let places = Places {
            pool: name.parse().unwrap(),
            storage: "fast".parse().unwrap(),
            template_storage: "local".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
        };
        let paths: Vec<String> = places.wanted(TokenPurpose::Operate).into_keys().collect();
        let expected = [
            "/pool/apps",
            "/sdn/zones/localnetwork/vmbr0",
            "/storage/fast",
            "/storage/local",
        ];
        assert_eq!(paths, expected);
        assert!(places.wanted(TokenPurpose::Adopted).is_empty());
        let one: Vec<String> = places.wanted(TokenPurpose::Observe).into_keys().collect();
        assert_eq!(one, ["/"]);
    }
}
