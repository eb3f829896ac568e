//! `/access/roles`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::super::access::SPECIAL_ROLES;
use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::failed;
use crate::schema::split_list;

fn is_special(role: &str) -> bool {
    SPECIAL_ROLES.contains(&role)
}

pub(in super::super) fn list(call: &mut Call<'_>) -> Outcome {
    let accounts = &call.world.accounts;
    let own = accounts.roles.keys().map(String::as_str);
    let rows = SPECIAL_ROLES.into_iter().chain(own).map(|role| {
        let privileges = accounts.privileges_of(role).unwrap_or_default();
        json!({"roleid": role, "privs": privileges.join(","), "special": u8::from(is_special(role))})
    });
    Ok(rows.collect::<Value>().into())
}

pub(in super::super) fn read(call: &mut Call<'_>) -> Outcome {
    let role = call.text("roleid").unwrap_or_default();
    let Some(privileges) = call.world.accounts.privileges_of(&role) else {
        return Err(ApiError::died(format!("role '{role}' does not exist")).into());
    };
    let row: Map<String, Value> = privileges
        .into_iter()
        .map(|name| (name.to_owned(), 1.into()))
        .collect();
    Ok(Value::Object(row).into())
}

fn given_privileges(call: &Call<'_>) -> BTreeSet<String> {
    let text = call.text("privs").unwrap_or_default();
    split_list(&text).into_iter().map(str::to_owned).collect()
}

pub(in super::super) fn create(call: &mut Call<'_>) -> Outcome {
    let role = call.text("roleid").unwrap_or_default();
    if role.to_lowercase().starts_with("pve") {
        let text = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace";
        return Err(ApiError::parameter("roleid", text).into());
    }
    if is_special(&role) || call.world.accounts.roles.contains_key(&role) {
        return Err(failed("create role", format!("role '{role}' already exists")).into());
    }
    let privileges = given_privileges(call);
    call.world.accounts.roles.insert(role, privileges);
    Ok(Value::Null.into())
}

pub(in super::super) fn update(call: &mut Call<'_>) -> Outcome {
    let role = call.text("roleid").unwrap_or_default();
    if is_special(&role) {
        return Err(
            ApiError::died(format!("auto-generated role '{role}' cannot be modified")).into(),
        );
    }
    let privileges = given_privileges(call);
    let append = call.flag("append");
    let Some(known) = call.world.accounts.roles.get_mut(&role) else {
        return Err(failed("update role", format!("role '{role}' does not exist")).into());
    };
    if !append {
        known.clear();
    }
    known.extend(privileges);
    Ok(Value::Null.into())
}

pub(in super::super) fn delete(call: &mut Call<'_>) -> Outcome {
    let role = call.text("roleid").unwrap_or_default();
    if is_special(&role) {
        return Err(
            ApiError::died(format!("auto-generated role '{role}' cannot be deleted")).into(),
        );
    }
    if call.world.accounts.roles.remove(&role).is_none() {
        return Err(failed("delete role", format!("role '{role}' does not exist")).into());
    }
    call.world.accounts.grants.forget_role(&role);
    Ok(Value::Null.into())
}
