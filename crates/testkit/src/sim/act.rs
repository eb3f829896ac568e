//! What may happen in a simulation: a table of acts, by whom, and how often each is drawn.
//!
//! Another operation of the product joins by one variant of [`Ask`], its line in `Ask::draw` and its arm in `perform.rs`.

use proximity_pve_emulator::core::Reach;
use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::fault::Fault;

/// How many apps the people of a simulation deploy.
pub(super) const APPS: u8 = 4;
/// How many containers there are from the beginning, which they may adopt: apps of the numbers after those.
pub(super) const FOUND: u8 = 2;
/// The nodes of its cluster.
pub(super) const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];

/// One thing that somebody does. `app` is a number below [`APPS`], or one of the [`FOUND`] after them;
/// `node` is one of [`NODES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A person asks for something that is about no app.
    AskAll(AskAll),
    /// A person asks for something, by the API.
    Ask {
        /// Of which app.
        app: u8,
        /// What.
        ask: Ask,
    },
    /// Somebody else does something to the container of an app, if it has one.
    Hand {
        /// Of which app.
        app: u8,
        /// What.
        hand: Hand,
    },
    /// A stranger has this number from now on, if it is free.
    TakeFree {
        /// The number.
        vmid: u32,
        /// Where.
        node: u8,
    },
    /// Calls are hit.
    Break(Fault),
    /// A node is in trouble, or out of it.
    Node {
        /// Which.
        node: u8,
        /// What of.
        trouble: Trouble,
    },
    /// The engine's process is killed and begins again.
    Kill {
        /// The next one knows that this one is dead.
        exclusive: bool,
    },
    /// It is shut down and begins again.
    ShutDown,
    /// It stands still, as by SIGSTOP, and goes on later. People ask the one beside it meanwhile, if there is one.
    Stall {
        /// Milliseconds.
        ms: u64,
    },
    /// The wall clock of its machine jumps.
    ClockJump {
        /// By so much.
        ms: i64,
    },
}

/// What people ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the commands of the product
pub enum Ask {
    Deploy,
    Start,
    Stop {
        force: bool,
    },
    Restart {
        force: bool,
    },
    Remove {
        force: bool,
    },
    Retry,
    Abandon,
    Cancel,
    Resolve,
    Reidentify,
    Adopt,
    Expose {
        open: bool,
    },
    /// All keys of its container's configuration that can be, as they were at its adoption.
    RestoreKeys,
    /// More memory, cores and disk, and another setting.
    Update,
}

/// What people ask for of all apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the commands of the product
pub enum AskAll {
    Reconcile,
    ConfirmMissing,
    Janitor,
}

/// What somebody else does to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the documentation
pub enum Hand {
    Take,
    TakeAs {
        mark: bool,
        mac: bool,
    },
    Vanish,
    Carry {
        node: u8,
    },
    Lock,
    Unlock,
    Describe,
    ChangeMac,
    Protect {
        on: bool,
    },
    Power {
        on: bool,
    },
    Destroy,
    IgnoreShutdown,
    Hide {
        on: bool,
    },
    /// Gives it another number of cores.
    Resize,
}

/// What becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the documentation
pub enum Trouble {
    Down { reach: Reach },
    Up,
    Partition,
    Heal,
    Slow { ms: u64 },
    OldView { cycles: u64 },
}

/// What a simulation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Everything there is.
    All,
    /// What people do with the apps that they adopt, and what becomes of their containers; others are deployed beside them.
    Adopted,
}

impl Theme {
    /// Its name on command lines.
    ///
    /// # Errors
    /// The names there are.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "all" => Ok(Self::All),
            "adopted" => Ok(Self::Adopted),
            _ => Err("the themes are all and adopted".to_owned()),
        }
    }

    fn app(self, chance: &mut Chance) -> u8 {
        let all = u64::from(APPS + FOUND);
        let app = u8::try_from(chance.below(all)).unwrap_or(0);
        match self {
            Self::Adopted if chance.below(4) > 0 => APPS + app % FOUND,
            Self::All | Self::Adopted => app,
        }
    }
}

/// An act, and how long after the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// Milliseconds of virtual time.
    pub after_ms: u64,
    /// What is done then.
    pub act: Act,
}

impl Timed {
    /// Draws what happens next, and when; all waits are so many times as long.
    pub(super) fn draw(theme: Theme, slowly: u64, chance: &mut Chance) -> Self {
        let after_ms = slowly
            * match chance.below(20) {
                0..=7 => chance.within(0..=80),
                8..=14 => chance.within(80..=1_500),
                15..=18 => chance.within(1_500..=8_000),
                _ => chance.within(8_000..=40_000),
            };
        Self {
            after_ms,
            act: Act::draw(theme, chance),
        }
    }
}

impl Act {
    /// Draws one. Whoever adds an act gives it its share here.
    fn draw(theme: Theme, chance: &mut Chance) -> Self {
        let app = theme.app(chance);
        let node = a_node(chance);
        match chance.below(104) {
            0..=19 => Self::Ask {
                app,
                ask: if app < APPS { Ask::Deploy } else { Ask::Adopt },
            },
            100 | 101 => Self::AskAll(AskAll::Reconcile),
            102 | 103 => Self::AskAll(AskAll::ConfirmMissing),
            20..=45 => Self::Ask {
                app,
                ask: Ask::draw(chance),
            },
            46..=60 => Self::Hand {
                app,
                hand: Hand::draw(chance),
            },
            61..=63 => Self::TakeFree {
                vmid: 100 + u32::try_from(chance.below(6)).unwrap_or(0),
                node,
            },
            64..=80 => Self::Break(Fault::draw(chance)),
            81..=91 => Self::Node {
                node,
                trouble: Trouble::draw(chance),
            },
            92..=96 => Self::Kill {
                exclusive: !chance.one_in(4),
            },
            97 if chance.one_in(2) => Self::AskAll(AskAll::Janitor),
            97 => Self::ShutDown,
            _ => Self::ClockJump {
                ms: i64::try_from(chance.within(0..=7_200_000)).unwrap_or(0) - 3_600_000,
            },
        }
    }
}

fn a_node(chance: &mut Chance) -> u8 {
    let count = u64::try_from(NODES.len()).unwrap_or(1);
    u8::try_from(chance.below(count)).unwrap_or(0)
}

impl Ask {
    fn draw(chance: &mut Chance) -> Self {
        let force = chance.one_in(3);
        match chance.below(17) {
            16 => Self::Reidentify,
            0 | 1 => Self::Start,
            2 | 3 => Self::Stop { force },
            4 => Self::Restart { force },
            5..=8 => Self::Remove { force },
            9 | 10 => Self::Retry,
            11 => Self::Cancel,
            12 | 13 => Self::Resolve,
            14 => Self::Expose {
                open: chance.one_in(2),
            },
            _ => Self::Abandon,
        }
    }
}

impl Hand {
    fn draw(chance: &mut Chance) -> Self {
        let on = chance.one_in(2);
        match chance.below(22) {
            0..=2 => Self::Take,
            17..=21 => Self::Hide { on },
            14 => Self::TakeAs {
                mark: true,
                mac: false,
            },
            15 => Self::TakeAs {
                mark: false,
                mac: true,
            },
            16 => Self::TakeAs {
                mark: true,
                mac: true,
            },
            3 => Self::Vanish,
            4 | 5 => Self::Carry {
                node: a_node(chance),
            },
            6 => Self::Lock,
            7 => Self::Unlock,
            8 => Self::Describe,
            9 => Self::ChangeMac,
            10 => Self::Protect { on },
            11 => Self::Power { on },
            12 => Self::Destroy,
            _ => Self::IgnoreShutdown,
        }
    }
}

impl Trouble {
    fn draw(chance: &mut Chance) -> Self {
        match chance.below(10) {
            0 | 1 => Self::Down {
                reach: match chance.below(3) {
                    0 => Reach::Refused,
                    1 => Reach::NoRoute,
                    _ => Reach::Silent,
                },
            },
            2..=4 => Self::Up,
            5 => Self::Partition,
            6 | 7 => Self::Heal,
            8 => Self::Slow {
                ms: chance.within(1..=4_000),
            },
            _ => Self::OldView {
                cycles: chance.within(1..=30),
            },
        }
    }
}
