-- What a guest is known by now, where that is not what it was born with: learned by a look, or accepted by a person.
CREATE TABLE guest_identities (
    guest_id TEXT NOT NULL REFERENCES guests (id),
    standing TEXT NOT NULL CHECK (standing IN ('learned', 'accepted')),
    marked BIGINT NOT NULL CHECK (marked IN (0, 1)),
    net0_mac TEXT NOT NULL,
    rootfs_volid TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (guest_id, standing),
    CHECK (standing = 'learned' OR marked = 1)
);

-- When a guest showed its whole identity last, and when a complete list was last without it.
CREATE TABLE guest_looks (
    guest_id TEXT NOT NULL PRIMARY KEY REFERENCES guests (id),
    verified_at BIGINT,
    missed_at BIGINT
);
