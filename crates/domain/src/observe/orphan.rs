//! A record without its container.

use crate::app::StatusLabel;

/// What an orphan is, by the status its record had (doctrine section 1, point 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphan {
    /// It was on its way out, or in trouble: its end surprises nobody.
    Expected,
    /// Somebody removed the container of an app that was to be there.
    Anomalous,
}

impl Orphan {
    /// By the status.
    #[must_use]
    pub fn of(status: StatusLabel) -> Self {
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
            .map(|status| format!("{:<10} {}\n", status.label(), Orphan::of(status).label()))
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
}
