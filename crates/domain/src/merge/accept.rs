//! What somebody else made of an app as what documents want from now on, where its policy is to accept that.

use serde_json::Value;

use super::{Answer, Merged};
use crate::create::Resources;
use crate::desired::DesiredSpec;
use crate::manifest::{AppSpec, Policy, WantedPower};
use crate::plan::size_bytes;

const GIB: u64 = 1 << 30;

/// What is wanted from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// How the app is to be.
    pub spec: DesiredSpec,
    /// What is on record as given to the container; `None` of one that was taken over.
    pub resources: Option<Resources>,
    /// What of it is new, by path.
    pub paths: Vec<String>,
}

/// What is wanted once what `drifted` is taken as it is; `None` where the policy is another one, or documents cannot say any of it. Where
/// the documents changed it too nothing is taken: a person decides.
#[must_use]
pub fn accepted(
    wanted: &DesiredSpec,
    given: Option<Resources>,
    drifted: &[Merged],
) -> Option<Accepted> {
    if wanted.policy() != Policy::Accept {
        return None;
    }
    let (mut spec, mut resources, mut paths) = (wanted.clone(), given, Vec::new());
    for field in drifted {
        if Answer::of(field.verdict, Policy::Accept) != Answer::Accept {
            continue;
        }
        let said = match &mut spec {
            DesiredSpec::App(spec) => say(spec, &mut resources, field),
            DesiredSpec::AdoptedApp(spec) => power(field).map(|power| spec.power = Some(power)),
        };
        if said.is_some() {
            paths.push(field.path.clone());
        }
    }
    (!paths.is_empty()).then_some(Accepted {
        spec,
        resources,
        paths,
    })
}

/// Writes a field into a document and into what was given; `None` and nothing where it cannot be said.
fn say(spec: &mut AppSpec, resources: &mut Option<Resources>, field: &Merged) -> Option<()> {
    let now = field.actual.as_ref()?;
    let wish = &mut spec.resources;
    match field.path.as_str() {
        "memory" => {
            let given = resources.as_mut()?;
            given.memory_mib = now.as_u64()?;
            wish.memory_mib = Some(given.memory_mib);
        }
        "cores" => {
            let given = resources.as_mut()?;
            given.cores = u32::try_from(now.as_u64()?).ok()?;
            wish.cores = Some(given.cores);
        }
        "rootfs" => {
            let bytes = size_bytes(now.as_str()?)?;
            let gib = bytes.is_multiple_of(GIB).then_some(bytes / GIB)?;
            let given = resources.as_mut()?;
            given.disk_gib = u32::try_from(gib).ok()?;
            wish.disk_gib = Some(given.disk_gib);
        }
        "node" => spec.node = Some(now.as_str()?.parse().ok()?),
        _ => spec.power = Some(power(field)?),
    }
    Some(())
}

/// How it is switched, if the field says that.
fn power(field: &Merged) -> Option<WantedPower> {
    let now = field.actual.as_ref().filter(|_| field.path == "power");
    now.and_then(read)
}

fn read(value: &Value) -> Option<WantedPower> {
    serde_json::from_value(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::merge::Verdict;

    const GIVEN: Resources = Resources {
        memory_mib: 512,
        cores: 1,
        disk_gib: 8,
    };

    fn changed(path: &str, verdict: Verdict, now: Value) -> Merged {
        Merged {
            path: path.to_owned(),
            verdict,
            last: None,
            wanted: Value::Null,
            actual: (!now.is_null()).then_some(now),
        }
    }

    fn wanted(policy: &str) -> DesiredSpec {
        let spec = json!({"catalog_id": "nginx", "policy": policy, "node": "pve1"});
        DesiredSpec::App(serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn all_that_documents_can_say_is_taken_as_it_is() {
        let theirs = Verdict::Theirs;
        let drifted = [
            changed("cores", theirs, json!(3)),
            changed("memory", theirs, json!(700)),
            changed("node", theirs, json!("pve2")),
            changed("power", theirs, json!("stopped")),
            changed("rootfs", theirs, json!("9G")),
        ];
        let accepted = accepted(&wanted("accept"), Some(GIVEN), &drifted).unwrap();
        let given = Resources {
            memory_mib: 700,
            cores: 3,
            disk_gib: 9,
        };
        assert_eq!(accepted.resources, Some(given));
        let DesiredSpec::App(spec) = &accepted.spec else {
            panic!("{:?}", accepted.spec)
        };
        let expected = json!({
            "catalog_id": "nginx", "policy": "accept", "node": "pve2", "power": "stopped",
            "resources": {"memory_mib": 700, "cores": 3, "disk_gib": 9},
        });
        assert_eq!(serde_json::to_value(spec).unwrap(), expected);
        assert_eq!(accepted.paths.len(), drifted.len());
    }

    #[test]
    fn what_cannot_be_said_or_was_changed_by_both_is_left() {
        let left = [
            changed("cores", Verdict::Theirs, Value::Null),
            changed("rootfs", Verdict::Theirs, json!("8500M")),
            changed("power", Verdict::Theirs, json!("frozen")),
            changed("memory", Verdict::Conflict, json!(700)),
            changed("config.tags", Verdict::Theirs, json!("new")),
        ];
        assert_eq!(accepted(&wanted("accept"), Some(GIVEN), &left), None);
        let mut all = left.to_vec();
        all.push(changed("node", Verdict::Theirs, json!("pve2")));
        let some = accepted(&wanted("accept"), Some(GIVEN), &all).unwrap();
        assert_eq!(
            (some.resources, some.paths),
            (Some(GIVEN), vec!["node".to_owned()])
        );
    }

    #[test]
    fn other_policies_take_nothing() {
        let drifted = [changed("memory", Verdict::Theirs, json!(700))];
        for policy in ["warn", "revert"] {
            assert_eq!(accepted(&wanted(policy), Some(GIVEN), &drifted), None);
        }
        let spec = json!({"host": "home", "vmid": 105, "policy": "accept"});
        let spec = DesiredSpec::AdoptedApp(serde_json::from_value(spec).unwrap());
        assert_eq!(accepted(&spec, None, &drifted), None);
        let drifted = [changed("power", Verdict::Theirs, json!("running"))];
        let some = accepted(&spec, None, &drifted).unwrap();
        assert_eq!((some.resources, some.paths.len()), (None, 1));
    }
}
