//! What sequences begin with that chance seldom brings about.

use super::calls::{Call, Change};

/// An app that lives and is removed as an orphan: its ports rest. And one token twice.
pub fn orphan() -> Vec<Call> {
    let change = Change {
        guest: None,
        status: None,
        url: None,
        percent: None,
        lines: 40,
        event: false,
        archive: true,
    };
    let claim = Call::Claim {
        holder: 0,
        exclusive: false,
    };
    let complete = Call::Complete { claim: 0, change };
    let create = Call::Create {
        name: 1,
        host: 0,
        key: None,
    };
    let remove = Call::Enqueue {
        app: 0,
        kind: 7,
        status: 3,
        retry: None,
        key: None,
    };
    let token = Call::AddToken(0);
    vec![
        create, claim, complete, remove, claim, complete, token, token,
    ]
}

/// An adopted app that is at rest, and is exposed: chance leaves few adoptions complete and not asked for anything.
pub fn exposed() -> Vec<Call> {
    let change = Change {
        guest: None,
        status: None,
        url: None,
        percent: None,
        lines: 40,
        event: false,
        archive: false,
    };
    let adopt = Call::Adopt {
        name: 1,
        host: 0,
        key: None,
    };
    let claim = Call::Claim {
        holder: 0,
        exclusive: false,
    };
    let expose = Call::Expose {
        app: 0,
        port: Some(79),
    };
    vec![adopt, claim, Call::Complete { claim: 0, change }, expose]
}

/// Two plans that overlap, of which one is applied, by one loop after the other.
pub fn applied() -> Vec<Call> {
    let key = None;
    let of_apply = |claim, what| Call::OfApply { claim, what, n: 3 };
    vec![
        Call::SetSecret(2),
        Call::KeepPlan(2),
        Call::KeepPlan(5),
        // The brake stops it, of which chance seldom has all that it takes.
        Call::StartApply { plan: 149, key },
        Call::StartApply { plan: 2, key },
        Call::StartApply { plan: 2, key },
        Call::StartApply { plan: 5, key },
        Call::RemoveSecret(2),
        Call::ClaimApply { seen: 0, holder: 0 },
        of_apply(0, 7),
        Call::ClaimApply { seen: 0, holder: 1 },
        of_apply(1, 4),
        of_apply(0, 4),
    ]
}
