//! The words of a cluster's nodes, each through an endpoint of its own: one node alone may serve an old copy of the cluster's files
//! (ADR 0015). Who does not speak for the cluster is told from who does and whose list is not to be had.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{CompleteInventory, Sight, Unread};
use proximity_pve::cluster::ClusterStatus;
use proximity_pve::guest_list::GuestList;
use proximity_pve::{Error as PveError, ReadClient};
use proximity_store::records::HostRecord;
use tokio::time::{Instant, timeout_at};

use super::look::{answered_by, complete, may_see, sight};
use crate::view::is_word_of;

/// For who is in its cluster, with the connection that takes. More than one may take to connect (5 s): one that is not reached is
/// told from one that is, and says nothing.
const PATIENCE_WITH_STATUS: Duration = Duration::from_secs(6);
/// What is longer under way than this keeps those waiting who ask, whatever comes of it.
const QUICK: Duration = Duration::from_secs(1);
/// For the token's rights and the whole list, once it has answered.
const PATIENCE_WITH_LIST: Duration = Duration::from_secs(8);
/// For the same in a cluster whose lists take long: what the call itself has.
const PATIENCE_WITH_LONG_LIST: Duration = Duration::from_secs(15);
/// So many times as long as the list at hand took may another one take.
const TIMES: u32 = 3;
/// For all endpoints together in a pass, which is for other clusters too; more where lists take long.
const IN_ALL: Duration = Duration::from_secs(15);
/// So many are read at the same time: the list of a large cluster is some megabytes.
const AT_ONCE: usize = 2;

/// How long is waited for the words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the token's rights and the whole list of each.
    list: Duration,
    /// When all of it has to be over. It holds for endpoints on record with their nodes, for the silence of any other would pass for its
    /// being away.
    end: Option<Instant>,
}

impl Patience {
    /// For those that have the time.
    const LONG: Self = Self {
        list: PATIENCE_WITH_LIST,
        end: None,
    };

    /// For a pass, from now on, whose own look at the cluster took so long. What is as large elsewhere takes about as long there: at
    /// least two of the others are waited for that long.
    pub(super) fn of_pass(took: Duration) -> Self {
        let long = took.saturating_mul(TIMES);
        let list = long.clamp(PATIENCE_WITH_LIST, PATIENCE_WITH_LONG_LIST);
        let in_all = IN_ALL.max(PATIENCE_WITH_STATUS + list);
        Self {
            list,
            end: Some(Instant::now() + in_all),
        }
    }

    /// Until when what may take so long is waited for, from now on.
    fn until(&self, most: Duration) -> Instant {
        let until = Instant::now() + most;
        self.end.map_or(until, |end| end.min(until))
    }
}

/// What is looked for in the lists, which the token that looks has to be allowed to see.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// All guests.
    All,
    /// This one.
    Guest(Vmid),
}

/// What one node says of its cluster, which is the entry's, and has quorum.
#[derive(Debug)]
pub(crate) struct Word {
    /// The node, as it calls itself.
    pub(crate) by: NodeName,
    /// The endpoint that was asked.
    endpoint: usize,
    /// Who is in the cluster.
    pub(crate) status: ClusterStatus,
    /// The whole list, as far as it was wanted.
    list: GuestList,
}

/// What came of asking one endpoint.
#[derive(Debug)]
pub(super) enum Heard {
    /// A node's word.
    Word(Box<Word>),
    /// A node speaks for the cluster, and its list was not read.
    Unread(Unread),
    /// It did not say in time who is in its cluster: whether it speaks for it is not known.
    Silent {
        /// There was time to ask it.
        was_asked: bool,
    },
    /// Nobody speaks for the cluster there, or it is the one whose word is at hand.
    Nothing {
        /// No connection or answer came, and that took its time.
        is_late: bool,
    },
}

/// What all endpoints say.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Of each node that gave it.
    pub(crate) said: Vec<Word>,
    /// Nodes that answer or are online by what another one says, and whose list was not read.
    pub(crate) unread: Vec<Unread>,
}

impl Word {
    /// Whether any guest has this number, wherever it is.
    pub(crate) fn lists(&self, vmid: Vmid) -> bool {
        self.list.guests.iter().any(|guest| guest.vmid == vmid)
    }

    /// The whole list.
    pub(crate) fn into_list(self) -> GuestList {
        self.list
    }

    /// As a complete look, if [`Wanted::All`] was wanted of it.
    ///
    /// # Errors
    /// It lacks something.
    pub(super) fn into_look(self, host: &HostRecord) -> Result<CompleteInventory, Unread> {
        // It is no word where the token may not see what was wanted.
        let look = complete(host, self.endpoint, self.status, Sight::All, self.list);
        look.map_err(|why| Unread {
            node: self.by,
            why: why.to_string(),
        })
    }
}

/// What each endpoint says. Nothing where there is one alone, for what that says is at hand.
pub(crate) async fn words_of_each(host: &HostRecord, read: &ReadClient, wanted: Wanted) -> Words {
    let mut words = Words::default();
    let endpoints = read.each();
    if endpoints.len() == 1 {
        return words;
    }
    let endpoints = endpoints.into_iter().enumerate().collect();
    let mut silent = Vec::new();
    for (endpoint, heard) in hear(host, None, wanted, Patience::LONG, endpoints).await {
        match heard {
            Heard::Word(word) => words.said.push(*word),
            Heard::Unread(unread) => words.unread.push(unread),
            Heard::Silent { .. } => silent.push(endpoint),
            Heard::Nothing { .. } => {}
        }
    }
    let said = words.said.iter();
    let online: Vec<&NodeName> = said
        .flat_map(|word| &word.status.nodes)
        .filter(|node| node.online)
        .map(|node| &node.name)
        .collect();
    for endpoint in silent {
        let unread = silent_at(host, endpoint, |node| online.contains(&node));
        words.unread.extend(unread);
    }
    words
}

/// What it means that this endpoint was silent: a node that is online and slow may have what the others lack, as one that is
/// late with its list. `None` if it is not on record whose endpoint that is, or its node is not online.
pub(super) fn silent_at(
    host: &HostRecord,
    endpoint: usize,
    is_online: impl Fn(&NodeName) -> bool,
) -> Option<Unread> {
    let node = host.endpoints.get(endpoint)?.node.as_ref()?;
    let unread = || Unread {
        node: node.clone(),
        why: "it has not said in time who is in its cluster".to_owned(),
    };
    is_online(node).then(unread)
}

/// What is said at each of these endpoints by others than `but`: at most three requests to each, a few at the same time, as long as
/// there is patience. In the order of the endpoints.
pub(super) async fn hear(
    host: &HostRecord,
    but: Option<&NodeName>,
    wanted: Wanted,
    patience: Patience,
    endpoints: Vec<(usize, ReadClient)>,
) -> Vec<(usize, Heard)> {
    // Made before anything is awaited: a closure held over an await would bind the lifetimes of a spawned task.
    let mut asked = Vec::with_capacity(endpoints.len());
    for (endpoint, read) in endpoints {
        let known = host.endpoints.get(endpoint);
        let is_known = known.is_some_and(|it| it.node.is_some());
        let end = patience.end.filter(|_| is_known);
        let patience = Patience { end, ..patience };
        asked.push(hear_one(host, but, wanted, patience, endpoint, read));
    }
    let mut heard: Vec<_> = stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    heard.sort_unstable_by_key(|(endpoint, _)| *endpoint);
    heard
}

async fn hear_one(
    host: &HostRecord,
    but: Option<&NodeName>,
    wanted: Wanted,
    patience: Patience,
    endpoint: usize,
    read: ReadClient,
) -> (usize, Heard) {
    let nothing = |why: String, is_late: bool| {
        tracing::debug!(host = %host.label, endpoint, why, "nobody speaks for the cluster there");
        (endpoint, Heard::Nothing { is_late })
    };
    let silent = |was_asked: bool| {
        tracing::debug!(host = %host.label, endpoint, was_asked, "it says nothing in time");
        (endpoint, Heard::Silent { was_asked })
    };
    // Its time begins when it is its turn.
    let (begun, until) = (Instant::now(), patience.until(PATIENCE_WITH_STATUS));
    if until <= begun {
        return silent(false);
    }
    let status = match timeout_at(until, read.cluster_status()).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            let is_silent = matches!(error, PveError::NotSent { .. });
            let is_late = is_silent && begun.elapsed() >= QUICK;
            return nothing(error.to_string(), is_late);
        }
        Err(_) => return silent(true),
    };
    let Some(by) = answered_by(&status).cloned() else {
        return nothing("it does not say which node it is".to_owned(), false);
    };
    if but == Some(&by) {
        return nothing("it is the one whose word is at hand".to_owned(), false);
    }
    if let Err(gap) = is_word_of(host, &status) {
        return nothing(gap.text(host.label.as_str()), false);
    }
    let begun = Instant::now();
    let why = match timeout_at(patience.until(patience.list), list(&read, wanted)).await {
        Ok(Ok(list)) => {
            let word = Word {
                by,
                endpoint,
                status,
                list,
            };
            return (endpoint, Heard::Word(Box::new(word)));
        }
        Ok(Err(why)) => why,
        Err(_) => {
            let waited = begun.elapsed().as_secs();
            format!("the list has not come within {waited} s")
        }
    };
    tracing::debug!(host = %host.label, node = %by, why, "a node that answers gave no list");
    (endpoint, Heard::Unread(Unread { node: by, why }))
}

async fn list(read: &ReadClient, wanted: Wanted) -> Result<GuestList, String> {
    let held = match wanted {
        Wanted::All => sight(read, "/").await,
        Wanted::Guest(vmid) => may_see(read, vmid).await,
    };
    match held.map_err(|e| e.to_string())? {
        Sight::All => read.guest_list().await.map_err(|e| e.to_string()),
        Sight::NotAll => Err("by its word the token may not see all of it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use proximity_domain::ids::HostId;
    use proximity_domain::time::Timestamp;
    use proximity_pve::transport::{RawResponse, Request, Transport, TransportError};
    use proximity_store::records::{Endpoint, HostPlacement, PurposeTokens, TlsTrust};
    use serde_json::{Value, json};
    use tokio::time::sleep;
    use uuid::Uuid;

    use super::*;

    /// A node that gives its list after so long; `None`: it answers nothing at all.
    type Takes = Option<Duration>;

    /// One endpoint of each of some nodes, `pve1` and so on.
    #[derive(Debug)]
    struct Nodes {
        takes: Vec<Takes>,
        /// To the last of them no connection comes about within this time.
        no_connection: Option<Duration>,
        may_see: bool,
        under_way: AtomicUsize,
        most: AtomicUsize,
    }

    impl Nodes {
        fn new(takes: &[Takes]) -> Self {
            Self {
                takes: takes.to_vec(),
                no_connection: None,
                may_see: true,
                under_way: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
            }
        }

        fn status(&self, local: usize) -> Value {
            let mut rows = vec![json!({"type": "cluster", "name": "lab", "quorate": 1})];
            for (at, _) in self.takes.iter().enumerate() {
                let name = format!("pve{}", at + 1);
                let local = u8::from(at == local);
                rows.push(json!({"type": "node", "name": name, "online": 1, "local": local}));
            }
            Value::Array(rows)
        }

        async fn list(&self, takes: Duration) -> Value {
            let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(under_way, Ordering::Relaxed);
            sleep(takes).await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            json!([])
        }
    }

    #[async_trait]
    impl Transport for Nodes {
        async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
            self.read_from(0, request).await
        }

        fn endpoints(&self) -> usize {
            self.takes.len()
        }

        async fn read_from(
            &self,
            endpoint: usize,
            request: Request,
        ) -> Result<RawResponse, TransportError> {
            if let Some(within) = self.no_connection
                && endpoint + 1 == self.takes.len()
            {
                sleep(within).await;
                return Err(TransportError::NotSent("no connection in time".to_owned()));
            }
            let Some(takes) = self.takes[endpoint] else {
                return std::future::pending().await;
            };
            let data = match request.path.as_str() {
                "/cluster/status" => self.status(endpoint),
                "/access/permissions" if self.may_see => json!({"/": {"VM.Audit": 1}}),
                "/access/permissions" => json!({}),
                "/cluster/resources" => self.list(takes).await,
                other => panic!("{other}"),
            };
            Ok(RawResponse {
                status: 200,
                reason: "OK".to_owned(),
                body: json!({ "data": data }).to_string().into(),
            })
        }
    }

    fn host(nodes: usize) -> HostRecord {
        let names: Vec<NodeName> = (1..=nodes)
            .map(|at| format!("pve{at}").parse().unwrap())
            .collect();
        let endpoint = |node: &NodeName| Endpoint {
            url: format!("https://{node}:8006"),
            node: Some(node.clone()),
            trust: TlsTrust::Fingerprint {
                sha256: "AA".to_owned(),
            },
        };
        HostRecord {
            id: HostId(Uuid::from_u128(2)),
            label: "lab".parse().unwrap(),
            cluster_key: "cluster:lab:pve1".to_owned(),
            endpoints: names.iter().map(endpoint).collect(),
            token_id: "root@pam!proximity".to_owned(),
            token_secret: "secret".to_owned().into(),
            purpose_tokens: PurposeTokens::default(),
            ssh: None,
            pool: None,
            storage: "local".parse().unwrap(),
            template_storage: "local".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
            placement: HostPlacement::default(),
            known_nodes: names,
            pve_version: "9.2.11".to_owned(),
            created_at: Timestamp(0),
        }
    }

    async fn heard(nodes: Nodes, but: Option<&str>) -> Vec<(usize, Heard)> {
        let (host, but) = (host(nodes.takes.len()), but.map(|it| it.parse().unwrap()));
        let each = ReadClient::new(Arc::new(nodes)).each();
        let each = each.into_iter().enumerate().collect();
        hear(&host, but.as_ref(), Wanted::All, Patience::LONG, each).await
    }

    const AT_ONCE_THERE: Takes = Some(Duration::ZERO);

    /// The one may have what the others lack; of the other nobody knows that it speaks for the cluster at all.
    #[tokio::test(start_paused = true)]
    async fn who_answers_and_is_late_with_its_list_is_told_from_who_is_away() {
        let late = Some(PATIENCE_WITH_LIST + Duration::from_secs(1));
        let nodes = Nodes::new(&[AT_ONCE_THERE, late, None, AT_ONCE_THERE]);
        let heard = heard(nodes, Some("pve1")).await;
        let [
            (0, Heard::Nothing { is_late: false }),
            (1, Heard::Unread(unread)),
            (2, Heard::Silent { was_asked: true }),
            (3, Heard::Word(word)),
        ] = heard.as_slice()
        else {
            panic!("{heard:?}")
        };
        assert_eq!(unread.node.as_str(), "pve2");
        assert_eq!(unread.why, "the list has not come within 8 s");
        assert_eq!(word.by.as_str(), "pve4");
    }

    /// It may be slow, and have what the others lack; away is one that the others do not reach either, or that nobody knows.
    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_online_and_silent_is_not_taken_for_away() {
        let mut host = host(3);
        let read = ReadClient::new(Arc::new(Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE, None])));
        let words = words_of_each(&host, &read, Wanted::All).await;
        assert_eq!(words.said.len(), 2);
        let [unread] = words.unread.as_slice() else {
            panic!("{:?}", words.unread)
        };
        assert_eq!(unread.node.as_str(), "pve3");
        assert!(unread.why.contains("who is in its cluster"), "{unread:?}");
        assert_eq!(silent_at(&host, 2, |_| false), None);
        assert_eq!(silent_at(&host, 3, |_| true), None);
        host.endpoints[2].node = None;
        let words = words_of_each(&host, &read, Wanted::All).await;
        assert_eq!((words.said.len(), words.unread.len()), (2, 0));
    }

    /// Who is asked again at once is one that costs nothing, as a node whose proxy starts anew.
    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_is_not_reached_is_late_where_that_took_its_time() {
        let took = [(Duration::from_secs(5), true), (Duration::ZERO, false)];
        for (within, late) in took {
            let mut nodes = Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE]);
            nodes.no_connection = Some(within);
            let heard = heard(nodes, Some("pve1")).await;
            let [(0, _), (1, Heard::Nothing { is_late })] = heard.as_slice() else {
                panic!("{heard:?}")
            };
            assert_eq!(*is_late, late, "{within:?}");
        }
    }

    /// What the token may not see there is in no list.
    #[tokio::test(start_paused = true)]
    async fn a_list_of_less_than_was_wanted_is_not_read() {
        let mut nodes = Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE]);
        nodes.may_see = false;
        let heard = heard(nodes, Some("pve1")).await;
        let [(0, _), (1, Heard::Unread(unread))] = heard.as_slice() else {
            panic!("{heard:?}")
        };
        assert!(unread.why.contains("may not see"), "{}", unread.why);
    }

    /// However many there are, each has the same time, and no more lists than a few are held at once.
    #[tokio::test(start_paused = true)]
    async fn lists_are_read_a_few_at_a_time_each_with_its_own_patience() {
        let takes = PATIENCE_WITH_LIST * 3 / 4;
        let nodes = Arc::new(Nodes::new(&[Some(takes); 6]));
        let each = ReadClient::new(nodes.clone()).each();
        let begun = Instant::now();
        let each = each.into_iter().enumerate().collect();
        let heard = hear(&host(6), None, Wanted::All, Patience::LONG, each).await;
        let is_word = |(_, heard): &(usize, Heard)| matches!(heard, Heard::Word(_));
        assert!(heard.len() == 6 && heard.iter().all(is_word), "{heard:?}");
        assert_eq!(nodes.most.load(Ordering::Relaxed), AT_ONCE);
        assert_eq!(begun.elapsed(), 3 * takes);
    }

    /// Who was not asked may have what the others lack, as one that is silent: where its node is known, nothing is proven without it.
    #[tokio::test(start_paused = true)]
    async fn a_pass_waits_so_long_for_all_of_them_together() {
        let mut host = host(7);
        let read = ReadClient::new(Arc::new(Nodes::new(&[None; 7])));
        let ask = async |host: &HostRecord| {
            let each = read.each().into_iter().enumerate().collect();
            let patience = Patience::of_pass(Duration::ZERO);
            hear(host, None, Wanted::All, patience, each).await
        };
        let begun = Instant::now();
        let heard = ask(&host).await;
        assert_eq!(begun.elapsed(), IN_ALL);
        let asked = heard.iter().map(|(_, heard)| match heard {
            Heard::Silent { was_asked } => *was_asked,
            other => panic!("{other:?}"),
        });
        let asked: Vec<bool> = asked.collect();
        assert_eq!(asked, [true, true, true, true, true, true, false]);
        host.endpoints[6].node = None;
        let (_, last) = ask(&host).await.remove(6);
        let was_asked = matches!(last, Heard::Silent { was_asked: true });
        assert!(was_asked, "{last:?}");
    }

    /// Nor does its list keep a pass longer.
    #[tokio::test(start_paused = true)]
    async fn a_list_that_comes_after_the_end_of_a_pass_s_patience_is_not_read() {
        let takes = Some(PATIENCE_WITH_LIST * 3 / 4);
        let read = ReadClient::new(Arc::new(Nodes::new(&[takes; 5])));
        let each = read.each().into_iter().enumerate().collect();
        let begun = Instant::now();
        let patience = Patience::of_pass(Duration::ZERO);
        let heard = hear(&host(5), None, Wanted::All, patience, each).await;
        assert_eq!(begun.elapsed(), IN_ALL);
        let Some((4, Heard::Unread(last))) = heard.last() else {
            panic!("{heard:?}")
        };
        assert_eq!(last.why, "the list has not come within 3 s");
    }

    /// Nothing would ever be proven in a cluster so large that each of its lists takes longer than that.
    #[tokio::test(start_paused = true)]
    async fn a_list_may_take_longer_where_the_one_at_hand_took_long() {
        let takes = Duration::from_secs(12);
        for (took_s, comes) in [(2, false), (5, true), (60, true)] {
            let read = ReadClient::new(Arc::new(Nodes::new(&[Some(takes); 2])));
            let each = read.each().into_iter().enumerate().collect();
            let patience = Patience::of_pass(Duration::from_secs(took_s));
            let heard = hear(&host(2), None, Wanted::All, patience, each).await;
            let is_word = |(_, heard): &(usize, Heard)| matches!(heard, Heard::Word(_));
            assert_eq!(heard.iter().all(is_word), comes, "{took_s} s: {heard:?}");
        }
        let list = |took| Patience::of_pass(Duration::from_secs(took)).list;
        assert_eq!(list(0), PATIENCE_WITH_LIST);
        assert_eq!(list(60), PATIENCE_WITH_LONG_LIST);
    }

    /// A look is the word of its node for certain where the endpoint is on record as that node's.
    #[tokio::test(start_paused = true)]
    async fn a_word_is_its_node_s_own_where_the_record_has_its_address() {
        let mut host = host(2);
        let read = ReadClient::new(Arc::new(Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE])));
        for (node, own) in [(Some("pve2"), true), (Some("pve1"), false), (None, false)] {
            host.endpoints[1].node = node.map(|it| it.parse().unwrap());
            let mut words = words_of_each(&host, &read, Wanted::All).await;
            assert_eq!(words.said.len(), 2);
            let look = words.said.remove(1).into_look(&host).unwrap();
            assert_eq!(look.by().map(NodeName::as_str), Some("pve2"));
            assert_eq!(look.own_word().is_some(), own, "{node:?}");
        }
        host.endpoints[1].node = Some("pve2".parse().unwrap());
        host.endpoints[1].trust = TlsTrust::System;
        let mut words = words_of_each(&host, &read, Wanted::All).await;
        let look = words.said.remove(1).into_look(&host).unwrap();
        assert_eq!(look.own_word(), None, "a name may lead to several nodes");
    }
}
