use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use super::*;

mod packages;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 64, 3, 10);

/// A booted guest and what is around it.
struct Room {
    image: Image,
    guest: Guest,
    taken: BTreeSet<u16>,
}

fn room(memory_mib: u64) -> Room {
    let image = Image::shipped().unwrap();
    let shape = Shape {
        hostname: "web".to_owned(),
        memory_mib,
        cores: 1,
        nets: vec![Net {
            name: "eth0".to_owned(),
            hwaddr: "bc:24:11:00:00:01".to_owned(),
            address: Some((ADDRESS, 24)),
        }],
        init: None,
    };
    let mut room = Room {
        guest: Guest::new(&image, shape.clone()),
        image,
        taken: BTreeSet::new(),
    };
    room.with(|guest, world| guest.boot(world, shape.clone()));
    room
}

/// The same guest, made of an image that runs this.
fn of_image(command: &str) -> Room {
    let mut room = room(64);
    let init = crate::core::guest::GuestInit::of(command, "GREETING=hi", "/etc");
    let shape = Shape {
        init: Some(Box::new(init)),
        ..room.guest.shape.clone()
    };
    room.with(|guest, _| guest.halt());
    room.with(|guest, world| guest.boot(world, shape.clone()));
    room
}

#[test]
fn a_guest_of_an_image_runs_one_program_and_ends_with_it() {
    let serving = of_image("/bin/busybox httpd -f -p 9090 -h /etc");
    let at = SocketAddr::from((ADDRESS, 9090));
    assert_eq!(
        serving.guest.reachable().into_iter().collect::<Vec<_>>(),
        [at]
    );
    assert_eq!(serving.guest.processes.len(), 1, "and nothing of systemd");
    assert!(serving.guest.running);
    for command in ["/bin/true", "/bin/no-such-program", ""] {
        let over = of_image(command);
        assert!(!over.guest.running, "{command}");
        assert!(over.guest.processes.is_empty(), "{command}");
    }
}

impl Room {
    fn with<T>(&mut self, act: impl Fn(&mut Guest, &World<'_>) -> T) -> T {
        let world = World {
            image: &self.image,
            now_s: 1_795_698_061,
            taken: &self.taken,
        };
        act(&mut self.guest, &world)
    }

    fn outcome(&mut self, argv: &[&str], stdin: Option<&[u8]>) -> Outcome {
        let wanted = Exec {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            stdin: stdin.map(<[u8]>::to_vec),
            ..Exec::default()
        };
        self.with(|guest, world| exec(guest, world, &wanted))
    }

    /// Exit code, output and complaints of a command that ends.
    fn run(&mut self, argv: &[&str]) -> (u8, String, String) {
        match self.outcome(argv, Some(b"")) {
            Outcome::Ended(ended) => (
                ended.exit,
                String::from_utf8(ended.stdout).unwrap(),
                String::from_utf8(ended.stderr).unwrap(),
            ),
            other => panic!("{argv:?}: {other:?}"),
        }
    }

    fn must(&mut self, argv: &[&str]) -> String {
        let (exit, stdout, stderr) = self.run(argv);
        assert_eq!(exit, 0, "{argv:?}: {stderr}");
        stdout
    }

    fn write(&mut self, path: &str, text: &str) {
        let content = text.as_bytes().to_vec();
        let folder = path.rsplit_once('/').unwrap().0;
        self.must(&["mkdir", "-p", "--", folder]);
        self.with(|guest, world| {
            push(guest, path, content.clone(), &Wish::default(), world.now_s).unwrap();
        });
    }

    fn fetch(&self, port: u16, target: &str) -> Option<Answer> {
        let request = HttpRequest {
            method: "GET".to_owned(),
            target: target.to_owned(),
            host: None,
        };
        respond(&self.guest, SocketAddr::from((ADDRESS, port)), &request)
    }

    fn page(&self, port: u16, target: &str) -> (u16, String) {
        match self.fetch(port, target) {
            Some(Answer::Http(response)) => {
                (response.status, String::from_utf8(response.body).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    fn install_nginx(&mut self) {
        self.must(&["apt-get", "-q", "update"]);
        self.must(&["apt-get", "-q", "-y", "install", "--", "nginx-light"]);
    }
}

const SITE: &str = "server {\n listen 8080 default_server;\n listen [::]:8080 default_server;\n root /srv/www;\n \
    index index.html;\n location / { try_files $uri $uri/ =404; }\n}\n";

fn with_site() -> Room {
    let mut room = room(256);
    room.install_nginx();
    room.must(&["rm", "-f", "--", "/etc/nginx/sites-enabled/default"]);
    room.write("/srv/www/index.html", "hello");
    room.write("/etc/nginx/conf.d/site.conf", SITE);
    room.must(&["systemctl", "restart", "--", "nginx"]);
    room
}

#[test]
fn a_unit_listens_where_its_files_say_and_answers_from_the_disk() {
    let mut room = with_site();
    assert_eq!(room.page(8080, "/"), (200, "hello".to_owned()));
    assert_eq!(room.fetch(80, "/"), None, "the package's own site is gone");
    room.write("/srv/www/a.css", "x");
    let Some(Answer::Http(css)) = room.fetch(8080, "/a.css") else {
        panic!("no answer");
    };
    assert!(
        css.headers
            .contains(&("Content-Type".to_owned(), "text/css".to_owned()))
    );
    assert_eq!(room.page(8080, "/none").0, 404);
    assert_eq!(room.page(8080, "/%2e%2e/etc/passwd").0, 400);
    room.write("/etc/nginx/conf.d/site.conf", &SITE.replace("8080", "8081"));
    assert_eq!(
        room.page(8080, "/").0,
        200,
        "a running nginx has read its files"
    );
    room.must(&["systemctl", "reload", "nginx"]);
    assert_eq!(room.fetch(8080, "/"), None);
    assert_eq!(room.page(8081, "/").0, 200);
    let open: Vec<SocketAddr> = room
        .guest
        .reachable()
        .into_iter()
        .filter(|a| a.port() > 1023)
        .collect();
    assert_eq!(open, [SocketAddr::from((ADDRESS, 8081))]);
    room.must(&["systemctl", "stop", "nginx"]);
    assert_eq!(room.fetch(8081, "/"), None);
}

#[test]
fn a_broken_or_missing_configuration_fails_the_unit_as_it_would() {
    let mut room = with_site();
    room.write(
        "/etc/nginx/conf.d/site.conf",
        "server { listen 8080; bogus on; }",
    );
    let (exit, _, stderr) = room.run(&["systemctl", "restart", "nginx"]);
    assert_eq!(exit, 1);
    assert!(stderr.starts_with("Job for nginx.service failed because the control process exited"));
    assert_eq!(
        room.run(&["systemctl", "is-active", "--", "nginx"]).1,
        "failed\n"
    );
    assert_eq!(room.run(&["systemctl", "is-system-running"]).0, 1);
    let log = room.must(&["journalctl", "-u", "nginx", "--no-pager"]);
    let wanted = "nginx: [emerg] unknown directive \"bogus\" in /etc/nginx/conf.d/site.conf:1";
    assert!(log.contains(wanted), "{log}");
    room.must(&["rm", "/etc/nginx/nginx.conf"]);
    let (exit, _, stderr) = room.run(&["nginx", "-t"]);
    assert_eq!(exit, 1);
    assert!(
        stderr.contains("open() \"/etc/nginx/nginx.conf\" failed (2: No such file or directory)")
    );
    assert_eq!(room.run(&["systemctl", "start", "nosuch"]).0, 5);
}

#[test]
fn what_nobody_installed_is_not_found() {
    let mut room = room(256);
    assert_eq!(room.run(&["no-such-program"]).0, 127);
    assert_eq!(room.run(&["/etc/passwd"]).0, 126);
    let (exit, _, stderr) = room.run(&["sh", "-c", "no-such-program"]);
    assert_eq!(
        (exit, stderr.as_str()),
        (127, "sh: 1: no-such-program: not found\n")
    );
    room.must(&["rm", "/usr/bin/stat"]);
    assert_eq!(room.run(&["stat", "/"]).0, 127);
}

#[test]
fn memory_has_a_limit() {
    let mut small = room(32);
    assert_eq!(small.run(&["apt-get", "update"]).0, 137);
    let mut room = with_site();
    let text = room.guest.files.text("/etc/nginx/nginx.conf").unwrap();
    room.write("/etc/nginx/nginx.conf", &text.replace("768", "1000000"));
    let (exit, _, stderr) = room.run(&["systemctl", "restart", "nginx"]);
    assert_eq!(exit, 1);
    assert!(stderr.contains("out-of-memory"), "{stderr}");
    assert_eq!(room.run(&["systemctl", "is-active", "nginx"]).1, "failed\n");
    assert_eq!(
        room.must(&["systemctl", "show", "-p", "Result", "--value", "nginx"]),
        "oom-kill\n"
    );
    assert_eq!(room.fetch(8080, "/"), None);
}

#[test]
fn memory_taken_away_ends_the_largest_process() {
    let mut room = with_site();
    let faults = Faults {
        hogged_mib: 239,
        ..Faults::default()
    };
    room.with(|guest, world| guest.set_faults(world, faults.clone()));
    assert!(room.guest.used_mib() <= 256, "{:?}", room.guest.processes);
    assert_eq!(room.fetch(8080, "/"), None);
    assert_eq!(room.run(&["systemctl", "is-active", "nginx"]).1, "failed\n");
}

#[test]
fn a_command_that_breaks_off_had_its_effect_and_half_its_output() {
    let mut room = room(256);
    let faults = Faults {
        half_output: true,
        ..Faults::default()
    };
    room.write("/srv/text", "0123456789");
    room.with(|guest, world| guest.set_faults(world, faults.clone()));
    let cut = room.run(&["cat", "/srv/text"]);
    assert_eq!(cut, (137, "01234".to_owned(), String::new()));
    assert_eq!(room.run(&["mkdir", "/srv/made"]).0, 137);
    room.with(|guest, world| guest.set_faults(world, Faults::default()));
    room.must(&["ls", "/srv/made"]);
}

#[test]
fn without_network_it_has_no_address_from_its_next_boot_on() {
    let mut room = with_site();
    let faults = Faults {
        no_network: true,
        ..Faults::default()
    };
    room.with(|guest, world| guest.set_faults(world, faults.clone()));
    assert!(!room.guest.reachable().is_empty());
    let shape = room.guest.shape.clone();
    let again = |room: &mut Room| {
        room.with(|guest, _| guest.halt());
        room.with(|guest, world| guest.boot(world, shape.clone()));
    };
    again(&mut room);
    assert!(room.guest.reachable().is_empty());
    assert_eq!(room.run(&["systemctl", "is-active", "nginx"]).1, "active\n");
    room.with(|guest, world| guest.set_faults(world, Faults::default()));
    again(&mut room);
    assert!(!room.guest.reachable().is_empty());
}

#[test]
fn a_crash_ends_a_unit_unless_it_restarts() {
    let mut room = with_site();
    assert!(room.with(|guest, world| guest.crash_unit(world, "nginx")));
    assert_eq!(room.fetch(8080, "/"), None);
    let unit = "[Service]\nExecStart=/bin/busybox httpd -f -p 8082 -h /srv/www\nRestart=on-failure\n\
        [Install]\nWantedBy=multi-user.target\n";
    room.write("/etc/systemd/system/beacon.service", unit);
    room.must(&["systemctl", "enable", "--now", "beacon"]);
    assert!(room.with(|guest, world| guest.crash_unit(world, "beacon")));
    assert_eq!(room.page(8082, "/").0, 200);
    assert_eq!(
        room.must(&["systemctl", "show", "-p", "NRestarts", "--value", "beacon"]),
        "1\n"
    );
}

#[test]
fn enabled_units_come_back_with_the_boot_and_nothing_else_does() {
    let mut room = with_site();
    let shape = room.guest.shape.clone();
    room.with(|guest, _| guest.halt());
    assert_eq!(room.fetch(8080, "/"), None);
    room.with(|guest, world| guest.boot(world, shape.clone()));
    assert_eq!(room.page(8080, "/").0, 200);
    room.must(&["systemctl", "disable", "nginx"]);
    room.with(|guest, _| guest.halt());
    room.with(|guest, world| guest.boot(world, shape.clone()));
    assert_eq!(room.fetch(8080, "/"), None);
}

#[test]
fn a_port_is_held_once() {
    let mut room = with_site();
    let unit = "[Service]\nType=exec\nExecStart=/bin/busybox httpd -f -p 8080 -h /srv/www\n";
    room.write("/etc/systemd/system/other.service", unit);
    assert_eq!(room.run(&["systemctl", "start", "other"]).0, 1);
    assert_eq!(room.run(&["systemctl", "is-active", "other"]).1, "failed\n");
    room.taken.insert(8080);
    assert_eq!(room.run(&["systemctl", "restart", "nginx"]).0, 1);
    let log = room.must(&["journalctl", "-u", "nginx", "-o", "cat"]);
    assert!(log.contains("bind() to 0.0.0.0:8080 failed (98: Address already in use)"));
}

#[test]
fn the_shell_runs_what_it_knows_and_refuses_the_rest() {
    let mut room = room(256);
    room.write("/srv/x", "abc");
    let look = r#"stat --format='%a %U %G' -- "$1" && sha256sum -- "$1""#;
    let seen = room.must(&["/bin/sh", "-c", look, "look", "/srv/x"]);
    assert_eq!(
        seen,
        "644 root root\nba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  /srv/x\n"
    );
    assert_eq!(room.run(&["/bin/sh", "-c", look, "look", "/srv/y"]).0, 1);
    let cases: [(&str, u8, &str); 9] = [
        ("echo a; echo b >&2; exit 42", 42, "a\n"),
        ("false || echo c && ! false", 0, "c\n"),
        ("echo one two > /tmp/f; cat < /tmp/f | wc -w", 0, "2\n"),
        (
            "if [ -e /tmp/f ]; then echo yes; else echo no; fi",
            0,
            "yes\n",
        ),
        ("X='a  b'; echo $X \"$X\" ${Y:-z}", 0, "a b a  b z\n"),
        ("set -e; false; echo never", 1, ""),
        ("cd /srv && pwd", 0, "/srv\n"),
        ("kill -9 $$", 137, ""),
        (
            "printf '%s|' 'a  b' \"it's\" '$HOME'",
            0,
            "a  b|it's|$HOME|",
        ),
    ];
    for (script, exit, stdout) in cases {
        let (code, out, err) = room.run(&["sh", "-c", script]);
        assert_eq!((code, out.as_str()), (exit, stdout), "{script}: {err}");
    }
    for beyond in [
        "echo $(id)",
        "for x in a; do echo; done",
        "echo *",
        "sleep 1 &",
        "(echo)",
    ] {
        let (code, out, err) = room.run(&["sh", "-c", beyond]);
        assert_eq!((code, out.as_str()), (2, ""), "{beyond}");
        assert!(
            err.contains("Syntax error") && err.contains("beyond this shell"),
            "{err}"
        );
    }
}

#[test]
fn commands_can_wait_hang_and_block_each_other() {
    let mut room = room(256);
    assert_eq!(room.outcome(&["cat"], None), Outcome::NeedsInput);
    let lock = ["flock", "--wait", "5", "/run/lock/x", "sleep", "infinity"];
    let Outcome::Hangs { pid } = room.outcome(&lock, Some(b"")) else {
        panic!("it ended");
    };
    let second = ["flock", "--wait", "5", "/run/lock/x", "true"];
    let blocked = Outcome::Blocked {
        wait_ms: Some(5_000),
    };
    assert_eq!(room.outcome(&second, Some(b"")), blocked);
    room.guest.end_process(pid);
    room.must(&second);
    let later = room.outcome(&["sleep", "0.5"], Some(b""));
    assert!(matches!(later, Outcome::Later { after_ms: 500, .. }));
}

#[test]
fn a_guest_survives_being_written_down() {
    let room = with_site();
    let text = serde_json::to_string(&room.guest).unwrap();
    assert_eq!(serde_json::from_str::<Guest>(&text).unwrap(), room.guest);
}

#[test]
fn people_and_files_are_what_their_commands_make_them() {
    let mut room = room(256);
    room.must(&["useradd", "--system", "--create-home", "app"]);
    assert_eq!(
        room.must(&["id", "app"]),
        "uid=999(app) gid=999(app) groups=999(app)\n"
    );
    assert_eq!(room.run(&["useradd", "app"]).0, 9);
    room.write("/srv/x", "abc");
    room.must(&[
        "install", "-D", "-m", "640", "-o", "app", "-g", "www-data", "/srv/x", "/opt/a/b",
    ]);
    assert_eq!(
        room.must(&["stat", "-c", "%a %U %G %s", "/opt/a/b"]),
        "640 app www-data 3\n"
    );
    room.must(&["ln", "-s", "/opt/a", "/srv/link"]);
    assert_eq!(room.must(&["cat", "/srv/link/b"]), "abc");
    room.must(&["chmod", "-R", "go-rwx", "/opt"]);
    assert_eq!(room.must(&["stat", "-c", "%a", "/opt/a"]), "700\n");
    room.must(&["cp", "-a", "/opt/a", "/opt/c"]);
    room.must(&["mv", "/opt/c/b", "/opt/d"]);
    assert_eq!(room.must(&["ls", "/opt"]), "a\nc\nd\n");
    assert_eq!(room.run(&["rm", "/opt/a"]).0, 1);
    room.must(&["rm", "-rf", "/opt/a"]);
    assert_eq!(room.run(&["test", "-e", "/opt/a"]).0, 1);
    assert_eq!(room.must(&["hostname"]), "web\n");
    assert!(room.must(&["ip", "addr"]).contains("inet 127.64.3.10/24"));
    assert!(room.must(&["ss", "-tln"]).contains("0.0.0.0:22"));
    let (exit, _, stderr) = room.run(&["curl", "-sS", "http://127.0.0.1:81/"]);
    assert_eq!(exit, 7);
    assert!(stderr.starts_with("curl: (7) Failed to connect to 127.0.0.1 port 81"));
}

#[test]
fn a_shell_refuses_options_that_would_have_no_effect() {
    let mut room = room(256);
    assert_eq!(room.must(&["sh", "-c", "set -ex; echo a"]), "a\n");
    assert_eq!(
        room.must(&["sh", "-c", "set -e; set +e; false; echo b"]),
        "b\n"
    );
    assert_eq!(room.must(&["sh", "-c", "set -- x y; echo $2 $#"]), "y 2\n");
    assert_eq!(room.must(&["sh", "-c", "set -e x; echo $1"]), "x\n");
    for (option, named) in [
        ("-u", "-u"),
        ("-eu", "-u"),
        ("-o pipefail", "-o pipefail"),
        ("+q", "-q"),
    ] {
        let script = format!("set {option}; echo on");
        let (exit, stdout, stderr) = room.run(&["sh", "-c", &script]);
        assert_eq!((exit, stdout.as_str()), (2, ""), "{option}");
        assert_eq!(stderr, format!("sh: 1: set: Illegal option {named}\n"));
    }
}

#[test]
fn systemctl_reloads_starts_or_forgets_as_its_verb_says() {
    let mut room = with_site();
    let pid =
        |room: &mut Room| room.must(&["systemctl", "show", "-p", "MainPID", "--value", "nginx"]);
    let before = pid(&mut room);
    room.must(&["systemctl", "reload-or-restart", "nginx"]);
    assert_eq!(pid(&mut room), before, "it can reload");
    room.must(&["systemctl", "stop", "nginx"]);
    room.must(&["systemctl", "try-restart", "nginx"]);
    assert_eq!(room.run(&["systemctl", "is-active", "nginx"]).0, 3);
    room.must(&["systemctl", "reload-or-restart", "nginx"]);
    assert_eq!(room.run(&["systemctl", "is-active", "nginx"]).0, 0);
    for verb in [
        "try-restart",
        "reload-or-restart",
        "restart",
        "reload",
        "start",
    ] {
        let (exit, _, stderr) = room.run(&["systemctl", verb, "nosuch"]);
        let wanted = format!("Failed to {verb} nosuch.service: Unit nosuch.service not found.\n");
        assert_eq!((exit, stderr), (5, wanted));
    }

    assert!(room.with(|guest, world| guest.crash_unit(world, "nginx")));
    assert_eq!(room.run(&["systemctl", "is-failed", "nginx"]).0, 0);
    assert_eq!(room.run(&["systemctl", "reset-failed", "nosuch"]).0, 1);
    assert_eq!(room.run(&["systemctl", "is-failed", "nginx"]).0, 0);
    room.must(&["systemctl", "reset-failed", "nginx"]);
    assert_eq!(
        room.run(&["systemctl", "is-active", "nginx"]).1,
        "inactive\n"
    );
    assert_eq!(room.run(&["systemctl", "is-system-running"]).0, 0);
    room.must(&["systemctl", "reset-failed", "nginx"]);
    room.must(&["systemctl", "disable", "nginx"]);
    assert_eq!(room.run(&["systemctl", "reset-failed", "nginx"]).0, 1);
}

#[test]
fn the_journal_names_the_program_that_spoke_and_refuses_what_it_cannot_do() {
    let mut room = room(256);
    let unit =
        "[Service]\nExecStart=/bin/busybox httpd -f -p 8082 -h /srv\nExecReload=/bin/ls /nowhere\n";
    room.write("/etc/systemd/system/page.service", unit);
    room.must(&["mkdir", "-p", "/srv"]);
    room.must(&["systemctl", "start", "page"]);
    assert_eq!(room.run(&["systemctl", "reload", "page"]).0, 1);
    let log = room.must(&["journalctl", "-u", "page"]);
    let last = log.lines().last().unwrap();
    assert!(
        last.contains(" web ls: ls: cannot access '/nowhere'"),
        "{log}"
    );
    assert!(!log.contains("nginx"), "{log}");
    let reversed = room.must(&["journalctl", "-u", "page", "-r", "-n", "1"]);
    assert_eq!(reversed, format!("{last}\n"));
    assert_eq!(room.must(&["journalctl", "-q", "-u", "other"]), "");
    for args in [
        ["-o", "json"],
        ["-n", "few"],
        ["--since", "today"],
        ["-p", "err"],
    ] {
        assert_eq!(
            room.run(&[&["journalctl"], &args[..]].concat()).0,
            1,
            "{args:?}"
        );
    }
}
