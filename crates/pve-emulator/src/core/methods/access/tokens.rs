//! `/access/users/{userid}/token`.

use serde_json::{Map, Value, json};

use super::super::super::access::{Holder, Token, User, hash_secret};
use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::users::token_fields;
use super::{existing_user, user_name};
use crate::schema::split_list;

/// All tokens of a user.
pub(super) fn rows(user: &User) -> Value {
    let row = |(name, token): (&String, &Token)| {
        let mut row = token_fields(token);
        row.insert("tokenid".into(), name.clone().into());
        Value::Object(row)
    };
    user.tokens.iter().map(row).collect()
}

pub(in super::super) fn list(call: &mut Call<'_>) -> Outcome {
    let user = existing_user(call)?;
    Ok(rows(&call.world.accounts.users[&user]).into())
}

/// The token the call names: user, name, and what is stored.
fn existing(call: &Call<'_>) -> Result<(String, String, Token), ApiError> {
    let user = existing_user(call)?;
    let name = call.text("tokenid").unwrap_or_default();
    match call.world.accounts.users[&user].tokens.get(&name) {
        Some(token) => Ok((user, name, token.clone())),
        None => Err(ApiError::died(format!(
            "no such token '{name}' for user '{user}'"
        ))),
    }
}

pub(in super::super) fn read(call: &mut Call<'_>) -> Outcome {
    let (_, _, token) = existing(call)?;
    Ok(Value::Object(token_fields(&token)).into())
}

/// The secret is shown this once.
pub(in super::super) fn create(call: &mut Call<'_>) -> Outcome {
    user_name(call)?;
    let user = existing_user(call)?;
    let name = call.text("tokenid").unwrap_or_default();
    if call.world.accounts.users[&user].tokens.contains_key(&name) {
        return Err(ApiError::parameter("tokenid", "Token already exists.").into());
    }
    let value = call.world.keys.uuid();
    let token = Token {
        secret_sha256: hash_secret(&value),
        privsep: call.text("privsep").as_deref() != Some("0"),
        expire_s: call.number("expire").unwrap_or(0),
        comment: call.text("comment").filter(|text| !text.is_empty()),
    };
    // What was given is shown as it was given.
    let mut info = Map::from_iter([("privsep".to_owned(), json!(1))]);
    for key in ["privsep", "expire", "comment"] {
        info.extend(
            call.params
                .get(key)
                .filter(|value| !value.is_null())
                .map(|value| (key.to_owned(), value.clone())),
        );
    }
    let id = format!("{user}!{name}");
    if let Some(user) = call.world.accounts.users.get_mut(&user) {
        user.tokens.insert(name, token);
    }
    Ok(json!({"info": info, "value": value, "full-tokenid": id}).into())
}

pub(in super::super) fn update(call: &mut Call<'_>) -> Outcome {
    let (user, name, mut token) = existing(call)?;
    if let Some(privsep) = call.text("privsep") {
        token.privsep = privsep == "1";
    }
    if let Some(expire_s) = call.number("expire") {
        token.expire_s = expire_s;
    }
    if let Some(comment) = call.text("comment") {
        token.comment = Some(comment).filter(|text| !text.is_empty());
    }
    for key in split_list(&call.text("delete").unwrap_or_default()) {
        if key != "comment" {
            let error = ApiError::parameter("delete", format!("unknown option '{key}'"));
            return Err(error.under_lock("updating token info failed").into());
        }
        token.comment = None;
    }
    let mut row = token_fields(&token);
    // What was given goes back as it came.
    for key in ["privsep", "expire"] {
        let given = call.params.get(key).filter(|value| !value.is_null());
        row.extend(given.map(|value| (key.to_owned(), value.clone())));
    }
    if call.flag("regenerate") {
        let value = call.world.keys.uuid();
        token.secret_sha256 = hash_secret(&value);
        row.insert("value".into(), value.into());
        row.insert("full-tokenid".into(), format!("{user}!{name}").into());
    }
    if let Some(user) = call.world.accounts.users.get_mut(&user) {
        user.tokens.insert(name, token);
    }
    Ok(Value::Object(row).into())
}

pub(in super::super) fn delete(call: &mut Call<'_>) -> Outcome {
    let (user, name, _) = existing(call)?;
    call.world
        .accounts
        .grants
        .forget(Holder::Token, &format!("{user}!{name}"));
    if let Some(user) = call.world.accounts.users.get_mut(&user) {
        user.tokens.remove(&name);
    }
    Ok(Value::Null.into())
}
