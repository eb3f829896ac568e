//! The emulator's core on virtual time, reached over ways that take a drawn time, and everything that is asked of it watched.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use proximity_domain::ids::HostId;
use proximity_pve::transport::tokens::Tokens;
use proximity_pve::transport::{Method, RawResponse, Request, Transport, TransportError, answered};
use proximity_pve_emulator::core::{
    self, Check, CheckSettings, Effects, Input, RequestId, Response, Violation as EmulatorsFind,
    World,
};
use proximity_store::Store;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::books::Books;
use super::chance::Chance;
use super::ground::{Doer, Ground, LifeId, Origin};
use super::lists::Lists;
use super::shown::Shown;
use super::snare::is_late;
use super::standstill::Standstill;
use super::time::SimClock;
use super::trace::Trace;
use super::trap::{Traps, When};
use super::watch::{self, Held, Judged, Violation};
use super::writers::Writers;
use crate::guests::Guests;
use crate::pve::{api_request, authorization, request};

/// The token by which the cluster is reached.
pub(super) const TOKEN: &str = "proximity@pve!engine";
/// Its secret.
pub(super) const SECRET: &str = "in-process";
/// Somebody else's token.
pub(super) const OTHER: &str = "root@pam!somebody";

/// How long a call of ours may be under way, and wait for its turn at the node, milliseconds: whoever has the number by then is
/// hit by it. Only the rights of the token are in the way of that.
const RACE_MS: u64 = 60_000;

/// Calls of ours to containers of strangers, which were answered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Strangers {
    /// Without a look that showed one of ours.
    pub(super) blind: u64,
    /// After an honest look: the stranger took the number since.
    pub(super) raced: u64,
    /// After a look that showed what had been learned: one factor is another one, and no task told that it was made anew.
    pub(super) learned: u64,
    /// Of all, those that the rights of the token kept away.
    pub(super) fenced: u64,
}

impl Strangers {
    fn note(&mut self, judged: &Judged, status: u16) {
        *(if judged.raced {
            &mut self.raced
        } else if judged.is_known {
            &mut self.learned
        } else {
            &mut self.blind
        }) += 1;
        self.fenced += u64::from(status == 403);
    }
}

/// A cluster on virtual time. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SimCluster {
    inner: Arc<Mutex<Inner>>,
    /// Its guests.
    pub(super) guests: Guests,
    pub(super) clock: SimClock,
    pub(super) trace: Trace,
    /// Rung when the world may be due earlier than it was.
    stirred: Arc<Notify>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) world: World,
    pub(super) ground: Ground,
    pub(super) violations: Vec<Violation>,
    /// Calls of ours that changed something, so far.
    pub(super) changes: u64,
    /// Of these, those that another container had got the number of in the meantime.
    pub(super) raced: u64,
    /// The tokens that calls of ours choose among.
    pub(super) tokens: Tokens<String>,
    /// Claims that the process found.
    pub(super) held: Held,
    /// Processes that can stand still, by their numbers.
    pub(super) processes: BTreeMap<u32, Standstill>,
    /// Lists as they were told.
    pub(super) lists: Lists,
    /// What happens at certain calls of ours.
    pub(super) traps: Traps,
    /// Calls of ours that changed, or were to change, a stranger's container.
    pub(super) strangers: Strangers,
    /// Operations that were stuck, and that a person who insists had go on.
    pub(super) told_on: u64,
    /// Changes by right: the call, whom it was sent to, and when, Unix ms.
    sent: Vec<(String, Option<LifeId>, u64)>,
    /// Calls of somebody else.
    others_sent: HashSet<String>,
    chance: Chance,
    next: u64,
    waiting: BTreeMap<RequestId, oneshot::Sender<Response>>,
    books: Books,
    writers: Writers,
    pub(super) host: HostId,
    pub(super) store: Store,
    preferred: usize,
    /// How often that became another one.
    moves: u64,
}

impl SimCluster {
    /// A cluster that begins with this world; `store` is where the engine's changes have to be on record before they leave.
    #[must_use]
    pub(super) fn new(
        world: World,
        (clock, trace): (SimClock, Trace),
        (host, store): (HostId, Store),
        chance: Chance,
    ) -> Self {
        let inner = Inner {
            world,
            ground: Ground::default(),
            violations: Vec::new(),
            changes: 0,
            raced: 0,
            tokens: super::narrow::tokens(false),
            held: Held::default(),
            processes: BTreeMap::new(),
            lists: Lists::default(),
            traps: Traps::default(),
            strangers: Strangers::default(),
            told_on: 0,
            sent: Vec::new(),
            others_sent: HashSet::new(),
            chance,
            next: 0,
            waiting: BTreeMap::new(),
            books: Books::default(),
            writers: Writers::default(),
            host,
            store,
            preferred: 0,
            moves: 0,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            guests: Guests::by_clock(0, Arc::new(clock.clone())),
            clock,
            trace,
            stirred: Arc::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way of one process of ours to it.
    #[must_use]
    pub(super) fn way(&self, process: u32) -> Way {
        Way {
            cluster: self.clone(),
            process,
        }
    }

    /// Changes the world behind the API's back, as those do who have the nodes.
    pub(super) fn meddle<T>(&self, act: impl FnOnce(&mut World, &mut Ground, u64) -> T) -> T {
        let done = {
            let mut inner = self.lock();
            let inner = &mut *inner;
            let done = act(&mut inner.world, &mut inner.ground, self.clock.true_ms());
            inner.take_note(Origin::Stranger);
            done
        };
        self.feed(Input::Tick);
        self.stirred.notify_one();
        done
    }

    /// Somebody else's call, whose answer nobody waits for.
    pub(super) fn somebody_calls(&self, method: Method, path: &str, params: &[(&str, &str)]) {
        let request = request(method, path, params);
        self.trace.say(format_args!("somebody: {method} {path}"));
        let api = {
            let mut inner = self.lock();
            inner.others_sent.insert(named(method, path));
            inner.next += 1;
            let id = RequestId(inner.next);
            inner
                .first_that_serves()
                .map(|via| api_request(id, &request, &authorization(OTHER, SECRET), via))
        };
        if let Some(api) = api {
            self.feed(Input::Request(api));
        }
    }

    /// Lets time pass for the world, for ever.
    pub(super) async fn live(self) {
        loop {
            let due_ms = core::next_wakeup(&self.lock().world);
            let left_ms = due_ms.map_or(60_000, |due| due.saturating_sub(self.clock.true_ms()));
            let due = Instant::now() + Duration::from_millis(left_ms.max(1));
            tokio::select! {
                biased;
                () = self.stirred.notified() => {}
                () = sleep_until(due) => self.feed(Input::Tick),
            }
        }
    }

    /// Feeds an input and everything that follows from it.
    fn feed(&self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let effects = {
                let mut inner = self.lock();
                let effects = core::handle(&mut inner.world, input, self.clock.true_ms());
                inner.take_note(Origin::Ours);
                effects
            };
            self.deliver(effects, &mut inputs);
        }
    }

    fn deliver(&self, effects: Effects, inputs: &mut Vec<Input>) {
        for response in effects.responses {
            let waiting = self.lock().waiting.remove(&response.request);
            if let Some(waiting) = waiting {
                // The asker may have gone away in the meantime.
                let _ = waiting.send(response);
            }
        }
        for command in effects.commands {
            inputs.push(Input::GuestDone(self.guests.carry_out(&command)));
        }
    }

    /// A drawn time passes.
    pub(super) async fn pause(&self) {
        let ms = self.lock().chance.way_ms();
        sleep(Duration::from_millis(ms)).await;
    }

    pub(super) fn complain(&self, rule: &'static str, what: String) {
        self.trace.say(format_args!("VIOLATION {rule}: {what}"));
        let at_ms = self.clock.elapsed_ms();
        self.lock().violations.push(Violation { rule, at_ms, what });
    }

    /// A change of ours leaves now: it has to be on record, by right, and after a look. What is to be said of that.
    async fn watch(&self, request: &Request, process: u32) -> Judged {
        let (store, host, books) = {
            let mut inner = self.lock();
            inner.changes += 1;
            let books = std::mem::take(&mut inner.books);
            (inner.store.clone(), inner.host, books)
        };
        let read = async {
            let books = books.read_on(&store).await?;
            Ok::<_, String>((books, watch::claim(&store, host, request).await?))
        };
        match read.await {
            Ok((books, claim)) => {
                let now_ms = self.clock.elapsed_ms();
                let judged = {
                    let mut inner = self.lock();
                    let inner = &mut *inner;
                    inner.books = books;
                    let doer = Doer::now(process, now_ms);
                    let sent_ms = self.clock.true_ms();
                    let target = watch::target(request).and_then(|vmid| inner.ground.life(vmid));
                    let (ground, books) = (&mut inner.ground, &mut inner.books);
                    let judged = watch::judge(ground, books, request, &claim, doer);
                    inner.raced += u64::from(judged.raced);
                    let call = named(request.method, &request.path);
                    // What was looked at had the number a moment before: whose it is by now was not known.
                    let aimed_at = target.filter(|_| !judged.raced);
                    inner
                        .sent
                        .push((call, aimed_at.map(|life| life.id), sent_ms));
                    judged
                };
                let stolen = self.lock().held.stolen(request, process, now_ms);
                let others = {
                    let mut inner = self.lock();
                    let inner = &mut *inner;
                    watch::alone(&mut inner.writers, &inner.ground, request, process)
                };
                let wrong = judged.wrong.iter().cloned();
                for (rule, what) in wrong.chain(stolen).chain(others) {
                    self.complain(rule, what);
                }
                judged
            }
            Err(why) => {
                self.complain("unreadable", why);
                Judged::default()
            }
        }
    }

    /// The call arrives at a node; what comes back.
    async fn exchange(&self, request: &Request, via: String) -> Result<Response, TransportError> {
        let (sender, receiver) = oneshot::channel();
        let api = {
            let mut inner = self.lock();
            let token = inner.tokens.choose(request)?.clone();
            inner.next += 1;
            let id = RequestId(inner.next);
            inner.waiting.insert(id, sender);
            api_request(id, request, &authorization(&token, SECRET), via)
        };
        let _asking = Asking(self, api.id);
        self.feed(Input::Request(api));
        self.stirred.notify_one();
        let patience = Duration::from_millis(request.timeout_ms);
        match timeout(patience, receiver).await {
            Ok(Ok(response)) if response.cut => Err(TransportError::MaybeApplied(
                "the connection was cut".to_owned(),
            )),
            Ok(Ok(response)) => {
                self.lock().lists.note(request, &response);
                Ok(response)
            }
            Ok(Err(_)) | Err(_) => Err(TransportError::MaybeApplied("no answer".to_owned())),
        }
    }
}

impl Inner {
    /// Where the engine has its record, and of which cluster.
    pub(super) fn record(&self) -> (HostId, Store) {
        (self.host, self.store.clone())
    }

    /// Something happened to a container of somebody else: by a call of ours that was sent, by right, to another one that had
    /// its number then? Whether we are to blame for it.
    pub(super) fn are_to_blame(&mut self, found: &EmulatorsFind) -> bool {
        // One that is gone by now is the one that was hurt.
        let ground = &self.ground;
        let hurt = found
            .vmid
            .and_then(|vmid| ground.life(vmid).or_else(|| ground.ended(vmid)));
        let to_another = |(call, life, at_ms): &&(String, Option<LifeId>, u64)| {
            found.call.as_ref() == Some(call)
                && found.at_ms <= at_ms + RACE_MS
                && (life.is_none() || *life != hurt.map(|life| life.id))
        };
        let sent = self.sent.iter();
        let raced = found.check == Check::Immortal && sent.clone().any(|it| to_another(&it));
        self.raced += u64::from(raced);
        // Somebody's own call may come late, too, and hit whoever has the number by then.
        let is_theirs = found.call.as_ref().is_some_and(|call| {
            self.others_sent.contains(call) && !sent.clone().any(|(ours, ..)| ours == call)
        });
        !raced && !is_theirs
    }

    /// The world may have changed: containers that were not there are of this origin.
    fn take_note(&mut self, origin: Origin) {
        // Mostly nothing has come or gone, and nothing is put together to see that.
        if !self.ground.is_of(numbers(&self.world)) {
            let there = numbers(&self.world).collect();
            self.ground.note_numbers(&there, origin);
        }
        self.guard_others();
    }

    /// The emulated world looks after the containers of others: nothing may happen to them.
    fn guard_others(&mut self) {
        let CheckSettings {
            immortal,
            calls_per_node,
        } = self.world.checks();
        let is_set = immortal.iter().copied().eq(self.ground.immortal());
        if !is_set || calls_per_node.is_some() {
            self.world.set_checks(CheckSettings {
                immortal: self.ground.immortal().collect(),
                calls_per_node: None,
            });
        }
    }

    /// A task of the cluster works on this number.
    pub(super) fn is_busy(&self, vmid: u32) -> bool {
        let mut tasks = self.world.tasks();
        tasks.any(|task| task.is_running() && task.upid.vmid() == Some(vmid))
    }

    fn first_that_serves(&self) -> Option<String> {
        let nodes = self.world.nodes().iter();
        let after = nodes.clone().skip(self.preferred);
        let mut in_order = after.chain(nodes.take(self.preferred));
        let found = in_order.find(|node| self.world.serves(&node.name))?;
        Some(found.name.clone())
    }
}

/// A call as the emulator names it.
fn named(method: Method, path: &str) -> String {
    format!("{method} /api2/json{path}")
}

/// Numbers that somebody has, in their order.
fn numbers(world: &World) -> impl Iterator<Item = u32> {
    world.guests().map(|(vmid, _)| vmid)
}

/// A call somebody waits for; when it is dropped, nobody does any more.
struct Asking<'a>(&'a SimCluster, RequestId);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.waiting.remove(&self.1);
        inner.world.forget_caller(self.1);
    }
}

/// The transport of one process.
#[derive(Debug, Clone)]
pub(super) struct Way {
    cluster: SimCluster,
    process: u32,
}

impl Way {
    async fn send_via(
        &self,
        request: Request,
        choose: impl Fn(&Inner) -> Option<String> + Send,
    ) -> Result<RawResponse, TransportError> {
        let (cluster, began_ms) = (&self.cluster, self.cluster.clock.elapsed_ms());
        cluster.until_runs(self.process).await;
        cluster.pause().await;
        if is_late(&request) {
            return Err(TransportError::NotSent("too late".to_owned()));
        }
        let via = choose(&cluster.lock());
        let via = via.ok_or_else(|| TransportError::NotSent("no node answers".to_owned()))?;
        let (method, path) = (request.method, &request.path);
        cluster.trace.say(format_args!("{method} {path} via {via}"));
        let passing = cluster.lock().traps.pass(&request);
        let springs = |when| cluster.spring(&passing, when, &request, self.process);
        springs(When::Before).await?;
        let judged = if request.method.is_read() {
            Judged::default()
        } else {
            // Apart, so that a read is no larger by what only changes need.
            Box::pin(cluster.watch(&request, self.process)).await
        };
        let hit = watch::target(&request).and_then(|vmid| cluster.lock().ground.life(vmid));
        let vmid = watch::looks_at(&request);
        let doer = Doer::now(self.process, began_ms);
        let life = |vmid| cluster.lock().ground.life(vmid);
        let before = vmid.and_then(life);
        let old = cluster
            .lock()
            .lists
            .old(&request, &via, cluster.clock.elapsed_ms());
        let response = match old {
            Some(old) => old,
            None => cluster.exchange(&request, via).await?,
        };
        let changes = !request.method.is_read();
        let is_strangers = hit.is_some_and(|life| life.origin == Origin::Stranger);
        if changes && is_strangers && !judged.is_adopted {
            let mut inner = cluster.lock();
            inner.strangers.note(&judged, response.status);
        }
        // An answer that comes late shows whoever has the number then.
        let looked = vmid.and_then(|vmid| {
            let shown = Shown::of_answer(&response.body)?;
            Some((vmid, shown, life(vmid).or(before)?))
        });
        springs(When::After).await?;
        if response.hold_ms > 0 {
            sleep(Duration::from_millis(response.hold_ms)).await;
        }
        cluster.pause().await;
        let length = response.body.len();
        cluster.trace.say(format_args!(
            "  {} {length} {method} {path}",
            response.status
        ));
        if let Some((vmid, shown, life)) = looked
            && response.status == 200
        {
            let mut inner = cluster.lock();
            inner.ground.note_look(vmid, doer, life, shown);
        }
        Ok(RawResponse {
            status: response.status,
            reason: response.reason,
            body: response.body,
        })
    }
}

#[async_trait]
impl Transport for Way {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        answered(
            request.answer_ms,
            self.send_via(request, Inner::first_that_serves),
        )
        .await
    }

    fn endpoints(&self) -> usize {
        self.cluster.lock().world.nodes().len()
    }

    async fn read_from(
        &self,
        endpoint: usize,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        let node = move |inner: &Inner| {
            let node = inner.world.nodes().get(endpoint)?;
            inner.world.serves(&node.name).then(|| node.name.clone())
        };
        self.send_via(request, node).await
    }

    fn moves(&self) -> u64 {
        self.cluster.lock().moves
    }

    fn first(&self) -> usize {
        let inner = self.cluster.lock();
        let first = inner.first_that_serves();
        let mut nodes = inner.world.nodes().iter();
        nodes
            .position(|node| Some(&node.name) == first.as_ref())
            .unwrap_or(inner.preferred)
    }

    fn prefer(&self, endpoint: usize) {
        let mut cluster = self.cluster.lock();
        cluster.moves += u64::from(cluster.preferred != endpoint);
        cluster.preferred = endpoint;
    }
}
