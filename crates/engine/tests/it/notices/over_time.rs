//! On virtual time: what is told when, and that nothing is lost or told too often.

use std::sync::Arc;
use std::time::Duration;

use proximity_engine::notify::Notifier;

use super::receiver::{Fate, Got, Receiver};
use super::site::{NOON, Site};

fn titles(got: &[Got]) -> Vec<&str> {
    got.iter().map(|g| g.title.as_str()).collect()
}

fn as_channel(receiver: &Arc<Receiver>) -> Arc<dyn Notifier> {
    receiver.clone()
}

#[tokio::test(start_paused = true)]
async fn each_channel_is_told_what_its_route_says_in_order() {
    let mut site = Site::at(NOON).await;
    let (all, grave) = (Receiver::new(&[]), Receiver::new(&[]));
    let notices = site.notices(
        &[("all", as_channel(&all)), ("grave", as_channel(&grave))],
        None,
    );
    site.run(&notices).await;
    site.change().await;
    site.warn().await;
    all.got(2).await;
    site.stick("web").await;
    let got = all.got(4).await;
    let stuck = "web: operation is stuck: a person is needed";
    assert_eq!(
        titles(&got),
        [
            "home: host changed",
            "home: node declared gone for good",
            stuck,
            "web: new app asked for",
        ],
        "what is critical comes first"
    );
    assert!(
        got[2].text.contains("it is odd (odd). Next: look at it"),
        "{}",
        got[2].text
    );
    let got = grave.got(2).await;
    assert_eq!(titles(&got), ["home: node declared gone for good", stuck]);
    site.end().await;
    let report = notices.report().await.unwrap();
    assert!(report.channels.iter().all(|c| c.waiting == 0), "{report:?}");
    assert!(!all.so_far().iter().any(|g| g.text.contains("a-secret")));
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_down_holds_up_no_other_and_is_told_once_when_it_is_back() {
    let mut site = Site::at(NOON).await;
    let fates = vec![Fate::NotTaken; 4];
    let (up, down) = (Receiver::new(&[]), Receiver::new(&fates));
    let notices = site.notices(
        &[("up", as_channel(&up)), ("down", as_channel(&down))],
        None,
    );
    site.run(&notices).await;
    site.warn().await;
    up.got(1).await;
    let report = async || notices.report().await.unwrap().channels.remove(0);
    while report().await.stands.unwrap().failures < 2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let stands = report().await.stands.unwrap();
    assert_eq!(stands.problem.as_deref(), Some("nobody answers"));
    let got = down.got(1).await;
    let passed = got[0].at - up.so_far()[0].at;
    // 5, 10, 20 and 40 s, each moved by a quarter at most.
    assert!((56_000..95_000).contains(&passed), "{passed}");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!((up.so_far().len(), down.so_far().len()), (1, 1));
    let stands = report().await.stands.unwrap();
    assert_eq!((stands.failures, stands.problem), (0, None));
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_piled_up_comes_as_one_message() {
    let mut site = Site::at(NOON).await;
    let receiver = Receiver::new(&[Fate::NotTaken]);
    let notices = site.notices(&[("mail", as_channel(&receiver))], None);
    site.run(&notices).await;
    for _ in 0..7 {
        site.warn().await;
    }
    let got = receiver.got(1).await;
    assert_eq!(titles(&got), ["7 notices"]);
    assert_eq!(got[0].text.lines().count(), 7);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn quiet_hours_hold_all_but_what_is_critical() {
    // Noon is quiet here, until half past one.
    let mut site = Site::at(NOON).await;
    let receiver = Receiver::new(&[]);
    let channels = [("mail", as_channel(&receiver))];
    let notices = site.notices(&channels, Some("11:00-13:30"));
    site.run(&notices).await;
    site.warn().await;
    site.change().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(receiver.so_far(), []);
    assert!(notices.report().await.unwrap().quiet_now);
    site.stick("web").await;
    let got = receiver.got(1).await;
    assert_eq!(
        titles(&got),
        ["web: operation is stuck: a person is needed"]
    );
    let got = receiver.got(2).await;
    assert_eq!(
        got[1].title, "3 notices",
        "two of the host, and the request"
    );
    let end = NOON + 90 * 60_000;
    assert!(
        (end..end + 60_000).contains(&got[1].at),
        "{}",
        got[1].at - NOON
    );
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_nothing_is_lost_and_one_message_is_told_twice_at_most() {
    let mut site = Site::at(NOON).await;
    let hangs = Receiver::new(&[Fate::Hangs]);
    let notices = site.notices(&[("mail", as_channel(&hangs))], None);
    site.run(&notices).await;
    site.warn().await;
    let first = hangs.got(1).await.remove(0);
    site.crash().await;
    // What happens while nobody is there is told as well.
    site.change().await;
    let back = Receiver::new(&[]);
    let notices = site.notices(&[("mail", as_channel(&back))], None);
    site.run(&notices).await;
    let got = back.got(2).await;
    assert_eq!(
        titles(&got),
        ["home: node declared gone for good", "home: host changed"]
    );
    assert_eq!(got[0].id, first.id, "by its id the second one is known");
    assert_ne!(got[1].id, first.id);
    site.end().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(back.so_far().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_repeats_the_message_under_its_id() {
    let mut site = Site::at(NOON).await;
    let receiver = Receiver::new(&[Fate::MaybeTaken]);
    let notices = site.notices(&[("mail", as_channel(&receiver))], None);
    site.run(&notices).await;
    site.warn().await;
    let got = receiver.got(2).await;
    assert_eq!(got[0].id, got[1].id);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(receiver.so_far().len(), 2);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_while_others_are_taken_is_given_up_and_that_is_told() {
    let mut site = Site::at(NOON).await;
    let receiver = Receiver::refusing("gone for good");
    let notices = site.notices(&[("mail", as_channel(&receiver))], None);
    site.run(&notices).await;
    site.warn().await;
    let stands = async || {
        tokio::time::sleep(Duration::from_secs(7_200)).await;
        let report = notices.report().await.unwrap().channels.remove(0);
        (report.waiting, report.stands.unwrap().dropped)
    };
    assert_eq!(stands().await, (1, 0), "the channel may be what is wrong");
    site.change().await;
    assert_eq!(stands().await, (0, 1));
    let got = receiver.so_far();
    assert_eq!(titles(&got), ["home: host changed"]);
    assert!(!got[0].text.contains("earlier"), "not given up yet");
    site.change().await;
    let got = receiver.got(2).await;
    assert!(
        got[1].text.contains("1 earlier notice could not be sent"),
        "{}",
        got[1].text
    );
    site.change().await;
    let got = receiver.got(3).await;
    assert!(!got[2].text.contains("earlier"), "it is told once");
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_answer_is_always_lost_ends_only_while_others_are_taken() {
    let mut site = Site::at(NOON).await;
    let receiver = Receiver::losing("gone for good");
    let notices = site.notices(&[("mail", as_channel(&receiver))], None);
    site.run(&notices).await;
    site.warn().await;
    let waiting = async || {
        tokio::time::sleep(Duration::from_secs(7_200)).await;
        notices.report().await.unwrap().channels.remove(0).waiting
    };
    assert_eq!(waiting().await, 1, "a receiver that hangs loses nothing");
    site.change().await;
    assert_eq!(waiting().await, 0);
    let told = receiver.so_far().len();
    assert_eq!(waiting().await, 0);
    assert_eq!(receiver.so_far().len(), told, "it does not come again");
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn quiet_apps_write_nothing() {
    let mut site = Site::at(NOON).await;
    let receiver = Receiver::new(&[]);
    let notices = site.notices(&[("mail", as_channel(&receiver))], None);
    site.run(&notices).await;
    site.warn().await;
    receiver.got(1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let commits = site.store.commits();
    tokio::time::sleep(Duration::from_secs(7 * 86_400)).await;
    assert!(!commits.has_changed().unwrap());
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_test_says_what_each_receiver_answered_and_a_name_that_is_not_there_is_refused() {
    let site = Site::at(NOON).await;
    let (fine, broken) = (Receiver::new(&[]), Receiver::new(&[Fate::NotTaken]));
    let channels = [("ok", as_channel(&fine)), ("broken", as_channel(&broken))];
    let notices = site.notices(&channels, None);
    let tests = notices.test(None).await.unwrap();
    let said = tests.iter().map(|t| match &t.outcome {
        Ok(answer) => (t.name.as_str(), answer.clone()),
        Err(error) => (t.name.as_str(), error.to_string()),
    });
    let said: Vec<_> = said.collect();
    assert_eq!(
        said,
        [
            ("broken", "nobody answers".to_owned()),
            ("ok", "taken".to_owned())
        ]
    );
    assert_eq!(notices.test(Some("ok")).await.unwrap().len(), 1);
    let refused = notices.test(Some("nobody")).await.unwrap_err();
    assert_eq!(refused.code(), "not_found");
    let none = site.notices(&[], None).test(None).await.unwrap_err();
    assert_eq!(none.code(), "not_found");
}

/// A program is told of an app as it happened, also where something critical goes at once.
#[tokio::test(start_paused = true)]
async fn a_program_is_told_what_came_before_what_is_critical_with_it() {
    let mut site = Site::at(NOON).await;
    let program = Receiver::in_order(&[], None);
    let notices = site.notices(&[("hook", as_channel(&program))], Some("11:00-13:30"));
    site.run(&notices).await;
    site.change().await;
    site.stick("web").await;
    let got = program.got(1).await;
    assert_eq!(titles(&got), ["2 notices"], "those of the app alone");
    let lines: Vec<&str> = got[0].text.lines().collect();
    assert!(lines[0].ends_with("web: new app asked for"), "{lines:?}");
    assert!(lines[1].contains("operation is stuck"), "{lines:?}");
    let got = program.got(2).await;
    assert_eq!(got[1].title, "home: host changed", "once it is not quiet");
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_and_again_is_overtaken_by_nothing_of_its_subject() {
    let mut site = Site::at(NOON).await;
    let fates = vec![Fate::NotTaken; 4];
    let program = Receiver::in_order(&fates, None);
    let notices = site.notices(&[("hook", as_channel(&program))], None);
    site.run(&notices).await;
    site.warn().await;
    site.change().await;
    let got = program.got(2).await;
    let both = ["home: node declared gone for good", "home: host changed"];
    assert_eq!(titles(&got), both);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_holds_up_its_subject_alone_and_not_for_ever() {
    let mut site = Site::at(NOON).await;
    let program = Receiver::in_order(&[], Some(("gone for good", Fate::Refused)));
    let notices = site.notices(&[("hook", as_channel(&program))], None);
    site.run(&notices).await;
    site.warn().await;
    site.change().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(program.so_far(), [], "it waits for the one before it");
    site.stick("web").await;
    let got = program.got(1).await;
    assert_eq!(titles(&got), ["2 notices"], "another subject goes on");
    let got = program.got(2).await;
    assert_eq!(got[1].title, "home: host changed");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let report = notices.report().await.unwrap().channels.remove(0);
    assert_eq!((report.waiting, program.so_far().len()), (0, 2));
    site.end().await;
}
