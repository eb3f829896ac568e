//! One case: an app's deploy and remove with the kills of the case, looked at after each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::calls::{Call, Counts, Fate};
use super::cases::{Case, Kill};
use super::held::Held;
use super::look::{self, Snapshot};
use super::server::{Server, Start, config_file};
use super::stand::{Stand, document, page, wish};
use super::verdict::{Expected, Fault, Kind, Records, judge};
use crate::clock::{Deadline, Stopwatch};
use crate::invocation::Invocation;

/// How long a server may take to come by the place it is to die at.
const REACHED: Duration = Duration::from_secs(30);
/// How long it may take to make the call that is held; less than the patience with the lab's answer.
const HELD: Duration = Duration::from_secs(15);
/// How long an operation may take to end after the restart.
const CONVERGED: Duration = Duration::from_secs(45);
const DEPLOY: &str = "POST /api/apps/";

/// What one case showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) case: Case,
    pub(super) kills: u32,
    /// From the restart to the end of the operation, milliseconds, one for each kill.
    pub(super) recovered_ms: Vec<u64>,
    pub(super) faults: Vec<Fault>,
    /// What the server asked the cluster for, of each operation until its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) calls: Option<Calls>,
}

/// The calls of both operations; only of a life without kills they are all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Calls {
    pub(super) deploy: Counts,
    pub(super) remove: Counts,
}

struct Life<'a> {
    stand: &'a Stand,
    case: &'a Case,
    program: PathBuf,
    dir: PathBuf,
    log: PathBuf,
    hostname: String,
    before: Snapshot,
    ours: BTreeSet<u32>,
    report: Report,
}

/// A request that begins an operation, and how it is known afterwards that it arrived.
struct Request {
    what: String,
    body: Value,
    arrived: fn(&Server, &str) -> Result<bool>,
}

/// Runs the case. Gives also how long its remove took, for the moments of random kills.
///
/// # Errors
/// Nothing can be said: something other than the product did not work.
pub(super) fn run(
    stand: &Stand,
    case: &Case,
    remove_takes: Duration,
) -> Result<(Report, Duration)> {
    let order = &stand.order;
    let number = u16::try_from(case.number)?;
    let program = if case.needs_crash_build() || order.sabotage {
        &order.crash_points
    } else {
        &order.plain
    };
    let mut life = Life {
        stand,
        case,
        program: program.clone(),
        dir: order.fresh_directory(&format!("case-{number}"), number)?,
        log: order.logs.join(format!("case-{number}.log")),
        hostname: format!("app-{number}"),
        before: look::snapshot(order)?,
        ours: BTreeSet::new(),
        report: Report {
            case: case.clone(),
            kills: 0,
            recovered_ms: Vec::new(),
            faults: Vec::new(),
            calls: None,
        },
    };
    let took = life.live(remove_takes)?;
    std::fs::remove_dir_all(&life.dir)?;
    if life.report.faults.is_empty() {
        std::fs::remove_file(&life.log)?;
    }
    Ok((life.report, took))
}

impl Life<'_> {
    fn live(&mut self, remove_takes: Duration) -> Result<Duration> {
        let server = self.start(self.case.deploy.place().or(self.case.remove.place()))?;
        let deploy = self.deploy(&server)?;
        let kill = self.case.deploy.clone();
        let first = look::counts(&self.stand.order)?;
        let server = self.turn(server, &kill, &deploy, self.stand.deploy_takes)?;
        let second = look::counts(&self.stand.order)?;
        self.applied(&server)?;
        let number = u16::try_from(self.case.number)?;
        self.check(Expected::Running { page: page(number) })?;
        if !self.report.faults.is_empty() {
            server.kill()?;
            return Ok(remove_takes);
        }
        let app = named(&server, &self.hostname)?.context("the app has gone")?;
        let remove = Request {
            what: format!(
                "POST /api/apps/{}/action",
                app["id"].as_str().unwrap_or_default()
            ),
            body: json!({ "action": "delete", "confirm": self.hostname }),
            arrived: |server, _| {
                let removes = |operation: &Value| operation["kind"] == "remove";
                Ok(server.operations()?.iter().any(removes))
            },
        };
        let kill = self.case.remove.clone();
        let watch = Stopwatch::start();
        let server = self.turn(server, &kill, &remove, remove_takes)?;
        let took = watch.elapsed();
        if self.case.is_calm() {
            self.report.calls = Some(Calls {
                deploy: look::between(&first, &second),
                remove: look::between(&second, &look::counts(&self.stand.order)?),
            });
        }
        self.check(Expected::Nothing)?;
        server.kill()?;
        Ok(took)
    }

    /// What makes the app: a deploy; or an apply, where the server is to die in the loop of these.
    fn deploy(&self, server: &Server) -> Result<Request> {
        if !self.case.deploy.is_in_an_apply() {
            return Ok(Request {
                what: DEPLOY.to_owned(),
                body: wish(&self.hostname),
                arrived: |server, name| Ok(named(server, name)?.is_some()),
            });
        }
        let plan = server.ask("POST /api/plans", Some(&document(&self.hostname)))?;
        Ok(Request {
            what: "POST /api/applies".to_owned(),
            body: json!({ "plan_id": plan["id"] }),
            arrived: |server, _| Ok(!server.applies()?.is_empty()),
        })
    }

    /// Whatever was applied was applied whole.
    fn applied(&mut self, server: &Server) -> Result<()> {
        for apply in server.applies()? {
            if apply["state"] != "done" {
                let what = format!("an apply is not done: {apply}");
                self.fault(Kind::Unconverged, what);
            }
        }
        Ok(())
    }

    /// Sends the request, lets the kill happen, starts the server again and waits for the end.
    fn turn(
        &mut self,
        server: Server,
        kill: &Kill,
        request: &Request,
        takes: Duration,
    ) -> Result<Server> {
        let Request { what, body, .. } = request;
        let server = match kill {
            Kill::Never => {
                server.ask(what, Some(body))?;
                server
            }
            Kill::At(place) => {
                if server.dies_at(what, body, REACHED)? {
                    self.report.kills += 1;
                } else {
                    let what = format!("it did not die at {place}");
                    self.fault(Kind::NotReached, what);
                }
                self.start(self.next_place(place))?
            }
            Kill::AtCall(call) => self.killed_at(server, call, what, body)?,
            Kill::AfterPermille(share) => {
                server.killed_after(what, body, takes * u32::from(*share) / 1000)?;
                self.report.kills += 1;
                self.start(None)?
            }
        };
        let watch = Stopwatch::start();
        if !(request.arrived)(&server, &self.hostname)? {
            match kill {
                // It may have been killed before it wrote anything down; then a client asks again.
                Kill::AtCall(call) if !call.changes() => drop(server.ask(what, Some(body))?),
                Kill::AfterPermille(_) => drop(server.ask(what, Some(body))?),
                Kill::Never | Kill::At(_) | Kill::AtCall(_) => {
                    self.fault(Kind::Lost, format!("{what} began and is not recorded"));
                }
            }
        }
        if !server.settles(CONVERGED)? {
            let limit = CONVERGED.as_secs();
            let what = format!("{what} is still under way {limit} s after the restart");
            self.fault(Kind::Unconverged, what);
        }
        if *kill != Kill::Never {
            let took = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.report.recovered_ms.push(took);
        }
        Ok(server)
    }

    /// Kills the server while the lab holds a call of it, and starts the next one.
    fn killed_at(
        &mut self,
        server: Server,
        call: &Call,
        what: &str,
        body: &Value,
    ) -> Result<Server> {
        let held = Held::ask_for(&self.stand.order, call)?;
        // It may be at a call that is made before the answer is given.
        let _wire = server.send(what, body)?;
        if held.wait(HELD)? {
            self.report.kills += 1;
        } else {
            let what = format!("it never called {call}");
            self.fault(Kind::NotReached, what);
        }
        server.kill()?;
        match call.fate {
            Fate::Lost | Fate::Done => {
                held.let_go()?;
                self.start(None)
            }
            Fate::Late => {
                let server = self.start(None)?;
                held.let_go()?;
                Ok(server)
            }
        }
    }

    /// After the deploy's kill the server goes on with the place of the remove, which no deploy
    /// comes by.
    fn next_place(&self, done: &str) -> Option<&str> {
        let place = self.case.remove.place();
        place.filter(|place| *place != done)
    }

    fn start(&self, crash_at: Option<&str>) -> Result<Server> {
        Server::start(&Start {
            program: &self.program,
            dir: &self.dir,
            log: &self.log,
            crash_at,
            forget_creates: self.stand.order.sabotage,
        })
    }

    fn check(&mut self, expected: Expected) -> Result<()> {
        let records = records(&self.stand.order.crash_points, &self.dir)?;
        self.ours
            .extend(records.guests.iter().map(|guest| guest.vmid));
        let world = look::snapshot(&self.stand.order)?.since(&self.before);
        let faults = judge(&records, &world, &self.ours, expected);
        self.report.faults.extend(faults);
        Ok(())
    }

    fn fault(&mut self, kind: Kind, what: String) {
        self.report.faults.push(Fault::new(kind, what));
    }
}

/// The live app of this name, if there is one.
fn named(server: &Server, hostname: &str) -> Result<Option<Value>> {
    let mut apps = server.apps()?.into_iter();
    Ok(apps.find(|app| app["hostname"] == hostname))
}

/// What the data directory records, asked of the build that can be.
fn records(program: &Path, dir: &Path) -> Result<Records> {
    let answer = Invocation::new(program)
        .args(["crash-points", "check", "--json", "--config"])
        .arg(config_file(dir))
        .until(Deadline::after(Duration::from_secs(30)))
        .capture(dir)?
        .expect_success("reading the records")?;
    serde_json::from_str(&answer).context("understanding the records")
}
