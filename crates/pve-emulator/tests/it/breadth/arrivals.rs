//! Files that come from elsewhere: uploads, downloads, images of registries.

use std::collections::BTreeMap;

use proximity_pve_emulator::core::{
    Input, OciImage, Payload, Registry, RegistryImage, RequestId, Upload, handle,
};

use super::{by, get, said};
use crate::support::seed::{cluster, solo};
use crate::support::sim::{Request, Sim};

const CONTENT: &str = "/nodes/pve1/storage/local/content";

fn registry() -> Registry {
    let image = RegistryImage {
        size_bytes: 4_096,
        config_digest: format!("sha256:{}", "c".repeat(64)),
        image: OciImage {
            entrypoint: Some("/bin/httpd".into()),
            env: vec!["A=1".into()],
            folder: Some("/srv".into()),
        },
    };
    let tags = BTreeMap::from([("1.0".to_owned(), image)]);
    Registry::from([("docker.io/library/web".to_owned(), tags)])
}

#[test]
fn an_image_is_pulled_and_a_container_made_from_it() {
    let mut sim = Sim::new(cluster());
    sim.world.set_registry(Some(registry()));
    let tags = sim.root(
        "GET",
        "/nodes/pve1/query-oci-repo-tags",
        &[("reference", "web")],
    );
    assert_eq!(tags.payload(), serde_json::json!(["1.0"]));
    let path = "/nodes/pve1/storage/local/oci-registry-pull";
    assert_eq!(sim.task("POST", path, &[("reference", "web:1.0")]), "OK");
    let again = said(&mut sim, "POST", path, &[("reference", "web:1.0")]);
    assert_eq!(
        again,
        (
            500,
            "refusing to override existing file 'web_1.0.tar'".into()
        )
    );
    sim.create("pve1", 100, &[("ostemplate", "local:vztmpl/web_1.0.tar")]);
    let config = get(&mut sim, "/nodes/pve1/lxc/100/config");
    assert_eq!(
        (&config["entrypoint"], &config["env"]),
        (&"/bin/httpd".into(), &"A=1".into())
    );

    let exit = sim.task("POST", path, &[("reference", "web:2.0")]);
    assert!(exit.starts_with("command 'skopeo copy docker://web:2.0 oci-archive:/var/lib/vz/template/cache/web_2.0.tar.tmp."), "{exit}");
    assert!(exit.ends_with("' failed: exit code 1"), "{exit}");
    sim.kill_and_restart();
    let files = sim.root("GET", CONTENT, &[("content", "vztmpl")]).payload();
    assert!(files.to_string().contains("web_1.0.tar") && !files.to_string().contains("web_2.0"));
    let local = "Only one node has it";
    let elsewhere = sim.root(
        "GET",
        "/nodes/pve2/storage/local/content",
        &[("content", "vztmpl")],
    );
    assert!(
        !elsewhere.payload().to_string().contains("web_1.0"),
        "{local}"
    );
}

#[test]
fn without_a_network_nothing_is_fetched_and_the_reason_is_wgets_and_skopeos() {
    let mut sim = Sim::new(solo());
    let at = "/nodes/solo/storage/local";
    let url = [
        ("url", "http://example.invalid/a.iso"),
        ("content", "iso"),
        ("filename", "a b.iso"),
    ];
    let exit = sim.task("POST", &format!("{at}/download-url"), &url);
    assert!(
        exit.starts_with("download failed: command 'wget --progress=dot:giga -O /var/lib/vz/template/iso/a_b.iso.tmp_dwnl."),
        "{exit}"
    );
    assert!(
        exit.ends_with(" http://example.invalid/a.iso' failed: exit code 4"),
        "{exit}"
    );
    assert_eq!(
        said(
            &mut sim,
            "GET",
            "/nodes/solo/query-oci-repo-tags",
            &[("reference", "web")]
        ),
        (
            500,
            "command 'skopeo list-tags docker://web' failed: exit code 1".into()
        )
    );
    assert_eq!(
        said(&mut sim, "GET", "/nodes/solo/query-url-metadata", &[("url", "https://example.invalid/a")]),
        (500, "invalid server response: '500 Can't connect to example.invalid:443 (Temporary failure in name resolution)'".into())
    );
    let exit = sim.task(
        "POST",
        &format!("{at}/oci-registry-pull"),
        &[("reference", "web:1")],
    );
    assert!(exit.contains("skopeo copy docker://web:1 "), "{exit}");
}

#[test]
fn what_may_not_be_fetched_is_refused_before_anything_begins() {
    let mut sim = Sim::new(solo());
    let at = "/nodes/solo/storage/local/download-url";
    let with = |more: &[(&'static str, &'static str)]| {
        let mut form = BTreeMap::from([
            ("url", "http://h/a"),
            ("content", "vztmpl"),
            ("filename", "a.tar"),
        ]);
        form.extend(more.iter().copied());
        form.into_iter().collect::<Vec<_>>()
    };
    let text = "Parameter verification failed.|filename: wrong file extension";
    assert_eq!(
        said(&mut sim, "POST", at, &with(&[("filename", "a.zip")])),
        (400, text.into())
    );
    assert_eq!(
        said(
            &mut sim,
            "POST",
            at,
            &with(&[("content", "import"), ("filename", "a.ova")])
        )
        .1,
        "storage 'local' is not configured for content-type 'import'"
    );
    let exit = sim.task("POST", at, &with(&[("compression", "gz")]));
    assert_eq!(exit, "decompression not supported for vztmpl");
    let there = "alpine-lab_1.0_amd64.tar.zst";
    let exit = sim.task("POST", at, &with(&[("filename", there)]));
    assert_eq!(
        exit,
        format!("refusing to override existing file '/var/lib/vz/template/cache/{there}'")
    );
    assert_eq!(
        by(&mut sim, "limited@pve!t1", "POST", at, &with(&[])),
        (
            403,
            "Permission check failed (/storage/local, Datastore.AllocateTemplate)".into()
        )
    );
    let unknown = [("storage", "local"), ("template", "nosuch")];
    assert_eq!(
        said(&mut sim, "POST", "/nodes/solo/aplinfo", &unknown),
        (
            400,
            "Parameter verification failed.|template: no such template".into()
        )
    );
    let known = [("storage", "local"), ("template", there)];
    assert_eq!(sim.task("POST", "/nodes/solo/aplinfo", &known), "OK");
}

/// Hands a file in as the server does once it has read it.
fn upload(sim: &mut Sim, token: &str, storage: &str, upload: Upload) -> (u16, String, String) {
    let mut request = Request::new("POST", &format!("/nodes/pve1/storage/{storage}/upload"))
        .by(token)
        .via("pve1")
        .build(RequestId(900_000));
    request.payload = Payload::Upload(Box::new(upload));
    let now_ms = sim.now_ms;
    let effects = handle(&mut sim.world, Input::Request(request), now_ms);
    let response = effects.responses.into_iter().next().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let data = body["data"].as_str().unwrap_or_default().to_owned();
    (response.status, response.reason, data)
}

fn file(fields: &[(&str, &str)]) -> Upload {
    let text = |text: &&str| (*text).to_owned();
    Upload {
        fields: fields
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
        size_bytes: 10,
        checksums: BTreeMap::from([("sha256".to_owned(), "abcd".to_owned())]),
        image: None,
    }
}

#[test]
fn a_file_is_uploaded_checked_listed_and_removed() {
    let mut sim = Sim::new(cluster());
    let root = "root@pam!gold";
    let form = [
        ("content", "iso"),
        ("filename", "../a b.iso"),
        ("checksum", "ABCD"),
        ("checksum-algorithm", "sha256"),
    ];
    let (status, reason, upid) = upload(&mut sim, root, "local", file(&form));
    assert_eq!((status, reason.as_str()), (200, "OK"));
    assert!(upid.contains(":imgcopy::root@pam!gold:"), "{upid}");
    assert_eq!(sim.finish(&upid), "OK");
    let rows = sim.root("GET", CONTENT, &[("content", "iso")]).payload();
    assert_eq!(
        (&rows[0]["volid"], &rows[0]["size"]),
        (&"local:iso/a_b.iso".into(), &10.into())
    );
    let removed = sim.root(
        "DELETE",
        &format!("{CONTENT}/local:iso/a_b.iso"),
        &[("delay", "5")],
    );
    assert_eq!(
        (removed.status(), removed.payload()),
        (200, serde_json::Value::Null),
        "it is waited for"
    );
    assert_eq!(
        sim.root("GET", CONTENT, &[("content", "iso")]).payload(),
        serde_json::json!([])
    );

    let wrong = [
        ("content", "iso"),
        ("filename", "a.iso"),
        ("checksum", "00"),
        ("checksum-algorithm", "sha256"),
    ];
    let (_, _, upid) = upload(&mut sim, root, "local", file(&wrong));
    assert_eq!(
        sim.finish(&upid),
        "checksum mismatch: got 'abcd' != expect '00'"
    );
    let (status, reason, _) = upload(
        &mut sim,
        root,
        "shared",
        file(&[("content", "iso"), ("filename", "a.iso")]),
    );
    assert_eq!(
        (status, reason.as_str()),
        (500, "storage 'shared' does not support 'iso' content")
    );
    let (status, _, _) = upload(
        &mut sim,
        root,
        "local",
        file(&[("content", "iso"), ("filename", "a.txt")]),
    );
    assert_eq!(status, 400);
    let (status, reason, _) = upload(&mut sim, "limited@pve!t1", "local", file(&[]));
    assert_eq!(
        (status, reason.as_str()),
        (
            403,
            "Permission check failed (/storage/local, Datastore.AllocateTemplate)"
        )
    );
}
