//! What each client was told against what the log holds: every number after its beginning, once, in order.

use std::sync::Arc;

use super::client::Client;

/// Sentences that are printed; the rest is counted.
const TOLD: usize = 20;

/// One sentence per client whose sequence is not the log's.
pub(super) fn faults(clients: &[Arc<Client>], head: i64) -> Vec<String> {
    let judged = clients.iter().enumerate().filter_map(|(number, client)| {
        let wrong = match client.start() {
            None => "never began".to_owned(),
            Some(start) => judge(start, head, &client.events())?,
        };
        Some(format!("client {number}: {wrong}"))
    });
    judged.collect()
}

/// The first of them.
pub(super) fn told(faults: &[String]) -> &[String] {
    faults.get(..TOLD).unwrap_or(faults)
}

/// What is wrong with a sequence that should be `start + 1` to `head`.
pub(super) fn judge(start: i64, head: i64, events: &[i64]) -> Option<String> {
    let mut expected = start + 1;
    for seq in events {
        if *seq < expected {
            return Some(format!("{seq} came again, or late; {expected} was next"));
        }
        if *seq > expected {
            return Some(format!("{expected} to {} are missing", seq - 1));
        }
        expected += 1;
    }
    (expected <= head).then(|| format!("{expected} to {head} did not come"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_sequence_is_right() {
        assert_eq!(judge(2, 5, &[3, 4, 5]), None);
        assert_eq!(judge(5, 5, &[]), None);
        for wrong in [
            &[3, 5][..],
            &[3, 4, 4, 5],
            &[4, 3, 5],
            &[3, 4],
            &[4, 5],
            &[],
        ] {
            assert!(judge(2, 5, wrong).is_some(), "{wrong:?}");
        }
    }
}
