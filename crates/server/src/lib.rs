//! REST API over the engine: routes, authentication, conversion between wire and domain types.
