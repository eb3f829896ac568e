//! What to do about a field that a map does not have.

use proximity_domain::manifest::Kind;

use crate::kinds;
use crate::nearest::nearest;
use crate::shape::{Field, Object, Shape};

/// What is said of a field that this map of a document of the kind `kind` does not have.
pub(crate) fn hint(key: &str, of: &'static Object, kind: &'static Object) -> String {
    if let Some(name) = called(key, of) {
        return format!("did you mean `{name}`?");
    }
    if key == "<<" {
        return "maps are not merged here; write the fields out, or give values a name".to_owned();
    }
    if kind.fields().any(|field| field.name == key) {
        return format!("a document has it once, beside apiVersion; {}", fields(of));
    }
    if let Some(place) = place(key, kind) {
        return format!("its place is `{place}`");
    }
    // What is the name of something else is not taken for a slip: `name` is near to `node`, and `port` to `host`.
    let mut kinds = Kind::ALL.map(kinds::document).into_iter();
    let other = kinds.find_map(|other| place(key, other).map(|_| other.name));
    if let Some(name) = other {
        let known = fields(of);
        return format!("documents of kind {name} have it, and this one does not; {known}");
    }
    match nearest(key, of.fields().map(|field| field.name)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => fields(of),
    }
}

/// The names of a map's fields, for hints.
pub(crate) fn fields(of: &'static Object) -> String {
    let names: Vec<&str> = of.fields().map(|field| field.name).collect();
    let mut told = format!("its fields are: {}", names.join(", "));
    let mut fields = of.fields();
    if let Some(field) = fields.find(|field| matches!(field.shape, Shape::Settings)) {
        let name = field.name;
        told.push_str(&format!(
            "; what its catalog entry takes stands in `{name}`"
        ));
    }
    told
}

/// The field of this name, or the one whose name goes on with a unit or another word.
fn called(key: &str, of: &'static Object) -> Option<&'static str> {
    let mut names = of.fields().map(|field| field.name);
    names.find(|name| *name == key || name.split('_').next() == Some(key))
}

/// Where in documents of a kind a field of this name stands; those of the document itself are none.
fn place(key: &str, kind: &'static Object) -> Option<String> {
    let mut fields = kind.fields();
    fields.find_map(|field| below(key, field, field.name.to_owned()))
}

/// Where below this field, which is at `at`, one of this name stands.
fn below(key: &str, field: &'static Field, at: String) -> Option<String> {
    let (of, at) = match &field.shape {
        Shape::Object(of) => (*of, at),
        Shape::Objects(of, _) => (*of, format!("{at}[…]")),
        Shape::Text(_)
        | Shape::Word(_)
        | Shape::Integer(..)
        | Shape::Boolean
        | Shape::Texts(..)
        | Shape::Settings
        | Shape::Values => return None,
    };
    if let Some(name) = called(key, of) {
        return Some(format!("{at}.{name}"));
    }
    let mut fields = of.fields();
    fields.find_map(|field| below(key, field, format!("{at}.{}", field.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a field in the `spec` of a document of this kind.
    fn in_spec(kind: Kind, key: &str) -> String {
        let kind = kinds::document(kind);
        let spec = kind.fields().find(|field| field.name == "spec").unwrap();
        let Shape::Object(of) = spec.shape else {
            panic!("the spec of {} is no map", kind.name);
        };
        hint(key, of, kind)
    }

    #[test]
    fn a_field_that_is_known_elsewhere_is_told_its_place() {
        for (kind, key, said) in [
            (Kind::App, "memroy", "its fields are"),
            (Kind::App, "catalog", "did you mean `catalog_id`?"),
            (
                Kind::App,
                "memory",
                "its place is `spec.resources.memory_mib`",
            ),
            (Kind::App, "cores", "its place is `spec.resources.cores`"),
            (Kind::App, "name", "its place is `metadata.name`"),
            (
                Kind::App,
                "metadata",
                "a document has it once, beside apiVersion",
            ),
            (Kind::App, "port", "documents of kind AdoptedApp have it"),
            (Kind::App, "hots", "did you mean `host`?"),
            (
                Kind::AdoptedApp,
                "settings",
                "documents of kind App have it",
            ),
            (
                Kind::Stack,
                "catalog_id",
                "its place is `spec.apps[…].catalog_id`",
            ),
            (
                Kind::Stack,
                "disk",
                "its place is `spec.apps[…].resources.disk_gib`",
            ),
            (
                Kind::App,
                "image",
                "what its catalog entry takes stands in `settings`",
            ),
        ] {
            let hint = in_spec(kind, key);
            assert!(hint.contains(said), "{key}: {hint}");
        }
        let app = kinds::document(Kind::App);
        assert_eq!(hint("name", app, app), "its place is `metadata.name`");
        assert_eq!(hint("kinds", app, app), "did you mean `kind`?");
    }
}
