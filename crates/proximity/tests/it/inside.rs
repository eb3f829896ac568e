//! Commands inside containers, and stacks, as people type them.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::desired::applied;
use crate::standing::Standing;

/// The app that a trial deploys.
const APP: &str = "hello";

fn fed(lab: &Standing, line: &str, input: &[u8]) -> Output {
    let mut command = lab.command(line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn what_runs_in_a_container_is_heard_and_its_exit_code_handed_on() {
    let lab = Standing::up(&["--guests", "simulated"]);
    let (code, said, complaint) = lab.asked(&format!("run {APP} memory"));
    assert_eq!((code, complaint.as_str()), (0, ""), "{said}");
    assert!(said.contains("Mem:"), "{said}");
    let refused = lab.refused(&format!("run {APP} config"));
    assert!(refused.contains("config is about one unit"), "{refused}");

    let echo = lab.done(&format!("exec {APP} -- echo $(reboot) a;b"));
    assert_eq!(echo, "$(reboot) a;b\n");
    let (code, said, complaint) = lab.asked(&format!("exec {APP} -- false"));
    assert_eq!(
        (code, said.as_str(), complaint.as_str()),
        (1, "", ""),
        "what failed has said so itself"
    );
    let (code, _, complaint) = lab.asked(&format!("exec {APP} -- no-such-program"));
    assert_eq!(code, 127, "{complaint}");
    let piped = fed(&lab, &format!("exec {APP} -i -- cat"), b"from outside");
    assert_eq!(piped.stdout, b"from outside");
    let json = lab.done(&format!("exec {APP} --json -- echo hello"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let told = (&json["stdout"], &json["exit_code"]);
    assert_eq!(told, (&"hello\n".into(), &0.into()));
    let (code, _, complaint) = lab.asked("exec nobody -- true");
    assert_eq!(code, 3, "{complaint}");
}

#[test]
fn a_stack_is_stopped_and_started_and_says_how_far_it_is() {
    let lab = Standing::up(&["--guests", "simulated"]);
    assert_eq!(lab.done("stack list"), "no app belongs to a stack\n");
    let refused = lab.refused("stack stop shop");
    assert!(refused.contains("there is no stack shop"), "{refused}");
    let document = lab.dir().join("shop.yaml");
    let text = "apiVersion: proximity/v1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  apps:\n  \
                - {name: shop-web, catalog_id: nginx, depends_on: [shop-db]}\n  - {name: shop-db, catalog_id: nginx}\n";
    std::fs::write(&document, text).unwrap();
    let (code, said, complaint) = applied(&lab, &document.display().to_string());
    assert_eq!(code, 0, "{complaint}\n{said}");
    assert_eq!(lab.done("stack list"), "shop: shop-db, shop-web\n");
    let shown = lab.done("stack show shop");
    assert!(
        shown.contains("shop-web  running  needs shop-db"),
        "{shown}"
    );
    let (code, said, complaint) = lab.asked("stack stop shop");
    assert_eq!(code, 0, "{complaint}");
    assert_eq!(said, "shop: stop done\n");
    let at = |line: &str| complaint.find(line);
    let (first, last) = (at("shop-web: stop done"), at("shop-db: stop done"));
    assert!(first.is_some() && first < last, "{complaint}");
    let started = lab.done("stack start shop --quiet");
    assert_eq!(started, "shop: start done\n");
    let status = lab.done("stack show shop");
    assert_eq!(status.matches("running").count(), 2, "{status}");
}
