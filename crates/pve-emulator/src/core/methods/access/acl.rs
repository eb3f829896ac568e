//! `/access/acl`.

use serde_json::{Value, json};

use super::super::super::access::{
    Holder, Privileges, is_acl_path, normal_path, permissions, split_token_id,
};
use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::failed;
use crate::schema::{Errors, split_list};

/// All grants the caller may see: auditors of `/access` all, others those they may change.
pub(in super::super) fn read(call: &mut Call<'_>) -> Outcome {
    let auditor = call.may("/access", "Sys.Audit");
    let rows = call.world.accounts.grants.rows();
    let seen = rows.filter(|(path, ..)| auditor || call.rights().may_grant(path).is_ok());
    let row = |(path, kind, id, role, propagate): (&str, &str, &str, &str, bool)| json!({"path": path, "type": kind, "ugid": id, "roleid": role, "propagate": u8::from(propagate)});
    Ok(seen.map(row).collect::<Value>().into())
}

/// Gives or takes roles; nothing changes when one of them is refused.
pub(in super::super) fn update(call: &mut Call<'_>) -> Outcome {
    let list = |name: &str| -> Vec<String> {
        let text = call.text(name).unwrap_or_default();
        split_list(&text).into_iter().map(str::to_owned).collect()
    };
    let (users, groups, tokens) = (list("users"), list("groups"), list("tokens"));
    if users.is_empty() && groups.is_empty() && tokens.is_empty() {
        let names = ["users", "groups", "tokens"].into_iter();
        let text = "either 'users', 'groups' or 'tokens' is required.";
        let errors: Errors = names
            .map(|name| (name.to_owned(), text.to_owned()))
            .collect();
        return Err(ApiError::Parameters(errors).into());
    }
    let given = call.text("path").unwrap_or_default();
    let delete = call.flag("delete");
    let path = normal_path(&given).filter(|path| delete || is_acl_path(path));
    let Some(path) = path else {
        return Err(ApiError::parameter("path", format!("invalid ACL path '{given}'")).into());
    };
    let propagate = call.text("propagate").as_deref() != Some("0");
    let held = permissions(call.world, &call.caller.id, &path);
    let roles = list("roles");
    let mut grants = call.world.accounts.grants.clone();
    for role in &roles {
        check_role(call, role, &held, propagate, delete)
            .map_err(|error| error.under_lock("ACL update failed"))?;
        let holders = check_holders(call, &users, &groups, &tokens)?;
        for (holder, id) in holders {
            if delete {
                grants.remove(&path, holder, id, role);
            } else {
                grants.add(&path, holder, id, role, propagate);
            }
        }
    }
    call.world.accounts.grants = grants;
    Ok(Value::Null.into())
}

/// Whoever may not change permissions in general can only pass on what he has.
fn check_role(
    call: &Call<'_>,
    role: &str,
    held: &Privileges,
    propagate: bool,
    delete: bool,
) -> Result<(), ApiError> {
    let Some(needed) = call.world.accounts.privileges_of(role) else {
        return Err(ApiError::died(format!("role '{role}' does not exist")));
    };
    if held.contains_key("Permissions.Modify") {
        return Ok(());
    }
    let verb = if delete { "remove" } else { "add" };
    let refused = |why: &str| {
        Err(ApiError::parameter(
            "role",
            format!("Cannot {verb} role '{role}' {why}"),
        ))
    };
    for name in needed {
        match held.get(name) {
            None => return refused("- requires 'Permissions.Modify' or superset of privileges."),
            Some(false) if propagate && !delete => {
                return refused(
                    "with propagation - requires 'Permissions.Modify' or propagated superset of privileges.",
                );
            }
            Some(_) => {}
        }
    }
    if role == "NoAccess" {
        return refused("- requires 'Permissions.Modify'");
    }
    Ok(())
}

fn check_holders<'a>(
    call: &Call<'_>,
    users: &'a [String],
    groups: &'a [String],
    tokens: &'a [String],
) -> Result<Vec<(Holder, &'a str)>, ApiError> {
    let accounts = &call.world.accounts;
    let missing = |text: String| failed("ACL update", text);
    let mut holders = Vec::new();
    for group in groups {
        if !accounts.groups.contains_key(group) {
            return Err(missing(format!("group '{group}' does not exist")));
        }
        holders.push((Holder::Group, group.as_str()));
    }
    for user in users {
        if !accounts.users.contains_key(user) {
            return Err(missing(format!("user '{user}' does not exist")));
        }
        holders.push((Holder::User, user.as_str()));
    }
    for token in tokens {
        let (user, name) = split_token_id(token).unwrap_or_default();
        if !accounts.users.contains_key(user) {
            return Err(missing(format!("no such user ('{user}')")));
        }
        if accounts.token(token).is_none() {
            return Err(missing(format!("no such token '{name}' for user '{user}'")));
        }
        holders.push((Holder::Token, token.as_str()));
    }
    Ok(holders)
}
