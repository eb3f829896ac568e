//! `/access/tfa`: second factors. Of their kinds time-based codes are emulated.

use serde_json::{Value, json};

use super::super::super::access::{TotpEntry, User, step_of};
use super::super::super::call::{Call, Outcome, Stop};
use super::super::super::error::ApiError;
use super::existing_user;

/// Only root changes root, and everybody else confirms a change with his own password.
pub(super) fn confirm(call: &Call<'_>, user: &str, parameter: &str) -> Result<(), Stop> {
    if call.caller.is_root() {
        return Ok(());
    }
    if user == "root@pam" {
        return Err(ApiError::Denied(None).into());
    }
    let Some(given) = call.text(parameter) else {
        return Err(ApiError::parameter(parameter, "password is required to modify user").into());
    };
    let own = call.world.accounts.users.get(&call.caller.id);
    let fits = own
        .and_then(|own| own.password.as_ref())
        .is_some_and(|password| password.fits(&given));
    if fits {
        return Ok(());
    }
    Err(ApiError::raised(401, "authentication failure").into())
}

fn row(id: &str, entry: &TotpEntry) -> Value {
    json!({
        "id": id, "type": "totp", "description": entry.description, "created": entry.created_s,
        "enable": entry.enabled,
    })
}

fn rows(user: &User) -> Vec<Value> {
    user.totp
        .entries
        .iter()
        .map(|(id, entry)| row(id, entry))
        .collect()
}

pub(in super::super) fn list(call: &mut Call<'_>) -> Outcome {
    let users = call.world.accounts.users.iter().filter(|(name, user)| {
        !user.totp.entries.is_empty() && super::users::is_listed(call, name)
    });
    let rows = users.map(|(name, user)| {
        let mut listed = json!({"userid": name, "entries": rows(user)});
        if user.totp.locked {
            listed["totp-locked"] = true.into();
        }
        listed
    });
    Ok(rows.collect::<Value>().into())
}

pub(in super::super) fn of_user(call: &mut Call<'_>) -> Outcome {
    let name = existing_user(call)?;
    Ok(Value::Array(rows(&call.world.accounts.users[&name])).into())
}

pub(in super::super) fn read(call: &mut Call<'_>) -> Outcome {
    let name = existing_user(call)?;
    let id = call.text("id").unwrap_or_default();
    match call.world.accounts.users[&name].totp.entries.get(&id) {
        Some(entry) => Ok(row(&id, entry).into()),
        None => Err(ApiError::raised(404, format!("No such tfa entry '{id}'")).into()),
    }
}

/// A new entry proves itself with a code.
pub(in super::super) fn add(call: &mut Call<'_>) -> Outcome {
    let name = existing_user(call)?;
    confirm(call, &name, "password")?;
    let kind = call.text("type").unwrap_or_default();
    if kind != "totp" {
        return Err(ApiError::not_emulated(format!("second factor '{kind}'")).into());
    }
    let uri = call
        .text("totp")
        .ok_or_else(|| ApiError::died("missing 'totp' parameter"))?;
    let entry = parse(&uri, call)?;
    let code = call.text("value").unwrap_or_default();
    if step_of(&entry, &code, call.now_s()).is_none() {
        return Err(ApiError::died("failed to verify TOTP challenge").into());
    }
    let id = format!("totp:{}", call.world.keys.uuid());
    if let Some(user) = call.world.accounts.users.get_mut(&name) {
        user.totp.entries.insert(id.clone(), entry);
        user.texts.insert("keys".into(), "x".into());
    }
    Ok(json!({"id": id}).into())
}

/// Reads `otpauth://totp/LABEL?secret=BASE32&digits=6&period=30`.
fn parse(uri: &str, call: &Call<'_>) -> Result<TotpEntry, ApiError> {
    let bad = || ApiError::died("failed to parse TOTP uri");
    let rest = uri.strip_prefix("otpauth://totp/").ok_or_else(bad)?;
    let (_, query) = rest.split_once('?').ok_or_else(bad)?;
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let number = |name: &str, default: u64| {
        value(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let key = value("secret").and_then(base32).ok_or_else(bad)?;
    Ok(TotpEntry {
        description: call.text("description").unwrap_or_default(),
        created_s: call.now_s(),
        enabled: true,
        key: hex::encode(key),
        digits: u32::try_from(number("digits", 6)).map_err(|_| bad())?,
        step_s: number("period", 30),
        last_step: None,
    })
}

fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter.to_ascii_uppercase() {
            byte @ b'A'..=b'Z' => byte - b'A',
            byte @ b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

pub(in super::super) fn update(call: &mut Call<'_>) -> Outcome {
    let name = existing_user(call)?;
    confirm(call, &name, "password")?;
    let id = call.text("id").unwrap_or_default();
    let (description, enable) = (call.text("description"), call.text("enable"));
    let user = call.world.accounts.users.get_mut(&name);
    let Some(entry) = user.and_then(|user| user.totp.entries.get_mut(&id)) else {
        return Err(ApiError::died(format!("no such entry: {id}")).into());
    };
    if let Some(description) = description {
        entry.description = description;
    }
    if let Some(enable) = enable {
        entry.enabled = enable == "1";
    }
    Ok(Value::Null.into())
}

pub(in super::super) fn delete(call: &mut Call<'_>) -> Outcome {
    let name = existing_user(call)?;
    confirm(call, &name, "password")?;
    let id = call.text("id").unwrap_or_default();
    if let Some(user) = call.world.accounts.users.get_mut(&name) {
        user.totp.entries.remove(&id);
        if user.totp.entries.is_empty() {
            user.texts.remove("keys");
        }
    }
    Ok(Value::Null.into())
}

/// Forgets wrong codes; whether the user was locked out.
pub(in super::super) fn unlock(call: &mut Call<'_>) -> Outcome {
    let name = existing_user(call)?;
    let user = call.world.accounts.users.get_mut(&name);
    let was_locked = user.is_some_and(|user| {
        user.totp.failures = 0;
        std::mem::take(&mut user.totp.locked)
    });
    Ok(Value::from(u8::from(was_locked)).into())
}

#[cfg(test)]
mod tests {
    use super::base32;

    #[test]
    fn keys_are_read_from_base32() {
        assert_eq!(
            base32("GEZDGNBVGY3TQOJQ").as_deref(),
            Some(b"1234567890".as_slice())
        );
        assert_eq!(base32("a1"), None);
    }
}
