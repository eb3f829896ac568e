//! Commands inside adopted containers: on request, and in the recognised one alone.

use proximity_domain::inside::{SafeCommand, SafeRequest};
use proximity_engine::commands::{ExecApp, ExecTold};

use super::{adopt, assert_sound, file, stranger, world};

const MEMORY: SafeRequest = SafeRequest {
    command: SafeCommand::Memory,
    lines: None,
    unit: None,
};

fn program() -> ExecApp {
    ExecApp {
        argv: vec!["true".to_owned()],
        stdin: None,
        timeout_s: 30,
    }
}

#[tokio::test]
async fn are_run_on_request_and_change_nothing_of_the_container() {
    let w = world().await;
    stranger(&w, 150, "web", true).await;
    adopt(&w, 150).await;
    let (before, changes) = (file(&w, 150).await, w.pve.changes());
    let looked = w.engine.run_safe(&w.actor, "web", &MEMORY).await.unwrap();
    assert_eq!(looked.exit_code, 0);
    let mut run = w.engine.exec(&w.actor, "web", program()).await.unwrap();
    let ended = ExecTold::Ended {
        exit_code: 0,
        truncated: false,
    };
    assert_eq!(run.next().await, Some(ended));
    assert_eq!((file(&w, 150).await, w.pve.changes()), (before, changes));
    assert_sound(&w).await;
}

#[tokio::test]
async fn are_not_run_in_a_container_that_is_not_recognised() {
    let w = world().await;
    stranger(&w, 150, "web", false).await;
    adopt(&w, 150).await;
    let other = "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=02:00:00:00:00:77";
    w.pve
        .put("/nodes/pve1/lxc/150/config", &[("net0", other)])
        .await;
    let looked = w.engine.run_safe(&w.actor, "web", &MEMORY).await;
    assert_eq!(looked.unwrap_err().code(), "identity_conflict");
    let run = w.engine.exec(&w.actor, "web", program()).await;
    assert_eq!(run.unwrap_err().code(), "identity_conflict");
    let audit = w.store.audit(1_000, 0).await.unwrap();
    let sent = |action: &str| audit.iter().any(|entry| entry.action == action);
    assert!(!sent("app.run") && !sent("app.exec"));
}
