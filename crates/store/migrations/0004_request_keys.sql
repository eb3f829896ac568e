-- The keys under which requests were made once, each with a hash of its request and what came of it. Written in the
-- commit of the request itself, kept for a day. What apps.idempotency_key holds from before has no hash and is left.

CREATE TABLE request_keys (
    account TEXT NOT NULL,
    request_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    resource TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, request_key)
);

CREATE INDEX request_keys_by_age ON request_keys (created_at);

DROP INDEX apps_idempotency_key;
