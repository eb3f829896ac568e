use std::collections::BTreeSet;

use proximity_domain::access::Role;
use proximity_domain::app::{AppClass, StatusLabel};
use proximity_domain::apply::{ApplyState, ChangeState};
use proximity_domain::operation::OperationKind;
use proximity_domain::preflight::{Verdict, What};
use proximity_domain::saga::StepState;
use proximity_domain::source::{SourcePolicy, SourceState};
use proximity_engine::commands::{EntryFate, Level};

use super::*;

fn operations() -> Vec<(String, String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap();
        methods
            .iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    });
    each.collect()
}

fn words(schema: &str) -> Vec<&'static str> {
    let words = DOCUMENT["components"]["schemas"][schema]["enum"].as_array();
    words.unwrap().iter().map(|w| w.as_str().unwrap()).collect()
}

#[test]
fn the_document_in_git_is_the_one_made_here() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/openapi.json"
    );
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let kept: Value = serde_json::from_str(&kept).unwrap_or_default();
    assert!(
        kept == *DOCUMENT,
        "docs/reference/openapi.json is out of date; run: cargo xtask gen"
    );
}

#[test]
fn every_operation_is_told_apart_and_says_what_it_does() {
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        for part in ["summary", "tags"] {
            assert!(!operation[part].is_null(), "{method} {path}: {part}");
        }
        assert!(operation["x-codes"].is_null(), "{method} {path}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(
            answers.keys().any(|status| status.starts_with('2')),
            "{method} {path}"
        );
        for (status, answer) in answers {
            let answer = match answer["$ref"].as_str() {
                Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(),
                None => answer,
            };
            let told = answer["description"].as_str().unwrap();
            assert!(!told.is_empty(), "{method} {path} {status}");
        }
    }
}

#[test]
fn every_code_that_a_route_declares_is_in_the_table() {
    for (method, path, operation) in operations_as_declared() {
        let codes = operation["x-codes"].as_array().cloned().unwrap_or_default();
        for code in &codes {
            let code = code.as_str().unwrap();
            let known = !refusals::rows([code]).is_empty();
            assert!(known, "{method} {path} declares {code}");
        }
    }
}

fn operations_as_declared() -> Vec<(String, String, Value)> {
    let declared = serde_json::to_value(router::declared()).unwrap();
    let mut all = Vec::new();
    for (path, item) in declared["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    all
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let text = openapi_document();
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    for name in schemas.keys() {
        let reference = format!("\"#/components/schemas/{name}\"");
        assert!(text.contains(&reference), "{name} is not used");
    }
    for part in text.split("\"$ref\": \"#/").skip(1) {
        let pointer = format!("/{}", part.split('"').next().unwrap());
        assert!(DOCUMENT.pointer(&pointer).is_some(), "{pointer}");
    }
}

#[test]
fn request_bodies_refuse_unknown_fields_by_their_schema() {
    for (method, path, operation) in operations() {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some(reference) = schema["$ref"].as_str() else {
            assert!(schema.is_null(), "{method} {path}");
            continue;
        };
        let schema = DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap();
        assert_eq!(schema["additionalProperties"], false, "{method} {path}");
    }
}

#[test]
fn the_words_of_the_document_are_the_domains() {
    assert_eq!(words("AccountRole"), Role::ALL.map(Role::label));
    assert_eq!(words("AppClass"), AppClass::ALL.map(AppClass::label));
    assert_eq!(words("AppStatus"), StatusLabel::ALL.map(StatusLabel::label));
    assert_eq!(words("FindingLevel"), Level::ALL.map(Level::label));
    assert_eq!(
        words("OperationKind"),
        OperationKind::ALL.map(OperationKind::label)
    );
    assert_eq!(words("OperationState"), crate::routes::operations::STATES);
    assert_eq!(words("StepState"), StepState::ALL.map(StepState::label));
    assert_eq!(words("ApplyState"), ApplyState::ALL.map(ApplyState::label));
    assert_eq!(
        words("SourcePolicy"),
        SourcePolicy::ALL.map(SourcePolicy::label)
    );
    assert_eq!(
        words("SourceState"),
        SourceState::ALL.map(SourceState::label)
    );
    assert_eq!(words("EntryFate"), EntryFate::ALL.map(EntryFate::label));
    assert_eq!(words("PreflightSubject"), What::ALL.map(What::label));
    assert_eq!(
        words("PreflightVerdict"),
        [Verdict::Ok, Verdict::Warn, Verdict::Stop].map(Verdict::label)
    );
    assert_eq!(
        words("ApplyChangeState"),
        ChangeState::ALL.map(ChangeState::label)
    );
}
