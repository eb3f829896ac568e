//! Plans of what plans lead to.

use proptest::prelude::*;

use super::*;
use crate::network::NetworkWish;
use crate::site::Site;

/// What it is made with, where what is not said is left as it is.
fn made_with(spec: &WantedApp, known: MadeWith) -> MadeWith {
    let root = spec.root.clone().unwrap_or_else(|| known.root());
    let apart_from = spec.apart_from.clone();
    MadeWith {
        network: spec.network.as_deref().cloned().unwrap_or(known.network),
        root_keys: root.keys,
        root_password: root.password,
        apart_from: apart_from.map_or(known.apart_from, |names| names.into_iter().collect()),
    }
}

/// The state that a plan of native apps leads to, seen whole.
fn carried_out(wanted: &[Wanted], before: &State) -> State {
    let apps = wanted.iter().map(|one| {
        let WantedKind::App(spec) = &one.kind else {
            panic!("it is adopted");
        };
        let number = one.name.as_str().trim_start_matches("app-");
        let number = 200 + number.parse::<u32>().unwrap();
        let known = before.recorded.iter().find(|known| known.name == one.name);
        let known = known.cloned();
        let known = known.unwrap_or_else(|| recorded(one.name.as_str(), number, AppClass::Native));
        let settings = spec.settings.iter();
        Recorded {
            catalog_id: spec.catalog_id.clone(),
            node: spec.node.clone().unwrap_or(known.node),
            resources: spec.resources,
            settings: settings.map(|(k, v)| (k.clone(), v.shown())).collect(),
            made_with: made_with(spec, known.made_with),
            site: match &spec.site {
                Some(wish) => wish.site().cloned(),
                None => known.site,
            },
            ..known
        }
    });
    let mut after = state(apps.collect());
    for one in after.recorded.clone() {
        let seen = Observed {
            node: one.node,
            memory_mib: Figure::Is(one.resources.memory_mib),
            cores: Figure::Is(u64::from(one.resources.cores)),
            disk_bytes: Figure::Is(u64::from(one.resources.disk_gib) * GIB),
            ..read()
        };
        sees(&mut after, one.vmid.unwrap().get(), seen);
    }
    after
}

prop_compose! {
    fn wish(name: usize)(
        memory in 256_u64..260,
        cores in 1_u32..3,
        disk in 4_u32..6,
        title in "[a-b]",
        node in prop::option::of(1_u8..3),
        vlan in prop::option::of(prop::option::of(1_u32..3)),
        site in prop::option::of(prop::option::of("[a-b]")),
        apart in prop::option::of(prop::collection::btree_set("app-[a-b]", 0..3)),
    ) -> Wanted {
        let mut wanted = app(&format!("app-{name}"), 0);
        let spec = spec(&mut wanted);
        spec.resources = resources(memory, cores, disk);
        spec.settings = BTreeMap::from([("TITLE".to_owned(), WantedSetting::Open(json!(title)))]);
        spec.node = node.map(|node| format!("pve{node}").parse().unwrap());
        spec.network = vlan.map(|vlan| {
            let wish = NetworkWish { vlan, ..NetworkWish::default() };
            Box::new(wish.check().unwrap())
        });
        spec.site = site.map(|site| Box::new(match site {
            None => WantedSite::Nobody,
            Some(of) => WantedSite::Led(Site {
                name: format!("{of}-{name}.example.org").parse().unwrap(),
                certificate: None,
            }),
        }));
        spec.apart_from = apart.map(|names| {
            let names = names.iter().map(|name| name.parse().unwrap());
            names.collect()
        });
        wanted
    }
}

proptest! {
    // Whatever was there before: once it is carried out nothing is left to do, and a plan of something else says so.
    #[test]
    fn a_plan_of_what_was_carried_out_is_empty(
        first in (wish(0), wish(1)),
        second in (wish(1), wish(2)),
    ) {
        let (first, second) = ([first.0, first.1], [second.0, second.1]);
        let after = carried_out(&first, &state(vec![]));
        let again = decide(&first, &after, true).plan;
        prop_assert_eq!((again.changes.len(), again.unchanged), (0, 2), "{:?}", again);
        let next = decide(&second, &after, true).plan;
        let removed = next.changes.iter().filter(|one| one.act == Act::Destroy).count();
        prop_assert_eq!(removed, 1);
        let end = carried_out(&second, &after);
        let plan = decide(&second, &end, true).plan;
        prop_assert!(plan.changes.is_empty(), "{:?}", plan);
    }
}
