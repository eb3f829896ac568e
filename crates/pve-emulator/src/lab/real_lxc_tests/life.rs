//! A guest's whole life, through API and SSH.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::support::{Lab, in_private_namespace};

#[test]
fn a_guest_lives_from_create_to_destroy() {
    in_private_namespace("life::a_guest_lives_from_create_to_destroy", |directory| {
        let lab = Lab::start(directory, &[]);
        lab.allow_ssh();
        let address = lab.boot("100");
        assert!(address.starts_with("10.77."), "{address}");
        serves_a_page(&lab, &address);
        streams_pass_unchanged(&lab);
        wrong_quoting_fails_as_on_a_node(&lab);
        files_are_pushed_and_pulled(&lab);
        limits_hold(&lab);
        directories_are_renamed_in_one_piece(&lab);
        assert_eq!(
            lab.task("POST", "/nodes/pve1/lxc/100/status/shutdown", &[]),
            "OK"
        );
        let refused = lab.ssh("pct exec 100 -- true");
        assert_eq!(refused.status.code(), Some(255));
        assert_eq!(refused.stderr, b"container '100' not running!\n");
        assert_eq!(lab.task("DELETE", "/nodes/pve1/lxc/100", &[]), "OK");
        let refused = lab.ssh("pct exec 100 -- true");
        assert_eq!(refused.status.code(), Some(2));
        let expected = "Configuration file 'nodes/pve1/lxc/100.conf' does not exist\n";
        assert_eq!(String::from_utf8_lossy(&refused.stderr), expected);
        let disks: Vec<_> = walk_guests(&lab);
        assert!(disks.is_empty(), "{disks:?}");
        assert!(lab.terminate().success());
    });
}

fn walk_guests(lab: &Lab) -> Vec<std::path::PathBuf> {
    let nodes = std::fs::read_dir(lab.state.join("lxc")).unwrap().flatten();
    let nodes = nodes.filter(|entry| entry.file_name() != "base");
    let nodes = nodes.flat_map(|id| std::fs::read_dir(id.path()).unwrap().flatten());
    nodes
        .flat_map(|node| std::fs::read_dir(node.path()).unwrap().flatten())
        .map(|e| e.path())
        .collect()
}

fn serves_a_page(lab: &Lab, address: &str) {
    let line = "pct exec 100 -- sh -c 'mkdir /srv/www && echo hello > /srv/www/index.html && \
                busybox httpd -h /srv/www -p 8080'";
    lab.ssh_text(line);
    let mut stream = TcpStream::connect((address, 8080)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello\n"),
        "{answer}"
    );
}

fn streams_pass_unchanged(lab: &Lab) {
    assert_eq!(lab.ssh_text("pct exec 100 -- hostname"), "web\n");
    let every_byte: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 % 251) as u8).collect();
    let echo = lab.ssh_on(0, "pct exec 100 -- cat", &every_byte);
    assert!(
        echo.stdout == every_byte,
        "{} bytes came back",
        echo.stdout.len()
    );
    let mixed = lab.ssh("pct exec 100 -- sh -c 'echo out; echo err >&2; exit 42'");
    assert_eq!(
        (mixed.stdout, mixed.stderr),
        (b"out\n".to_vec(), b"err\n".to_vec())
    );
    assert_eq!(mixed.status.code(), Some(42));
    assert_eq!(
        lab.ssh("pct exec 100 -- sh -c 'kill -9 $$'").status.code(),
        Some(137)
    );
    assert_eq!(
        lab.ssh("pct exec 100 -- no-such-program").status.code(),
        Some(127)
    );
    let inside = lab.ssh_text("MARK=1 pct exec 100 -- env; pct exec --keep-env 0 100 -- env");
    assert_eq!(inside.matches("MARK=1\n").count(), 1, "{inside}");
    assert_eq!(
        inside
            .matches("PATH=/sbin:/bin:/usr/sbin:/usr/bin\n")
            .count(),
        1,
        "{inside}"
    );
}

fn wrong_quoting_fails_as_on_a_node(lab: &Lab) {
    let right = r#"pct exec 100 -- printf '%s|' 'a  b' "it's" '$HOME' '"' '\' '*' ';' '&' ''"#;
    assert_eq!(lab.ssh_text(right), r#"a  b|it's|$HOME|"|\|*|;|&||"#);
    // Taken apart by the node's shell: only the first word reaches the guest's.
    let wrong = lab.ssh("pct exec 100 -- sh -c echo one; echo two");
    assert_eq!(wrong.stdout, b"\ntwo\n");
    let options = lab.ssh("pct exec 100 ls -la");
    assert_eq!(options.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&options.stderr).starts_with("Unknown option: la\n400 "));
}

fn files_are_pushed_and_pulled(lab: &Lab) {
    let content: Vec<u8> = (0..=255u8).cycle().take(100_000).collect();
    let put = lab.ssh_on(0, "cat > \"$TMPDIR/in put\"", &content);
    assert!(put.status.success(), "{put:?}");
    lab.ssh_text(
        "pct push 100 \"$TMPDIR/in put\" '/srv/a b' --perms 4750 --user 33 --group www-data",
    );
    // The owner is changed after the mode, which takes the set-uid bit away: so it is on a node.
    let stat = lab.ssh_text("pct exec 100 -- stat -c '%a %U %G %s' '/srv/a b'");
    assert_eq!(stat, "750 www-data www-data 100000\n");
    lab.ssh_text("pct pull 100 '/srv/a b' \"$TMPDIR/back\" --perms 0x180");
    let mode = lab.ssh_text("stat -c %a \"$TMPDIR/back\"");
    assert_eq!(mode, "600\n");
    assert!(lab.ssh("cat \"$TMPDIR/back\"").stdout == content);
    // A failed copy is told on standard error and nowhere else, as by the real tool.
    let lost = lab.ssh("pct push 100 /nonexistent /srv/x");
    assert_eq!(lost.status.code(), Some(0));
    assert_eq!(lost.stderr, b"failed to open /nonexistent for reading\n");
    // A link in the guest leads nowhere but into the guest.
    lab.ssh_text("pct exec 100 -- ln -s /etc/hostname /srv/link");
    assert_eq!(
        lab.ssh_text("pct pull 100 /srv/link \"$TMPDIR/l\" && cat \"$TMPDIR/l\""),
        "web\n"
    );
}

fn limits_hold(lab: &Lab) {
    let line = "pct exec 100 -- sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes \
                /sys/fs/cgroup/memory.max 2>/dev/null'";
    let output = lab.ssh(line);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "268435456\n");
    let status = lab.api("GET", "/nodes/pve1/lxc/100/status/current", &[]);
    let used = status["mem"].as_u64().unwrap();
    assert!((1 << 20..256 << 20).contains(&used), "{status}");
    // A change is in force in the running container with its answer.
    lab.api("PUT", "/nodes/pve1/lxc/100/config", &[("memory", "384")]);
    let output = lab.ssh(line);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "402653184\n");
    lab.api("PUT", "/nodes/pve1/lxc/100/config", &[("memory", "256")]);
    let output = lab.ssh(line);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "268435456\n");
}

/// What package managers rely on when they put a package's files in place.
fn directories_are_renamed_in_one_piece(lab: &Lab) {
    let rename = r#"rename("/usr/share/made", "/usr/share/moved") or die "$!""#;
    lab.ssh_text(format!(
        "pct exec 100 -- mkdir /usr/share/made && pct exec 100 -- perl -e '{rename}'"
    ));
}

#[test]
fn a_node_reaches_only_its_own_guests() {
    in_private_namespace("life::a_node_reaches_only_its_own_guests", |directory| {
        let lab = Lab::start(directory, &["--nodes", "pve1,pve2"]);
        lab.allow_ssh();
        assert_eq!(lab.create("100", &[]), "OK");
        let there = lab.ssh_text("pct list; pct status 100; pct config 100");
        assert!(there.starts_with("VMID       Status     Lock         Name                \n"));
        assert!(there.contains("\n100        stopped                 web                 \n"));
        assert!(there.contains("\nstatus: stopped\n") && there.contains("\nhostname: web\n"));
        let elsewhere = lab.ssh_on(1, "pct list && pct exec 100 -- true", b"");
        assert_eq!(
            (elsewhere.status.code(), elsewhere.stdout),
            (Some(2), Vec::new())
        );
        assert!(lab.terminate().success());
    });
}

#[test]
fn only_listed_keys_log_in_and_only_as_root() {
    in_private_namespace(
        "life::only_listed_keys_log_in_and_only_as_root",
        |directory| {
            let lab = Lab::start(directory, &[]);
            lab.allow_ssh();
            assert!(lab.ssh("true").status.success());
            let keys = lab.state.join("authorized_keys");
            let listed = std::fs::read_to_string(&keys).unwrap();
            std::fs::write(&keys, "").unwrap();
            assert_eq!(lab.ssh("true").status.code(), Some(255));
            std::fs::write(
                &keys,
                format!("restrict,command=\"echo only this\" {listed}"),
            )
            .unwrap();
            assert_eq!(lab.ssh_text("rm -rf something"), "only this\n");
            assert!(lab.terminate().success());
        },
    );
}
