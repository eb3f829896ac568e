//! The log's file: turned over by size and age, a bounded number kept. Whatever fails here, the program goes on.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use proximity_domain::time::Clock;
use tracing_subscriber::fmt::MakeWriter;

/// How often it is looked whether somebody moved the file away, milliseconds.
const LOOK_MS: u64 = 1_000;
/// Trouble that comes and goes is told on stderr once in so long, milliseconds.
const TOLD_MS: u64 = 600_000;

/// When a file is turned over, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turnover {
    /// A file grows to this size, bytes.
    pub(crate) size_bytes: u64,
    /// A file is written to for so long, milliseconds.
    pub(crate) age_ms: i64,
    /// Older files beside the one that is written: `NAME.1` is the newest of them.
    pub(crate) keep: u32,
}

/// A log file. Cheap to clone.
///
/// Guarantees: a line is in one file, whole; a file that was moved away (by logrotate, say) is opened anew within a
/// second, without a signal; a disk that is full or gone costs new lines, nothing else, and stderr is told of it once.
#[derive(Debug, Clone)]
pub(crate) struct LogFile(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    turnover: Turnover,
    clock: Arc<dyn Clock>,
    file: Option<File>,
    /// How much it has grown, for turning it over.
    size_bytes: u64,
    begun_at_ms: i64,
    looked_at_ms: u64,
    lost: u64,
    beside: Beside,
    /// When `beside` was last told of lines that were lost.
    told_at_ms: Option<u64>,
}

/// Where it is told that the file takes no lines: stderr.
struct Beside(Box<dyn Write + Send>);

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beside")
    }
}

impl LogFile {
    /// Opens the file, or makes it for its owner only.
    ///
    /// # Errors
    /// It cannot be opened now, or another process writes it; later failures are none.
    pub(crate) fn open(path: &Path, turnover: Turnover, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let mut inner = Inner {
            path: path.to_owned(),
            turnover,
            clock,
            file: None,
            size_bytes: 0,
            begun_at_ms: 0,
            looked_at_ms: 0,
            lost: 0,
            beside: Beside(Box::new(io::stderr())),
            told_at_ms: None,
        };
        inner.reopen()?;
        Ok(Self(Arc::new(Mutex::new(inner))))
    }
}

impl Write for LogFile {
    /// Takes the line whole, whatever becomes of it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Inner {
    fn write(&mut self, line: &[u8]) {
        if let Err(error) = self.try_write(line) {
            self.lose(&error);
        }
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        self.look_again();
        // Before it is asked whether to turn over: what is not there cannot be, and older files must not move for it.
        self.have_file()?;
        let grown = self.size_bytes + line.len() as u64;
        let aged = self.clock.now().0.saturating_sub(self.begun_at_ms) >= self.turnover.age_ms;
        if self.size_bytes > 0 && (grown > self.turnover.size_bytes || aged) {
            self.turn_over();
            self.have_file()?;
        }
        if self.lost > 0 {
            let told = format!(
                "{{\"message\":\"log lines were lost, the disk took none\",\"lost\":{}}}\n",
                self.lost
            );
            if self.put(told.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        self.put(line)
    }

    fn have_file(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        self.reopen()
    }

    /// Counts a line that is lost; tells of it once, where the file itself cannot.
    fn lose(&mut self, error: &io::Error) {
        self.lost += 1;
        let now = self.clock.monotonic().0;
        let told_lately = |at: u64| now.saturating_sub(at) < TOLD_MS;
        if self.lost > 1 || self.told_at_ms.is_some_and(told_lately) {
            return;
        }
        self.told_at_ms = Some(now);
        let path = self.path.display();
        let told = format!(
            "cannot write the log {path}: {error}; lines are lost and counted until it takes some\n"
        );
        // With stderr gone too there is nobody left to tell.
        drop(self.beside.0.write_all(told.as_bytes()));
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        // Not `size_bytes`: that begins anew where a file could not be turned over.
        let whole_bytes = file.metadata()?.len();
        let put = file.write_all(line);
        if put.is_ok() {
            self.size_bytes += line.len() as u64;
        } else {
            // Half a line must not run into the next one. What is told is why it was not written whole.
            drop(file.set_len(whole_bytes));
        }
        put
    }

    /// Looks now and then whether the name still leads to the file that is open.
    fn look_again(&mut self) {
        let now = self.clock.monotonic().0;
        if now.saturating_sub(self.looked_at_ms) < LOOK_MS {
            return;
        }
        self.looked_at_ms = now;
        let same =
            |file: &File| Some(file.metadata().ok()?.ino() == fs::metadata(&self.path).ok()?.ino());
        if self.file.as_ref().and_then(same) != Some(true) {
            self.file = None;
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.path)?;
        // Two that turn one file over would each take the other's away.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process writes this file"),
            TryLockError::Error(error) => error,
        })?;
        let found = file.metadata()?;
        self.size_bytes = found.len();
        // Where the file system does not know when a file was made, its age counts from now.
        let made = found.created().ok();
        let made = made.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let made = made.and_then(|since| i64::try_from(since.as_millis()).ok());
        self.begun_at_ms = made.unwrap_or_else(|| self.clock.now().0);
        self.file = Some(file);
        Ok(())
    }

    /// `NAME` becomes `NAME.1`, and so on; the oldest goes. Where that fails, the file is written on.
    fn turn_over(&mut self) {
        let turned = (|| {
            for number in (1..self.turnover.keep).rev() {
                rename_if_there(&self.numbered(number), &self.numbered(number + 1))?;
            }
            if self.turnover.keep == 0 {
                fs::remove_file(&self.path)
            } else {
                fs::rename(&self.path, self.numbered(1))
            }
        })();
        match turned {
            Ok(()) => self.file = None,
            // Not at every line again.
            Err(_) => {
                self.size_bytes = 0;
                self.begun_at_ms = self.clock.now().0;
            }
        }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
#[path = "log_file_tests.rs"]
mod tests;
