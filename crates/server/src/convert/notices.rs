use proximity_api::notices::{ChannelList, ChannelTest, ChannelTests, NoticeChannel};
use proximity_engine::notify::{ChannelReport, NoticesReport, TestReport};

use super::moment;

pub(crate) fn channel_list(report: NoticesReport) -> ChannelList {
    ChannelList {
        channels: report.channels.into_iter().map(channel).collect(),
        quiet_hours: report.quiet.map(|hours| hours.to_string()),
        time_zone: report.time_zone,
        quiet_now: report.quiet_now,
    }
}

fn channel(report: ChannelReport) -> NoticeChannel {
    let stands = report.stands;
    let severities = report.severities.iter();
    NoticeChannel {
        name: report.name.to_string(),
        kind: report.kind.to_owned(),
        severities: severities.map(|s| s.label().to_owned()).collect(),
        quiet_hours: report.keeps_quiet,
        waiting: report.waiting,
        failures: stands.as_ref().map_or(0, |s| s.failures),
        retry_at: stands.as_ref().and_then(|s| s.retry_at).map(moment),
        problem: stands.as_ref().and_then(|s| s.problem.clone()),
        dropped: stands.as_ref().map_or(0, |s| s.dropped),
        delivered_at: stands.as_ref().and_then(|s| s.delivered_at).map(moment),
    }
}

pub(crate) fn channel_tests(reports: Vec<TestReport>) -> ChannelTests {
    let test = |report: TestReport| ChannelTest {
        channel: report.name.to_string(),
        kind: report.kind.to_owned(),
        taken: report.outcome.is_ok(),
        answer: match report.outcome {
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        },
        took_ms: report.took_ms,
    };
    ChannelTests {
        tests: reports.into_iter().map(test).collect(),
    }
}
