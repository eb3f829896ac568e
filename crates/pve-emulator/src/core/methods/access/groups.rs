//! `/access/groups`.

use serde_json::{Map, Value, json};

use super::super::super::access::{Group, Holder};
use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::failed;

fn members(group: &Group) -> Vec<&str> {
    group.members.iter().map(String::as_str).collect()
}

pub(in super::super) fn list(call: &mut Call<'_>) -> Outcome {
    let any = ["User.Modify", "Sys.Audit", "Group.Allocate"];
    let groups = call.world.accounts.groups.iter();
    let seen = groups.filter(|(name, _)| {
        let path = format!("/access/groups/{name}");
        call.rights().need_any(&path, &any).is_ok()
    });
    let rows = seen.map(|(name, group)| {
        let mut row = Map::from_iter([
            ("groupid".to_owned(), json!(name)),
            ("users".to_owned(), json!(members(group).join(","))),
        ]);
        row.extend(
            group
                .comment
                .clone()
                .map(|text| ("comment".to_owned(), text.into())),
        );
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

pub(in super::super) fn read(call: &mut Call<'_>) -> Outcome {
    let name = call.text("groupid").unwrap_or_default();
    let Some(group) = call.world.accounts.groups.get(&name) else {
        return Err(ApiError::died(format!("group '{name}' does not exist")).into());
    };
    let mut row = Map::from_iter([("members".to_owned(), json!(members(group)))]);
    row.extend(
        group
            .comment
            .clone()
            .map(|text| ("comment".to_owned(), text.into())),
    );
    Ok(Value::Object(row).into())
}

pub(in super::super) fn create(call: &mut Call<'_>) -> Outcome {
    let name = call.text("groupid").unwrap_or_default();
    if call.world.accounts.groups.contains_key(&name) {
        return Err(failed("create group", format!("group '{name}' already exists")).into());
    }
    let group = Group {
        comment: call.text("comment").filter(|text| !text.is_empty()),
        ..Group::default()
    };
    call.world.accounts.groups.insert(name, group);
    Ok(Value::Null.into())
}

pub(in super::super) fn update(call: &mut Call<'_>) -> Outcome {
    let name = call.text("groupid").unwrap_or_default();
    let comment = call.text("comment");
    let Some(group) = call.world.accounts.groups.get_mut(&name) else {
        return Err(failed("update group", format!("group '{name}' does not exist")).into());
    };
    if let Some(comment) = comment {
        group.comment = Some(comment).filter(|text| !text.is_empty());
    }
    Ok(Value::Null.into())
}

pub(in super::super) fn delete(call: &mut Call<'_>) -> Outcome {
    let name = call.text("groupid").unwrap_or_default();
    if call.world.accounts.groups.remove(&name).is_none() {
        return Err(failed("delete group", format!("group '{name}' does not exist")).into());
    }
    call.world.accounts.grants.forget(Holder::Group, &name);
    Ok(Value::Null.into())
}
