use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};

use proximity_domain::time::{Monotonic, Timestamp};

use super::*;

#[derive(Debug, Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.now().0).unwrap())
    }
}

/// Far after any file of a test is made.
const LATER: i64 = 4_000_000_000_000;

struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<SetClock>,
}

impl Bench {
    fn new() -> Self {
        let clock = SetClock::default();
        clock.0.store(LATER, Ordering::Relaxed);
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(clock),
        }
    }

    fn open(&self, size_bytes: u64, age_ms: i64, keep: u32) -> LogFile {
        let turnover = Turnover {
            size_bytes,
            age_ms,
            keep,
        };
        let clock: Arc<dyn Clock> = self.clock.clone();
        LogFile::open(&self.path(""), turnover, clock).unwrap()
    }

    fn path(&self, end: &str) -> PathBuf {
        self.dir.path().join(format!("proximity.log{end}"))
    }

    fn text(&self, end: &str) -> String {
        fs::read_to_string(self.path(end)).unwrap()
    }
}

#[test]
fn a_file_that_has_grown_is_turned_over_and_a_bounded_number_is_kept() {
    let bench = Bench::new();
    let mut log = bench.open(10, i64::MAX, 2);
    for line in ["first\n", "second\n", "third\n", "fourth\n"] {
        log.write_all(line.as_bytes()).unwrap();
    }
    assert_eq!(bench.text(""), "fourth\n");
    assert_eq!(
        (bench.text(".1"), bench.text(".2")),
        ("third\n".to_owned(), "second\n".to_owned())
    );
    assert!(!bench.path(".3").exists());
}

#[test]
fn a_file_that_is_old_is_turned_over() {
    let bench = Bench::new();
    let mut log = bench.open(1000, i64::MAX, 1);
    log.write_all(b"one\n").unwrap();
    let mut log = bench.open(1000, 60_000, 1);
    log.write_all(b"two\n").unwrap();
    assert_eq!(
        (bench.text(""), bench.text(".1")),
        ("two\n".to_owned(), "one\n".to_owned())
    );
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let bench = Bench::new();
    let mut log = bench.open(1000, i64::MAX, 1);
    log.write_all(b"one\n").unwrap();
    fs::rename(bench.path(""), bench.path(".moved")).unwrap();
    bench.clock.0.fetch_add(2_000, Ordering::Relaxed);
    log.write_all(b"two\n").unwrap();
    assert_eq!(
        (bench.text(""), bench.text(".moved")),
        ("two\n".to_owned(), "one\n".to_owned())
    );
}

#[test]
fn a_disk_that_takes_nothing_costs_lines_and_they_are_counted() {
    let bench = Bench::new();
    let mut log = bench.open(1000, i64::MAX, 1);
    log.write_all(b"first\n").unwrap();
    log.0.lock().unwrap().file = Some(File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(log.write(b"lost\n").unwrap(), 5, "the program goes on");
    bench.clock.0.fetch_add(2_000, Ordering::Relaxed);
    log.write_all(b"kept\n").unwrap();
    assert!(
        bench.text("").contains("\"lost\":1}\nkept\n"),
        "{}",
        bench.text("")
    );
}

#[test]
fn the_file_is_its_owners() {
    let bench = Bench::new();
    let _log = bench.open(1000, i64::MAX, 1);
    let mode = fs::metadata(bench.path("")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
