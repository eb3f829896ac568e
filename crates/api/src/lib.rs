//! Wire types and error codes of the REST API, and the HTTP client the CLI uses.
