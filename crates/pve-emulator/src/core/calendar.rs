//! When a schedule like `mon..fri 02:30` or `*/15` is next due; what is written in another way has no such moment here.

/// Farther ahead nothing is looked for: every week has all that can be said.
const LOOK_AHEAD_MINUTES: u64 = 8 * 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A schedule, read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Schedule {
    /// Monday first.
    days: [bool; 7],
    hours: Vec<bool>,
    minutes: Vec<bool>,
}

/// The next moment after `now_s`, Unix seconds.
pub(crate) fn next(schedule: &str, now_s: u64) -> Option<u64> {
    let schedule = parse(schedule)?;
    let first = now_s / 60 + 1;
    let due = |minute: &u64| {
        let days = minute / (24 * 60);
        // 1 January 1970 was a Thursday.
        let day = usize::try_from((days + 3) % 7).unwrap_or_default();
        let hour = usize::try_from(minute / 60 % 24).unwrap_or_default();
        let minute = usize::try_from(minute % 60).unwrap_or_default();
        schedule.days[day] && schedule.hours[hour] && schedule.minutes[minute]
    };
    let found = (first..first + LOOK_AHEAD_MINUTES).find(due);
    found.map(|minute| minute * 60)
}

fn parse(text: &str) -> Option<Schedule> {
    let text = text.trim().to_ascii_lowercase();
    let named = match text.as_str() {
        "minutely" => Some("*:*"),
        "hourly" => Some("*:00"),
        "daily" => Some("00:00"),
        "weekly" => Some("mon 00:00"),
        _ => None,
    };
    let text = named.unwrap_or(&text);
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let (days, time) = match days(first) {
        Some(days) => (days, words.next()),
        None => ([true; 7], Some(first)),
    };
    if words.next().is_some() {
        return None;
    }
    let time = time.unwrap_or("00:00");
    let (hours, minutes) = match time.split(':').collect::<Vec<_>>().as_slice() {
        [minutes] => ("*", *minutes),
        [hours, minutes] | [hours, minutes, "0" | "00"] => (*hours, *minutes),
        _ => return None,
    };
    Some(Schedule {
        days,
        hours: field(hours, 24)?,
        minutes: field(minutes, 60)?,
    })
}

fn days(text: &str) -> Option<[bool; 7]> {
    let number = |name: &str| {
        let short = name.get(..3)?;
        DAYS.iter().position(|day| *day == short)
    };
    let mut found = [false; 7];
    for part in text.split(',') {
        let (from, to) = match part.split_once("..") {
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(part)?, number(part)?),
        };
        (from..=to).for_each(|day| found[day] = true);
    }
    Some(found)
}

/// `*`, `5`, `5,20`, `8..17`, `*/15` or `5/10`.
fn field(text: &str, size: usize) -> Option<Vec<bool>> {
    let mut found = vec![false; size];
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().ok()?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once("..") {
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None if range == "*" => (0, size - 1),
            None => {
                let from = range.parse::<usize>().ok()?;
                (from, if step.is_some() { size - 1 } else { from })
            }
        };
        if to >= size || step == Some(0) {
            return None;
        }
        (from..=to)
            .step_by(step.unwrap_or(1))
            .for_each(|at| found[at] = true);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday, 20 November 2026, 10:33:44.
    const NOW_S: u64 = 1_795_170_824;

    fn at(schedule: &str) -> String {
        next(schedule, NOW_S).map_or("never".into(), super::super::dates::stamp)
    }

    #[test]
    fn schedules_are_due_when_they_say() {
        for (schedule, due) in [
            ("sun 01:00", "2026-11-22 01:00:00"),
            ("02:30", "2026-11-21 02:30:00"),
            ("mon..thu 22:15", "2026-11-23 22:15:00"),
            ("*/15", "2026-11-20 10:45:00"),
            ("8..17:0/20", "2026-11-20 10:40:00"),
            ("hourly", "2026-11-20 11:00:00"),
            ("fri", "2026-11-27 00:00:00"),
            ("2027-01-01 00:00", "never"),
            ("25:00", "never"),
        ] {
            assert_eq!(at(schedule), due, "{schedule}");
        }
    }
}
