//! What names of users, tokens and access paths look like.

use std::sync::LazyLock;

use regex::Regex;

#[allow(clippy::unwrap_used)] // Constant expressions, compiled in a test.
fn regex(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static ACL_PATH: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"[A-Za-z0-9.\-_]+";
    let sdn = r"(?:controllers|dns|fabrics|ipams|prefix-lists|route-maps)";
    regex(&format!(
        r"^(?:/|/access|/access/(?:groups|realm)(?:/{name})?|/nodes(?:/{name})?|/pool(?:/{name}){{0,3}}|/sdn|/sdn/{sdn}(?:/[A-Za-z0-9_\-]+)?|/sdn/zones(?:/{name}(?:/{name}(?:/[1-9][0-9]{{0,3}})?)?)?|/storage(?:/{name})?|/vms(?:/[1-9][0-9]{{2,}})?|/mapping(?:/{name}){{0,2}})$"
    ))
});

/// `name@realm`.
pub(crate) fn is_user_name(text: &str) -> bool {
    text.len() <= 64 && realm_of(text).is_some()
}

/// The realm of a user name: `[^\s:/]+@([A-Za-z][A-Za-z0-9.\-_]+)`. By hand, for each call asks for it several times; a test
/// compares it with the expression.
pub(crate) fn realm_of(user: &str) -> Option<&str> {
    let (name, realm) = user.rsplit_once('@')?;
    let fits = |c: char| !c.is_whitespace() && c != ':' && c != '/';
    (!name.is_empty() && name.chars().all(fits) && is_word(realm)).then_some(realm)
}

/// User and token name of a token's id: those of a user, `!`, and a word. Likewise.
pub(crate) fn split_token_id(id: &str) -> Option<(&str, &str)> {
    let (user, name) = id.rsplit_once('!')?;
    (is_word(name) && realm_of(user).is_some()).then_some((user, name))
}

/// `[A-Za-z][A-Za-z0-9.\-_]+`.
fn is_word(text: &str) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b".-_".contains(b);
    match text.as_bytes() {
        [first, rest @ ..] => {
            first.is_ascii_alphabetic() && !rest.is_empty() && rest.iter().all(fits)
        }
        [] => false,
    }
}

/// A path as access lists know it; nothing when it is empty or holds other characters.
pub(crate) fn normal_path(path: &str) -> Option<String> {
    let components: Vec<&str> = path
        .split('/')
        .filter(|component| !component.is_empty())
        .collect();
    let clean = path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    (clean && !path.is_empty()).then(|| format!("/{}", components.join("/")))
}

/// Whether something can be granted on a (normal) path.
pub(crate) fn is_acl_path(path: &str) -> bool {
    ACL_PATH.is_match(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static USER: LazyLock<Regex> =
        LazyLock::new(|| regex(r"^[^\s:/]+@([A-Za-z][A-Za-z0-9.\-_]+)$"));
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        regex(r"^([^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+)!([A-Za-z][A-Za-z0-9.\-_]+)$")
    });

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Of texts that are nearly names many are: each part is drawn by itself.
        #[test]
        fn names_are_those_of_the_expressions(
            name in "[aZ9.@!:/ \u{a0}é\n-]{0,4}",
            at in "@{0,2}",
            realm in "[aZ9._é!-]{0,4}",
            mark in "!{0,2}",
            token in "[aZ9._@-]{0,4}\n?",
        ) {
            let text = format!("{name}{at}{realm}{mark}{token}");
            let user = USER.captures(&text);
            let expected = user.as_ref().and_then(|found| found.get(1));
            prop_assert_eq!(realm_of(&text), expected.map(|found| found.as_str()));
            prop_assert_eq!(is_user_name(&text), user.is_some());
            let token = TOKEN.captures(&text);
            let part = |at| token.as_ref().and_then(|found| found.get(at));
            let expected = part(1).zip(part(2));
            let expected = expected.map(|(user, name)| (user.as_str(), name.as_str()));
            prop_assert_eq!(split_token_id(&text), expected);
        }
    }

    #[test]
    fn names_are_told_apart() {
        assert!(is_user_name("root@pam") && !is_user_name("root") && !is_user_name("a@1"));
        assert_eq!(realm_of("a@b@pve"), Some("pve"));
        assert_eq!(split_token_id("a@pve!ci"), Some(("a@pve", "ci")));
        assert_eq!(split_token_id("a@pve!c").or(split_token_id("a@pve")), None);
    }

    #[test]
    fn access_paths_are_those_of_pve() {
        for path in [
            "/",
            "/vms/100",
            "/pool/a/b/c",
            "/sdn/zones/z/vmbr0/12",
            "/storage/local",
        ] {
            assert!(is_acl_path(path), "{path}");
        }
        for path in ["/bogus/path", "/vms/99", "/vms/x", "/pool/a/b/c/d"] {
            assert!(!is_acl_path(path), "{path}");
        }
        assert_eq!(normal_path("//vms//100/"), Some("/vms/100".into()));
        assert_eq!(normal_path("/a b"), None);
    }
}
