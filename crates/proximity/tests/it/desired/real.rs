//! Five apps in real containers: applied, edited by hand, and brought back where documents decide.

use serde_json::Value;

use super::{LOOKS, applied, comes_to_rest};
use crate::lab::{at_rest, call, json, until};
use crate::standing::Standing;

const APPS: [&str; 5] = ["one", "two", "three", "four", "five"];

fn document(name: &str) -> String {
    format!(
        "apiVersion: proximity/v1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  catalog_id: nginx\n  \
         resources: {{memory_mib: 128, cores: 1}}\n  settings: {{site_title: Page {name}}}\n  power: running\n"
    )
}

/// The number of the app's container.
fn number(lab: &Standing, name: &str) -> u32 {
    let shown = json(lab, &format!("show {name}"));
    shown["vmid"].as_u64().unwrap().try_into().unwrap()
}

fn sets(lab: &Standing, vmid: u32, setting: &str) {
    call(lab, "PUT", &format!("/{vmid}/config"), &[setting]);
}

fn config(lab: &Standing, vmid: u32) -> Value {
    call(lab, "GET", &format!("/{vmid}/config"), &[])
}

pub(crate) fn five_apps(lab: &Standing) {
    let folder = lab.dir().join("documents");
    std::fs::create_dir(&folder).unwrap();
    for name in APPS {
        std::fs::write(folder.join(format!("{name}.yaml")), document(name)).unwrap();
    }
    let documents = folder.display().to_string();
    let (code, said, complaint) = applied(lab, &documents);
    assert_eq!(code, 0, "{complaint}\n{said}");
    comes_to_rest(lab, &documents);

    let [one, two, three, four, five] = APPS.map(|name| number(lab, name));
    sets(lab, one, "memory=256");
    sets(lab, two, "cores=2");
    call(lab, "POST", &format!("/{three}/status/stop"), &[]);
    until(lab, three, "stopped");
    sets(lab, four, "swap=77");
    sets(lab, five, "tags=mine");
    for vmid in [one, two, four, five] {
        at_rest(lab, vmid);
    }
    // The cluster's list is told anew every ten seconds.
    let line = format!("plan {documents} --json");
    let differing = || {
        let plan: Value = serde_json::from_str(&lab.done(&line)).unwrap();
        let changes = plan["changes"].as_array().unwrap().iter();
        let told = changes.flat_map(|change| {
            let fields = change["fields"].as_array().unwrap().iter();
            let name = change["name"].as_str().unwrap().to_owned();
            fields.map(move |field| format!("{name} {}", field["path"].as_str().unwrap()))
        });
        let mut told: Vec<String> = told.collect();
        told.sort_unstable();
        told
    };
    let expected = ["one memory", "three power", "two cores"];
    let is_told = (0..LOOKS).any(|_| differing() == expected);
    assert!(is_told, "{:?}", differing());

    let (code, said, complaint) = applied(lab, &documents);
    assert_eq!(code, 0, "{complaint}\n{said}");
    comes_to_rest(lab, &documents);
    // What documents do not decide is as its owner left it.
    for (vmid, key, value) in [
        (one, "memory", "128"),
        (two, "cores", "1"),
        (four, "swap", "77"),
        (five, "tags", "mine"),
    ] {
        let now = config(lab, vmid)[key].to_string();
        assert_eq!(now.trim_matches('"'), value, "{key} of {vmid}");
    }
    let after = APPS.map(|name| number(lab, name));
    assert_eq!(after, [one, two, three, four, five], "none was made anew");
}
