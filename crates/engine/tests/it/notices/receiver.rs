//! Somebody who is told, and does as the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proximity_domain::notify::Message;
use proximity_engine::notify::{Delivery, Notifier, SendError};
use tokio::sync::watch;

/// What the next message meets.
#[derive(Debug, Clone)]
pub enum Fate {
    NotTaken,
    /// It is taken, and the answer is lost.
    MaybeTaken,
    Refused,
    /// No answer, ever.
    Hangs,
}

/// What was received: when (milliseconds), under which id, and the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub at: i64,
    pub id: uuid::Uuid,
    pub title: String,
    pub text: String,
}

#[derive(Debug)]
pub struct Receiver {
    fates: Mutex<VecDeque<Fate>>,
    /// What has this in its title meets this, whenever it comes.
    always: Option<(&'static str, Fate)>,
    keeps_order: bool,
    got: watch::Sender<Vec<Got>>,
}

impl Receiver {
    pub fn new(fates: &[Fate]) -> Arc<Self> {
        Arc::new(Self {
            fates: Mutex::new(fates.iter().cloned().collect()),
            always: None,
            keeps_order: false,
            got: watch::Sender::new(Vec::new()),
        })
    }

    /// One that is told of each subject in order, as a program is.
    pub fn in_order(fates: &[Fate], always: Option<(&'static str, Fate)>) -> Arc<Self> {
        Arc::new(Self {
            fates: Mutex::new(fates.iter().cloned().collect()),
            always,
            keeps_order: true,
            got: watch::Sender::new(Vec::new()),
        })
    }

    pub fn refusing(title: &'static str) -> Arc<Self> {
        Self::always(title, Fate::Refused)
    }

    pub fn losing(title: &'static str) -> Arc<Self> {
        Self::always(title, Fate::MaybeTaken)
    }

    fn always(title: &'static str, fate: Fate) -> Arc<Self> {
        Arc::new(Self {
            fates: Mutex::default(),
            always: Some((title, fate)),
            keeps_order: false,
            got: watch::Sender::new(Vec::new()),
        })
    }

    /// What came, once that is `count`.
    pub async fn got(&self, count: usize) -> Vec<Got> {
        let mut watcher = self.got.subscribe();
        let found = watcher.wait_for(|got| got.len() >= count).await;
        found.unwrap().clone()
    }

    pub fn so_far(&self) -> Vec<Got> {
        self.got.borrow().clone()
    }
}

#[async_trait]
impl Notifier for Receiver {
    fn kind(&self) -> &'static str {
        "test"
    }

    fn keeps_order(&self) -> bool {
        self.keeps_order
    }

    async fn send(&self, message: &Message, delivery: &Delivery) -> Result<String, SendError> {
        let mut fate = self.fates.lock().unwrap().pop_front();
        if let Some((part, always)) = &self.always
            && message.title.contains(part)
        {
            fate = Some(always.clone());
        }
        let note = || {
            self.got.send_modify(|got| {
                got.push(Got {
                    at: delivery.at.0,
                    id: delivery.id,
                    title: message.title.clone(),
                    text: message.text(),
                });
            });
        };
        match fate {
            None => {
                note();
                Ok("taken".to_owned())
            }
            Some(Fate::MaybeTaken) => {
                note();
                let message = "the answer was lost".to_owned();
                Err(SendError::MaybeTaken { message })
            }
            Some(Fate::NotTaken) => Err(SendError::NotTaken {
                message: "nobody answers".to_owned(),
                retry_after_ms: None,
            }),
            Some(Fate::Refused) => Err(SendError::Refused {
                message: "too odd".to_owned(),
            }),
            Some(Fate::Hangs) => {
                note();
                std::future::pending().await
            }
        }
    }
}
