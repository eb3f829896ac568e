//! What random sequences are made of: every call of the store that writes, and the reads that take arguments. Numbers
//! choose among what there is when a call's turn comes.

use proptest::prelude::*;

use super::openings::{applied, exposed, orphan};

/// What a worker's commit changes besides.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub guest: Option<u8>,
    pub status: Option<u8>,
    pub url: Option<u8>,
    pub percent: Option<u8>,
    pub lines: u8,
    pub event: bool,
    pub archive: bool,
}

/// What is asked for next.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    Pass(i32),
    AddHost {
        host: u8,
        key: Option<u8>,
    },
    ChangeHost {
        host: u8,
        to: u8,
    },
    RemoveHost(u8),
    AddToken(u8),
    Create {
        name: u8,
        host: u8,
        key: Option<u8>,
    },
    Adopt {
        name: u8,
        host: u8,
        key: Option<u8>,
    },
    Expose {
        app: u8,
        port: Option<u8>,
    },
    /// Under which host name an app is led to, or what came of fetching by it.
    Site {
        app: u8,
        n: u8,
    },
    Guard {
        app: u8,
        n: u8,
    },
    Enqueue {
        app: u8,
        kind: u8,
        status: u8,
        retry: Option<u8>,
        key: Option<u8>,
    },
    ForgetRequests,
    Clear {
        what: u8,
        n: u8,
    },
    Resources {
        host: u8,
        n: u8,
        what: u8,
    },
    /// A template that we make, and what is made of it.
    Prepared([u8; 3]),
    Cancel(u8),
    Retry(u8),
    Abandon(u8),
    GuestMoved {
        app: u8,
        node: u8,
    },
    EndPortRest(Option<u8>),
    Suspect {
        app: u8,
        n: u8,
    },
    Alarm {
        app: u8,
        n: u8,
    },
    Identity {
        app: u8,
        n: u8,
    },
    Orphan(u8),
    LoseNode {
        host: u8,
        n: u8,
    },
    Brake(u8),
    MarkStuck(u8),
    FollowPower {
        app: u8,
        n: u8,
    },
    Resolve {
        app: u8,
        n: u8,
    },
    Claim {
        holder: u8,
        exclusive: bool,
    },
    ClaimAsSeen {
        seen: u8,
        holder: u8,
    },
    ClaimAllAsSeen {
        seen: u8,
        holder: u8,
    },
    /// What is next for an operation that is held; it becomes one of the others.
    Next {
        n: u8,
        change: Change,
    },
    Renew(u8),
    Release(u8),
    Wait {
        claim: u8,
        attempt: u8,
        change: Change,
    },
    Begin {
        claim: u8,
        index: u8,
        change: Change,
    },
    Upid {
        claim: u8,
        index: u8,
    },
    Amend {
        claim: u8,
        index: u8,
    },
    Mutate {
        claim: u8,
        index: u8,
    },
    Finish {
        claim: u8,
        index: u8,
        change: Change,
    },
    Note {
        claim: u8,
        change: Change,
    },
    Fail {
        claim: u8,
        index: u8,
        change: Change,
    },
    Stick {
        claim: u8,
        index: u8,
        change: Change,
    },
    Complete {
        claim: u8,
        change: Change,
    },
    BeginUndo {
        claim: u8,
        index: u8,
    },
    FinishUndo {
        claim: u8,
        index: u8,
        change: Change,
    },
    FailUndo {
        claim: u8,
        index: u8,
    },
    UnwindCancelled(u8),
    EndUnwound {
        claim: u8,
        change: Change,
    },
    ListApps {
        filter: u8,
        after: Option<u8>,
        page: u8,
    },
    ListOperations {
        filter: u8,
        before: Option<u8>,
    },
    Journals {
        after: u8,
        limit: u8,
    },
    KeepChannels(u8),
    KeepPlan(u8),
    StartApply {
        plan: u8,
        key: Option<u8>,
    },
    ClaimApply {
        seen: u8,
        holder: u8,
    },
    /// What a loop writes under a claim.
    OfApply {
        claim: u8,
        what: u8,
        n: u8,
    },
    StopApply(u8),
    SetSecret(u8),
    RemoveSecret(u8),
    Sources {
        n: u8,
        what: u8,
    },
    /// Of people who sign in, and their sessions.
    Accounts {
        n: u8,
        what: u8,
    },
    /// Content is rejected, or one that was is forgotten.
    Reject {
        n: u8,
        what: u8,
    },
    /// What became of notices, or a further look at the events.
    Notices {
        channel: u8,
        act: u8,
    },
}

impl Call {
    /// Its name in [`NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pass(_) => "Pass",
            Self::AddHost { .. } => "AddHost",
            Self::ChangeHost { .. } => "ChangeHost",
            Self::RemoveHost(_) => "RemoveHost",
            Self::AddToken(_) => "AddToken",
            Self::Create { .. } => "Create",
            Self::Adopt { .. } => "Adopt",
            Self::Expose { .. } => "Expose",
            Self::Site { .. } => "Site",
            Self::Guard { .. } => "Guard",
            Self::Enqueue { .. } => "Enqueue",
            Self::ForgetRequests => "ForgetRequests",
            Self::Clear { .. } => "Clear",
            Self::Resources { .. } => "Resources",
            Self::Prepared(_) => "Prepared",
            Self::Cancel(_) => "Cancel",
            Self::Retry(_) => "Retry",
            Self::Abandon(_) => "Abandon",
            Self::GuestMoved { .. } => "GuestMoved",
            Self::EndPortRest(_) => "EndPortRest",
            Self::Suspect { .. } => "Suspect",
            Self::Alarm { .. } => "Alarm",
            Self::Identity { .. } => "Identity",
            Self::Orphan(_) => "Orphan",
            Self::LoseNode { .. } => "LoseNode",
            Self::Brake(_) => "Brake",
            Self::MarkStuck(_) => "MarkStuck",
            Self::FollowPower { .. } => "FollowPower",
            Self::Resolve { .. } => "Resolve",
            Self::Claim { .. } => "Claim",
            Self::ClaimAsSeen { .. } => "ClaimAsSeen",
            Self::ClaimAllAsSeen { .. } => "ClaimAllAsSeen",
            Self::Next { .. } => "Next",
            Self::Renew(_) => "Renew",
            Self::Release(_) => "Release",
            Self::Wait { .. } => "Wait",
            Self::Begin { .. } => "Begin",
            Self::Upid { .. } => "Upid",
            Self::Amend { .. } => "Amend",
            Self::Mutate { .. } => "Mutate",
            Self::Finish { .. } => "Finish",
            Self::Note { .. } => "Note",
            Self::Fail { .. } => "Fail",
            Self::Stick { .. } => "Stick",
            Self::Complete { .. } => "Complete",
            Self::BeginUndo { .. } => "BeginUndo",
            Self::FinishUndo { .. } => "FinishUndo",
            Self::FailUndo { .. } => "FailUndo",
            Self::UnwindCancelled(_) => "UnwindCancelled",
            Self::EndUnwound { .. } => "EndUnwound",
            Self::ListApps { .. } => "ListApps",
            Self::ListOperations { .. } => "ListOperations",
            Self::Journals { .. } => "Journals",
            Self::KeepChannels(_) => "KeepChannels",
            Self::KeepPlan(_) => "KeepPlan",
            Self::StartApply { .. } => "StartApply",
            Self::ClaimApply { .. } => "ClaimApply",
            Self::OfApply { .. } => "OfApply",
            Self::StopApply(_) => "StopApply",
            Self::SetSecret(_) => "SetSecret",
            Self::RemoveSecret(_) => "RemoveSecret",
            Self::Sources { .. } => "Sources",
            Self::Accounts { .. } => "Accounts",
            Self::Reject { .. } => "Reject",
            Self::Notices { .. } => "Notices",
        }
    }
}

/// Every call that has to be seen, and whether it can be refused.
pub const NAMES: &[(&str, bool)] = &[
    ("AddHost", true),
    ("ChangeHost", true),
    ("RemoveHost", true),
    ("AddToken", true),
    ("Create", true),
    ("Adopt", true),
    ("Expose", true),
    ("Site", true),
    ("Guard", true),
    ("Enqueue", true),
    ("ForgetRequests", false),
    ("Clear", true),
    ("Resources", true),
    ("Prepared", true),
    ("Cancel", true),
    ("Retry", true),
    ("Abandon", true),
    ("GuestMoved", true),
    ("EndPortRest", false),
    ("Suspect", false),
    ("Alarm", true),
    ("Identity", true),
    ("Orphan", true),
    ("LoseNode", true),
    ("Brake", false),
    ("MarkStuck", true),
    ("FollowPower", true),
    ("Resolve", true),
    ("Claim", false),
    ("ClaimAsSeen", false),
    ("ClaimAllAsSeen", false),
    ("Renew", true),
    ("Release", true),
    ("Wait", true),
    ("Begin", true),
    ("Upid", true),
    ("Amend", true),
    ("Mutate", true),
    ("Finish", true),
    ("Note", true),
    ("Fail", true),
    ("Stick", true),
    ("Complete", true),
    ("BeginUndo", true),
    ("FinishUndo", true),
    ("FailUndo", true),
    ("UnwindCancelled", true),
    ("EndUnwound", true),
    ("ListApps", false),
    ("ListOperations", false),
    ("Journals", false),
    ("KeepChannels", false),
    ("KeepPlan", true),
    ("StartApply", true),
    ("ClaimApply", false),
    ("OfApply", true),
    ("StopApply", true),
    ("SetSecret", false),
    ("RemoveSecret", true),
    ("Sources", true),
    ("Accounts", true),
    ("Reject", true),
    ("Notices", false),
];

fn n() -> impl Strategy<Value = u8> {
    any::<u8>()
}

/// Seldom something.
fn seldom() -> impl Strategy<Value = Option<u8>> {
    proptest::option::weighted(0.3, n())
}

fn change() -> impl Strategy<Value = Change> {
    let parts = (
        proptest::option::weighted(0.5, n()),
        seldom(),
        seldom(),
        seldom(),
        n(),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.7),
    );
    parts.prop_map(
        |(guest, status, url, percent, lines, event, archive)| Change {
            guest,
            status,
            url,
            percent,
            lines,
            event,
            archive,
        },
    )
}

fn of_people() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => (n(), seldom()).prop_map(|(host, key)| Call::AddHost { host, key }),
        3 => (n(), n()).prop_map(|(host, to)| Call::ChangeHost { host, to }),
        2 => n().prop_map(Call::RemoveHost),
        2 => n().prop_map(Call::AddToken),
        8 => (n(), n(), seldom()).prop_map(|(name, host, key)| Call::Create { name, host, key }),
        4 => (n(), n(), seldom()).prop_map(|(name, host, key)| Call::Adopt { name, host, key }),
        4 => (n(), seldom()).prop_map(|(app, port)| Call::Expose { app, port }),
        4 => (n(), n()).prop_map(|(app, n)| Call::Site { app, n }),
        4 => (n(), n()).prop_map(|(app, n)| Call::Guard { app, n }),
        8 => (n(), n(), n(), seldom(), seldom()).prop_map(|(app, kind, status, retry, key)|
            Call::Enqueue { app, kind, status, retry, key }),
        3 => Just(Call::ForgetRequests),
        4 => (n(), n()).prop_map(|(what, n)| Call::Clear { what, n }),
        6 => (n(), n(), n()).prop_map(|(host, n, what)| Call::Resources { host, n, what }),
        6 => [n(), n(), n()].prop_map(Call::Prepared),
        4 => n().prop_map(Call::Cancel),
        4 => n().prop_map(Call::Retry),
        4 => n().prop_map(Call::Abandon),
        4 => (n(), n()).prop_map(|(app, node)| Call::GuestMoved { app, node }),
        2 => seldom().prop_map(Call::EndPortRest),
        2 => (n(), n()).prop_map(|(app, n)| Call::Suspect { app, n }),
        2 => (n(), n()).prop_map(|(app, n)| Call::Alarm { app, n }),
        3 => (n(), n()).prop_map(|(app, n)| Call::Identity { app, n }),
        1 => n().prop_map(Call::Orphan),
        2 => (n(), n()).prop_map(|(host, n)| Call::LoseNode { host, n }),
        1 => n().prop_map(Call::Brake),
        6 => n().prop_map(Call::MarkStuck),
        2 => (n(), n()).prop_map(|(app, n)| Call::FollowPower { app, n }),
        8 => (n(), n()).prop_map(|(app, n)| Call::Resolve { app, n }),
        2 => (n(), seldom(), n()).prop_map(|(filter, after, page)|
            Call::ListApps { filter, after, page }),
        2 => (n(), seldom()).prop_map(|(filter, before)| Call::ListOperations { filter, before }),
        1 => (n(), n()).prop_map(|(after, limit)| Call::Journals { after, limit }),
        1 => n().prop_map(Call::KeepChannels),
        5 => (n(), n()).prop_map(|(channel, act)| Call::Notices { channel, act }),
    ]
}

fn of_workers() -> impl Strategy<Value = Call> {
    prop_oneof![
        9 => (0..2_u8, any::<bool>()).prop_map(|(holder, exclusive)| Call::Claim { holder, exclusive }),
        3 => (n(), 0..2_u8).prop_map(|(seen, holder)| Call::ClaimAsSeen { seen, holder }),
        3 => (n(), 0..2_u8).prop_map(|(seen, holder)| Call::ClaimAllAsSeen { seen, holder }),
        1 => n().prop_map(Call::Renew),
        1 => n().prop_map(Call::Release),
        4 => (n(), n(), change()).prop_map(|(claim, attempt, change)|
            Call::Wait { claim, attempt, change }),
        10 => (n(), n(), change()).prop_map(|(claim, index, change)|
            Call::Begin { claim, index, change }),
        3 => (n(), n()).prop_map(|(claim, index)| Call::Upid { claim, index }),
        3 => (n(), n()).prop_map(|(claim, index)| Call::Amend { claim, index }),
        3 => (n(), n()).prop_map(|(claim, index)| Call::Mutate { claim, index }),
        9 => (n(), n(), change()).prop_map(|(claim, index, change)|
            Call::Finish { claim, index, change }),
        4 => (n(), change()).prop_map(|(claim, change)| Call::Note { claim, change }),
    ]
}

fn of_applies() -> impl Strategy<Value = Call> {
    prop_oneof![
        5 => n().prop_map(Call::KeepPlan),
        6 => (n(), seldom()).prop_map(|(plan, key)| Call::StartApply { plan, key }),
        5 => (n(), 0..2_u8).prop_map(|(seen, holder)| Call::ClaimApply { seen, holder }),
        16 => (n(), n(), n()).prop_map(|(claim, what, n)| Call::OfApply { claim, what, n }),
        2 => n().prop_map(Call::StopApply),
        3 => n().prop_map(Call::SetSecret),
        3 => n().prop_map(Call::RemoveSecret),
        5 => (n(), n()).prop_map(|(n, what)| Call::Sources { n, what }),
        6 => (n(), n()).prop_map(|(n, what)| Call::Accounts { n, what }),
        3 => (n(), n()).prop_map(|(n, what)| Call::Reject { n, what }),
    ]
}

fn of_turns() -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => (n(), n(), change()).prop_map(|(claim, index, change)|
            Call::Fail { claim, index, change }),
        2 => (n(), n(), change()).prop_map(|(claim, index, change)|
            Call::Stick { claim, index, change }),
        8 => (n(), change()).prop_map(|(claim, change)| Call::Complete { claim, change }),
        6 => (n(), n()).prop_map(|(claim, index)| Call::BeginUndo { claim, index }),
        6 => (n(), n(), change()).prop_map(|(claim, index, change)|
            Call::FinishUndo { claim, index, change }),
        1 => (n(), n()).prop_map(|(claim, index)| Call::FailUndo { claim, index }),
        2 => n().prop_map(Call::UnwindCancelled),
        5 => (n(), change()).prop_map(|(claim, change)| Call::EndUnwound { claim, change }),
    ]
}

/// A sequence of `length` calls; three quarters of them begin with what chance seldom brings about: a port that rests, an adopted app
/// that is exposed, or an apply.
pub fn sequence(length: usize) -> impl Strategy<Value = Vec<Call>> {
    let before = prop_oneof![
        Just(Vec::new()),
        Just(orphan()),
        Just(exposed()),
        Just(applied())
    ];
    (before, proptest::collection::vec(call(), length))
        .prop_map(|(before, calls)| before.into_iter().chain(calls).collect())
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        // Sometimes the clock goes back; sometimes keys grow old.
        2 => (-3_000..12_000_i32).prop_map(Call::Pass),
        // A day, to the millisecond, and one that is over for certain.
        1 => Just(Call::Pass(86_400_000)),
        1 => Just(Call::Pass(90_000_000)),
        16 => of_people(),
        10 => of_workers(),
        8 => of_turns(),
        12 => of_applies(),
        30 => (n(), change()).prop_map(|(n, change)| Call::Next { n, change }),
    ]
}
