//! What channels are told: nothing is lost, nothing is told twice, and what is too much is counted.

use proximity_domain::notify::{ChannelName, Severity, Waiting};
use proximity_domain::time::Timestamp;
use proximity_store::notices::{NOTICES_PER_CHANNEL, NewNotice, NoticeChannel, TakeUp};

use super::world::{Make, World};

fn name(text: &str) -> ChannelName {
    text.parse().unwrap()
}

fn notice(seq: i64, severity: Severity, subject: Option<&str>) -> NewNotice {
    let waiting = Waiting {
        seq,
        severity,
        held: seq % 2 == 0,
    };
    NewNotice {
        waiting,
        subject: subject.map(str::to_owned),
    }
}

async fn channel(world: &World, channel: &ChannelName) -> NoticeChannel {
    let channels = world.store.notice_channels().await.unwrap();
    let found = channels.into_iter().find(|c| c.channel == *channel);
    found.unwrap()
}

async fn waiting(world: &World, channel: &ChannelName) -> Vec<i64> {
    let waiting = world.store.waiting_notices(channel).await.unwrap();
    waiting.iter().map(|w| w.seq).collect()
}

async fn take(world: &World, channel: &ChannelName, to: i64, notices: Vec<NewNotice>) -> bool {
    let from = self::channel(world, channel).await.seq;
    let take = TakeUp { from, to, notices };
    let taken = world.store.take_up_notices(channel, &take, world.at());
    taken.await.unwrap()
}

pub async fn begin_with_what_happens_from_now_on(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    world.journal_numbered().await;
    let mail = name("mail");
    let kept = world
        .store
        .keep_notice_channels(std::slice::from_ref(&mail));
    assert_eq!(kept.await.unwrap(), 0);
    let newest = world.store.newest_event().await.unwrap();
    assert!(newest > 0);
    assert_eq!(channel(&world, &mail).await.seq, newest);
    // Later it stays where it stands.
    world.create("web2").await;
    world.journal_numbered().await;
    let both = [mail.clone(), name("phone")];
    world.store.keep_notice_channels(&both).await.unwrap();
    assert_eq!(channel(&world, &mail).await.seq, newest);
    assert!(channel(&world, &both[1]).await.seq > newest);
    world.assert_sound().await;
}

pub async fn are_forgotten_with_their_channel(make: &impl Make) {
    let world = World::new(make).await;
    let (mail, phone) = (name("mail"), name("phone"));
    let both = [mail.clone(), phone.clone()];
    world.store.keep_notice_channels(&both).await.unwrap();
    for of in &both {
        let one = vec![notice(50, Severity::Info, Some("web"))];
        assert!(take(&world, of, 50, one).await);
    }
    let kept = world
        .store
        .keep_notice_channels(std::slice::from_ref(&phone));
    assert_eq!(kept.await.unwrap(), 1);
    assert_eq!(world.store.notice_channels().await.unwrap().len(), 1);
    assert_eq!(waiting(&world, &mail).await, [0_i64; 0]);
    assert_eq!(waiting(&world, &phone).await, [50]);
    // It comes back as a new one.
    world.store.keep_notice_channels(&both).await.unwrap();
    assert!(channel(&world, &mail).await.seq < 50);
    let again = vec![notice(51, Severity::Info, Some("web"))];
    assert!(take(&world, &mail, 51, again).await);
    assert_eq!(waiting(&world, &mail).await, [51]);
    world.assert_sound().await;
}

pub async fn are_taken_up_once(make: &impl Make) {
    let world = World::new(make).await;
    let mail = name("mail");
    let from = {
        let names = std::slice::from_ref(&mail);
        world.store.keep_notice_channels(names).await.unwrap();
        channel(&world, &mail).await.seq
    };
    let up = TakeUp {
        from,
        to: from + 9,
        notices: vec![
            notice(from + 1, Severity::Warning, None),
            notice(from + 4, Severity::Critical, None),
        ],
    };
    let taken = async || world.store.take_up_notices(&mail, &up, world.at()).await;
    assert!(taken().await.unwrap());
    assert!(!taken().await.unwrap(), "it stands elsewhere by now");
    assert_eq!(waiting(&world, &mail).await, [from + 1, from + 4]);
    assert_eq!(channel(&world, &mail).await.seq, from + 9);
    let nobody = name("nobody");
    let refused = world.store.take_up_notices(&nobody, &up, world.at());
    assert!(!refused.await.unwrap());
    let all = world.store.waiting_notices(&mail).await.unwrap();
    let expected: Vec<Waiting> = up.notices.iter().map(|n| n.waiting).collect();
    assert_eq!(all, expected);
}

pub async fn tell_of_a_subject_once(make: &impl Make) {
    let mut world = World::new(make).await;
    let mail = name("mail");
    let names = std::slice::from_ref(&mail);
    world.store.keep_notice_channels(names).await.unwrap();
    let of = |seq, subject| notice(seq, Severity::Critical, Some(subject));
    let first = vec![of(101, "a"), of(102, "b"), of(103, "a")];
    assert!(take(&world, &mail, 110, first).await);
    assert_eq!(waiting(&world, &mail).await, [101, 102]);
    let delivered = world
        .store
        .notices_delivered(&mail, &[101, 102], 0, world.at());
    delivered.await.unwrap();
    world.pass(89 * 86_400_000);
    assert!(take(&world, &mail, 120, vec![of(111, "b")]).await);
    assert_eq!(waiting(&world, &mail).await, [0_i64; 0], "told is told");
    world.pass(2 * 86_400_000);
    assert!(take(&world, &mail, 130, vec![of(121, "b")]).await);
    assert_eq!(waiting(&world, &mail).await, [121], "nobody remembers");
    world.assert_sound().await;
}

pub async fn failures_are_counted_until_a_delivery(make: &impl Make) {
    let world = World::new(make).await;
    let mail = name("mail");
    let names = std::slice::from_ref(&mail);
    world.store.keep_notice_channels(names).await.unwrap();
    let two = vec![
        notice(101, Severity::Info, None),
        notice(102, Severity::Info, None),
    ];
    assert!(take(&world, &mail, 102, two).await);
    let long = format!("no\0 answer {}", "x".repeat(1_000));
    for n in 1..3 {
        let retry_at = Timestamp(n * 1_000);
        let failed = world.store.notices_failed(&mail, &long, retry_at);
        failed.await.unwrap();
        let found = channel(&world, &mail).await;
        assert_eq!(
            (i64::from(found.failures), found.retry_at),
            (n, Some(retry_at))
        );
        let problem = found.problem.unwrap();
        assert!(problem.starts_with("no\u{fffd} answer") && problem.chars().count() == 500);
    }
    let given_up = world.store.give_notices_up(&mail, &[101, 999], "too large");
    given_up.await.unwrap();
    let found = channel(&world, &mail).await;
    assert_eq!(
        (found.dropped, found.failures, found.retry_at),
        (1, 0, None)
    );
    assert!(found.problem.is_some());
    assert_eq!(waiting(&world, &mail).await, [102]);
    let delivered = world.store.notices_delivered(&mail, &[102], 1, world.at());
    delivered.await.unwrap();
    let mut whole = NoticeChannel::new(mail.clone(), 102);
    whole.delivered_at = Some(world.at());
    assert_eq!(channel(&world, &mail).await, whole);
    world.assert_sound().await;
}

pub async fn have_an_end_and_count_what_is_too_much(make: &impl Make) {
    let world = World::new(make).await;
    let mail = name("mail");
    let names = std::slice::from_ref(&mail);
    world.store.keep_notice_channels(names).await.unwrap();
    let most = NOTICES_PER_CHANNEL as i64;
    let severity = |seq: i64| match seq {
        101 => Severity::Critical,
        102 => Severity::Warning,
        _ => Severity::Info,
    };
    let many = (101..101 + most).map(|seq| notice(seq, severity(seq), None));
    assert!(take(&world, &mail, 100 + most, many.collect()).await);
    assert_eq!(channel(&world, &mail).await.dropped, 0);
    let next = 101 + most;
    let three = (next..next + 3).map(|seq| notice(seq, Severity::Warning, None));
    assert!(take(&world, &mail, next + 2, three.collect()).await);
    assert_eq!(channel(&world, &mail).await.dropped, 3);
    let left = waiting(&world, &mail).await;
    assert_eq!(left.len() as i64, most);
    assert_eq!(
        left[..3],
        [101, 102, 106],
        "the oldest of the least grave went"
    );
    world.assert_sound().await;
}
