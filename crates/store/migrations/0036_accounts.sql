-- Who may sign in, with which role: a password as its hash alone, and the SHA-256 of the link that sets one.
CREATE TABLE accounts (
    name TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
    password TEXT,
    password_at BIGINT CHECK ((password_at IS NULL) = (password IS NULL)),
    link_sha256 TEXT,
    link_until BIGINT CHECK ((link_until IS NULL) = (link_sha256 IS NULL)),
    made_at BIGINT NOT NULL,
    made_by TEXT NOT NULL
);
-- Who is signed in: the SHA-256 of what the browser has.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (name),
    secret_sha256 TEXT NOT NULL UNIQUE,
    address TEXT,
    begun_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX sessions_of_account ON sessions (account, begun_at, id);
