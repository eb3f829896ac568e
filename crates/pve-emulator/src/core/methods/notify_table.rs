//! Which method of `/cluster/notifications` has which behaviour.

use super::Behaviour;
use super::notifications::{
    create, delete, endpoints_index, field_values, fields, index, list, read, targets, test, update,
};

/// The behaviour of a method, by verb and what follows `/cluster/notifications`.
pub(super) fn behaviour(verb: &str, rest: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match (verb, rest) {
        ("GET", "") => index,
        ("GET", "/endpoints") => endpoints_index,
        ("GET", "/matcher-fields") => fields,
        ("GET", "/matcher-field-values") => field_values,
        ("GET", "/targets") => targets,
        ("POST", "/targets/{name}/test") => test,
        (verb, rest) => {
            let rest = rest.strip_prefix("/endpoints").unwrap_or(rest);
            let (kind, one) = match rest.strip_suffix("/{name}") {
                Some(kind) => (kind, true),
                None => (rest, false),
            };
            return match kind {
                "/gotify" => of_gotify(verb, one),
                "/sendmail" => of_sendmail(verb, one),
                "/smtp" => of_smtp(verb, one),
                "/webhook" => of_webhook(verb, one),
                "/matchers" => of_matchers(verb, one),
                _ => None,
            };
        }
    };
    Some(behaviour)
}

/// The five methods of one kind: a behaviour cannot carry the kind with it.
macro_rules! methods_of {
    ($name:ident, $kind:literal) => {
        fn $name(verb: &str, one: bool) -> Option<Behaviour> {
            let behaviour: Behaviour = match (verb, one) {
                ("GET", false) => |call| list(call, $kind),
                ("POST", false) => |call| create(call, $kind),
                ("GET", true) => |call| read(call, $kind),
                ("PUT", true) => |call| update(call, $kind),
                ("DELETE", true) => |call| delete(call, $kind),
                (_, _) => return None,
            };
            Some(behaviour)
        }
    };
}

methods_of!(of_gotify, "gotify");
methods_of!(of_sendmail, "sendmail");
methods_of!(of_smtp, "smtp");
methods_of!(of_webhook, "webhook");
methods_of!(of_matchers, "matcher");
