//! What the programs do by themselves: containers that were there before, adopted and given back as they were; an app that was
//! deployed, which none of it touches.

use serde_json::Value;

use crate::lab::{at_rest, call, json, numbers, seen, stranger};
use crate::standing::Standing;

/// One that runs and one that does not: both keep their state and their configuration, adopted and given back.
pub(crate) fn scenarios_1_and_6_adoption_is_informed_and_its_removal_soft(lab: &Standing) {
    stranger(lab, 150, "my-redis", true);
    stranger(lab, 151, "asleep", false);
    let (awake, asleep) = (seen(lab, 150), seen(lab, 151));

    let found = json(lab, "discover");
    let numbers: Vec<&Value> = found["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["vmid"])
        .collect();
    assert_eq!(numbers, [150, 151], "{found}");
    assert_eq!(
        (
            &found["complete"],
            &found["containers"][0]["suggested_port"]
        ),
        (&true.into(), &6379.into())
    );

    let said = lab.done("adopt lab/150 lab/151");
    assert!(
        said.contains("lab/150 is my-redis now: running, redis, port 6379"),
        "{said}"
    );
    assert!(
        said.contains("lab/151 is asleep now: stopped, custom, port 80"),
        "{said}"
    );
    let complaint = lab.refused("adopt lab/150");
    assert!(
        complaint.contains("managed already, as my-redis"),
        "{complaint}"
    );
    assert_eq!(
        (seen(lab, 150), seen(lab, 151)),
        (awake.clone(), asleep.clone())
    );

    let plan = lab.done("remove my-redis --dry-run");
    assert!(
        plan.contains("leave container 150 on pve1 as it is"),
        "{plan}"
    );
    lab.done("remove my-redis --yes");
    lab.done("forget asleep");
    assert_eq!((seen(lab, 150), seen(lab, 151)), (awake, asleep));
    assert_eq!(
        json(lab, "discover")["containers"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

/// What the seeds call their adoption: it still works, its app has ports, and is in the list.
pub(crate) fn regression_3_adopted_apps_are_listed_and_keep_their_ports(lab: &Standing) {
    lab.done("adopt lab/150");
    let apps = json(lab, "apps");
    let apps = apps["apps"].as_array().unwrap();
    let found = apps.iter().find(|app| app["hostname"] == "my-redis");
    let adopted = found.unwrap_or_else(|| panic!("it is not listed: {apps:?}"));
    assert_eq!(adopted["class"], "adopted", "{adopted}");
    let ports = apps.iter().map(|app| &app["ports"]["public"]);
    let ports: Vec<u64> = ports.map(|port| port.as_u64().unwrap()).collect();
    assert!(ports.len() == 2 && ports[0] != ports[1], "{ports:?}");
    lab.done("forget my-redis");
}

/// What a person changed in an adopted container that runs is shown, and brought back to the byte: one key, then the rest.
pub(crate) fn what_was_changed_since_adoption_is_brought_back(lab: &Standing) {
    let before = seen(lab, 150);
    lab.done("adopt lab/150");
    assert!(lab.done("guard my-redis").contains("is guarded since"));
    assert_eq!(json(lab, "drift my-redis")["drifted"], false);
    let by_hand = [
        "memory=640",
        "tags=changed",
        "description=by hand",
        "onboot=1",
    ];
    call(lab, "PUT", "/150/config", &by_hand);
    at_rest(lab, 150);
    let drift = json(lab, "drift my-redis");
    let changed = drift["changes"].as_array().unwrap().iter();
    let changed: Vec<&Value> = changed.map(|change| &change["key"]).collect();
    assert_eq!(
        changed,
        ["description", "memory", "onboot", "tags"],
        "{drift}"
    );
    assert!(drift["guarded_since"].is_string(), "{drift}");

    let restored = |keys: &str| {
        let preview = json(lab, &format!("restore-keys my-redis {keys}"));
        let names = preview["keys"].as_array().unwrap().iter();
        let names: Vec<&str> = names.map(|key| key["key"].as_str().unwrap()).collect();
        let digest = preview["digest"].as_str().unwrap();
        lab.done(&format!(
            "restore-keys my-redis {} --digest {digest}",
            names.join(" ")
        ));
        digest.to_owned()
    };
    let outdated = restored("memory");
    let again = lab.refused(&format!("restore-keys my-redis tags --digest {outdated}"));
    assert!(
        again.contains("is not the one that was previewed"),
        "{again}"
    );
    let drift = json(lab, "drift my-redis");
    let left = drift["changes"].as_array().unwrap().len();
    assert_eq!(left, 3, "{drift}");
    restored("");
    assert_eq!(json(lab, "drift my-redis")["drifted"], false);
    assert_eq!(seen(lab, 150), before);
    lab.done("unguard my-redis");
    lab.done("forget my-redis");
    assert_eq!(seen(lab, 150), before);
}

/// What was deployed while nothing of the doctrine was there is the same after all of it.
pub(crate) fn regression_1_what_was_deployed_is_native_and_untouched(lab: &Standing) {
    let apps = json(lab, "apps");
    let native = &apps["apps"][0];
    assert_eq!(
        (&native["class"], &native["status"]),
        (&"native".into(), &"running".into())
    );
    let hostname = native["hostname"].as_str().unwrap();
    let complaint = lab.refused(&format!("forget {hostname}"));
    assert!(complaint.contains("was made by Proximity"), "{complaint}");
    let vmid = native["vmid"].as_u64().unwrap();
    assert!(numbers(lab).contains(&vmid), "{apps}");
    lab.done(&format!("remove {hostname} --yes"));
    assert!(!numbers(lab).contains(&vmid), "{apps}");
}
