//! `proximity notify channels` and `proximity notify test`.

use proximity_api::error::ExitCode;
use proximity_api::notices::{ChannelList, ChannelTests, NoticeChannel, TestChannels};

use crate::cli::NotifyTest;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{moment, table};

pub(crate) async fn channels(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.channels().await?;
    context.output.result(&list, human)
}

pub(crate) async fn test(context: &Context, args: NotifyTest) -> Result<(), Failed> {
    let body = TestChannels {
        channel: args.channel,
    };
    let tests = context.client()?.test_channels(&body).await?;
    context.output.result(&tests, tested)?;
    match exit(&tests) {
        ExitCode::Ok => Ok(()),
        code => Err(Failed::said(code)),
    }
}

/// A channel that did not take its test does not work.
fn exit(tests: &ChannelTests) -> ExitCode {
    if tests.tests.iter().all(|test| test.taken) {
        ExitCode::Ok
    } else {
        ExitCode::Faults
    }
}

fn human(list: &ChannelList) -> String {
    let mut text = table(
        [
            "CHANNEL",
            "KIND",
            "IS TOLD",
            "WAITING",
            "LAST TOLD",
            "TROUBLE",
        ],
        list.channels.iter().map(row),
        "no channels: name some under notify.channels in the configuration",
    );
    if let Some(hours) = &list.quiet_hours {
        let now = if list.quiet_now {
            ", and it is quiet now"
        } else {
            ""
        };
        text.push_str(&format!("\n\nquiet hours {hours} {}{now}", list.time_zone));
    }
    text
}

fn row(channel: &NoticeChannel) -> [String; 6] {
    let mut trouble = channel.problem.clone().unwrap_or_default();
    if let Some(at) = channel.retry_at {
        trouble = format!("{trouble} (tried again at {})", moment(at));
    }
    if channel.dropped > 0 {
        trouble = format!("{trouble} ({} given up)", channel.dropped);
    }
    [
        channel.name.clone(),
        channel.kind.clone(),
        match channel.severities.as_slice() {
            [] => "nothing".to_owned(),
            some => some.join(", "),
        },
        channel.waiting.to_string(),
        channel.delivered_at.map(moment).unwrap_or_default(),
        trouble.trim().to_owned(),
    ]
}

fn tested(tests: &ChannelTests) -> String {
    let line = |test: &proximity_api::notices::ChannelTest| {
        let taken = if test.taken { "taken" } else { "NOT TAKEN" };
        let (channel, kind, answer) = (&test.channel, &test.kind, &test.answer);
        format!(
            "{channel} ({kind}): {taken} after {} ms: {answer}",
            test.took_ms
        )
    };
    let lines: Vec<String> = tests.tests.iter().map(line).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proximity_api::notices::ChannelTest;

    use super::*;

    fn channel(name: &str, problem: Option<&str>) -> NoticeChannel {
        NoticeChannel {
            name: name.to_owned(),
            kind: "smtp".to_owned(),
            severities: vec!["warning".to_owned(), "critical".to_owned()],
            quiet_hours: true,
            waiting: 2,
            failures: u32::from(problem.is_some()),
            retry_at: problem.map(|_| Timestamp::UNIX_EPOCH),
            problem: problem.map(str::to_owned),
            dropped: 0,
            delivered_at: Some(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn channels_are_a_table_for_people() {
        let list = ChannelList {
            channels: vec![
                channel("mail", None),
                channel("other", Some("nobody answers")),
            ],
            quiet_hours: Some("22:00-07:00".to_owned()),
            time_zone: "Europe/Berlin".to_owned(),
            quiet_now: true,
        };
        let text = human(&list);
        for part in [
            "mail",
            "warning, critical",
            "nobody answers (tried again at ",
            "quiet hours 22:00-07:00 Europe/Berlin, and it is quiet now",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_test_says_what_was_answered_and_fails_with_the_first_that_was_not_taken() {
        let test = |name: &str, taken, answer: &str| ChannelTest {
            channel: name.to_owned(),
            kind: "ntfy".to_owned(),
            taken,
            answer: answer.to_owned(),
            took_ms: 12,
        };
        let mut tests = ChannelTests {
            tests: vec![test("a", true, "HTTP 200 OK")],
        };
        assert_eq!(exit(&tests).number(), 0);
        tests.tests.push(test("b", false, "nobody answers"));
        assert_eq!(exit(&tests).number(), 14);
        let text = "a (ntfy): taken after 12 ms: HTTP 200 OK\nb (ntfy): NOT TAKEN after 12 ms: nobody answers";
        assert_eq!(tested(&tests), text);
    }
}
