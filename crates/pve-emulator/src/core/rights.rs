//! Permission checks of calls: one privilege, several, or what a method declares.

use serde_json::Value;

use super::access::{Caller, PRIVILEGES, holds, normal_path, realm_of};
use super::error::ApiError;
use super::world::World;
use crate::schema::{Params, Permissions, perl_text, split_list};

/// What one caller may do.
#[derive(Clone, Copy)]
pub(crate) struct Rights<'a> {
    pub(crate) world: &'a World,
    pub(crate) caller: &'a Caller,
}

impl Rights<'_> {
    /// Everything is allowed: root, and tokens of root without privilege separation.
    pub(crate) fn are_unlimited(self) -> bool {
        self.caller.is_root()
            || (self.caller.user() == "root@pam"
                && self
                    .world
                    .accounts
                    .token(&self.caller.id)
                    .is_some_and(|token| !token.privsep))
    }

    /// Whether the caller holds a privilege on a path such as `/vms/100`.
    pub(crate) fn has(self, path: &str, privilege: &str) -> bool {
        let Some(path) = normal_path(path) else {
            return false;
        };
        if self.are_unlimited() {
            return PRIVILEGES.contains(&privilege);
        }
        holds(self.world, &self.caller.id, &path, privilege)
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
                normal_path(path).unwrap_or_default()
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
            normal_path(path).unwrap_or_default(),
            privileges.join("|")
        )))
    }

    /// Whether the caller may change grants on a path.
    pub(crate) fn may_grant(self, path: &str) -> Result<(), ApiError> {
        let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| !rest.is_empty());
        let mut privileges = vec!["Permissions.Modify"];
        if below("/storage/") {
            privileges.push("Datastore.Allocate");
        } else if below("/vms/") {
            privileges.push("VM.Allocate");
        } else if below("/pool/") {
            privileges.push("Pool.Allocate");
        }
        self.need_any(path, &privileges)
    }

    /// A method's declared permissions.
    pub(crate) fn admit(
        self,
        permissions: Option<&Permissions>,
        params: &Params,
    ) -> Result<(), ApiError> {
        let user = permissions.and_then(|p| p.user.as_deref());
        if self.caller.id.is_empty() {
            return match user {
                Some("world") => Ok(()),
                _ => Err(ApiError::denied("user != null")),
            };
        }
        if self.caller.is_root() {
            return Ok(());
        }
        let Some(permissions) = permissions else {
            return Err(ApiError::denied("user != root@pam"));
        };
        if matches!(user, Some("all" | "world")) {
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
            Some("userid-param") => self.evaluate_user(parts, params),
            Some("userid-group") => self.evaluate_groups(parts, params),
            Some("perm-modify") => {
                let path = parts.get(1).and_then(Value::as_str).unwrap_or_default();
                match normal_path(&fill(path, params)) {
                    Some(path) => self.may_grant(&path),
                    None => Ok(()),
                }
            }
            Some(_) | None => Err(ApiError::Denied(None)),
        }
    }

    fn evaluate_user(self, parts: &[Value], params: &Params) -> Result<(), ApiError> {
        let user = params.get("userid").and_then(perl_text).unwrap_or_default();
        let Some(realm) = realm_of(&user) else {
            return Err(bad_user_name(&user));
        };
        if parts.get(1).and_then(Value::as_str) == Some("self") {
            return if self.caller.id == user && self.world.accounts.users.contains_key(&user) {
                Ok(())
            } else {
                Err(ApiError::Denied(None))
            };
        }
        self.need(&format!("/access/realm/{realm}"), &["Realm.AllocateUser"])
    }

    fn evaluate_groups(self, parts: &[Value], params: &Params) -> Result<(), ApiError> {
        let user = params.get("userid").and_then(perl_text).unwrap_or_default();
        let privileges = texts(parts.get(1));
        let mode = parts.get(3).and_then(Value::as_str);
        if mode != Some("create") && !self.world.accounts.users.contains_key(&user) {
            return Err(ApiError::died(format!("no such user ('{user}')")));
        }
        let Err(refusal) = self.need_any("/access/groups", &privileges) else {
            return Ok(());
        };
        if mode.is_some() {
            let wanted = params.get("groups").and_then(perl_text).unwrap_or_default();
            let wanted = split_list(&wanted);
            if wanted.is_empty() {
                return Err(refusal);
            }
            for group in wanted {
                self.need_any(&format!("/access/groups/{group}"), &privileges)?;
            }
        }
        let over = |group: &&str| {
            self.need_any(&format!("/access/groups/{group}"), &privileges)
                .is_ok()
        };
        if mode != Some("create") && !self.world.accounts.groups_of(&user).iter().any(over) {
            return Err(ApiError::Denied(None));
        }
        Ok(())
    }

    fn evaluate_perm(self, parts: &[Value], params: &Params) -> Result<(), ApiError> {
        let path = fill(
            parts.get(1).and_then(Value::as_str).unwrap_or_default(),
            params,
        );
        let privileges = texts(parts.get(2));
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

/// PVE's words for what is no user name.
pub(crate) fn bad_user_name(user: &str) -> ApiError {
    ApiError::died(format!(
        "value '{user}' does not look like a valid user name"
    ))
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// A path with its parameters filled in; one that is not given leaves nothing.
fn fill(template: &str, params: &Params) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        path.push_str(before);
        path.push_str(&params.get(name).and_then(perl_text).unwrap_or_default());
        rest = after;
    }
    path.push_str(rest);
    path
}
