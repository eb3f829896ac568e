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

/// Ticks of a second in /proc. The kernel's own clock may be another one; what it shows to programs is this on every machine
/// we build for (USER_HZ).
const TICKS: f64 = 100.0;

/// Time that processors spent on this process, its calls into the kernel included, seconds.
pub(super) fn cpu_seconds() -> f64 {
    ticks(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default()) / TICKS
}

/// The two times in a line of `stat`. The program's name, which may be anything, ends with the last bracket; the times are the
/// 12th and 13th field behind it (proc_pid_stat(5)).
fn ticks(stat: &str) -> f64 {
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let times = behind.split_whitespace().skip(11).take(2);
    times.filter_map(|field| field.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_whatever_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 9 9 20 0 4 0 1 1 1";
        assert!((ticks(stat) - 300.0).abs() < f64::EPSILON);
        assert!(ticks("").abs() < f64::EPSILON);
    }
}
