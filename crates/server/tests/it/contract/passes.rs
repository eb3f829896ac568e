//! Passes by hand, and the archive.

use crate::support::live::Live;

/// Passes by hand find nothing here; what was removed is in the archive.
pub(super) async fn and_archive(live: &Live) {
    let pass = live.send("POST", "/api/reconcile", "{}").await;
    assert_eq!(pass.body["success"], true, "{}", pass.body);
    assert_eq!(pass.body["orphans_found"], 0, "{}", pass.body);
    let both = r#"{"dry_run":true,"confirm_missing":1}"#;
    let both = live.send("POST", "/api/reconcile", both).await;
    assert_eq!((both.status.as_u16(), both.code()), (422, "invalid_value"));
    let looked = live.send("POST", "/api/janitor", "{}").await;
    assert_eq!(looked.body["stuck_found"], 0, "{}", looked.body);
    super::audit::is_held_against_what_is_sent(live).await;
    let archive = live.send("GET", "/api/archive", "").await;
    assert_eq!(archive.status, 200, "{}", archive.body);
    let listed = archive.body["apps"].as_array().unwrap();
    let ids: Vec<&str> = listed.iter().filter_map(|app| app["id"].as_str()).collect();
    assert_eq!(ids.len(), 2, "{}", archive.body);
    for id in ids {
        let shown = live.send("GET", &format!("/api/archive/{id}"), "").await;
        assert_eq!(shown.body["id"], id, "{}", shown.body);
        let history = &shown.body["history"];
        let containers = history["containers"].as_array().unwrap();
        let gone = containers.iter().all(|past| past["gone_at"].is_string());
        assert!(gone && history["calls"].is_array(), "{history}");
        let ended = &history["operations"][0]["id"];
        assert_eq!(shown.body["archived_by"], *ended, "{history}");
    }
    for app in listed {
        assert_eq!(app.get("history"), None, "{app}");
    }
    let none = live.send("GET", "/api/archive/nowhere", "").await;
    assert_eq!((none.status.as_u16(), none.code()), (404, "app_not_found"));
}
