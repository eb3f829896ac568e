//! What `apt-get` says and does.

use super::*;

#[test]
fn without_downloads_only_what_is_there_is_installed() {
    let mut room = room(256);
    room.must(&["apt-get", "-q", "update"]);
    let install = [
        "apt-get",
        "-q",
        "-y",
        "--no-install-recommends",
        "--no-download",
        "install",
        "--",
        "nginx-light",
    ];
    let (exit, stdout, stderr) = room.run(&install);
    assert_eq!(exit, 100);
    assert!(stdout.contains("nginx-light"), "{stdout}");
    assert_eq!(
        stderr,
        "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n"
    );
    room.install_nginx();
    assert!(room.must(&install).contains("already the newest version"));
}

#[test]
fn what_was_downloaded_before_is_installed_without_a_network() {
    let mut room = room(256);
    room.must(&["apt-get", "-q", "update"]);
    let fetch = [
        "apt-get",
        "-q",
        "-y",
        "--download-only",
        "install",
        "--",
        "nginx-light",
    ];
    room.must(&fetch);
    assert_eq!(room.run(&["nginx", "-t"]).0, 127, "nothing is installed");
    let install = [
        "apt-get",
        "-q",
        "-y",
        "--no-download",
        "install",
        "--",
        "nginx-light",
    ];
    room.must(&install);
    assert_eq!(room.run(&["nginx", "-t"]).0, 0);
    room.must(&["apt-get", "-y", "remove", "nginx-light"]);
    room.must(&["apt-get", "clean"]);
    assert_eq!(room.run(&install).0, 100, "nothing is kept any more");
}

#[test]
fn packages_need_lists_and_unknown_ones_are_refused() {
    let mut room = room(256);
    let install = ["apt-get", "-q", "-y", "install", "--", "nginx-light"];
    let (exit, _, stderr) = room.run(&install);
    assert_eq!(
        (exit, stderr.as_str()),
        (100, "E: Unable to locate package nginx-light\n")
    );
    room.install_nginx();
    let show = [
        "dpkg-query",
        "--show",
        "--showformat=${db:Status-Abbrev}\\n",
        "--",
        "nginx-light",
        "nginx-common",
    ];
    assert_eq!(room.must(&show), "ii \nii \n");
    assert_eq!(
        room.must(&["systemctl", "is-enabled", "nginx"]),
        "enabled\n"
    );
    let (exit, _, stderr) = room.run(&["apt-get", "-y", "install", "no-such-package"]);
    assert_eq!(
        (exit, stderr.as_str()),
        (100, "E: Unable to locate package no-such-package\n")
    );
    room.must(&["apt-get", "-y", "remove", "nginx-light"]);
    assert_eq!(room.run(&["nginx", "-t"]).0, 127);
    assert_eq!(room.run(&["systemctl", "is-active", "nginx"]).0, 3);
}

#[test]
fn apt_asks_tells_or_repeats_when_it_is_told_to() {
    let mut room = room(256);
    room.must(&["apt-get", "update"]);
    let install = ["apt-get", "install", "nginx-light"];
    let (exit, stdout, _) = room.run(&install);
    assert_eq!(exit, 1);
    assert!(
        stdout.ends_with("Do you want to continue? [Y/n] Abort.\n"),
        "{stdout}"
    );
    assert_eq!(room.outcome(&install, None), Outcome::NeedsInput);
    assert_eq!(room.run(&["nginx", "-t"]).0, 127);
    for simulate in ["-s", "--simulate", "--dry-run"] {
        let told = room.must(&["apt-get", simulate, "install", "nginx-light"]);
        assert!(told.contains("\nInst nginx-light ("), "{told}");
        assert_eq!(room.run(&["nginx", "-t"]).0, 127, "{simulate}");
    }
    let Outcome::Ended(agreed) = room.outcome(&install, Some(b"y\n")) else {
        panic!("it ends");
    };
    assert_eq!(agreed.exit, 0);

    room.must(&["rm", "/usr/sbin/nginx"]);
    let told = room.must(&["apt-get", "-y", "install", "nginx-light"]);
    assert!(told.contains("already the newest version"), "{told}");
    let told = room.must(&["apt-get", "-y", "--reinstall", "install", "nginx-light"]);
    assert!(told.contains(" 1 reinstalled, "), "{told}");
    room.must(&["nginx", "-t"]);

    assert_eq!(room.run(&["apt-get", "remove", "nginx-light"]).0, 1);
    let told = room.must(&["apt-get", "-s", "remove", "nginx-light"]);
    assert!(told.contains("Remv nginx-light ["), "{told}");
    room.must(&["nginx", "-t"]);
    for refused in ["upgrade", "dist-upgrade", "autoremove"] {
        assert_eq!(room.run(&["apt-get", "-y", refused]).0, 100, "{refused}");
    }
    let other = ["apt-get", "-y", "-t", "sid", "install", "nginx-light"];
    assert_eq!(room.run(&other).0, 100);
}
