-- What would have to be done so that all is as documents want it, as it was shown, with the names of what was wanted and of the state
-- that it was made from. The newest stay.
CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY,
    made_at BIGINT NOT NULL,
    made_by TEXT NOT NULL,
    digest TEXT NOT NULL CHECK (length(digest) = 64),
    basis TEXT NOT NULL CHECK (length(basis) = 64),
    plan TEXT NOT NULL
);

CREATE INDEX plans_newest ON plans (made_at, id);
