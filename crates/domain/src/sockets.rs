//! What listens inside a container, as its kernel tells in `/proc/net/tcp` and `/proc/net/tcp6`, and which of it is the app.

use std::collections::BTreeSet;

use crate::adoption::{CUSTOM, of_port, usual_port};
use crate::names::CatalogId;

/// `TCP_LISTEN` (Linux, `include/net/tcp_states.h`).
const LISTENS: &str = "0A";
/// What a container listens on besides its app: SSH, mail, name service, RPC, LLMNR.
const BESIDES: [u16; 6] = [22, 25, 53, 111, 587, 5355];

/// The ports that something listens on and others can reach, from what both files hold. Lines that are none are passed over:
/// the files have a head, and columns that come after those read here.
#[must_use]
pub fn listening(tables: &str) -> BTreeSet<u16> {
    tables.lines().filter_map(open_port).collect()
}

/// `sl: ADDRESS:PORT PEER:PORT STATE …`, numbers in hex; addresses as they lie in memory, word by word.
fn open_port(line: &str) -> Option<u16> {
    let mut columns = line.split_ascii_whitespace();
    let number = columns.next()?.strip_suffix(':')?;
    number.parse::<u32>().ok()?;
    let (address, port) = columns.next()?.split_once(':')?;
    let state = columns.nth(1)?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == LISTENS && port != 0 && !is_loopback(address)?).then_some(port)
}

fn is_loopback(address: &str) -> Option<bool> {
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        Some(u32::from_str_radix(word, 16).ok()?.swap_bytes())
    });
    let words: Vec<u32> = words.collect::<Option<_>>()?;
    let v4 = |word: u32| word >> 24 == 127;
    match words.as_slice() {
        [word] => Some(v4(*word)),
        [0, 0, 0, 1] => Some(true),
        [0, 0, 0xffff, word] => Some(v4(*word)),
        [_, _, _, _] => Some(false),
        _ => None,
    }
}

/// What a container is and where its app listens, given what its name says and what was seen to listen. What a person said is
/// kept: a kind that is `given`, and a port.
#[must_use]
pub fn settle(
    kind: &CatalogId,
    given: bool,
    port: Option<u16>,
    seen: &BTreeSet<u16>,
) -> (CatalogId, u16) {
    let known = seen.iter().find_map(|port| of_port(*port));
    let known = known.and_then(|known| known.kind.parse().ok());
    let is_open = !given && kind.as_str() == CUSTOM.kind;
    let kind = known.filter(|_| is_open).unwrap_or_else(|| kind.clone());
    let usual = usual_port(kind.as_str());
    let port = port.unwrap_or_else(|| match seen.contains(&usual) {
        true => usual,
        false => app_port(seen).unwrap_or(usual),
    });
    (kind, port)
}

/// The port that is the app's most likely: the web's, else the lowest that is nothing else's.
fn app_port(seen: &BTreeSet<u16>) -> Option<u16> {
    let web = [80, 8080, 443].into_iter().find(|port| seen.contains(port));
    let other = || seen.iter().find(|port| !BESIDES.contains(port)).copied();
    web.or_else(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a container with PostgreSQL, SSH on both families, a local mail server and a connection shows it.
    const TABLES: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   104        0 21031 1 0000000000000000 100 0 0 10 0
   1: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20888 1 0000000000000000 100 0 0 10 0
   2: 0500000A:0016 0100000A:D2F0 01 00000000:00000000 02:000A7214 00000000     0        0 33321 4 0000000000000000 20 4 30 10 -1
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000001000000:0CEA 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000
";

    fn ports(ports: &[u16]) -> BTreeSet<u16> {
        ports.iter().copied().collect()
    }

    #[test]
    fn what_others_can_reach_is_read() {
        assert_eq!(listening(TABLES), ports(&[22, 5432]));
        assert_eq!(listening(""), ports(&[]));
    }

    #[test]
    fn what_listens_settles_what_the_name_leaves_open() {
        for (kind, given, port, seen, expected) in [
            ("custom", false, None, &[22, 5432][..], ("postgres", 5432)),
            ("custom", false, None, &[22, 7000], ("custom", 7000)),
            ("custom", false, None, &[22, 7000, 8080], ("custom", 8080)),
            ("custom", false, None, &[22], ("custom", 80)),
            ("custom", true, None, &[5432], ("custom", 5432)),
            ("nginx", false, None, &[80, 443], ("nginx", 80)),
            ("nginx", false, None, &[5432], ("nginx", 5432)),
            ("postgres", true, None, &[80], ("postgres", 80)),
            ("nginx", false, Some(81), &[80], ("nginx", 81)),
            ("grafana", false, None, &[], ("grafana", 3000)),
        ] {
            let (found, at) = settle(&kind.parse().unwrap(), given, port, &ports(seen));
            assert_eq!((found.as_str(), at), expected, "{kind} {given} {seen:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_container_says_is_borne(text in "(?s).{0,400}") {
            prop_assert!(listening(&text).len() <= text.len());
        }

        #[test]
        fn each_port_of_a_table_is_found(seen in prop::collection::btree_set(1_u16..=u16::MAX, 0..20)) {
            let rows = seen.iter().enumerate();
            let rows: Vec<String> = rows
                .map(|(n, port)| format!("{n}: 00000000:{port:04X} 00000000:0000 0A 0"))
                .collect();
            prop_assert_eq!(listening(&rows.join("\n")), seen);
        }
    }
}
