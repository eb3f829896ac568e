//! Commands, saga executor, sagas, recovery and the worker loop.
