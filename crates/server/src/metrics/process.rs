//! What the kernel says about this process. 0 where it does not say.

/// Memory that is held, bytes.
pub(super) fn resident_bytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// Files that are open.
pub(super) fn open_files() -> i64 {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    i64::try_from(open).unwrap_or(i64::MAX)
}
