//! The calls about prepared templates.

use reqwest::Method;

use super::{Client, ClientError};
use crate::templates::{DropTemplate, PreparedTemplateList};

const NO_QUERY: &[(); 0] = &[];

impl Client {
    /// `GET /api/templates`.
    pub async fn templates(&self) -> Result<PreparedTemplateList, ClientError> {
        self.get(&["templates"], NO_QUERY).await
    }

    /// `DELETE /api/templates/{template}`.
    pub async fn drop_template(
        &self,
        template: &str,
        query: &DropTemplate,
    ) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, &["templates", template]);
        self.send(request.query(query)).await
    }
}
