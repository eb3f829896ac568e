-- The id of the request that asked for an operation: what the log says of both is found by it.
ALTER TABLE operations ADD COLUMN request_id TEXT;
