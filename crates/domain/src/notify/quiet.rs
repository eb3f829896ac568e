//! Quiet hours, as the clock on the wall shows them.

use std::fmt;
use std::str::FromStr;

/// Minutes since midnight on the local clock, 0 to 1439. The clock on the wall jumps when daylight saving begins and
/// ends; who makes one of these from a moment knows the time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinuteOfDay(u16);

impl MinuteOfDay {
    /// 00:00.
    pub const MIDNIGHT: Self = Self(0);

    /// From hours and minutes; `None` when there is no such time of day.
    #[must_use]
    pub fn new(hour: u16, minute: u16) -> Option<Self> {
        (hour < 24 && minute < 60).then_some(Self(hour * 60 + minute))
    }
}

impl FromStr for MinuteOfDay {
    type Err = BadQuietHours;

    fn from_str(text: &str) -> Result<Self, BadQuietHours> {
        let two = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok()).flatten()
        };
        let (hour, minute) = text.split_once(':').ok_or(BadQuietHours)?;
        let (hour, minute) = two(hour).zip(two(minute)).ok_or(BadQuietHours)?;
        Self::new(hour, minute).ok_or(BadQuietHours)
    }
}

impl fmt::Display for MinuteOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// The text is no span of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quiet hours are written as HH:MM-HH:MM with two different times, e.g. 22:00-07:00")]
pub struct BadQuietHours;

/// A span of each day; it may go past midnight. The first minute belongs to it, the last does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: MinuteOfDay,
    to: MinuteOfDay,
}

impl QuietHours {
    /// Whether it is quiet when the clock on the wall shows `now`.
    #[must_use]
    pub fn holds(self, now: MinuteOfDay) -> bool {
        if self.from < self.to {
            self.from <= now && now < self.to
        } else {
            self.from <= now || now < self.to
        }
    }
}

impl FromStr for QuietHours {
    type Err = BadQuietHours;

    fn from_str(text: &str) -> Result<Self, BadQuietHours> {
        let (from, to) = text.split_once('-').ok_or(BadQuietHours)?;
        let (from, to) = (from.trim().parse()?, to.trim().parse()?);
        if from == to {
            return Err(BadQuietHours);
        }
        Ok(Self { from, to })
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(hours: &str, now: &str) -> bool {
        let hours: QuietHours = hours.parse().unwrap();
        hours.holds(now.parse().unwrap())
    }

    #[test]
    fn a_span_within_a_day_and_one_past_midnight() {
        for (hours, now, expected) in [
            ("12:00-13:30", "11:59", false),
            ("12:00-13:30", "12:00", true),
            ("12:00-13:30", "13:29", true),
            ("12:00-13:30", "13:30", false),
            ("22:00-07:00", "21:59", false),
            ("22:00-07:00", "22:00", true),
            ("22:00-07:00", "00:00", true),
            ("22:00-07:00", "06:59", true),
            ("22:00-07:00", "07:00", false),
        ] {
            assert_eq!(quiet(hours, now), expected, "{now} in {hours}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "22:00",
            "22-07",
            "24:00-07:00",
            "22:60-07:00",
            "7:00-8:00",
            "22:00-22:00",
            "+1:00-07:00",
            "22:00-07:00-08:00",
        ] {
            assert_eq!(text.parse::<QuietHours>(), Err(BadQuietHours), "{text}");
        }
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let hours: QuietHours = "22:00 - 07:05".parse().unwrap();
        assert_eq!(hours.to_string(), "22:00-07:05");
    }
}
