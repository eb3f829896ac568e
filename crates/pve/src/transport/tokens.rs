//! The API tokens of a host, and which of them goes with a request.

use std::collections::BTreeMap;

use proximity_domain::token_purpose::TokenPurpose;

use super::https::ApiToken;
use super::{Request, TransportError};
use crate::privileges::entry_of;

/// A host's tokens: the main one, and others for single purposes. `T` is the token, or what it was made into.
#[derive(Debug, Clone)]
pub struct Tokens<T = ApiToken> {
    main: T,
    others: BTreeMap<TokenPurpose, T>,
}

impl<T> Tokens<T> {
    /// One token for everything.
    #[must_use]
    pub fn one(main: T) -> Self {
        Self {
            main,
            others: BTreeMap::new(),
        }
    }

    /// The same with another token for this purpose.
    #[must_use]
    pub fn with(mut self, purpose: TokenPurpose, token: T) -> Self {
        match purpose {
            TokenPurpose::Operate => self.main = token,
            TokenPurpose::Observe | TokenPurpose::Images | TokenPurpose::Adopted => {
                self.others.insert(purpose, token);
            }
        }
        self
    }

    /// The token for this purpose: its own, or the main one.
    #[must_use]
    pub fn of(&self, purpose: TokenPurpose) -> &T {
        self.others.get(&purpose).unwrap_or(&self.main)
    }

    /// The token that goes with a request, by the table of calls.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] for a request that is not in the table, and for one of those that set a host up if there are
    /// tokens for single purposes: none of them may.
    pub fn choose(&self, request: &Request) -> Result<&T, TransportError> {
        let Some(entry) = entry_of(request) else {
            return Err(TransportError::NotSent(format!(
                "{} {} is not in the table of calls and privileges",
                request.method, request.path
            )));
        };
        match entry.purpose(request.of_adopted) {
            Some(purpose) => Ok(self.of(purpose)),
            None if self.others.is_empty() => Ok(&self.main),
            None => Err(TransportError::NotSent(format!(
                "no token of this host sets it up, so none is sent with {} {}",
                request.method, request.path
            ))),
        }
    }

    /// The same tokens, each made into something else.
    ///
    /// # Errors
    /// The first one that `make` gives.
    pub fn try_map<U, E>(&self, make: impl Fn(&T) -> Result<U, E>) -> Result<Tokens<U>, E> {
        let mut others = BTreeMap::new();
        for (purpose, token) in &self.others {
            others.insert(*purpose, make(token)?);
        }
        Ok(Tokens {
            main: make(&self.main)?,
            others,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Method;

    fn request(method: Method, path: &str, params: &[(&str, &str)]) -> Request {
        Request {
            method,
            path: path.to_owned(),
            params: params
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            timeout_ms: 1,
            answer_ms: None,
            send_before: None,
            reference: None,
            of_adopted: false,
        }
    }

    fn all() -> Tokens<&'static str> {
        Tokens::one("operate")
            .with(TokenPurpose::Observe, "observe")
            .with(TokenPurpose::Images, "images")
            .with(TokenPurpose::Adopted, "adopted")
    }

    #[test]
    fn each_request_goes_with_the_token_of_its_purpose() {
        let start = request(Method::Post, "/nodes/pve1/lxc/100/status/start", &[]);
        let tokens = all();
        assert_eq!(tokens.choose(&start), Ok(&"operate"));
        let adopted = Request {
            of_adopted: true,
            ..start
        };
        assert_eq!(tokens.choose(&adopted), Ok(&"adopted"));
        let look = request(Method::Get, "/nodes/pve1/lxc/100/config", &[]);
        assert_eq!(tokens.choose(&look), Ok(&"observe"));
        let content = "/nodes/pve1/storage/local/content";
        let templates = request(Method::Get, content, &[("content", "vztmpl")]);
        assert_eq!(tokens.choose(&templates), Ok(&"observe"));
        let backups = request(Method::Get, content, &[("content", "backup")]);
        assert_eq!(tokens.choose(&backups), Ok(&"operate"));
        let download = request(Method::Post, "/nodes/pve1/aplinfo", &[]);
        assert_eq!(tokens.choose(&download), Ok(&"images"));
    }

    #[test]
    fn an_adopted_guest_is_neither_destroyed_nor_grown_with_a_token_of_its_own() {
        let destroy = Request {
            of_adopted: true,
            ..request(Method::Delete, "/nodes/pve1/lxc/100", &[])
        };
        assert_eq!(all().choose(&destroy), Ok(&"operate"), "which PVE refuses");
    }

    #[test]
    fn a_purpose_without_a_token_is_served_by_the_main_one() {
        let tokens = Tokens::one("main").with(TokenPurpose::Observe, "observe");
        let download = request(Method::Post, "/nodes/pve1/aplinfo", &[]);
        assert_eq!(tokens.choose(&download), Ok(&"main"));
        let start = request(Method::Post, "/nodes/pve1/lxc/100/status/start", &[]);
        assert_eq!(tokens.choose(&start), Ok(&"main"));
        let replaced = tokens.with(TokenPurpose::Operate, "new");
        assert_eq!(replaced.choose(&start), Ok(&"new"));
    }

    #[test]
    fn what_sets_a_host_up_is_sent_by_its_only_token_or_by_none() {
        let pool = request(Method::Post, "/pools", &[("poolid", "apps")]);
        assert_eq!(Tokens::one("main").choose(&pool), Ok(&"main"));
        let refused = all().choose(&pool).unwrap_err();
        assert!(
            matches!(&refused, TransportError::NotSent(why) if why.contains("POST /pools")),
            "{refused:?}"
        );
    }

    #[test]
    fn a_call_that_is_not_listed_is_not_sent() {
        let unknown = request(Method::Post, "/nodes/pve1/execute", &[]);
        for tokens in [all(), Tokens::one("main")] {
            let refused = tokens.choose(&unknown).unwrap_err();
            assert!(
                matches!(&refused, TransportError::NotSent(why) if why.contains("/nodes/pve1/execute")),
                "{refused:?}"
            );
        }
    }
}
