//! `journalctl`.

use super::super::exec::{Ended, Run};
use super::super::options::Options;
use super::super::units::full_name;

/// `journalctl [-u UNIT] [-n LINES] [--no-pager] [-o cat] …`.
pub(crate) fn journalctl(run: &Run<'_>, args: &[String]) -> Ended {
    const OPTIONS: Options = Options {
        short: "u:n:o:xebqar",
        long: &[
            "unit=",
            "lines=",
            "no-pager",
            "output=",
            "quiet",
            "boot",
            "reverse",
            "all",
            "catalog",
            "pager-end",
        ],
    };
    let given = match OPTIONS.read("journalctl", args) {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let unit = given.value(&["u", "unit"]).map(full_name);
    let output = given.value(&["o", "output"]).unwrap_or("short");
    if !["short", "cat"].contains(&output) {
        return Ended::failed(1, format!("Unknown output format '{output}'."));
    }
    let bare = output == "cat";
    let wanted = given.value(&["n", "lines"]).filter(|n| *n != "all");
    let wanted = match wanted.map(str::parse) {
        None => usize::MAX,
        Some(Ok(count)) => count,
        Some(Err(_)) => {
            let given = wanted.unwrap_or_default();
            // The number may be left out; a word that is none is a match then.
            let text = format!("Failed to add match '{given}': Invalid argument");
            return Ended::failed(1, text);
        }
    };
    let mut lines: Vec<String> = run
        .guest
        .journal
        .iter()
        .filter(|line| unit.is_none() || line.unit == unit)
        .map(|line| {
            if bare {
                return format!("{}\n", line.text);
            }
            let host = &run.guest.shape.hostname;
            format!("{} {host} {}: {}\n", stamp(line.at_s), line.from, line.text)
        })
        .collect();
    if lines.is_empty() {
        let quiet = given.has(&["q", "quiet"]);
        return Ended::said(if quiet { "" } else { "-- No entries --\n" });
    }
    lines.drain(..lines.len().saturating_sub(wanted));
    if given.has(&["r", "reverse"]) {
        lines.reverse();
    }
    Ended::said(lines.concat())
}

/// `Nov 26 13:00:00`, UTC.
pub(crate) fn stamp(at_s: u64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, seconds) = (at_s / 86_400, at_s % 86_400);
    // Days since 0000-03-01, in eras of 400 years.
    let shifted = days + 719_468;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let name = usize::try_from((month + 2) % 12)
        .ok()
        .and_then(|m| MONTHS.get(m));
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!(
        "{} {day:02} {hour:02}:{minute:02}:{second:02}",
        name.unwrap_or(&"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_follow_the_calendar() {
        assert_eq!(stamp(0), "Jan 01 00:00:00");
        assert_eq!(stamp(951_782_400), "Feb 29 00:00:00");
        assert_eq!(stamp(1_795_698_061), "Nov 26 13:01:01");
    }
}
