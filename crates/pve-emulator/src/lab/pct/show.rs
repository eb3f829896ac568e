//! `pct status`, `list`, `config`, `unlock`: what the cluster's configuration says.

use std::io::Write as _;

use super::{Answer, Call, Died, Question, Site, ask};
use crate::core::guest::GuestKey;

/// `status: running`.
pub(super) fn status(call: Call) -> Result<u8, Died> {
    let config = call.load_config()?;
    let status = word(call.is_running());
    if call.parsed.flag("verbose").unwrap_or(false) {
        let name = config.get("hostname").cloned().unwrap_or_default();
        let vmid = call.guest.vmid;
        print(&format!(
            "name: {name}\nstatus: {status}\ntype: lxc\nvmid: {vmid}\n"
        ))
    } else {
        print(&format!("status: {status}\n"))
    }
}

/// All keys in order, as in the file.
pub(super) fn config(call: Call) -> Result<u8, Died> {
    let config = call.load_config()?;
    let keys = config.iter().filter(|(key, _)| *key != "digest");
    let lines = keys.map(|(key, value)| match key.as_str() {
        "description" => format!("description: {}\n", encode_text(value)),
        _ => format!("{key}: {value}\n"),
    });
    print(&lines.collect::<String>())
}

/// Removes the lock; a guest without one is fine.
pub(super) fn unlock(call: Call) -> Result<u8, Died> {
    match ask(
        &call.site,
        &Question::Unlock {
            vmid: call.guest.vmid,
        },
    )? {
        Answer::Unlocked { found: true } => Ok(0),
        Answer::Unlocked { found: false } => Err(Died::not_found(&call.guest)),
        Answer::Config { .. } | Answer::List { .. } | Answer::Inside(_) => {
            Err(Died::new("unexpected answer"))
        }
    }
}

/// A table of the node's guests; nothing at all when there are none.
pub(super) fn list(site: &Site) -> Result<u8, Died> {
    let Answer::List { guests } = ask(site, &Question::List)? else {
        return Err(Died::new("unexpected answer"));
    };
    if guests.is_empty() {
        return Ok(0);
    }
    let row = |vmid: &str, status: &str, lock: &str, name: &str| {
        format!("{vmid:<10} {status:<10} {lock:<12} {name:<20}\n")
    };
    let mut table = row("VMID", "Status", "Lock", "Name");
    for (vmid, config) in &guests {
        let guest = GuestKey {
            node: site.node.clone(),
            vmid: *vmid,
        };
        let value = |key: &str| config.get(key).map_or("", String::as_str);
        let status = word(site.is_running(&guest));
        table.push_str(&row(
            &vmid.to_string(),
            status,
            value("lock"),
            value("hostname"),
        ));
    }
    print(&table)
}

fn word(running: bool) -> &'static str {
    if running { "running" } else { "stopped" }
}

fn print(text: &str) -> Result<u8, Died> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map(|()| 0)
        .map_err(|error| Died::new(error.to_string()))
}

/// Percent-encodes what would break a line, as PVE's files do.
fn encode_text(text: &str) -> String {
    let mut encoded = String::new();
    for sign in text.chars() {
        if sign == '%' || sign == ':' || sign.is_control() {
            let mut buffer = [0; 4];
            for byte in sign.encode_utf8(&mut buffer).bytes() {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        } else {
            encoded.push(sign);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_stays_on_one_line() {
        assert_eq!(encode_text("a: 100 %\nb"), "a%3A 100 %25%0Ab");
    }
}
