//! `/access/users`.

use serde_json::{Map, Value, json};

use super::super::super::access::{Password, Token, User, realm_of};
use super::super::super::call::{Call, Outcome};
use super::super::super::error::ApiError;
use super::{existing_user, failed, user_name};
use crate::schema::split_list;

const TEXTS: [&str; 5] = ["firstname", "lastname", "email", "comment", "keys"];

/// A user's own fields. An empty email is shown when something is stored behind it.
fn fields(user: &User) -> Map<String, Value> {
    let mut row = Map::from_iter([
        ("enable".to_owned(), u8::from(user.enabled).into()),
        ("expire".to_owned(), user.expire_s.into()),
    ]);
    let texts = user
        .texts
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()));
    row.extend(texts);
    if ["comment", "keys"]
        .iter()
        .any(|key| user.texts.contains_key(*key))
    {
        row.entry("email").or_insert_with(|| "".into());
    }
    row
}

pub(super) fn token_fields(token: &Token) -> Map<String, Value> {
    let mut row = Map::from_iter([
        ("privsep".to_owned(), u8::from(token.privsep).into()),
        ("expire".to_owned(), token.expire_s.into()),
    ]);
    row.extend(
        token
            .comment
            .clone()
            .map(|text| ("comment".to_owned(), text.into())),
    );
    row
}

/// Users the caller may manage or audit; always himself.
/// Whether the caller sees this user in lists: all, itself, and members of groups it may look at.
pub(super) fn is_listed(call: &Call<'_>, name: &str) -> bool {
    let any = ["User.Modify", "Sys.Audit"];
    let may = |path: &str| call.rights().need_any(path, &any).is_ok();
    let over = |group: &&str| may(&format!("/access/groups/{group}"));
    let groups = call.world.accounts.groups_of(name);
    may("/access/groups") || name == call.caller.id || groups.iter().any(over)
}

pub(in super::super) fn list(call: &mut Call<'_>) -> Outcome {
    let wanted = call.text("enabled").map(|text| text == "1");
    let rows = call.world.accounts.users.iter().filter(|(name, user)| {
        is_listed(call, name) && wanted.is_none_or(|wanted| wanted == user.enabled)
    });
    let rows = rows.map(|(name, user)| {
        let mut row = fields(user);
        row.insert("userid".into(), name.clone().into());
        row.extend(realm_of(name).map(|realm| ("realm-type".to_owned(), realm.into())));
        if user.totp.locked {
            row.insert("totp-locked".into(), true.into());
        }
        if call.flag("full") {
            let groups = call.world.accounts.groups_of(name);
            row.insert("groups".into(), groups.join(",").into());
            if !user.tokens.is_empty() {
                row.insert("tokens".into(), super::tokens::rows(user));
            }
        }
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

pub(in super::super) fn read(call: &mut Call<'_>) -> Outcome {
    let name = existing_user(call)?;
    let user = &call.world.accounts.users[&name];
    let mut row = fields(user);
    row.insert("groups".into(), json!(call.world.accounts.groups_of(&name)));
    let tokens = user
        .tokens
        .iter()
        .map(|(name, token)| (name.clone(), Value::Object(token_fields(token))));
    let tokens: Map<String, Value> = tokens.collect();
    row.insert(
        "tokens".into(),
        if tokens.is_empty() {
            Value::Null
        } else {
            Value::Object(tokens)
        },
    );
    Ok(Value::Object(row).into())
}

pub(in super::super) fn create(call: &mut Call<'_>) -> Outcome {
    let name = user_name(call)?;
    if call.world.accounts.users.contains_key(&name) {
        return Err(failed("create user", format!("user '{name}' already exists")).into());
    }
    if let Some(password) = call.text("password") {
        check_password_realm(&name).map_err(|error| error.under_lock("create user failed"))?;
        call.world.set_password(&name, &password);
    }
    let mut user = call.world.accounts.users.remove(&name).unwrap_or_default();
    user.enabled = call.text("enable").as_deref() != Some("0");
    user.expire_s = call.number("expire").unwrap_or(0);
    let groups = join(call, "create user")?;
    set_texts(call, &mut user);
    call.world.accounts.users.insert(name.clone(), user);
    for group in groups {
        call.world
            .accounts
            .groups
            .entry(group)
            .or_default()
            .members
            .insert(name.clone());
    }
    Ok(Value::Null.into())
}

/// Of the system's own users there is only root.
fn check_password_realm(name: &str) -> Result<(), ApiError> {
    let (user, realm) = name.rsplit_once('@').unwrap_or_default();
    match realm {
        "pam" if user != "root" => {
            let text = format!("change password failed: user '{user}' does not exist");
            Err(ApiError::died(text))
        }
        "pam" | "pve" => Ok(()),
        _ => {
            let text = format!("auth domain '{realm}' does not exist");
            Err(ApiError::died(text))
        }
    }
}

/// The groups to join, which must be there.
fn join(call: &Call<'_>, what: &str) -> Result<Vec<String>, ApiError> {
    let text = call.text("groups").unwrap_or_default();
    let groups: Vec<String> = split_list(&text).into_iter().map(str::to_owned).collect();
    match groups
        .iter()
        .find(|group| !call.world.accounts.groups.contains_key(*group))
    {
        Some(group) => Err(failed(what, format!("no such group '{group}'"))),
        None => Ok(groups),
    }
}

fn set_texts(call: &Call<'_>, user: &mut User) {
    for key in TEXTS {
        match call.text(key) {
            Some(text) if text.is_empty() => {
                user.texts.remove(key);
            }
            Some(text) => {
                user.texts.insert(key.to_owned(), text);
            }
            None => {}
        }
    }
}

pub(in super::super) fn update(call: &mut Call<'_>) -> Outcome {
    let name = user_name(call)?;
    let Some(mut user) = call.world.accounts.users.get(&name).cloned() else {
        return Err(failed("update user", format!("no such user ('{name}')")).into());
    };
    let groups = join(call, "update user")?;
    if let Some(enable) = call.text("enable") {
        user.enabled = enable == "1";
    }
    if let Some(expire_s) = call.number("expire") {
        user.expire_s = expire_s;
    }
    set_texts(call, &mut user);
    call.world.accounts.users.insert(name.clone(), user);
    if call.text("groups").is_some() && !call.flag("append") {
        call.world.accounts.leave_groups(&name);
    }
    for group in groups {
        call.world
            .accounts
            .groups
            .entry(group)
            .or_default()
            .members
            .insert(name.clone());
    }
    Ok(Value::Null.into())
}

pub(in super::super) fn delete(call: &mut Call<'_>) -> Outcome {
    let name = user_name(call)?;
    call.world.accounts.remove_user(&name);
    Ok(Value::Null.into())
}

/// A user changes his own password; administrators change those of others, except system users'.
pub(in super::super) fn change_password(call: &mut Call<'_>) -> Outcome {
    let name = existing_user(call)?;
    super::tfa::confirm(call, &name, "confirmation-password")?;
    let realm = realm_of(&name).unwrap_or_default();
    if !call.caller.is_root() && call.caller.id != name && (name == "root@pam" || realm == "pam") {
        return Err(ApiError::Denied(None).into());
    }
    check_password_realm(&name)?;
    let salt = call.world.keys.secret();
    let password = call.text("password").unwrap_or_default();
    if let Some(user) = call.world.accounts.users.get_mut(&name) {
        user.password = Some(Password::new(&password, salt));
    }
    Ok(Value::Null.into())
}
