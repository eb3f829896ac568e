//! Permission checks. [`Rights`] is the one place that knows what a caller may do; an ACL model
//! replaces its body.

use serde_json::Value;

use super::error::ApiError;
use super::token::{Access, Caller};
use crate::schema::{Params, Permissions, perl_text};

/// The privileges of PVE 9.2, as `GET /access/permissions` lists them for an administrator.
pub(crate) const PRIVILEGES: [&str; 47] = [
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Group.Allocate",
    "Mapping.Audit",
    "Mapping.Modify",
    "Mapping.Use",
    "Permissions.Modify",
    "Pool.Allocate",
    "Pool.Audit",
    "Realm.Allocate",
    "Realm.AllocateUser",
    "SDN.Allocate",
    "SDN.Audit",
    "SDN.Use",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
    "Sys.Syslog",
    "User.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileSystemMgmt",
    "VM.GuestAgent.FileWrite",
    "VM.GuestAgent.Unrestricted",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Replicate",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
];

/// What one caller may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights<'a>(pub(crate) &'a Caller);

impl Rights<'_> {
    /// Whether the caller holds a privilege on a path such as `/vms/100`.
    pub(crate) fn has(self, path: &str, privilege: &str) -> bool {
        normal(path).is_some()
            && match self.0.access {
                Access::Full => PRIVILEGES.contains(&privilege),
                Access::Empty => false,
            }
    }

    /// All of the privileges, or PVE's refusal naming the first missing one.
    pub(crate) fn need(self, path: &str, privileges: &[&str]) -> Result<(), ApiError> {
        match privileges
            .iter()
            .find(|privilege| !self.has(path, privilege))
        {
            None => Ok(()),
            Some(missing) => Err(ApiError::denied(format!(
                "{}, {missing}",
                normal(path).unwrap_or_default()
            ))),
        }
    }

    /// At least one of the privileges.
    pub(crate) fn need_any(self, path: &str, privileges: &[&str]) -> Result<(), ApiError> {
        if privileges.iter().any(|privilege| self.has(path, privilege)) {
            return Ok(());
        }
        Err(ApiError::denied(format!(
            "{}, {}",
            normal(path).unwrap_or_default(),
            privileges.join("|")
        )))
    }

    /// A method's declared permissions.
    pub(crate) fn admit(
        self,
        permissions: Option<&Permissions>,
        params: &Params,
    ) -> Result<(), ApiError> {
        let user = permissions.and_then(|p| p.user.as_deref());
        if user == Some("world") {
            return Ok(());
        }
        let Some(permissions) = permissions else {
            return Err(ApiError::denied("user != root@pam"));
        };
        if user == Some("all") {
            return Ok(());
        }
        match &permissions.check {
            Some(check) => self.evaluate(check, params),
            None => Err(ApiError::Denied(None)),
        }
    }

    fn evaluate(self, check: &Value, params: &Params) -> Result<(), ApiError> {
        let parts = check.as_array().map(Vec::as_slice).unwrap_or_default();
        match parts.first().and_then(Value::as_str) {
            Some("and") => parts[1..]
                .iter()
                .try_for_each(|part| self.evaluate(part, params)),
            Some("or")
                if parts[1..]
                    .iter()
                    .any(|part| self.evaluate(part, params).is_ok()) =>
            {
                Ok(())
            }
            Some("perm") => self.evaluate_perm(parts, params),
            // Checks of accounts and ACL paths: only an administrator passes.
            Some("userid-param" | "userid-group" | "perm-modify")
                if self.0.access == Access::Full =>
            {
                Ok(())
            }
            Some(_) | None => Err(ApiError::Denied(None)),
        }
    }

    fn evaluate_perm(self, parts: &[Value], params: &Params) -> Result<(), ApiError> {
        let path = fill(
            parts.get(1).and_then(Value::as_str).unwrap_or_default(),
            params,
        );
        let privileges: Vec<&str> = parts
            .get(2)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let option = |name: &str| {
            parts
                .iter()
                .skip(3)
                .position(|part| part == name)
                .map(|at| at + 3)
        };
        if let Some(at) = option("require_param") {
            let name = parts
                .get(at + 1)
                .and_then(Value::as_str)
                .unwrap_or_default();
            if params.get(name).is_none_or(Value::is_null) {
                return Err(ApiError::Denied(None));
            }
        }
        if option("any").is_some() {
            self.need_any(&path, &privileges)
        } else {
            self.need(&path, &privileges)
        }
    }
}

/// A path as the ACLs know it; nothing when it holds other characters.
fn normal(path: &str) -> Option<String> {
    let components: Vec<&str> = path
        .split('/')
        .filter(|component| !component.is_empty())
        .collect();
    let clean = path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    clean.then(|| format!("/{}", components.join("/")))
}

fn fill(template: &str, params: &Params) -> String {
    let mut path = template.to_owned();
    for (name, value) in params {
        path = path.replace(
            &format!("{{{name}}}"),
            &perl_text(value).unwrap_or_default(),
        );
    }
    path
}
