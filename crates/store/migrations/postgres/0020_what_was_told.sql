-- What was told, so that it is told once: a kind of alarm more, and which suspicions were told of with others alone.

ALTER TABLE identity_alarms DROP CONSTRAINT identity_alarms_kind_check;
ALTER TABLE identity_alarms ADD CONSTRAINT identity_alarms_kind_check
    CHECK (kind IN ('conflict', 'pool', 'twin'));

-- Whether it was told of with others, and not by itself yet.
ALTER TABLE suspicions ADD COLUMN among_many BIGINT NOT NULL DEFAULT 0 CHECK (among_many IN (0, 1));
