//! A real guest and a simulated one get the same commands through SSH and `pct`, and give the same answers.

use std::process::Command;

use super::support::{Lab, in_private_namespace};

/// What is run in both, in order; outputs have to be the same, except where only the exit code can be.
const ALIKE: &[&str] = &[
    "pct exec 100 -- systemctl is-system-running --wait",
    "pct exec 100 -- hostname",
    "pct exec 100 -- true",
    "pct exec 100 -- false",
    "pct exec 100 -- test -e /etc/passwd",
    "pct exec 100 -- test -e /nothing",
    "pct exec 100 -- mkdir -p -- /srv/a/b",
    "pct exec 100 -- mkdir /srv/a",
    "pct exec 100 -- rm /srv/a",
    "pct exec 100 -- rm -f -- /nothing",
    "pct exec 100 -- cat /nothing",
    "printf abc > \"$TMPDIR/x\" && pct push 100 \"$TMPDIR/x\" /srv/a/x --perms 0640 --user www-data --group 33",
    "pct push 100 \"$TMPDIR/x\" /nothing/x",
    "pct push 100 \"$TMPDIR/x\" /srv/y --user nosuch",
    "pct exec 100 -- stat --format='%a %U %G %s %F' -- /srv/a/x",
    "pct exec 100 -- /bin/sh -c 'stat --format=%a -- \"$1\" && sha256sum -- \"$1\"' look /srv/a/x",
    "pct exec 100 -- /bin/sh -c 'stat --format=%a -- \"$1\" && sha256sum -- \"$1\"' look /srv/none",
    "pct pull 100 /srv/a/x \"$TMPDIR/back\" --perms 600 && cat \"$TMPDIR/back\" && stat -c %a \"$TMPDIR/back\"",
    "pct pull 100 /srv/none \"$TMPDIR/none\"",
    "pct exec 100 -- ls /srv/a",
    "pct exec 100 -- cp /srv/a/x /srv/a/z",
    "pct exec 100 -- mv /srv/a/z /srv/a/b",
    "pct exec 100 -- ln -s /srv/a/b /srv/link",
    "pct exec 100 -- cat /srv/link/z",
    "pct exec 100 -- readlink /srv/link",
    "pct exec 100 -- chmod u=rwx,go= /srv/a/x",
    "pct exec 100 -- chown nobody /srv/a/x",
    "pct exec 100 -- chown nosuch /srv/a/x",
    "pct exec 100 -- stat -c '%a %U %G' /srv/a/x",
    "pct exec 100 -- install -D -m 600 -o www-data /srv/a/x /opt/d/x",
    "pct exec 100 -- stat -c '%a %U %G' /opt/d/x",
    "pct exec 100 -- useradd --system --create-home app",
    "pct exec 100 -- useradd app",
    "pct exec 100 -- id -un",
    "pct exec 100 -- id nosuch",
    "pct exec 100 -- sh -c 'echo out; echo err >&2; exit 42'",
    "pct exec 100 -- sh -c 'false || echo c && ! false; echo $?'",
    "pct exec 100 -- sh -c 'if [ -d /srv ]; then echo yes; fi | wc -l'",
    "pct exec 100 -- sh -c 'kill -9 $$'",
    "pct exec 100 -- sh -c no-such-program",
    "pct exec 100 -- sh -c 'echo \"open'",
    "pct exec 100 -- env DEBIAN_FRONTEND=noninteractive sh -c 'echo $DEBIAN_FRONTEND'",
    "pct exec 100 -- flock --wait 5 /run/lock/x echo locked",
    "echo in | pct exec 100 -- cat",
    "MARK=1 pct exec 100 -- sh -c 'echo $MARK'; MARK=1 pct exec --keep-env 0 100 -- sh -c 'echo $MARK'",
    "pct exec 100 -- dpkg-query --show '--showformat=${db:Status-Abbrev}\\n' -- curl",
    "pct exec 100 -- dpkg-query --show '--showformat=${db:Status-Abbrev}\\n' -- nginx-light",
    "pct exec 100 -- systemctl start nosuch",
    "pct exec 100 -- systemctl enable nosuch",
    "pct exec 100 -- systemctl is-active nosuch",
    "pct exec 100 -- systemctl is-enabled ssh",
    "printf '[Service]\\nExecStart=/bin/busybox httpd -f -p 8080 -h /srv\\n[Install]\\nWantedBy=multi-user.target\\n' > \
     \"$TMPDIR/u\" && pct push 100 \"$TMPDIR/u\" /etc/systemd/system/page.service",
    "pct exec 100 -- systemctl enable -- page",
    "pct exec 100 -- systemctl restart -- page",
    "pct exec 100 -- systemctl is-active -- page",
    "pct exec 100 -- systemctl show -p ActiveState,SubState,Result --value page",
    "pct exec 100 -- systemctl stop page",
    "pct exec 100 -- systemctl is-active page",
    "printf '[Service]\\nType=exec\\nExecStart=/no/such/program\\n' > \"$TMPDIR/u\" && \
     pct push 100 \"$TMPDIR/u\" /etc/systemd/system/broken.service",
    "pct exec 100 -- systemctl daemon-reload",
    "pct exec 100 -- systemctl start broken",
    "pct exec 100 -- systemctl is-active broken",
    "pct exec 100 -- systemctl is-system-running",
    "pct exec 100 -- systemctl is-failed broken",
    "pct exec 100 -- systemctl reset-failed broken nosuch",
    "pct exec 100 -- systemctl is-failed broken",
    "pct exec 100 -- systemctl reset-failed broken",
    "pct exec 100 -- systemctl is-failed broken",
    "pct exec 100 -- systemctl try-restart nosuch",
    "pct exec 100 -- systemctl reload-or-restart nosuch",
    "pct exec 100 -- systemctl try-restart page",
    "pct exec 100 -- systemctl is-active page",
    "pct exec 100 -- systemctl reload-or-restart page",
    "pct exec 100 -- systemctl is-active page",
    "pct exec 100 -- journalctl -q -u nosuch",
    "pct exec 100 -- journalctl -u nosuch",
    "pct exec 100 -- journalctl -n few",
    "pct exec 100 -- journalctl -o nonsense",
    "pct exec 100 -- sh -c 'set -o pipefail; echo on'",
    "pct exec 100 -- sh -c 'set -q; echo on'",
    "pct exec 100 -- sh -c 'set -e; set +e; false; echo on'",
    "pct exec 100 -- sh -c 'set -- x y; echo $2 $#'",
    "pct status 100; pct exec 101 -- true",
    "pct exec 100 -la -- true",
];

/// Only the exit code can be the same: the text holds versions, paths of the real program or its own layout.
const ALIKE_IN_CODE: &[&str] = &[
    "pct exec 100 -- no-such-program",
    "pct exec 100 -- /etc/passwd",
    "pct exec 100 -- ip addr",
    "pct exec 100 -- ss -tln",
    "pct exec 100 -- ps",
    "pct exec 100 -- journalctl -u page --no-pager -n 1",
    "pct exec 100 -- curl -sS http://127.0.0.1:8099/",
    "pct exec 100 -- apt-get -q -y install no-such-package",
    "pct exec 100 -- apt-get -q -t sid -y install no-such-package",
    "pct exec 100 -- apt-get -q -s install no-such-package",
];

#[test]
fn a_simulated_guest_answers_as_a_real_one() {
    in_private_namespace(
        "alike::a_simulated_guest_answers_as_a_real_one",
        |directory| {
            let up = Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status()
                .unwrap();
            assert!(up.success());
            std::fs::create_dir_all(directory.join("sim")).unwrap();
            let real = Lab::start(directory, &[]);
            let simulated = Lab::start(&directory.join("sim"), &["--simulated"]);
            for lab in [&real, &simulated] {
                lab.allow_ssh();
                lab.boot("100");
            }
            // A container runs as soon as its init does, which takes a while to listen on its bus.
            let listens = |output: std::process::Output| {
                !String::from_utf8_lossy(&output.stderr).contains("Failed to connect to bus")
            };
            let mut asked =
                (0..200).map(|_| real.ssh("pct exec 100 -- systemctl is-system-running --wait"));
            assert!(asked.any(listens), "init never listened");
            let mut differences = Vec::new();
            for (lines, whole) in [(ALIKE, true), (ALIKE_IN_CODE, false)] {
                for line in lines {
                    let (one, other) = (real.ssh(line), simulated.ssh(line));
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let seen = |output: &std::process::Output| {
                        let code = output.status.code();
                        if whole {
                            (code, text(&output.stdout), text(&output.stderr))
                        } else {
                            (code, String::new(), String::new())
                        }
                    };
                    if seen(&one) != seen(&other) {
                        differences.push(format!(
                            "{line}\n  real      {:?}\n  simulated {:?}",
                            seen(&one),
                            seen(&other)
                        ));
                    }
                }
            }
            assert!(differences.is_empty(), "{}", differences.join("\n"));
            assert!(simulated.terminate().success());
            assert!(real.terminate().success());
        },
    );
}
