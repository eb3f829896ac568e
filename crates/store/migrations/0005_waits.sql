-- What a claim lasts by its own word, attempts and the wait before the next one, and how much an operation has said.

ALTER TABLE operations ADD COLUMN lease_ms BIGINT;

-- The attempt that is made or waited for, counted from 1 for each step, each undo and each end.
ALTER TABLE operations ADD COLUMN attempt BIGINT NOT NULL DEFAULT 1 CHECK (attempt >= 1);

ALTER TABLE operations ADD COLUMN due_at BIGINT;

ALTER TABLE operations ADD COLUMN waits_because TEXT;

ALTER TABLE operations ADD COLUMN log_lines BIGINT NOT NULL DEFAULT 0;
