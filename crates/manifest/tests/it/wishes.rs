//! The documents of `fixtures/manifests`, which the page about documents alone led to.

use std::path::Path;

use proximity_manifest::{Given, Source, read};

fn file(of: &str) -> Source {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/manifests");
    Source {
        name: of.to_owned(),
        bytes: std::fs::read(folder.join(of)).unwrap(),
    }
}

fn given(documents: &str, values: Option<&str>) -> Given {
    Given {
        documents: vec![file(documents)],
        values: values.map(file).into_iter().collect(),
        ..Given::default()
    }
}

#[test]
fn what_is_wished_for_is_read_without_a_complaint() {
    let staging = Some("04-two-environments/staging.yaml");
    let production = Some("04-two-environments/production.yaml");
    for (documents, values) in [
        ("01-one-web-server/website.yaml", None),
        ("02-one-after-the-other/blog.yaml", None),
        ("03-stack/shop.yaml", None),
        ("04-two-environments/apps/portal.yaml", staging),
        ("04-two-environments/apps/portal.yaml", production),
        ("05-secret/notice.yaml", None),
        ("06-adopt/my-redis.yaml", None),
        ("07-more-memory/website.yaml", None),
        ("09-json/status.json", None),
    ] {
        let read = read(&given(documents, values));
        let complaints = match &read {
            Ok(right) => right.warnings.problems.len(),
            Err(wrong) => wrong.problems.len(),
        };
        assert_eq!(complaints, 0, "{documents}: {read:?}");
    }
}

#[test]
fn five_typical_mistakes_are_told_at_once() {
    let wrong = read(&given("10-mistakes/typical.yaml", None)).unwrap_err();
    let told: Vec<&str> = wrong
        .problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    for mistake in [
        "`memroy_mib` is no field of `spec.resources`",
        "host name \"Files\" must be",
        "`spec.resources.memory_mib` is the text `1Gi`",
        "`catalog_id` is missing in `spec`",
        "there is no value `title`",
    ] {
        let times = told.iter().filter(|message| message.contains(mistake));
        assert_eq!(times.count(), 1, "{mistake}: {told:?}");
    }
    assert_eq!(told.len(), 5, "{told:?}");
}
