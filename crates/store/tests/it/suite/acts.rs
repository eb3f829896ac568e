//! What random sequences are made of.

use proptest::prelude::*;

/// What is done next; numbers choose among what there is.
#[derive(Debug, Clone)]
pub enum Act {
    Create(u8),
    Enqueue(u8, u8),
    Claim { holder: u8, exclusive: bool },
    Pass(u16),
    Begin { claim: u8, guest: Option<u8> },
    Finish(u8),
    Fail(u8),
    Stick(u8),
    Mutate(u8),
    BeginUndo(u8),
    FinishUndo(u8),
    FailUndo(u8),
    UnwindCancelled(u8),
    Complete { claim: u8, archive: bool },
    EndUnwound(u8),
    Cancel(u8),
    Retry(u8),
    Abandon(u8),
}

pub fn act() -> impl Strategy<Value = Act> {
    let n = any::<u8>;
    prop_oneof![
        3 => n().prop_map(Act::Create),
        3 => (n(), n()).prop_map(|(a, b)| Act::Enqueue(a, b)),
        6 => (0..2_u8, any::<bool>()).prop_map(|(holder, exclusive)| Act::Claim { holder, exclusive }),
        2 => (0..12_000_u16).prop_map(Act::Pass),
        8 => (n(), any::<Option<u8>>()).prop_map(|(claim, guest)| Act::Begin { claim, guest }),
        8 => n().prop_map(Act::Finish),
        2 => n().prop_map(Act::Fail),
        1 => n().prop_map(Act::Stick),
        2 => n().prop_map(Act::Mutate),
        6 => n().prop_map(Act::BeginUndo),
        6 => n().prop_map(Act::FinishUndo),
        1 => n().prop_map(Act::FailUndo),
        2 => n().prop_map(Act::UnwindCancelled),
        4 => (n(), any::<bool>()).prop_map(|(claim, archive)| Act::Complete { claim, archive }),
        4 => n().prop_map(Act::EndUnwound),
        2 => n().prop_map(Act::Cancel),
        2 => n().prop_map(Act::Retry),
        1 => n().prop_map(Act::Abandon),
    ]
}
