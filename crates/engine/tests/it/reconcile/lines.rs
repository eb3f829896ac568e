//! The seeds' own lines and result objects, as they are written and answered.

use std::io::Write;
use std::sync::Mutex;

use super::*;

/// What is logged, without its times.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, said: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(said)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Heard {
    /// The lines of the doctrine: level and text.
    fn lines(&self) -> String {
        let said = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let is_told = |line: &&str| {
            ["ORPHAN", "DIAGNOS", "Container (if any)"]
                .iter()
                .any(|word| line.contains(word))
        };
        let told: Vec<&str> = said.lines().filter(is_told).map(str::trim).collect();
        told.join("\n")
    }
}

#[tokio::test]
async fn the_lines_and_results_of_reconciler_and_janitor_are_the_seeds() {
    let heard = Heard::default();
    let writer = heard.clone();
    let log = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_target(false);
    let _log = tracing::subscriber::set_default(log.finish());
    let mut l = Looked::new().await;
    let (gone, vmid) = l.deployed("gone").await;
    l.deployed("stays").await;
    l.delete_by_hand(vmid).await;
    let result = l.looks(3).await.result;
    insta::assert_json_snapshot!("result_of_a_pass_with_an_anomalous_orphan", result);
    insta::assert_snapshot!(l.last_line(&gone).await, @"ANOMALOUS ORPHAN DETECTED: Container was MANUALLY DELETED");
    let (going, vmid) = l.deployed("going").await;
    l.w.crash_worker().await;
    l.removal_that_sticks(vmid, "going").await;
    let result = l.looks(3).await.result;
    insta::assert_json_snapshot!("result_of_a_pass_with_an_expected_orphan", result);
    insta::assert_snapshot!(l.last_line(&going).await, @"EXPECTED ORPHAN: Container removal expected");
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "stuck".to_owned(),
        ..CreateApp::default()
    };
    let app = l.w.engine.create_app(&l.w.actor, request).await.unwrap();
    let at = app.created_at;
    l.clock.pass(2 * 3_600_000);
    let seen = l.w.store.claimable().await.unwrap().pop().unwrap();
    let holder = HolderId(uuid::Uuid::from_u128(9));
    let claimed = l.w.store.claim_as_seen(&seen, holder, 1, at).await;
    assert!(claimed.unwrap().is_some());
    let report = l.w.engine.janitor().pass(false).await.unwrap();
    insta::assert_json_snapshot!("result_of_a_pass_of_the_janitor", report);
    insta::assert_snapshot!("lines_of_reconciler_and_janitor", heard.lines());
    l.assert_sound().await;
}
