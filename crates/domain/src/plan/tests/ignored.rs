//! What somebody else may change: shown, and never a change.

use super::*;

fn ignoring(patterns: &[&str]) -> Wanted {
    let mut wanted = app("web", 0);
    let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap());
    spec(&mut wanted).ignore = patterns.collect();
    wanted
}

/// The app on record with this in its container.
fn showing(memory_mib: u64, cores: u64, disk_gib: u64) -> State {
    let seen = Observed {
        memory_mib: Figure::Is(memory_mib),
        cores: Figure::Is(cores),
        disk_bytes: Figure::Is(disk_gib * GIB),
        ..read()
    };
    let mut state = state(vec![recorded("web", 105, AppClass::Native)]);
    sees(&mut state, 105, seen);
    state
}

fn told(fields: &[FieldDiff]) -> Vec<(&str, Source)> {
    let fields = fields.iter();
    let fields = fields.map(|field| (field.path.as_str(), field.source));
    fields.collect()
}

#[test]
fn what_may_be_changed_is_no_change_and_is_shown() {
    let state = showing(1024, 4, 9);
    let plan = decide(&[ignoring(&["memory", "root*"])], &state, false).plan;
    let [change] = plan.changes.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!(told(&change.fields), [("cores", Source::Cluster)]);
    assert!(change.obstacles.is_empty(), "{change:?}");
    let [ignored] = plan.ignored.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!(ignored.name.as_str(), "web");
    let both = [("memory", Source::Cluster), ("rootfs", Source::Cluster)];
    assert_eq!(told(&ignored.fields), both);
    let sides = (&ignored.fields[0].from, &ignored.fields[0].to);
    assert_eq!(sides, (&Some(json!(1024)), &Some(json!(512))));
    let all = decide(&[ignoring(&["memory", "cores", "rootfs"])], &state, false);
    assert!(!all.plan.has_changes() && all.plan.changes.is_empty());
    assert_eq!((all.plan.unchanged, all.plan.ignored.len()), (1, 1));
    // It is shown of nothing that is left as it is.
    let mut left = all.plan;
    left.leave(&BTreeSet::from(["web".parse().unwrap()]));
    assert!(left.ignored.is_empty());
    let none = decide(&[ignoring(&[])], &state, false).plan;
    assert_eq!((none.changes[0].fields.len(), none.ignored.len()), (3, 0));
}

#[test]
fn what_the_documents_change_is_changed_whatever_somebody_made_of_it() {
    let mut wanted = ignoring(&["memory", "rootfs"]);
    spec(&mut wanted).resources = resources(768, 2, 10);
    let plan = decide(std::slice::from_ref(&wanted), &showing(1024, 2, 9), false).plan;
    let both = [("memory", Source::Both), ("rootfs", Source::Both)];
    assert_eq!(told(&plan.changes[0].fields), both);
    assert_eq!(plan.changes[0].act, Act::Update);
    assert!(plan.ignored.is_empty());
    let plan = decide(&[wanted], &showing(512, 2, 8), false).plan;
    let ours = ["memory", "rootfs"].map(|path| (path, Source::Documents));
    assert_eq!(told(&plan.changes[0].fields), ours);
}

/// On record is what a container was given by us, which is neither what somebody made of it before the documents said the same, nor what a
/// person asked for in between.
#[test]
fn what_the_documents_say_again_is_left_whatever_is_on_record() {
    let wanted = |patterns: &[&str]| {
        let mut wanted = ignoring(patterns);
        spec(&mut wanted).resources = resources(1024, 4, 10);
        wanted
    };
    let all = wanted(&["memory", "cores", "rootfs"]);
    let said = |memory_mib: u64, cores: u32, disk_gib: u32, state: &mut State| {
        let id = state.recorded[0].id;
        let said = resources(memory_mib, cores, disk_gib);
        state.said = BTreeMap::from([(id, said)]);
    };
    // Made larger still, and smaller.
    for mut state in [showing(2048, 8, 12), showing(256, 1, 8)] {
        said(1024, 4, 10, &mut state);
        let plan = decide(std::slice::from_ref(&all), &state, false).plan;
        assert!(plan.changes.is_empty(), "{plan:?}");
        assert_eq!(plan.ignored[0].fields.len(), 3);
        // Nobody may change the others.
        let plan = decide(&[wanted(&["memory"])], &state, false).plan;
        assert_eq!(plan.changes[0].fields.len(), 2, "{plan:?}");
        assert_eq!(told(&plan.ignored[0].fields)[0].0, "memory");
        // The documents say something else of one of them.
        said(1024, 2, 10, &mut state);
        let plan = decide(std::slice::from_ref(&all), &state, false).plan;
        let fields = told(&plan.changes[0].fields).into_iter();
        let paths: Vec<&str> = fields.map(|field| field.0).collect();
        assert_eq!(paths, ["cores"]);
    }
    // A list need not be looked behind for that.
    let mut state = state(vec![recorded("web", 105, AppClass::Native)]);
    let seen = Observed {
        memory_mib: Figure::Is(2048),
        cores: Figure::Is(4),
        ..listed()
    };
    sees(&mut state, 105, seen);
    said(1024, 4, 8, &mut state);
    let mut wanted = ignoring(&["memory", "cores"]);
    spec(&mut wanted).resources = resources(1024, 4, 8);
    let decided = decide(&[wanted], &state, false);
    assert!(decided.doubts.is_empty() && decided.plan.changes.is_empty());
}

/// A list may be of before the record was written: nothing follows from that for what may be anything.
#[test]
fn what_a_list_shows_of_it_is_read_no_further() {
    let mut state = state(vec![recorded("web", 105, AppClass::Native)]);
    let seen = Observed {
        memory_mib: Figure::Is(1024),
        ..listed()
    };
    sees(&mut state, 105, seen);
    let doubts = |patterns: &[&str]| decide(&[ignoring(patterns)], &state, false).doubts.len();
    assert_eq!(doubts(&[]), 1);
    assert_eq!(doubts(&["memory"]), 0);
    assert_eq!(doubts(&["cores"]), 1);
    let plan = decide(&[ignoring(&["memory"])], &state, false).plan;
    assert_eq!((plan.unchanged, plan.ignored.len()), (1, 1));
}

#[test]
fn what_goes_on_changing_makes_no_other_plan() {
    let of = |memory_mib: u64, cores: u64| {
        let state = showing(memory_mib, cores, 8);
        decide(&[ignoring(&["memory"])], &state, false).plan
    };
    let (shown, later) = (of(1024, 4), of(1100, 4));
    assert_ne!(shown, later);
    assert!(shown.is_still(&later) && later.is_still(&of(512, 4)));
    assert!(!shown.is_still(&of(1024, 3)) && !shown.is_still(&of(1024, 2)));
}

#[test]
fn to_ignore_nothing_names_what_is_wanted_as_before() {
    let digest = |patterns: &[&str]| asked(&[ignoring(patterns)], false);
    assert_eq!(digest(&[]), asked(&[app("web", 0)], false));
    assert_ne!(digest(&["memory"]), digest(&[]));
    let said = serde_json::to_value(app("web", 0)).unwrap();
    assert!(!said.to_string().contains("ignore"), "{said}");
}
