//! Which name servers the guests get.

use std::path::Path;

/// Where systemd-resolved lists the servers behind its own loopback address.
const BEHIND_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// slirp4netns answers DNS here, with whatever the host itself uses.
const SLIRP: &str = "10.0.2.3";

/// Text for the guests' `/etc/resolv.conf`: the host's servers that a guest can reach.
pub(crate) fn guest_resolver(private: bool) -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    choose(&read("/etc/resolv.conf"), &read(BEHIND_RESOLVED), private)
}

fn choose(own: &str, behind: &str, private: bool) -> String {
    for text in [own, behind] {
        let kept: Vec<&str> = text.lines().filter(|line| reachable(line)).collect();
        if kept.iter().any(|line| line.starts_with("nameserver")) {
            return kept.join("\n") + "\n";
        }
    }
    if private {
        format!("nameserver {SLIRP}\n")
    } else {
        String::new()
    }
}

/// Keeps search and options; drops servers on the host's loopback, comments, everything else.
fn reachable(line: &str) -> bool {
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some("nameserver"), Some(server)) => !server.starts_with("127.") && server != "::1",
        (Some("search" | "domain" | "options"), Some(_)) => true,
        (_, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_on_loopback_is_looked_behind() {
        let own = "# stub\nnameserver 127.0.0.53\nsearch lan\n";
        let behind = "nameserver 192.0.2.1\n";
        assert_eq!(choose(own, behind, false), "nameserver 192.0.2.1\n");
        assert_eq!(choose(own, "", true), "nameserver 10.0.2.3\n");
        assert_eq!(choose(own, "", false), "");
    }

    #[test]
    fn reachable_servers_are_kept_with_search() {
        let own = "search lan\nnameserver 192.0.2.7\nnameserver ::1\n";
        assert_eq!(choose(own, "", true), "search lan\nnameserver 192.0.2.7\n");
    }
}
