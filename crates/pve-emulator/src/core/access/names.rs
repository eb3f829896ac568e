//! What names of users, tokens and access paths look like.

use std::sync::LazyLock;

use regex::Regex;

#[allow(clippy::unwrap_used)] // Constant expressions, compiled in a test.
fn regex(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static USER: LazyLock<Regex> = LazyLock::new(|| regex(r"^[^\s:/]+@([A-Za-z][A-Za-z0-9.\-_]+)$"));
static TOKEN: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^([^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+)!([A-Za-z][A-Za-z0-9.\-_]+)$"));
static ACL_PATH: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"[A-Za-z0-9.\-_]+";
    let sdn = r"(?:controllers|dns|fabrics|ipams|prefix-lists|route-maps)";
    regex(&format!(
        r"^(?:/|/access|/access/(?:groups|realm)(?:/{name})?|/nodes(?:/{name})?|/pool(?:/{name}){{0,3}}|/sdn|/sdn/{sdn}(?:/[A-Za-z0-9_\-]+)?|/sdn/zones(?:/{name}(?:/{name}(?:/[1-9][0-9]{{0,3}})?)?)?|/storage(?:/{name})?|/vms(?:/[1-9][0-9]{{2,}})?|/mapping(?:/{name}){{0,2}})$"
    ))
});

/// `name@realm`.
pub(crate) fn is_user_name(text: &str) -> bool {
    text.len() <= 64 && USER.is_match(text)
}

/// The realm of a user name.
pub(crate) fn realm_of(user: &str) -> Option<&str> {
    Some(USER.captures(user)?.get(1)?.as_str())
}

/// User and token name of a token's id.
pub(crate) fn split_token_id(id: &str) -> Option<(&str, &str)> {
    let found = TOKEN.captures(id)?;
    Some((found.get(1)?.as_str(), found.get(2)?.as_str()))
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
    use super::*;

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
