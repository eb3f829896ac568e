//! What is heard of a cluster's nodes: who is away, who is late, and whose word it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use proximity_domain::ids::HostId;
use proximity_domain::time::Timestamp;
use proximity_pve::transport::{OUT_OF_FILES, RawResponse, Request, Transport, TransportError};
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
    /// Why it does not.
    why: &'static str,
    /// What comes of asking the last of them who is in its cluster, in the place of its word.
    last_says: Option<Result<RawResponse, TransportError>>,
    may_see: bool,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Nodes {
    fn new(takes: &[Takes]) -> Self {
        Self {
            takes: takes.to_vec(),
            no_connection: None,
            why: "no connection in time",
            last_says: None,
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
            return Err(TransportError::NotSent(self.why.to_owned()));
        }
        if let Some(says) = &self.last_says
            && endpoint + 1 == self.takes.len()
            && request.path == "/cluster/status"
        {
            return says.clone();
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
    hear(
        &host,
        but.as_ref(),
        Wanted::All,
        Patience::long(Duration::ZERO),
        each,
    )
    .await
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
    assert_eq!(unread.whose.as_str(), "pve2");
    assert_eq!(unread.why, "the list has not come within 8 s");
    assert_eq!(word.by.as_str(), "pve4");
}

/// What a node says that is reached and does not say who is in its cluster, and how that is told.
fn of_no_use() -> [(Result<RawResponse, TransportError>, &'static str); 4] {
    let answer = |status, reason: &str, body: &'static str| {
        Ok(RawResponse {
            status,
            reason: reason.to_owned(),
            body: body.into(),
        })
    };
    let broke_off = TransportError::MaybeApplied("the answer broke off".to_owned());
    [
        (
            answer(401, "authentication failure", ""),
            "it is reached, and does not take our token: ",
        ),
        (
            answer(500, "ipcc_send_rec failed", r#"{"data":null}"#),
            "it is reached, and answers with an error: ",
        ),
        (
            answer(200, "OK", r#"{"data":[{"type":"#),
            "it is reached, and answers with an error: ",
        ),
        (Err(broke_off), "it is reached, and gives no answer: "),
    ]
}

/// It may have what the others lack, also where they have it off: away is who is not reached.
#[tokio::test(start_paused = true)]
async fn whoever_is_reached_and_says_nothing_of_use_is_not_taken_for_away() {
    let mut host = host(2);
    for (says, told) in of_no_use() {
        let mut nodes = Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE]);
        nodes.last_says = Some(says);
        let nodes = Arc::new(nodes);
        host.endpoints[1].node = Some("pve2".parse().unwrap());
        let at_it = words(&host, &nodes, Duration::ZERO).await;
        let [unread] = at_it.unread.as_slice() else {
            panic!("{told}: {:?}", at_it.unread)
        };
        assert_eq!(unread.whose, Whose::Node("pve2".parse().unwrap()));
        assert!(unread.why.starts_with(told), "{unread:?}");
        host.endpoints[1].node = None;
        let at_it = words(&host, &nodes, Duration::ZERO).await;
        let address = Whose::Address("https://pve2:8006".to_owned());
        assert_eq!(at_it.unread[0].whose, address, "{told}");
    }
}

/// Nothing was asked: whoever is there may have what the others lack.
#[tokio::test(start_paused = true)]
async fn who_could_not_be_asked_for_want_of_files_here_is_not_taken_for_away() {
    let mut nodes = Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE]);
    nodes.no_connection = Some(Duration::ZERO);
    let away = heard(nodes, None).await;
    assert!(matches!(away[1].1, Heard::Nothing { is_late: false }));
    let mut nodes = Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE]);
    nodes.no_connection = Some(Duration::ZERO);
    nodes.why = OUT_OF_FILES;
    let heard = heard(nodes, None).await;
    assert!(matches!(heard[1].1, Heard::Silent { was_asked: false }));
}

/// What all nodes say where this one's list, at hand, took so long, and it has no node online.
async fn words(host: &HostRecord, nodes: &Arc<Nodes>, took: Duration) -> Words {
    let status = ClusterStatus {
        name: Some("lab".to_owned()),
        quorate: true,
        nodes: Vec::new(),
    };
    let at_hand = AtHand {
        status: &status,
        took,
    };
    let read = ReadClient::new(nodes.clone());
    words_of_each(host, &read, Wanted::All, at_hand).await
}

/// It may be slow, and have what the others lack; away is one that the others do not reach either.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_online_and_silent_is_not_taken_for_away() {
    let host = host(3);
    let nodes = Arc::new(Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE, None]));
    let words = words(&host, &nodes, Duration::ZERO).await;
    assert_eq!(words.said.len(), 2);
    let [unread] = words.unread.as_slice() else {
        panic!("{:?}", words.unread)
    };
    assert_eq!(unread.whose, Whose::Node("pve3".parse().unwrap()));
    assert!(unread.why.contains("who is in its cluster"), "{unread:?}");
    assert_eq!(silent_at(&host, 2, |_| false), None);
}

/// It may be any of the nodes, also one that is online and has what the others lack.
#[tokio::test(start_paused = true)]
async fn whoever_is_silent_at_an_address_of_no_certain_node_is_not_taken_for_away() {
    let mut host = host(3);
    let nodes = Arc::new(Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE, None]));
    host.endpoints[2].node = None;
    let words = words(&host, &nodes, Duration::ZERO).await;
    let [unread] = words.unread.as_slice() else {
        panic!("{:?}", words.unread)
    };
    let address = Whose::Address("https://pve3:8006".to_owned());
    assert_eq!((words.said.len(), &unread.whose), (2, &address));
    assert_eq!(silent_at(&host, 2, |_| false).unwrap().whose, address);
    host.endpoints[2].node = Some("pve3".parse().unwrap());
    host.endpoints[2].trust = TlsTrust::System;
    let by_a_name = |online| silent_at(&host, 2, |_| online).unwrap().whose;
    assert_eq!(by_a_name(false), address, "it may lead to another one");
    assert_eq!(by_a_name(true), Whose::Node("pve3".parse().unwrap()));
    let off_record = silent_at(&host, 3, |_| false).unwrap().whose;
    assert_eq!(off_record.as_str(), "endpoint 4");
}

/// Neither a removal nor the giving up of a node would come to an end in a cluster that large.
#[tokio::test(start_paused = true)]
async fn who_has_the_time_waits_longer_where_the_list_at_hand_took_long() {
    let takes = Some(Duration::from_secs(12));
    let nodes = Arc::new(Nodes::new(&[takes, takes]));
    for (took_s, read) in [(2, 0), (5, 2), (60, 2)] {
        let words = words(&host(2), &nodes, Duration::from_secs(took_s)).await;
        let heard = (words.said.len(), words.unread.len());
        assert_eq!(heard, (read, 2 - read), "{took_s} s");
    }
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
    let heard = hear(
        &host(6),
        None,
        Wanted::All,
        Patience::long(Duration::ZERO),
        each,
    )
    .await;
    let is_word = |(_, heard): &(usize, Heard)| matches!(heard, Heard::Word(_));
    assert!(heard.len() == 6 && heard.iter().all(is_word), "{heard:?}");
    assert_eq!(nodes.most.load(Ordering::Relaxed), AT_ONCE);
    assert_eq!(begun.elapsed(), 3 * takes);
}

/// Who was not asked may have what the others lack, as one that is silent: nothing is proven without it.
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
    assert!(!was_asked, "{last:?}");
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
    let nodes = Arc::new(Nodes::new(&[AT_ONCE_THERE, AT_ONCE_THERE]));
    for (node, own) in [(Some("pve2"), true), (Some("pve1"), false), (None, false)] {
        host.endpoints[1].node = node.map(|it| it.parse().unwrap());
        let mut words = words(&host, &nodes, Duration::ZERO).await;
        assert_eq!(words.said.len(), 2);
        let is_own = words.said[1].lacking(&host).own.is_some();
        assert_eq!(is_own, own, "{node:?}");
        let look = words.said.remove(1).into_look(&host).unwrap();
        assert_eq!(look.by().map(NodeName::as_str), Some("pve2"));
        assert_eq!(look.own_word().is_some(), own, "{node:?}");
    }
    host.endpoints[1].node = Some("pve2".parse().unwrap());
    host.endpoints[1].trust = TlsTrust::System;
    let mut words = words(&host, &nodes, Duration::ZERO).await;
    assert_eq!(words.said[1].lacking(&host).own, None);
    let look = words.said.remove(1).into_look(&host).unwrap();
    assert_eq!(look.own_word(), None, "a name may lead to several nodes");
}
