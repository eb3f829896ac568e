use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};

use proximity_domain::time::{Monotonic, Timestamp};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

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
    drop(log);
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

/// Stderr of a log, to read.
#[derive(Debug, Default, Clone)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn of(log: &LogFile) -> Self {
        let heard = Self::default();
        log.0.lock().unwrap().beside = Beside(Box::new(heard.clone()));
        heard
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_takes_nothing_is_told_on_stderr_once() {
    let bench = Bench::new();
    let mut log = bench.open(1000, i64::MAX, 1);
    let heard = Heard::of(&log);
    let break_it = |log: &LogFile| {
        log.0.lock().unwrap().file = Some(File::options().write(true).open("/dev/full").unwrap());
    };
    log.write_all(b"kept\n").unwrap();
    assert_eq!(heard.text(), "", "nothing to tell while all is well");
    break_it(&log);
    log.write_all(b"lost\n").unwrap();
    log.write_all(b"lost too\n").unwrap();
    let told = heard.text();
    let path = bench.path("").display().to_string();
    assert!(
        told.contains(&path) && told.contains("No space left"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    // Trouble that comes and goes is the same trouble; hours later it is not.
    bench.clock.0.fetch_add(2_000, Ordering::Relaxed);
    log.write_all(b"kept\n").unwrap();
    break_it(&log);
    log.write_all(b"lost\n").unwrap();
    assert_eq!(heard.text(), told);
    bench.clock.0.fetch_add(3_600_000, Ordering::Relaxed);
    log.write_all(b"kept\n").unwrap();
    break_it(&log);
    log.write_all(b"lost\n").unwrap();
    assert_eq!(heard.text().lines().count(), 2, "{}", heard.text());
}

#[test]
fn older_files_stay_where_they_are_while_there_is_none_to_turn_over() {
    let bench = Bench::new();
    let mut log = bench.open(10, i64::MAX, 2);
    let heard = Heard::of(&log);
    for line in ["first\n", "second\n", "third\n"] {
        log.write_all(line.as_bytes()).unwrap();
    }
    // Moved away, and no new one can be made: a folder has its name.
    fs::rename(bench.path(""), bench.path(".moved")).unwrap();
    fs::create_dir(bench.path("")).unwrap();
    bench.clock.0.fetch_add(2_000, Ordering::Relaxed);
    log.write_all(b"fourth\n").unwrap();
    assert_eq!(
        (bench.text(".1"), bench.text(".2")),
        ("second\n".to_owned(), "first\n".to_owned())
    );
    assert_eq!(heard.text().lines().count(), 1, "{}", heard.text());
}

/// A file that takes nothing more, as on a full disk: writing fails, cutting it off does not.
fn full_disk(holds: &str) -> File {
    let file = memfd_create("log", MemfdFlags::ALLOW_SEALING).unwrap();
    let mut file = File::from(file);
    file.write_all(holds.as_bytes()).unwrap();
    fcntl_add_seals(&file, SealFlags::GROW).unwrap();
    file
}

#[test]
fn a_disk_that_is_full_while_the_file_cannot_be_turned_over_costs_no_line_that_is_there() {
    let bench = Bench::new();
    let mut log = bench.open(10, i64::MAX, 1);
    log.write_all(b"first\n").unwrap();
    // A folder in its way: the file cannot be turned over.
    fs::create_dir(bench.path(".1")).unwrap();
    let full = full_disk("first\n");
    log.0.lock().unwrap().file = Some(full.try_clone().unwrap());
    log.write_all(b"second\n").unwrap();
    assert_eq!(log.0.lock().unwrap().lost, 1);
    assert_eq!(full.metadata().unwrap().len(), 6, "what was there is kept");
}

#[test]
fn one_process_at_a_time_writes_a_file() {
    let bench = Bench::new();
    let mut first = bench.open(10, i64::MAX, 1);
    let turnover = first.0.lock().unwrap().turnover;
    let again = || LogFile::open(&bench.path(""), turnover, bench.clock.clone());
    assert!(again().unwrap_err().to_string().contains("another process"));
    for line in ["first\n", "second\n"] {
        first.write_all(line.as_bytes()).unwrap();
    }
    assert_eq!(bench.text(".1"), "first\n", "it was turned over");
    assert!(again().is_err(), "the new one is held too");
    drop(first);
    assert!(again().is_ok());
}

#[test]
fn the_file_is_its_owners() {
    let bench = Bench::new();
    let _log = bench.open(1000, i64::MAX, 1);
    let mode = fs::metadata(bench.path("")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
