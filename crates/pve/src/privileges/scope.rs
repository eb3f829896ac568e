//! Paths of PVE's tree of rights.

/// A path of PVE's tree of rights, with what a call fills into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All there is.
    Everything,
    /// The rights themselves.
    Access,
    /// One guest.
    Guest,
    /// The pool of our guests. What is granted there holds for the guests in it.
    Pool,
    /// The storage of root file systems, or another one that volumes go to.
    Storage,
    /// The storage that OS templates are on.
    TemplateStorage,
    /// The storage that backups are on.
    BackupStorage,
    /// A bridge that belongs to no SDN zone.
    Bridge,
    /// A node.
    Node,
}

impl Scope {
    /// As PVE writes it, with the filled in part in braces.
    #[must_use]
    pub const fn pattern(self) -> &'static str {
        match self {
            Self::Everything => "/",
            Self::Access => "/access",
            Self::Guest => "/vms/{vmid}",
            Self::Pool => "/pool/{pool}",
            Self::Storage => "/storage/{storage}",
            Self::TemplateStorage => "/storage/{template storage}",
            Self::BackupStorage => "/storage/{backup storage}",
            Self::Bridge => "/sdn/zones/localnetwork/{bridge}",
            Self::Node => "/nodes/{node}",
        }
    }

    /// Whether a path, e.g. `/vms/100`, is one of these.
    #[must_use]
    pub fn is(self, path: &str) -> bool {
        match self.pattern().split_once('{') {
            None => path == self.pattern(),
            Some((before, _)) => path.strip_prefix(before).is_some_and(|name| {
                !name.is_empty() && (self == Self::Pool || !name.contains('/'))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_its_pattern() {
        assert!(Scope::Guest.is("/vms/100"));
        assert!(!Scope::Guest.is("/vms/") && !Scope::Guest.is("/vms"));
        assert!(Scope::Pool.is("/pool/apps/web"), "pools are nested");
        assert!(Scope::Bridge.is("/sdn/zones/localnetwork/vmbr0"));
        assert!(!Scope::Bridge.is("/sdn/zones/localnetwork/vmbr0/7"));
        assert!(Scope::Everything.is("/") && !Scope::Everything.is("/vms/100"));
        assert!(Scope::TemplateStorage.is("/storage/local"));
    }
}
