//! The audit, held against anchors that are sent.

use serde_json::json;

use crate::support::Answer;
use crate::support::live::Live;

async fn verify(live: &Live, anchors: &[String]) -> Answer {
    let body = json!({ "anchors": anchors }).to_string();
    live.send("POST", "/api/audit/verify", &body).await
}

/// Its own anchor vouches for it, one of an audit that went on does not, and those of others say nothing.
pub(super) async fn is_held_against_what_is_sent(live: &Live) {
    let whole = verify(live, &[]).await;
    let entries = whole.body["entries"].as_i64().unwrap();
    assert!(entries > 10, "{}", whole.body);
    let anchor = whole.body["anchor"].as_str().unwrap().to_owned();
    let other = uuid::Uuid::from_u128(12).to_string();
    let installation = live.world.store.installation().to_string();
    let of_others = anchor.replace(&installation, &other);
    let logged = format!("2026-11-28T10:00:00Z  INFO proximity_audit: {anchor}");
    let held = verify(live, &[logged, of_others]).await;
    let counted = (&held.body["anchors"], &held.body["of_others"]);
    assert_eq!(counted, (&json!(1), &json!(1)), "{}", held.body);

    let number = |seq: i64| anchor.replace(&format!("seq={entries}"), &format!("seq={seq}"));
    let cut = verify(live, &[number(entries + 5), anchor.clone()]).await;
    assert_eq!((cut.status.as_u16(), cut.code()), (409, "audit_broken"));
    let told = cut.body["error"]["message"].as_str().unwrap();
    let first = format!("the entries from {} on were cut off", entries + 1);
    assert!(told.contains(&first), "{told}");
    let anew = verify(live, &[number(entries - 1)]).await;
    assert_eq!((anew.status.as_u16(), anew.code()), (409, "audit_broken"));

    for (anchors, field) in [
        (vec!["hello".to_owned()], "anchors[0]"),
        (
            vec![anchor.clone(), anchor.replace("link=", "link=x")],
            "anchors[1]",
        ),
        (vec![anchor.clone(); 5_001], "anchors"),
    ] {
        let refused = verify(live, &anchors).await;
        let said = (refused.status.as_u16(), refused.code());
        assert_eq!(said, (422, "invalid_value"), "{}", refused.body);
        let fields = &refused.body["error"]["fields"];
        assert!(fields[field].is_string(), "{}", refused.body);
    }
}
