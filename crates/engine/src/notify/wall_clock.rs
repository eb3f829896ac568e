//! What the clock on the wall shows: a moment in a time zone.

use jiff::tz::TimeZone;
use proximity_domain::notify::MinuteOfDay;
use proximity_domain::time::Timestamp;

/// A time zone whose rules are known.
#[derive(Debug, Clone)]
pub struct WallClock(TimeZone);

/// The system's database has no such time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone {0:?} in this system's database (Debian: package tzdata)")]
pub struct UnknownTimeZone(pub String);

impl WallClock {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// A zone by its name, e.g. `Europe/Berlin`.
    ///
    /// # Errors
    /// [`UnknownTimeZone`].
    pub fn of_zone(name: &str) -> Result<Self, UnknownTimeZone> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        let zone = TimeZone::get(name).map_err(|_| UnknownTimeZone(name.to_owned()))?;
        Ok(Self(zone))
    }

    /// What the clock shows. A moment out of the calendar is midnight.
    #[must_use]
    pub fn shows(&self, at: Timestamp) -> MinuteOfDay {
        let moment = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
        let local = self.0.to_datetime(moment);
        let part = |n: i8| u16::try_from(n).unwrap_or_default();
        MinuteOfDay::new(part(local.hour()), part(local.minute())).unwrap_or(MinuteOfDay::MIDNIGHT)
    }
}

/// A moment for people, in UTC, to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    let moment = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use proximity_domain::notify::QuietHours;

    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp(moment.as_millisecond())
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(moment(at("2026-11-28T01:02:03Z")), "2026-11-28 01:02:03Z");
    }

    /// In Berlin the clock goes from 2 to 3 on 2026-03-29 (01:00Z), and from 3 back to 2 on 2026-10-25 (01:00Z).
    #[test]
    fn quiet_hours_follow_the_clock_on_the_wall() {
        let berlin = WallClock::of_zone("Europe/Berlin").unwrap();
        let quiet: QuietHours = "02:30-07:00".parse().unwrap();
        for (moment, shown, expected) in [
            ("2026-01-10T05:59:00Z", "06:59", true),
            ("2026-01-10T06:00:00Z", "07:00", false),
            ("2026-07-10T04:59:00Z", "06:59", true),
            ("2026-07-10T05:00:00Z", "07:00", false),
            // 02:30 is skipped: it is quiet from 03:00 on.
            ("2026-03-29T00:59:00Z", "01:59", false),
            ("2026-03-29T01:00:00Z", "03:00", true),
            ("2026-03-29T04:59:00Z", "06:59", true),
            ("2026-03-29T05:00:00Z", "07:00", false),
            // 02:30 comes twice, with a part that is not quiet between.
            ("2026-10-25T00:30:00Z", "02:30", true),
            ("2026-10-25T01:00:00Z", "02:00", false),
            ("2026-10-25T01:30:00Z", "02:30", true),
            ("2026-10-25T05:59:00Z", "06:59", true),
            ("2026-10-25T06:00:00Z", "07:00", false),
        ] {
            let now = berlin.shows(at(moment));
            assert_eq!(now.to_string(), shown, "{moment}");
            assert_eq!(quiet.holds(now), expected, "{moment}");
        }
    }

    #[test]
    fn a_zone_that_is_not_there_is_refused() {
        let refused = WallClock::of_zone("Europe/Atlantis").unwrap_err();
        assert!(refused.to_string().contains("Europe/Atlantis"));
    }
}
