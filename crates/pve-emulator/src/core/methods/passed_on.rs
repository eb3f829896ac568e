//! What of the node itself a container is given: a hook script, devices.

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::guest_config::parse_keys;
use super::volume_name;

/// Devices that every node has.
const DEVICES: [&str; 13] = [
    "/dev/console",
    "/dev/full",
    "/dev/fuse",
    "/dev/kmsg",
    "/dev/kvm",
    "/dev/loop-control",
    "/dev/mem",
    "/dev/net/tun",
    "/dev/null",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];
/// Folders among them.
const FOLDERS: [&str; 6] = [
    "/dev/disk",
    "/dev/fd",
    "/dev/mapper",
    "/dev/net",
    "/dev/pts",
    "/dev/shm",
];

/// A hook script has to be a snippet that is there and may be run, which no file that came over the API may.
pub(super) fn check_script(call: &Call<'_>, volid: &str) -> Result<(), ApiError> {
    if volume_name::parse(call.world, volid)?.kind != "snippets" {
        let text = format!("'{volid}' is not in the snippets directory");
        return Err(ApiError::died(text));
    }
    let why = match call.world.volume_exists(volid, &call.node) {
        true => "is not executable",
        false => "does not exist",
    };
    Err(ApiError::died(format!("script '{volid}' {why}")))
}

/// A device has to be there, and be one.
pub(super) fn check_device(key: &str, value: &str) -> Result<(), ApiError> {
    let keys = parse_keys(key, value).map_err(|text| ApiError::died(text.trim_end()))?;
    let path = keys.get("path").map(String::as_str).unwrap_or_default();
    if DEVICES.contains(&path) {
        return Ok(());
    }
    let text = match FOLDERS.contains(&path) {
        true => format!("{path} is not a device"),
        false => format!("Device {path} does not exist"),
    };
    Err(ApiError::died(text))
}
