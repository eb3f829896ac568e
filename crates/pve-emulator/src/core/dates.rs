//! Moments as PVE writes them into logs and names; the cluster's clocks run on UTC.

struct Moment {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    weekday: usize,
}

fn moment(unix_s: u64) -> Moment {
    let (days, seconds) = (unix_s / 86_400, unix_s % 86_400);
    // Counting years from March makes the leap day the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    Moment {
        year: era * 400 + year_of_era + u64::from(month < 3),
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        weekday: usize::try_from(days % 7).unwrap_or_default(),
    }
}

/// `2026-11-20 10:22:53`.
pub(crate) fn stamp(unix_s: u64) -> String {
    let m = moment(unix_s);
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        m.year, m.month, m.day, m.hour, m.minute, m.second
    )
}

/// `2026_11_20-10_22_53`, as in names of backups.
pub(crate) fn file_stamp(unix_s: u64) -> String {
    stamp(unix_s).replace(['-', ':'], "_").replacen(' ', "-", 1)
}

/// `Fri Nov 20 10:33:44 2026`.
pub(crate) fn long(unix_s: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let m = moment(unix_s);
    let month = usize::try_from(m.month - 1).map_or("", |at| MONTHS[at]);
    format!(
        "{} {month} {:>2} {:02}:{:02}:{:02} {}",
        DAYS[m.weekday], m.day, m.hour, m.minute, m.second, m.year
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_all_forms() {
        assert_eq!(stamp(951_827_696), "2000-02-29 12:34:56");
        assert_eq!(file_stamp(1_795_170_015), "2026_11_20-10_20_15");
        assert_eq!(long(1_795_170_824), "Fri Nov 20 10:33:44 2026");
    }
}
