//! How many callers the API takes at the same time, so that its files are enough for the work they ask for.

use rustix::process::{Resource, getrlimit};

/// Files of a server beside its connections: standard streams, the runtime, the database with its reader, locks, the log.
const OWN_FILES: u64 = 20;
/// Files of one operation: connections to a node's API and into a guest.
const PER_OPERATION: u64 = 3;

/// `wanted` connections, or fewer where the process may not have files for them and `operations` besides. Says so in the log.
pub(crate) fn connections(wanted: usize, operations: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current;
    let connections = within(files, wanted, operations);
    if connections < wanted {
        tracing::warn!(
            files,
            wanted,
            connections,
            "the limit of open files lowers the number of callers at the same time"
        );
    }
    connections
}

/// How many of `connections` may follow events, `wanted` at most: half of them stay for requests that end.
pub(crate) fn followers(wanted: usize, connections: usize) -> usize {
    wanted.min(connections / 2).max(1)
}

fn within(files: Option<u64>, wanted: usize, operations: usize) -> usize {
    let Some(files) = files else {
        return wanted;
    };
    let operations = u64::try_from(operations).unwrap_or(u64::MAX);
    let others = operations
        .saturating_mul(PER_OPERATION)
        .saturating_add(OWN_FILES);
    // Beside few files, a quarter of them stay for callers rather than none.
    let left = files.saturating_sub(others).max(files / 4).max(1);
    usize::try_from(left).map_or(wanted, |left| left.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_leave_connections_to_others() {
        assert_eq!(followers(256, 512), 256);
        assert_eq!(followers(256, 188), 94);
        assert_eq!(followers(256, 8), 4);
        assert_eq!(followers(256, 1), 1, "or nobody could follow");
    }

    #[test]
    fn callers_leave_files_for_the_work() {
        assert_eq!(within(Some(1024), 512, 16), 512);
        assert_eq!(within(Some(256), 512, 16), 188);
        assert_eq!(within(Some(32), 512, 4), 8, "a quarter, not none");
        assert_eq!(within(Some(1024), 512, 1000), 256);
        assert_eq!(within(Some(3), 512, 4), 1);
        assert_eq!(within(None, 512, 4), 512);
    }
}
