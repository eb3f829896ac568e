//! A record without its container.

use crate::app::StatusLabel;

/// What our own record says of how a container went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A call of the app's operation that destroys it has left, and was not refused.
    OurDestroy,
    /// Nothing of ours.
    Unexplained,
}

/// What an orphan is, by the status its record had and by what explains its end (doctrine section 1, point 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphan {
    /// It was on its way out, or in trouble: its end surprises nobody.
    Expected,
    /// Somebody removed the container of an app that was to be there.
    Anomalous,
}

impl Orphan {
    /// By the status; what we destroyed ourselves is expected in each, for nobody deleted it behind our back.
    #[must_use]
    pub fn of(status: StatusLabel, cause: Cause) -> Self {
        if cause == Cause::OurDestroy {
            return Self::Expected;
        }
        match status {
            StatusLabel::Removing | StatusLabel::Error => Self::Expected,
            StatusLabel::Deploying
            | StatusLabel::Adopting
            | StatusLabel::Cloning
            | StatusLabel::Running
            | StatusLabel::Stopped
            | StatusLabel::Updating => Self::Anomalous,
        }
    }

    /// Stable label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Anomalous => "anomalous",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_removing_and_error_are_expected() {
        let table: String = StatusLabel::ALL
            .into_iter()
            .map(|status| {
                let kind = Orphan::of(status, Cause::Unexplained);
                format!("{:<10} {}\n", status.label(), kind.label())
            })
            .collect();
        insta::assert_snapshot!(table, @r"
        deploying  anomalous
        adopting   anomalous
        cloning    anomalous
        running    anomalous
        stopped    anomalous
        updating   anomalous
        removing   expected
        error      expected
        ");
    }

    #[test]
    fn what_we_destroyed_ourselves_is_expected_whatever_the_status() {
        for status in StatusLabel::ALL {
            assert_eq!(Orphan::of(status, Cause::OurDestroy), Orphan::Expected);
        }
    }
}
