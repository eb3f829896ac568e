//! The way of a call past the faults: in, and its answer out.

use super::super::answer::{self, Style, UNAUTHORIZED_HOLD_MS};
use super::super::error::ApiError;
use super::super::park::Progress;
use super::super::request::{ApiRequest, Handed, RequestId, Response};
use super::super::upid::Upid;
use super::super::world::World;
use super::super::{Description, Effects, checks, pipeline};
use super::Late;
use super::live::{Hanging, Holding, Leaving, Mark, Release, Swallowed, Then};
use super::rule::{FaultId, FaultKind, Target, node_of};
use super::tasks::End;

/// A call without an answer holds its connection for so long at most.
const SWALLOWED_MS: u64 = 600_000;
/// Calls that come late at a time; the oldest comes at once when there are more.
const MAX_LATE: usize = 1_000;
/// What PVE's proxy waits before it says that there is no way.
const NO_ROUTE_MS: u64 = 3_000;
/// What it waits for an answer.
const GIVEN_UP_MS: u64 = 30_000;

/// Takes a new request in, unless a fault has it.
pub(crate) fn arrive(world: &mut World, request: ApiRequest, now_ms: u64, effects: &mut Effects) {
    // Nobody is there who could answer.
    if world.node(&request.via).is_some_and(|node| !node.powered) {
        return effects.responses.push(Response::cut(request.id));
    }
    let slow = world.nodes().iter().any(|node| node.slow_ms > 0);
    if !world.faults.may_concern(&request) && !slow && !world.checks.watches_calls() {
        return pipeline::accept(world, request, now_ms, effects);
    }
    let about = pipeline::describe(&request);
    checks::arrived(world, &request, node_of(&request, &about), now_ms);
    let Hit { first, tasks } = world.faults.hit(&request, &about);
    let mark = Mark {
        then: None,
        slow_ms: delay_of(world, &request, &about),
        call: format!("{} {}", request.method, request.path),
        tasks,
        taken: first.is_some(),
    };
    match first {
        Some((fault, kind)) => {
            let blow = Blow { fault, kind, mark };
            strike(world, request, blow, now_ms, effects);
        }
        None => {
            mark.keep(world, request.id);
            pipeline::accept(world, request, now_ms, effects);
        }
    }
}

impl Mark {
    /// Waits for the call's answer, if there is anything to be done then.
    fn keep(self, world: &mut World, id: RequestId) {
        if self.then.is_some() || self.slow_ms > 0 || !self.tasks.is_empty() {
            world.live.faults.marks.insert(id, self);
        }
    }
}

/// How much longer a call takes because of the nodes it comes past.
fn delay_of(world: &World, request: &ApiRequest, about: &Description) -> u64 {
    let of = |name: &str| world.node(name).map_or(0, |node| node.slow_ms);
    let target = node_of(request, about);
    if target == request.via {
        of(target)
    } else {
        of(target) + of(&request.via)
    }
}

/// What faults there are for a call.
struct Hit {
    /// The one that has it.
    first: Option<(FaultId, FaultKind)>,
    /// Those for the task it starts, oldest first: whether it starts one shows later.
    tasks: Vec<FaultId>,
}

impl super::Faults {
    /// Every rule counts the calls that it is for; the oldest that hits has the call.
    fn hit(&mut self, request: &ApiRequest, about: &Description) -> Hit {
        let target = Target::of(request, about);
        let mut first = None;
        let mut tasks = Vec::new();
        let mut taken = false;
        for rule in &mut self.rules {
            if !rule.wish.is_for(&target) {
                continue;
            }
            if rule.wish.kind.is_for_task() {
                tasks.push(rule.id);
                taken |= rule.would_hit();
            } else if taken {
                rule.seen += 1;
            } else if rule.meet() {
                taken = true;
                first = Some((rule.id, rule.wish.kind.clone()));
            }
        }
        Hit { first, tasks }
    }

    /// A call started this task: the oldest of these rules that hits has it.
    fn task_started(&mut self, upid: Upid, rules: &[FaultId], mut taken: bool) {
        for rule in &mut self.rules {
            if !rules.contains(&rule.id) {
                continue;
            }
            if taken {
                rule.seen += 1;
            } else if rule.meet() {
                taken = true;
                let end = End::of(&rule.wish.kind);
                self.tasks.extend(end.map(|end| (upid.clone(), end)));
            }
        }
    }
}

/// What hits a call.
struct Blow {
    fault: FaultId,
    kind: FaultKind,
    mark: Mark,
}

fn strike(world: &mut World, request: ApiRequest, blow: Blow, now_ms: u64, effects: &mut Effects) {
    let Blow {
        fault,
        kind,
        mut mark,
    } = blow;
    let id = request.id;
    match kind {
        FaultKind::Timeout {} => {
            let swallowed = Swallowed {
                fault,
                call: mark.call,
                until_ms: now_ms + SWALLOWED_MS,
            };
            world.live.faults.swallowed.insert(id, swallowed);
            return;
        }
        FaultKind::Hang {
            after_effect: false,
        } => {
            let hanging = Hanging {
                fault,
                request,
                mark,
                released: None,
            };
            world.live.faults.hanging.insert(id, hanging);
            return;
        }
        FaultKind::Late { ms } => {
            let answer = Response::cut(request.id);
            put_off(world, request, ms, now_ms);
            return leave(world, answer, now_ms, effects);
        }
        FaultKind::Cut { effect: false } => {
            return leave(world, Response::cut(id), now_ms, effects);
        }
        FaultKind::Cut { effect: true } => mark.then = Some(Then::Cut),
        FaultKind::GivenUp { effect: true } => mark.then = Some(Then::GivenUp),
        FaultKind::Hang { after_effect: true } => mark.then = Some(Then::Hold(fault)),
        FaultKind::Slow { ms } => mark.slow_ms += ms,
        // These wait for the task.
        FaultKind::TaskError { .. }
        | FaultKind::TaskWarnings { .. }
        | FaultKind::TaskLost { .. } => {}
        FaultKind::Refused { .. }
        | FaultKind::Unauthorized {}
        | FaultKind::Forbidden { .. }
        | FaultKind::Broken { .. }
        | FaultKind::Unreachable { .. }
        | FaultKind::GivenUp { effect: false } => {
            let response = refusal(&request, kind);
            return leave_after(world, response, mark.slow_ms, now_ms, effects);
        }
    }
    mark.keep(world, id);
    pipeline::accept(world, request, now_ms, effects);
}

/// A call is to take effect later. One that would not be let in has none.
fn put_off(world: &mut World, request: ApiRequest, ms: u64, now_ms: u64) {
    let Some(caller) = pipeline::caller_of(world, &request, now_ms) else {
        return;
    };
    let id = world.faults.late_id();
    checks::goes_on_as(world, request.id, id);
    let request = ApiRequest {
        id,
        authorization: None,
        cookie: None,
        csrf: None,
        ..request
    };
    let late = &mut world.faults.late;
    late.push(Late {
        at_ms: now_ms + ms,
        request,
        caller,
    });
    if late.len() > MAX_LATE {
        late[0].at_ms = now_ms;
    }
}

/// The answer of a call that has no effect.
fn refusal(request: &ApiRequest, kind: FaultKind) -> Response {
    let id = request.id;
    let error = match kind {
        FaultKind::Refused { errors, .. } if !errors.is_empty() => {
            ApiError::Parameters(errors.into_iter().collect())
        }
        FaultKind::Refused { message, .. } => ApiError::died(message.unwrap_or_default()),
        FaultKind::Forbidden { missing } => ApiError::Denied(missing),
        FaultKind::Broken { message } => return Response::plain(id, 500, &message),
        FaultKind::Unreachable { no_route: false } => {
            return Response::bare(id, 595, "Connection refused", 0);
        }
        FaultKind::Unreachable { no_route: true } => {
            return Response::bare(id, 595, "No route to host", NO_ROUTE_MS);
        }
        FaultKind::GivenUp { .. } => return given_up(id),
        _ => return Response::bare(id, 401, "Authentication failed!", UNAUTHORIZED_HOLD_MS),
    };
    let style = pipeline::style_of(&request.path).unwrap_or(Style::Json);
    answer::failure(id, style, &error, Handed::Direct)
}

fn given_up(id: RequestId) -> Response {
    Response::bare(id, 596, "Connection timed out", GIVEN_UP_MS)
}

/// An answer is there: lets it out as it is, or as a fault wants it.
pub(crate) fn depart(world: &mut World, response: Response, now_ms: u64, effects: &mut Effects) {
    let id = response.request;
    let Some(mark) = world.live.faults.marks.remove(&id) else {
        return leave(world, response, now_ms, effects);
    };
    let Mark {
        then,
        slow_ms,
        call,
        tasks,
        taken,
    } = mark;
    if let Some(upid) = task_of(&response) {
        world.faults.task_started(upid, &tasks, taken);
    } else if world.live.parked.contains_key(&id) {
        // The proxy gave it up: it may start a task yet.
        let mark = Mark {
            tasks,
            taken,
            ..Mark::default()
        };
        mark.keep(world, id);
    }
    let response = match then {
        None => response,
        Some(Then::Cut) => Response {
            cut: true,
            ..response
        },
        Some(Then::GivenUp) => given_up(response.request),
        Some(Then::Hold(fault)) => {
            let holding = Holding {
                fault,
                response,
                call,
                released: None,
            };
            world.live.faults.holding.insert(id, holding);
            return;
        }
    };
    leave_after(world, response, slow_ms, now_ms, effects);
}

/// A call was done whose answer goes nowhere: the proxy gave it up, or it came late.
pub(crate) fn unheard(world: &mut World, response: &Response) {
    let mark = world.live.faults.marks.remove(&response.request);
    if let (Some(mark), Some(upid)) = (mark, task_of(response)) {
        world.faults.task_started(upid, &mark.tasks, mark.taken);
    }
    checks::over(world, response.request);
}

/// The task an answer names.
pub(crate) fn task_of(response: &Response) -> Option<Upid> {
    let body: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    body["data"].as_str()?.parse().ok()
}

fn leave_after(
    world: &mut World,
    response: Response,
    slow_ms: u64,
    now_ms: u64,
    effects: &mut Effects,
) {
    if slow_ms == 0 {
        return leave(world, response, now_ms, effects);
    }
    let at_ms = now_ms + slow_ms;
    world.live.faults.leaving.push(Leaving { at_ms, response });
}

fn leave(world: &mut World, response: Response, now_ms: u64, effects: &mut Effects) {
    checks::answered(world, &response, now_ms);
    effects.responses.push(response);
}

/// When a fault has something to do next, Unix ms.
pub(crate) fn due_ms(world: &World) -> Option<u64> {
    let live = &world.live.faults;
    let owes = !live.owed_given && !world.faults.owed.is_empty();
    let now = live.any_released() || owes;
    let leaving = live.leaving.iter().map(|leaving| leaving.at_ms);
    let late = world.faults.late.iter().map(|late| late.at_ms);
    let swallowed = live.swallowed.values().map(|held| held.until_ms);
    let times = leaving.chain(late).chain(swallowed);
    times.chain(now.then_some(0)).min()
}

/// Lets go on what time or a release lets go on; whether anything did.
pub(crate) fn advance(world: &mut World, now_ms: u64, effects: &mut Effects) -> bool {
    if due_ms(world).is_none_or(|at_ms| at_ms > now_ms) {
        return false;
    }
    let live = &mut world.live.faults;
    if let Some(command) = world.faults.owed.first().filter(|_| !live.owed_given) {
        live.owed_given = true;
        effects.commands.push(command.clone());
    }
    let (due, later) = std::mem::take(&mut live.leaving)
        .into_iter()
        .partition(|leaving: &Leaving| leaving.at_ms <= now_ms);
    live.leaving = later;
    let mut answers: Vec<Response> = due.into_iter().map(|leaving| leaving.response).collect();
    let given_up = live
        .swallowed
        .extract_if(.., |_, held| held.until_ms <= now_ms);
    answers.extend(given_up.map(|(id, _)| Response::cut(id)));
    let let_out = live
        .holding
        .extract_if(.., |_, held| held.released.is_some());
    answers.extend(let_out.map(|(_, held)| Response {
        cut: held.response.cut || held.released == Some(Release::Cut),
        ..held.response
    }));
    let mut let_in = Vec::new();
    let released = live
        .hanging
        .extract_if(.., |_, held| held.released.is_some());
    for (id, held) in released {
        match held.released {
            Some(Release::Cut) => answers.push(Response::cut(id)),
            Some(Release::GoOn) | None => let_in.push(held),
        }
    }
    for response in answers {
        leave(world, response, now_ms, effects);
    }
    for held in let_in {
        held.mark.keep(world, held.request.id);
        pipeline::accept(world, held.request, now_ms, effects);
    }
    take_effect(world, now_ms, effects);
    true
}

/// Calls that come late are done now, and nobody hears of them.
fn take_effect(world: &mut World, now_ms: u64, effects: &mut Effects) {
    let (due, later) = std::mem::take(&mut world.faults.late)
        .into_iter()
        .partition(|late: &Late| late.at_ms <= now_ms);
    world.faults.late = later;
    for Late {
        request, caller, ..
    } in due
    {
        let progress = Progress {
            arrived_ms: now_ms,
            answered: true,
            caller: Some(caller),
            ..Progress::default()
        };
        pipeline::run(world, request, progress, now_ms, effects);
    }
}
