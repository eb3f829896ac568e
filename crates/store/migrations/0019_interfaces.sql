-- The network devices that a guest showed when it was looked at last, with their MACs and addresses, and since when it shows them.
CREATE TABLE guest_interfaces (
    guest_id TEXT NOT NULL PRIMARY KEY REFERENCES guests (id),
    interfaces TEXT NOT NULL,
    since BIGINT NOT NULL
);
