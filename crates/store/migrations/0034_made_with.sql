-- What an app's container is made with beside its resources, and which apps it is kept apart from; and the passwords of root that nobody
-- was shown yet, each until somebody was.
ALTER TABLE apps ADD COLUMN made_with TEXT NOT NULL DEFAULT '{}';
CREATE TABLE root_passwords (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    password_sealed TEXT NOT NULL,
    made_at BIGINT NOT NULL
);
-- Of apps from before it is what their deploy was asked for.
UPDATE apps SET made_with = COALESCE((SELECT o.input FROM operations o
    WHERE o.app_id = apps.id AND o.kind = 'deploy' AND o.input LIKE '{%' ORDER BY o.created_at DESC, o.id DESC LIMIT 1), '{}')
    WHERE archived_at IS NULL;
