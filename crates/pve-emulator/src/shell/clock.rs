//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time, milliseconds.
#[allow(clippy::disallowed_methods)] // The emulator is a program of its own; its core gets the time as an argument from here.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// A moment as HTTP headers write it, e.g. `Thu, 01 Jan 1970 00:00:00 GMT`.
pub(super) fn http_date(unix_s: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, seconds) = (unix_s / 86_400, unix_s % 86_400);
    // Counting years from March makes the leap day the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 2
    } else {
        march_month - 10
    };
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let weekday = usize::try_from(days % 7).map_or("", |at| DAYS[at]);
    let month = usize::try_from(month).map_or("", |at| MONTHS[at]);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn writes_dates_of_the_gregorian_calendar() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(951_827_696), "Tue, 29 Feb 2000 12:34:56 GMT");
        assert_eq!(http_date(1_795_170_061), "Fri, 20 Nov 2026 10:21:01 GMT");
    }
}
