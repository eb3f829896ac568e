//! What doctor found.

use proximity_api::doctor::{DoctorReport, Finding, FindingCounts};
use proximity_engine::commands::{self, Level};

/// The findings with their counts.
pub(crate) fn doctor_report(findings: Vec<commands::Finding>) -> DoctorReport {
    let count = |level| {
        let of_it = findings.iter().filter(|f| f.level() == level);
        u64::try_from(of_it.count()).unwrap_or(u64::MAX)
    };
    let worst = findings.iter().map(commands::Finding::level).max();
    DoctorReport {
        level: worst.unwrap_or(Level::Ok).to_string(),
        counts: FindingCounts {
            fault: count(Level::Fault),
            unknown: count(Level::Unknown),
            warning: count(Level::Warning),
            note: count(Level::Note),
            ok: count(Level::Ok),
        },
        findings: findings.into_iter().map(finding).collect(),
    }
}

fn finding(finding: commands::Finding) -> Finding {
    Finding {
        code: finding.code.to_string(),
        level: finding.level().to_string(),
        host: finding.host,
        subject: finding.subject,
        what: finding.what,
        next: finding.next,
    }
}
