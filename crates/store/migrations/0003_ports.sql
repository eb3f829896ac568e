-- Taking a port is a look-up, whatever their number: see ports.rs.

-- Ports of the ranges that were never given out, as spans that do not touch what is in "ports".
CREATE TABLE unused_ports (
    first_port BIGINT NOT NULL PRIMARY KEY CHECK (first_port BETWEEN 1 AND 65535),
    last_port BIGINT NOT NULL CHECK (last_port BETWEEN first_port AND 65535)
);

-- The ranges the spans were made for; the spans are made anew when others are configured.
CREATE TABLE port_ranges (
    side TEXT NOT NULL PRIMARY KEY CHECK (side IN ('public', 'internal')),
    first_port BIGINT NOT NULL,
    last_port BIGINT NOT NULL
);

CREATE INDEX ports_free ON ports (side, freed_at, port) WHERE app_id IS NULL AND rests_until IS NULL;
CREATE INDEX ports_resting ON ports (side, freed_at, port) WHERE rests_until IS NOT NULL;
CREATE INDEX ports_resting_until ON ports (side, rests_until) WHERE rests_until IS NOT NULL;
