use proptest::prelude::*;

use super::*;

fn code(line: &str) -> RefusalCode {
    decode_request(line.as_bytes()).unwrap_err().code
}

#[test]
fn requests_survive_the_wire() {
    let route = serde_json::json!({
        "app_id": "a", "generation": 1, "public": { "port": 8100 }, "internal": { "port": 9100 },
    });
    let requests = [
        Request::Hello {},
        Request::ListRoutes {},
        Request::KnownGeneration {
            app_id: "a".parse().unwrap(),
        },
        Request::SetRoute {
            route: serde_json::from_value(route).unwrap(),
        },
        Request::RemoveRoute {
            app_id: "a".parse().unwrap(),
            generation: Generation(2),
        },
    ];
    for request in requests {
        let line = encode_request(&request).unwrap();
        assert_eq!(decode_request(&line), Ok(request));
    }
}

#[test]
fn arguments_may_be_left_out_where_there_are_none() {
    assert_eq!(
        decode_request(br#"{"v":1,"op":"hello"}"#),
        Ok(Request::Hello {})
    );
}

#[test]
fn what_is_not_understood_is_named() {
    assert_eq!(code(""), RefusalCode::BadRequest);
    assert_eq!(code("[]"), RefusalCode::BadRequest);
    assert_eq!(code(r#"{"op":"hello"}"#), RefusalCode::BadRequest);
    assert_eq!(
        code(r#"{"v":2,"op":"hello","new":1}"#),
        RefusalCode::UnsupportedVersion
    );
    assert_eq!(code(r#"{"v":1,"op":"reboot"}"#), RefusalCode::UnknownOp);
    assert_eq!(
        code(r#"{"v":1,"op":"hello","new":1}"#),
        RefusalCode::BadRequest
    );
    assert_eq!(
        code(r#"{"v":1,"op":"hello","args":{"new":1}}"#),
        RefusalCode::BadRequest
    );
    assert_eq!(
        code(r#"{"v":1,"op":"remove_route","args":{"app_id":"../x","generation":1}}"#),
        RefusalCode::BadRequest
    );
    let port_0 = r#"{"v":1,"op":"set_route","args":{"route":
        {"app_id":"a","generation":1,"public":{"port":0},"internal":{"port":1}}}}"#;
    assert_eq!(code(port_0), RefusalCode::BadRequest);
    let misspelt = r#"{"v":1,"op":"set_route","args":{"route":
        {"app_id":"a","generation":1,"public":{"port":2},"internal":{"port":1},"traget":null}}}"#;
    assert_eq!(code(misspelt), RefusalCode::BadRequest);
}

#[test]
fn every_request_has_its_label_in_the_list() {
    for op in OPS {
        let line = format!(r#"{{"v":1,"op":"{op}","args":5}}"#);
        assert_eq!(
            code(&line),
            RefusalCode::BadRequest,
            "{op} is known, its arguments are not"
        );
    }
}

#[test]
fn a_code_of_a_newer_gateway_is_still_a_refusal() {
    let line = r#"{"v":1,"error":{"code":"moon_phase","message":"not today"}}"#;
    let answer: AnswerLine<Hello> = serde_json::from_str(line).unwrap();
    let Answer::Error(refusal) = answer.answer else {
        panic!("not a refusal")
    };
    assert_eq!(refusal.code, RefusalCode::Unknown);
}

proptest! {
    #[test]
    fn no_line_makes_it_fall_over(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode_request(&line).is_err());
    }

    #[test]
    fn no_json_makes_it_fall_over(op in ".{0,12}", args in "[\\[\\]{}\":,0-9a-z]{0,60}") {
        let _either = decode_request(format!(r#"{{"v":1,"op":"{op}","args":{args}}}"#).as_bytes());
    }
}
