-- Under which host name an app is led to, with certificate files of its own, the URL that was fetched by it, and why none was.
ALTER TABLE apps ADD COLUMN site_name TEXT;
ALTER TABLE apps ADD COLUMN site_cert_file TEXT CHECK (site_cert_file IS NULL OR site_name IS NOT NULL);
ALTER TABLE apps ADD COLUMN site_key_file TEXT CHECK ((site_cert_file IS NULL) = (site_key_file IS NULL));
ALTER TABLE apps ADD COLUMN site_url TEXT CHECK (site_url IS NULL OR site_name IS NOT NULL);
ALTER TABLE apps ADD COLUMN site_trouble TEXT CHECK (site_trouble IS NULL OR site_url IS NULL);
CREATE UNIQUE INDEX apps_live_site ON apps (site_name) WHERE archived_at IS NULL;
