//! A program of a person's choice inside the container of an app: it is heard while it runs, and ended when nobody hears it any more.
//!
//! It runs with a variable of its own in its environment, by which it and all that it started are found when it is to be ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proximity_domain::failure::Failure;
use proximity_domain::inside::check_argv;
use proximity_domain::operation::OperationState;
pub use proximity_pve::guest::Stream as ExecStream;
use proximity_pve::guest::{Exec, ExecOutput, GuestError, Listener, Stream};
use proximity_store::error::StoreError;
use proximity_store::records::{Actor, AppRecord};
use serde_json::json;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::inside::{Inside, is_in_doubt, not_inside, not_taken};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::mask::StreamMasker;

/// The longest time a program may be given, seconds.
pub const LONGEST_EXEC_S: u32 = 3_600;
/// Most input of a program, bytes.
pub const MOST_STDIN_BYTES: usize = 512 * 1024;
/// How much of what it prints is told, bytes of each kind.
const MOST_OUTPUT_BYTES: usize = 4 << 20;
/// Up to this size what is printed is put to what waits already, bytes: a program may print letter by letter.
const PIECE_BYTES: usize = 16 * 1024;
/// How much longer than we do the way into the container waits: we end it first.
const LATER_MS: u64 = 10_000;
/// How long after the container was read it may be sent.
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// How long ending it may take, milliseconds.
const END_MS: u64 = 20_000;
/// The variable by which a program is found.
const VARIABLE: &str = "PROXIMITY_EXEC";

/// Ends every process that has `$1` in its environment: first by TERM; what is still there after five seconds by KILL. Looks only into
/// `/proc`, for a small guest has neither `pgrep` nor `fuser`.
const END_MARKED: &str = r#"
marked() {
  for environ in /proc/[0-9]*/environ; do
    grep -q -s -F -e "$1" "$environ" || continue
    pid=${environ#/proc/}; echo "${pid%%/*}"
  done
}
for try in 1 2 3 4 5 6 7 8 9 10; do
  left=$(marked "$1")
  [ -n "$left" ] || exit 0
  if [ "$try" -lt 6 ]; then kill -TERM $left; else kill -KILL $left; fi
  sleep 1
done
[ -z "$(marked "$1")" ]
"#;

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecApp {
    /// Program and arguments, as they are.
    pub argv: Vec<String>,
    /// What it reads; `None` = nothing.
    pub stdin: Option<Bytes>,
    /// How long it may run, seconds, 1 to [`LONGEST_EXEC_S`].
    pub timeout_s: u32,
}

/// What is told of a program that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecTold {
    /// It printed this, without the app's secrets.
    Output {
        /// Where.
        stream: Stream,
        /// What; cut anywhere.
        bytes: Vec<u8>,
    },
    /// It ended. Nothing follows.
    Ended {
        /// Its exit code.
        exit_code: i32,
        /// Whether something of what it printed was left out.
        truncated: bool,
    },
    /// Its end is not known, or it was ended. Nothing follows.
    Failed(Failure),
}

/// A program that runs. Dropped before its end, it is ended in the container.
#[derive(Debug)]
pub struct ExecRun {
    heard: Arc<Heard>,
    _gone: DropGuard,
}

impl ExecRun {
    /// What comes next; `None` behind the end.
    pub async fn next(&mut self) -> Option<ExecTold> {
        loop {
            let rung = self.heard.bell.notified();
            {
                let mut kept = self.heard.lock();
                if let Some(told) = kept.told.pop_front() {
                    return Some(told);
                }
                if kept.is_over {
                    return None;
                }
            }
            rung.await;
        }
    }
}

/// What was heard and not taken yet.
#[derive(Debug)]
struct Heard {
    kept: Mutex<Kept>,
    bell: Notify,
}

struct Kept {
    told: VecDeque<ExecTold>,
    stdout: Told,
    stderr: Told,
    is_over: bool,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// One of its streams.
struct Told {
    masker: StreamMasker,
    /// How much more of it is told.
    room: usize,
    truncated: bool,
}

impl Told {
    fn new(inside: &Inside) -> Self {
        Self {
            masker: inside.stream_masker(),
            room: MOST_OUTPUT_BYTES,
            truncated: false,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let taken = bytes.get(..self.room).unwrap_or(bytes);
        self.room -= taken.len();
        self.truncated |= taken.len() < bytes.len();
        self.masker.push(taken)
    }

    /// What was held back. Of what was cut, also by its end, nothing that may be the beginning of a secret.
    fn rest(&mut self, was_cut: bool) -> Vec<u8> {
        match was_cut || self.truncated {
            true => self.masker.cut(),
            false => self.masker.rest(),
        }
    }
}

impl Kept {
    /// Puts it to what waits. Between the two streams there is no order, so that the last two of what waits may take it.
    fn tell(&mut self, stream: Stream, mut bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        for told in self.told.iter_mut().rev().take(2) {
            match told {
                ExecTold::Output {
                    stream: of,
                    bytes: waiting,
                } if *of == stream => {
                    if waiting.len() < PIECE_BYTES {
                        waiting.append(&mut bytes);
                        return;
                    }
                    break;
                }
                ExecTold::Output { .. } | ExecTold::Ended { .. } | ExecTold::Failed(_) => {}
            }
        }
        self.told.push_back(ExecTold::Output { stream, bytes });
    }
}

impl Heard {
    fn new(inside: &Inside) -> Self {
        Self {
            kept: Mutex::new(Kept {
                told: VecDeque::new(),
                stdout: Told::new(inside),
                stderr: Told::new(inside),
                is_over: false,
            }),
            bell: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what was held back, and then how it came out.
    fn end(&self, came: Result<(i32, bool), Failure>) {
        let mut kept = self.lock();
        // Of what did not come to its end something may be lost on the way.
        let is_lost = came.is_err();
        let rest = kept.stdout.rest(is_lost);
        kept.tell(Stream::Stdout, rest);
        let rest = kept.stderr.rest(is_lost);
        kept.tell(Stream::Stderr, rest);
        let was_cut = kept.stdout.truncated || kept.stderr.truncated;
        kept.told.push_back(match came {
            Ok((exit_code, truncated)) => ExecTold::Ended {
                exit_code,
                truncated: truncated || was_cut,
            },
            Err(failure) => ExecTold::Failed(failure),
        });
        kept.is_over = true;
        drop(kept);
        self.bell.notify_one();
    }
}

impl Listener for Heard {
    fn heard(&self, stream: Stream, bytes: &[u8]) {
        let mut kept = self.lock();
        let shown = match stream {
            Stream::Stdout => kept.stdout.push(bytes),
            Stream::Stderr => kept.stderr.push(bytes),
        };
        kept.tell(stream, shown);
        drop(kept);
        self.bell.notify_one();
    }
}

/// All that one run needs, for the task that watches over it.
struct Conduct {
    engine: Engine,
    actor: Actor,
    inside: Inside,
    exec: Exec,
    /// The variable with its value.
    mark: String,
    timeout_s: u32,
    heard: Arc<Heard>,
    /// Nobody hears it any more.
    gone: CancellationToken,
    _places: [OwnedSemaphorePermit; 2],
}

/// How the watch over a run ended.
enum Came {
    Ended(Result<ExecOutput, GuestError>),
    Gone,
    OutOfTime,
}

impl Engine {
    /// Runs a program in the container of an app, as root and without a shell. That of an adopted app is entered likewise: this is the
    /// request for it. While an operation is at work on the app nothing is run, unless it waits for a person.
    ///
    /// # Errors
    /// Arguments, input or a time that cannot be; unknown app, or one that is worked on; a container that is not there, is another one,
    /// or cannot be entered; too many commands at the same time. Nothing was sent then. What comes later is told by the run.
    pub async fn exec(
        &self,
        actor: &Actor,
        app: &str,
        request: ExecApp,
    ) -> Result<ExecRun, EngineError> {
        check(&request)?;
        let places = self.place_of_program()?;
        let inside = self.inside(app).await?;
        self.refuse_at_work(&inside.app).await?;
        let mark = format!("{VARIABLE}={}", self.inner.parts.ids.uuid());
        let details = json!({
            "hostname": inside.app.hostname,
            "argv": inside.audited(&request.argv),
            "stdin_bytes": request.stdin.as_ref().map_or(0, Bytes::len),
            "timeout_s": request.timeout_s,
            "mark": mark,
        });
        let (id, now) = (inside.app.id, self.now());
        let store = self.store();
        store
            .note_command(id, "app.exec", details, actor, now)
            .await?;
        let mut argv = vec!["env".to_owned(), mark.clone()];
        argv.extend(request.argv);
        let exec = Exec {
            argv,
            stdin: request.stdin,
            timeout_ms: u64::from(request.timeout_s) * 1_000 + LATER_MS,
            max_output_bytes: MOST_OUTPUT_BYTES,
            send_before: Some(Instant::now() + SENT_WITHIN),
        };
        let heard = Arc::new(Heard::new(&inside));
        let gone = CancellationToken::new();
        let conduct = Conduct {
            engine: self.clone(),
            actor: actor.clone(),
            inside,
            exec,
            mark,
            timeout_s: request.timeout_s,
            heard: Arc::clone(&heard),
            gone: gone.clone(),
            _places: places,
        };
        tokio::spawn(conduct.watch());
        Ok(ExecRun {
            heard,
            _gone: gone.drop_guard(),
        })
    }

    /// Refuses an app that an operation is at work on. One that is stuck waits for a person, who may look and mend.
    async fn refuse_at_work(&self, app: &AppRecord) -> Result<(), EngineError> {
        let Some(id) = app.operation else {
            return Ok(());
        };
        let operation = self.store().operation(id).await?;
        let is_stuck = |state: &OperationState| matches!(state, OperationState::Stuck { .. });
        if operation.is_none_or(|operation| is_stuck(&operation.state)) {
            return Ok(());
        }
        let (app, operation) = (app.id, id);
        Err(StoreError::Busy { app, operation }.into())
    }
}

fn check(request: &ExecApp) -> Result<(), EngineError> {
    check_argv(&request.argv).map_err(|wrong| not_taken(&wrong))?;
    let invalid = |field: &str, message: String| EngineError::Invalid {
        field: field.to_owned(),
        message,
    };
    let bytes = request.stdin.as_ref().map_or(0, Bytes::len);
    if bytes > MOST_STDIN_BYTES {
        let message = format!("{bytes} bytes of input are more than {MOST_STDIN_BYTES}");
        return Err(invalid("stdin", message));
    }
    if !(1..=LONGEST_EXEC_S).contains(&request.timeout_s) {
        let message = format!("{} s is not 1 to {LONGEST_EXEC_S}", request.timeout_s);
        return Err(invalid("timeout_s", message));
    }
    Ok(())
}

impl Conduct {
    /// Runs it to its end, or until its time is over or nobody hears it any more; then it is ended.
    async fn watch(mut self) {
        let exec = Exec {
            argv: std::mem::take(&mut self.exec.argv),
            stdin: self.exec.stdin.take(),
            ..self.exec
        };
        let (inside, heard) = (&self.inside, self.heard.as_ref());
        let limit = Duration::from_secs(u64::from(self.timeout_s));
        let came = tokio::select! {
            biased;
            ended = inside.access.exec_heard(&inside.target, exec, heard) => Came::Ended(ended),
            () = self.gone.cancelled() => Came::Gone,
            () = tokio::time::sleep(limit) => Came::OutOfTime,
        };
        let came = match came {
            Came::Ended(Ok(output)) => Ok((output.exit_code, output.truncated)),
            Came::Ended(Err(error)) => {
                if is_in_doubt(&error) {
                    self.end().await;
                }
                Err(not_inside(&inside.app, "exec", &error).failure())
            }
            Came::Gone => {
                self.end().await;
                return;
            }
            Came::OutOfTime => {
                let is_ended = self.end().await;
                Err(self.out_of_time(is_ended))
            }
        };
        heard.end(came);
    }

    fn out_of_time(&self, is_ended: bool) -> Failure {
        let (name, limit) = (&self.inside.app.hostname, self.timeout_s);
        let (what, hint) = match is_ended {
            true => ("was ended", "give it more time with --timeout"),
            false => (
                "could not be ended",
                "look at what runs in the container with: proximity run APP processes",
            ),
        };
        Failure::new(
            "command_timed_out",
            format!("the program in {name} did not end within {limit} s and {what}"),
            hint,
        )
    }

    /// Ends what was begun, if the container is still the one on record; whether nothing of it is left.
    async fn end(&self) -> bool {
        match self.ended().await {
            Ok(true) => true,
            Ok(false) => {
                tracing::warn!(app = %self.inside.app.hostname, mark = self.mark, "a program in a container was not ended");
                false
            }
            Err(error) => {
                tracing::warn!(app = %self.inside.app.hostname, mark = self.mark, %error, "a program in a container was not ended");
                false
            }
        }
    }

    async fn ended(&self) -> Result<bool, EngineError> {
        let (engine, id) = (&self.engine, self.inside.app.id);
        // It may have run for an hour.
        let inside = engine.inside(&id.to_string()).await?;
        let details = json!({ "hostname": inside.app.hostname, "mark": self.mark });
        let store = engine.store();
        store
            .note_command(id, "app.exec_end", details, &self.actor, engine.now())
            .await?;
        let argv = ["/bin/sh", "-c", END_MARKED, "end", &self.mark];
        let exec = Exec {
            argv: argv.map(str::to_owned).to_vec(),
            stdin: None,
            timeout_ms: END_MS,
            max_output_bytes: 4_096,
            send_before: Some(Instant::now() + SENT_WITHIN),
        };
        let ended = inside.access.exec(&inside.target, exec).await;
        match ended {
            Ok(ended) => Ok(ended.exit_code == 0),
            // What ran in it ended with it.
            Err(GuestError::NotRunning { .. }) => Ok(true),
            Err(error) => Err(not_inside(&inside.app, "exec", &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn heard() -> Heard {
        let secrets = [SecretString::from("hunter2")];
        let told = || Told {
            masker: StreamMasker::new(&secrets),
            room: 64 * 1024,
            truncated: false,
        };
        Heard {
            kept: Mutex::new(Kept {
                told: VecDeque::new(),
                stdout: told(),
                stderr: told(),
                is_over: false,
            }),
            bell: Notify::new(),
        }
    }

    /// What waits, each stream together, and in how many pieces.
    fn waiting(heard: &Heard) -> (String, String, usize) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let kept = heard.lock();
        for told in &kept.told {
            match told {
                ExecTold::Output { stream, bytes } => match stream {
                    Stream::Stdout => out.extend_from_slice(bytes),
                    Stream::Stderr => err.extend_from_slice(bytes),
                },
                ExecTold::Ended { .. } | ExecTold::Failed(_) => {}
            }
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(err), kept.told.len())
    }

    #[test]
    fn what_is_printed_letter_by_letter_waits_in_few_pieces() {
        let heard = heard();
        for n in 0..40_000_u32 {
            let letter = [b'a' + u8::try_from(n % 7).unwrap()];
            heard.heard(Stream::Stdout, &letter);
            heard.heard(Stream::Stderr, &letter);
        }
        let (out, err, pieces) = waiting(&heard);
        assert_eq!((out.len(), &out), (40_000, &err));
        assert!(out.starts_with("abcdefgabc"), "in order");
        assert!(pieces <= 8, "{pieces}");
    }

    #[test]
    fn of_what_is_cut_no_beginning_of_a_secret_is_told() {
        let failure = || Failure::new("command_timed_out", "x", "x");
        for (came, wanted) in [
            (Ok((0, false)), "as hunter"),
            (Err(failure()), "as [secret]"),
        ] {
            let heard = heard();
            heard.heard(Stream::Stdout, b"as hunter");
            heard.end(came);
            assert_eq!(waiting(&heard).0, wanted);
        }
        let heard = heard();
        heard.heard(Stream::Stderr, "x".repeat(64 * 1024 - 3).as_bytes());
        heard.heard(Stream::Stderr, b"hunter2");
        heard.end(Ok((0, false)));
        assert!(waiting(&heard).1.ends_with("xxx[secret]"));
    }
}
