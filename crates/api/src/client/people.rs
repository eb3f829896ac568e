//! The calls about accounts and sessions.

use reqwest::Method;

use super::{Client, ClientError};
use crate::accounts::{Account, AccountList, AddAccount, ChangeAccount, SessionList, SetUpLink};

type Answer<T> = Result<T, ClientError>;

const NO_QUERY: &[(); 0] = &[];

impl Client {
    /// `GET /api/accounts`.
    pub async fn accounts(&self) -> Answer<AccountList> {
        self.get(&["accounts"], NO_QUERY).await
    }

    /// `POST /api/accounts`.
    pub async fn add_account(&self, body: &AddAccount) -> Answer<SetUpLink> {
        self.post(&["accounts"], body).await
    }

    /// `PATCH /api/accounts/{account}`.
    pub async fn change_account(&self, account: &str, body: &ChangeAccount) -> Answer<Account> {
        let request = self.request(Method::PATCH, &["accounts", account]);
        self.send(request.json(body)).await
    }

    /// `DELETE /api/accounts/{account}`.
    pub async fn remove_account(&self, account: &str) -> Answer<()> {
        self.send(self.request(Method::DELETE, &["accounts", account]))
            .await
    }

    /// `POST /api/accounts/{account}/link`.
    pub async fn give_link(&self, account: &str) -> Answer<SetUpLink> {
        self.send(self.request(Method::POST, &["accounts", account, "link"]))
            .await
    }

    /// `GET /api/sessions`.
    pub async fn sessions(&self) -> Answer<SessionList> {
        self.get(&["sessions"], NO_QUERY).await
    }

    /// `DELETE /api/sessions/{session}`.
    pub async fn end_session(&self, session: &str) -> Answer<()> {
        self.send(self.request(Method::DELETE, &["sessions", session]))
            .await
    }
}
