//! Who may attach network devices to a bridge.

use std::collections::BTreeSet;

use super::error::ApiError;
use super::guest_config::parse_keys;
use super::rights::Rights;

/// Whether a network device is at a bridge, which the caller has to be allowed to use: as a whole, or the networks on it that
/// the device names (pve-guest-common, `GuestHelpers.pm`, `check_vnet_access`).
pub(crate) fn check_bridge(rights: Rights<'_>, net: &str) -> Result<bool, ApiError> {
    if rights.caller.is_root() {
        return Ok(true);
    }
    let keys = parse_keys("net0", net).map_err(|text| ApiError::died(text.trim_end()))?;
    let Some(bridge) = keys.get("bridge") else {
        return Ok(false);
    };
    let place = format!("/sdn/zones/localnetwork/{bridge}");
    let tag = keys.get("tag").filter(|tag| *tag != "0");
    let trunks = keys.get("trunks").filter(|trunks| !trunks.is_empty());
    let mut networks: Vec<String> = tag.cloned().into_iter().collect();
    networks.extend(trunks.map(|trunks| networks_of(trunks)).unwrap_or_default());
    if networks.is_empty() {
        rights.need(&place, &["SDN.Use"])?;
    }
    for network in networks {
        rights.need(&format!("{place}/{network}"), &["SDN.Use"])?;
    }
    Ok(true)
}

/// The networks of a list such as `2;10-12`, in the order of their texts.
fn networks_of(trunks: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for trunk in trunks.split(';') {
        let (first, last) = trunk.split_once('-').unwrap_or((trunk, ""));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(low), Ok(high)) if high > low => {
                found.extend((low..=high).map(|network| network.to_string()));
            }
            _ => {
                found.insert(first.to_owned());
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_one_by_one() {
        assert_eq!(networks_of("2;10-12"), ["10", "11", "12", "2"]);
        assert_eq!(networks_of("7-7;5-3"), ["5", "7"]);
    }
}
