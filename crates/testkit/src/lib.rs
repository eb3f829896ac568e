//! Builders for tests: a world of emulator, store, engine and server. Never a dependency of the product.
