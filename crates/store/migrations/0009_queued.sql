-- Each request for an operation counts those that are queued, however many have ended.
CREATE INDEX operations_queued ON operations (id) WHERE state = 'queued';
