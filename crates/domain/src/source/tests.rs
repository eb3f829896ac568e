use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::app::AppClass;
use crate::apply::Consent;
use crate::desired::{DesiredSpec, Documents};
use crate::failure::Failure;
use crate::ids::{AppId, PlanId};
use crate::manifest::Manifest;
use crate::names::{BranchName, CommitId, Hostname, RepositoryPath, SecretName};
use crate::plan::{Act, Change, Downtime, MassBrake, Obstacle, Place, Plan};
use crate::time::Timestamp;

fn change(name: &str, act: Act) -> Change {
    Change {
        name: name.parse().unwrap(),
        app: None,
        class: AppClass::Native,
        place: Place {
            vmid: Some(100.try_into().unwrap()),
            ..Place::default()
        },
        layer: 0,
        depends_on: Vec::new(),
        act,
        fields: Vec::new(),
        downtime: Downtime::None,
        at_risk: Vec::new(),
        lacks: Vec::new(),
        obstacles: Vec::new(),
        notes: Vec::new(),
    }
}

fn plan(prune: bool, changes: Vec<Change>) -> Plan {
    Plan {
        digest: String::new(),
        basis: String::new(),
        prune,
        changes,
        unchanged: 0,
        uncompared: 0,
        ignored: Vec::new(),
        brake: None,
        rollback: None,
    }
}

fn commit(n: u8) -> CommitId {
    format!("{n:040x}").parse().unwrap()
}

fn due(now: i64) -> Due {
    Due {
        now: Timestamp(now),
        every_s: 60,
    }
}

fn why(code: &str) -> Failure {
    Failure::new(code, "what", "hint")
}

fn waits(verdict: &Verdict, word: &str) -> bool {
    matches!(verdict, Verdict::Waits(why) if why.code == "source_waits" && why.message.contains(word))
}

#[test]
fn addresses_name_a_host_and_a_path_and_nothing_else() {
    for good in [
        "https://example.org/team/apps.git",
        "https://git.example.org:8443/apps/",
        "ssh://git@example.org:2222/~team/apps.git",
        "ssh://example.org/apps",
        "file:///srv/git/apps.git",
    ] {
        let url: RepositoryUrl = good.parse().unwrap();
        assert_eq!(url.as_str(), good);
    }
    for bad in [
        "",
        "apps",
        "--upload-pack=touch /tmp/x",
        "-u://example.org/apps",
        "ext::sh -c id",
        "ext://example.org/apps",
        "http://example.org/apps",
        "git://example.org/apps",
        "https://user:hunter2@example.org/apps",
        "https://token@example.org/apps",
        "hunter2@example.org/apps",
        "hunter2:x@example.org:apps",
        "hunter2://example.org/apps",
        "https://example.org",
        "https://example.org/",
        "https://-oProxyCommand=id/apps",
        "ssh://-oProxyCommand=id/apps",
        "ssh://git@-oProxyCommand=id/apps",
        "ssh://-l@example.org/apps",
        "ssh://example.org/-apps",
        "https://example.org/a/../b",
        "https://example.org/a b",
        "https://example.org/a?b",
        "https://example.org/a\nb",
        "https://example.org:0/apps",
        "https://example.org:70000/apps",
        "file://example.org/apps",
        "file:///srv/$(id)",
    ] {
        let refused = bad.parse::<RepositoryUrl>().unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
    let url: RepositoryUrl = "https://git.example.org:8443/a/b".parse().unwrap();
    assert_eq!(url.origin(), "https://git.example.org:8443/");
    assert_eq!(url.scheme(), Scheme::Https);
}

#[test]
fn branches_and_paths_can_be_taken_for_nothing_else() {
    for good in ["main", "release/1.2", "a_b-c"] {
        assert!(good.parse::<BranchName>().is_ok(), "{good}");
    }
    for bad in [
        "", "-x", "a/-b", "a..b", "a/", "/a", "a.lock", "a.", "a b", "a~1", "a:b", "@{1}", "*",
    ] {
        assert!(bad.parse::<BranchName>().is_err(), "{bad}");
    }
    for good in ["apps", "apps/home.yaml", "a+b/.hidden"] {
        assert!(good.parse::<RepositoryPath>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "/apps",
        "apps/",
        "..",
        "a/../b",
        "a//b",
        "-x",
        "a/--output=b",
        ".git",
        "a/.GIT/b",
        ":(glob)x",
        "*",
    ] {
        assert!(bad.parse::<RepositoryPath>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_address_that_is_taken_has_what_another_program_acts_on(text in "[a-z]{0,6}(://)?[ -~]{0,40}") {
        if let Ok(url) = text.parse::<RepositoryUrl>() {
            let text = url.as_str();
            prop_assert!(!text.starts_with('-') && !text.contains("::"));
            let acts = |c: char| c.is_whitespace() || "$`'\"\\;&|<>(){}*?!#%".contains(c);
            prop_assert!(!text.contains(acts));
            prop_assert!(text.split(['/', '@']).all(|part| !part.starts_with('-')));
        }
    }

    #[test]
    fn a_look_is_never_due_sooner_than_it_may_be_nor_later_than_the_longest_pause(
        failures in any::<u32>(),
        every_s in LEAST_EVERY_S..=MOST_EVERY_S,
        now in 0..i64::MAX / 2,
    ) {
        let due = Due { now: Timestamp(now), every_s };
        let pause = due.after(failures).0 - now;
        prop_assert!(pause >= i64::from(every_s) * 1_000);
        prop_assert!(pause <= LONGEST_PAUSE_MS.max(i64::from(every_s) * 1_000));
    }

    #[test]
    fn without_a_person_nothing_ends_that_the_source_does_not_prune(
        acts in proptest::collection::vec(proptest::sample::select(Act::ALL.to_vec()), 0..6),
        prunes in any::<bool>(),
        planned in any::<bool>(),
    ) {
        let changes = acts.iter().map(|act| change("web", *act)).collect();
        let plan = plan(planned, changes);
        if let Verdict::Apply(consent) = judge(SourcePolicy::Apply, prunes, &plan) {
            prop_assert!(!acts.contains(&Act::Replace) && !acts.contains(&Act::Adopt));
            prop_assert!(plan.removed() == 0 || prunes && planned);
            prop_assert_eq!(consent.confirm_removed, None);
            prop_assert!(consent.prune == (prunes && planned));
        }
        prop_assert!(!matches!(judge(SourcePolicy::Plan, prunes, &plan), Verdict::Apply(_)));
    }
}

#[test]
fn what_adds_and_changes_is_applied_and_what_takes_away_waits() {
    let applies = |changes| judge(SourcePolicy::Apply, false, &plan(false, changes));
    assert_eq!(applies(Vec::new()), Verdict::Quiet);
    assert_eq!(applies(vec![change("web", Act::NoOp)]), Verdict::Quiet);
    let adds = vec![change("web", Act::Create), change("dbs", Act::Update)];
    assert_eq!(applies(adds.clone()), Verdict::Apply(Consent::default()));
    let planned = judge(SourcePolicy::Plan, false, &plan(false, adds));
    assert!(waits(&planned, "2 change(s)"), "{planned:?}");
    for act in [Act::Replace, Act::Adopt, Act::Forget, Act::Destroy] {
        let verdict = applies(vec![change("web", act)]);
        assert!(waits(&verdict, "web"), "{act:?}: {verdict:?}");
    }
    let mut held = change("web", Act::Create);
    held.obstacles
        .push(Obstacle::new("busy", "it is busy", "wait"));
    assert!(waits(&applies(vec![held]), "held back"));
    let mut poor = change("web", Act::Create);
    poor.lacks.push("VM.Allocate on /pool/apps".to_owned());
    assert!(waits(&applies(vec![poor]), "rights"));
}

#[test]
fn an_app_is_given_no_secret_that_it_does_not_have() {
    let document = r#"{"catalog_id": "web", "settings": {"PASSWORD": {"secret": "dbs"}}}"#;
    let document = Manifest::App {
        name: "web".parse().unwrap(),
        spec: serde_json::from_str(document).unwrap(),
    };
    let documents = Documents::of(&[document]);
    let app = AppId(uuid::Uuid::from_u128(1));
    let had = |secret: &str| {
        let secret: SecretName = secret.parse().unwrap();
        BTreeMap::from([(app, BTreeSet::from([secret]))])
    };
    let judged = |act: Act, app: Option<AppId>, had: BTreeMap<AppId, BTreeSet<SecretName>>| {
        let known = Change {
            app,
            ..change("web", act)
        };
        let plan = plan(false, vec![known, change("dbs", Act::Create)]);
        judge(SourcePolicy::Apply, false, &plan).unless_given_secrets(&plan, &documents, &had)
    };
    let made = judged(Act::Create, None, BTreeMap::new());
    assert!(waits(&made, "given a secret for the first time: web"));
    let another = judged(Act::Update, Some(app), had("web"));
    assert!(waits(&another, "given a secret for the first time: web"));
    let applied = Verdict::Apply(Consent::default());
    assert_eq!(judged(Act::Update, Some(app), had("dbs")), applied);
    assert_eq!(judged(Act::NoOp, Some(app), had("web")), applied);
}

#[test]
fn a_source_that_prunes_removes_no_more_than_the_mass_brake_lets() {
    let ends = || vec![change("web", Act::Destroy), change("dbs", Act::Forget)];
    let mut planned = plan(true, ends());
    let expected = Consent {
        prune: true,
        confirm_removed: None,
        confirm_destroyed: Some(1),
    };
    let verdict = judge(SourcePolicy::Apply, true, &planned);
    assert_eq!(verdict, Verdict::Apply(expected));
    let without = judge(SourcePolicy::Apply, false, &planned);
    assert!(waits(&without, "does not prune"), "{without:?}");
    planned.brake = Some(MassBrake {
        removed: 2,
        done: 3,
        limit: 4,
    });
    let braked = judge(SourcePolicy::Apply, true, &planned);
    assert!(waits(&braked, "2 records would end"), "{braked:?}");
    let replaced = plan(true, vec![change("web", Act::Replace)]);
    let verdict = judge(SourcePolicy::Apply, true, &replaced);
    assert!(waits(&verdict, "replaced"), "{verdict:?}");
}

#[test]
fn trouble_is_told_once_and_its_end_too() {
    let new = Sight::new(Timestamp(0));
    let away =
        |from: &Sight, code| from.troubled(SourceState::Unreachable, None, why(code), due(1));
    let first = away(&new, "source_unreachable");
    assert_eq!(told(&new, &first), [Told::Failed]);
    let second = away(&first, "source_unreachable");
    assert_eq!(told(&first, &second), []);
    assert!(second.due_at > first.due_at, "it is waited for longer");
    let other = away(&second, "branch_not_found");
    assert_eq!(told(&second, &other), [Told::Failed]);
    let well = other.as_wanted(commit(1), due(2));
    assert_eq!(told(&other, &well), [Told::Recovered, Told::Applied]);
    assert_eq!((well.failures, &well.why), (0, &None));
    assert_eq!(told(&well, &well.still(due(3))), []);
    let wrong = |from: &Sight, n| {
        from.troubled(
            SourceState::Wrong,
            Some(commit(n)),
            why("manifest_invalid"),
            due(4),
        )
    };
    let wrong_two = wrong(&well, 2);
    assert_eq!(told(&well, &wrong_two), [Told::Failed]);
    assert_eq!(told(&wrong_two, &wrong(&wrong_two, 2)), []);
    let wrong_three = wrong(&wrong_two, 3);
    assert_eq!(
        told(&wrong_two, &wrong_three),
        [Told::Failed],
        "another commit"
    );
    assert_eq!(wrong_three.applied, Some(commit(1)), "what is there stays");
}

#[test]
fn a_commit_that_is_wrong_is_looked_past_soon_and_read_again_seldom() {
    let wrong = Sight::new(Timestamp(0)).troubled(
        SourceState::Wrong,
        Some(commit(1)),
        why("manifest_invalid"),
        due(0),
    );
    let mut sight = wrong;
    let mut reads = Vec::new();
    for look in 1..=20 {
        assert_eq!(sight.due_at, due(sight.looked_at.unwrap().0).after(0));
        if sight.reads_again() {
            reads.push(look);
        }
        let next = sight.still_wrong(due(sight.due_at.0));
        assert_eq!(told(&sight, &next), []);
        sight = next;
    }
    assert_eq!(reads, [1, 2, 4, 8, 16]);
    assert!(sight.asked(Timestamp(0)).reads_again(), "a person asks");
}

#[test]
fn a_commit_that_waits_is_told_once_whatever_its_plan_is_called() {
    let plan = |n| PlanId(uuid::Uuid::from_u128(n));
    let new = Sight::new(Timestamp(0));
    let first = new.waits(commit(1), plan(1), why("source_waits"), due(1));
    assert_eq!(told(&new, &first), [Told::Waits]);
    let again = first.waits(commit(1), plan(2), why("source_waits"), due(2));
    assert_eq!(told(&first, &again), []);
    let next = again.waits(commit(2), plan(3), why("source_waits"), due(3));
    assert_eq!(told(&again, &next), [Told::Waits]);
}

#[test]
fn a_nudge_comes_at_once_but_not_right_after_a_look() {
    let looked = Sight::new(Timestamp(0)).as_wanted(commit(1), due(100_000));
    assert_eq!(looked.due_at, Timestamp(160_000));
    assert_eq!(looked.nudged(Timestamp(101_000)), Timestamp(110_000));
    assert_eq!(looked.nudged(Timestamp(130_000)), Timestamp(130_000));
    assert_eq!(
        looked.nudged(Timestamp(200_000)),
        Timestamp(160_000),
        "it is due"
    );
    assert_eq!(
        looked.nudged(Timestamp(50_000)),
        Timestamp(60_000),
        "set back"
    );
}

#[test]
fn what_was_rejected_holds_an_apply_back_until_its_content_is_another_one() {
    let plan = plan(
        false,
        vec![
            change("dbs", Act::Create),
            change("odd", Act::NoOp),
            change("web", Act::Update),
        ],
    );
    let verdict = || judge(SourcePolicy::Apply, false, &plan);
    let rejected = |names: &[&str]| {
        let names = names.iter().map(|name| {
            let why = "rejected by ann: it is too large".to_owned();
            (name.parse().unwrap(), why)
        });
        let names: BTreeMap<Hostname, String> = names.collect();
        verdict().unless_rejected(&plan, &names)
    };
    assert!(matches!(rejected(&[]), Verdict::Apply(_)));
    assert!(matches!(rejected(&["odd", "gone"]), Verdict::Apply(_)));
    let held = rejected(&["web"]);
    assert!(waits(&held, "web was rejected by ann: it is too large"));
    assert!(waits(&rejected(&["dbs", "web"]), "; web was"));
    // What waits for another reason says that one.
    let waits_already = judge(SourcePolicy::Plan, false, &plan);
    let names = BTreeMap::from([("web".parse().unwrap(), "rejected".to_owned())]);
    let still = waits_already.clone().unless_rejected(&plan, &names);
    assert_eq!(still, waits_already);
}

#[test]
fn what_somebody_else_did_meanwhile_or_who_was_away_says_nothing_of_what_was_wanted() {
    for code in [
        "plan_outdated",
        "busy",
        "not_in_state",
        "app_not_found",
        "container_locked",
        "pve_unreachable",
        "no_quorum",
    ] {
        assert!(!rejects(code), "{code}");
    }
    for code in ["health_failed", "pve_refused", "cancelled", ""] {
        assert!(rejects(code), "{code}");
    }
}

fn wanted(more: serde_json::Value) -> DesiredSpec {
    let mut spec = more;
    spec["catalog_id"] = serde_json::json!("nginx");
    DesiredSpec::App(serde_json::from_value(spec).unwrap())
}

fn of_apps(all: &[(&str, DesiredSpec)]) -> BTreeMap<Hostname, DesiredSpec> {
    let all = all.iter();
    all.map(|(name, spec)| (name.parse().unwrap(), spec.clone()))
        .collect()
}

#[test]
fn what_was_never_applied_or_is_as_it_was_applied_is_no_news() {
    let none = || wanted(serde_json::json!({}));
    let some = || wanted(serde_json::json!({"ignore": ["memory"]}));
    let documents: Documents = of_apps(&[("web", some())]).into_iter().collect();
    let anew = |applied: &[(&str, DesiredSpec)]| said_anew(&documents, &of_apps(applied));
    assert!(anew(&[]).is_empty());
    assert!(anew(&[("dbs", none())]).is_empty());
    assert!(anew(&[("web", some())]).is_empty());
    let web: Hostname = "web".parse().unwrap();
    let found = anew(&[("web", none()), ("dbs", none())]);
    assert_eq!(found, BTreeSet::from([web]));
}

#[test]
fn what_only_documents_say_is_recorded_by_itself_unless_that_is_a_persons_word() {
    let none = || wanted(serde_json::json!({}));
    let ignoring = || wanted(serde_json::json!({"ignore": ["memory"]}));
    let secret = || {
        let settings = serde_json::json!({"PASSWORD": {"secret": "db"}});
        wanted(serde_json::json!({"settings": settings}))
    };
    let quiet = plan(false, Vec::new());
    let more = plan(false, vec![change("dbs", Act::Create)]);
    let judged = |policy, plan: &Plan, said: &[(&str, DesiredSpec)], rejected: &[&str]| {
        let documents: Documents = of_apps(said).into_iter().collect();
        let applied = of_apps(&[("web", none()), ("mail", secret())]);
        let why = || "rejected by ann".to_owned();
        let rejected = rejected.iter().map(|name| (name.parse().unwrap(), why()));
        let verdict = judge(policy, false, plan);
        verdict.and_records((policy, plan), &documents, &applied, &rejected.collect())
    };
    let (apply, by_hand) = (SourcePolicy::Apply, SourcePolicy::Plan);
    let nothing = Verdict::Apply(Consent::default());
    let web = [("web", ignoring())];
    assert_eq!(judged(apply, &quiet, &web, &[]), nothing);
    assert_eq!(judged(by_hand, &quiet, &web, &[]), Verdict::Quiet);
    // Nothing new, of which something was rejected once and is on record.
    let same = [("web", none()), ("mail", secret())];
    assert_eq!(judged(apply, &quiet, &same, &["web"]), Verdict::Quiet);
    assert_eq!(judged(apply, &more, &same, &["web"]), nothing);
    for plan in [&quiet, &more] {
        let held = judged(apply, plan, &web, &["dbs", "web"]);
        assert!(waits(&held, "web was rejected by ann"), "{held:?}");
        // Whoever may push has no app told a secret by that.
        let given = [("web", secret())];
        let held = judged(apply, plan, &given, &[]);
        assert!(waits(&held, "secret for the first time: web"), "{held:?}");
        let beside = [("web", ignoring()), ("new", secret())];
        let held = judged(apply, plan, &beside, &[]);
        assert!(waits(&held, "secret for the first time: new"), "{held:?}");
        let had = [("web", ignoring()), ("mail", secret())];
        assert_eq!(judged(apply, plan, &had, &[]), nothing);
    }
    // What its own change holds back is judged by that.
    let dbs = [("dbs", secret())];
    assert_eq!(judged(apply, &more, &dbs, &[]), nothing);
    let waiting = judged(by_hand, &more, &web, &["web"]);
    assert_eq!(waiting, judge(by_hand, false, &more));
}
