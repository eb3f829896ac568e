//! Images whose software is installed without them: by a shipped entry, or as these recipes say.

/// How the software of some images is installed.
#[derive(Debug)]
pub(super) struct Carrier {
    /// The last part of the names of its images.
    images: &'static [&'static str],
    /// The least memory that it runs with, MiB, and what it gets unless more is asked for.
    pub(super) memory_mib: (u64, u64),
    /// The port it listens on unless the file says another one.
    pub(super) port: u16,
    /// Variables of the images whose values are secrets of the recipe's settings.
    pub(super) secrets: &'static [Secret],
    /// What the entry says from `license` on; [`PORT`] stands for the port.
    pub(super) recipe: &'static str,
}

/// A variable that is a secret.
#[derive(Debug)]
pub(super) struct Secret {
    /// The variable.
    pub(super) variable: &'static str,
    /// The setting.
    pub(super) setting: &'static str,
    /// It is made where nobody gives it; else it is asked for.
    pub(super) is_made: bool,
}

/// What stands for the port in a recipe.
pub(super) const PORT: &str = "@PORT@";

/// The last part of images' names, and the shipped entry that installs the same software.
const SHIPPED: [(&str, &str); 33] = [
    ("actual-server", "actual"),
    ("actualbudget", "actual"),
    ("apt-cacher-ng", "apt-cacher-ng"),
    ("caddy", "caddy"),
    ("changedetection.io", "changedetection"),
    ("datasette", "datasette"),
    ("registry", "docker-registry"),
    ("gitea", "gitea"),
    ("grafana", "grafana"),
    ("grafana-oss", "grafana"),
    ("isso", "isso"),
    ("jellyfin", "jellyfin"),
    ("base-notebook", "jupyterlab"),
    ("minimal-notebook", "jupyterlab"),
    ("mariadb", "mariadb"),
    ("memcached", "memcached"),
    ("minidlna", "minidlna"),
    ("eclipse-mosquitto", "mosquitto"),
    ("mumble-server", "mumble-server"),
    ("nats", "nats"),
    ("navidrome", "navidrome"),
    ("netdata", "netdata"),
    ("nextcloud", "nextcloud"),
    ("nginx", "nginx"),
    ("node-red", "node-red"),
    ("ntfy", "ntfy"),
    ("postgres", "postgresql"),
    ("prometheus", "prometheus"),
    ("radicale", "radicale"),
    ("redis", "redis"),
    ("syncthing", "syncthing"),
    ("transmission", "transmission"),
    ("vikunja", "vikunja"),
];

/// The last part of an image's name, without tag and digest.
pub(super) fn software_of(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let name = name.rsplit('/').next().unwrap_or(name);
    name.split(':').next().unwrap_or(name)
}

/// The shipped entry that installs the same software.
pub(super) fn shipped_as(image: &str) -> Option<&'static str> {
    let software = software_of(image);
    let mut all = SHIPPED.iter();
    all.find(|(of, _)| *of == software).map(|(_, id)| *id)
}

/// How the software of an image is installed, if somebody has written that.
pub(super) fn carrier_of(image: &str) -> Option<&'static Carrier> {
    let software = software_of(image);
    CARRIERS.iter().find(|one| one.images.contains(&software))
}

/// All there are.
pub(super) static CARRIERS: [Carrier; 5] = [ADMINER, HTTPD, ICECAST, PYPISERVER, SQUID];

const ADMINER: Carrier = Carrier {
    images: &["adminer"],
    memory_mib: (64, 128),
    port: 8080,
    secrets: &[],
    recipe: r#"license: Apache-2.0 OR GPL-2.0-only
releases: { debian: adminer }
port: @PORT@
protocol: http

settings:
  - name: workers
    type: integer
    default: 4
    min: 1
    max: 64
    help: How many requests are answered at the same time.

install:
  - apt: [adminer, php-cgi, php8.2-cli, php8.2-mysql, php8.2-pgsql, php8.2-sqlite3]
  - user: { name: adminer, home: /var/lib/adminer }
  - file:
      path: /etc/adminer/environment
      escape: shell-env
      content: |
        PHP_CLI_SERVER_WORKERS={{ settings.workers }}
  - unit:
      name: adminer
      description: Adminer
      exec: [/usr/bin/php8.2, -S, "0.0.0.0:{{ port }}", -t, /usr/share/adminer/adminer]
      user: adminer
      working_directory: /var/lib/adminer
      environment_file: /etc/adminer/environment
  - service: { name: adminer, state: restarted }

health:
  http:
    path: /
    body_contains: Adminer
  interval_s: 1
  attempts: 60
"#,
};

const HTTPD: Carrier = Carrier {
    images: &["httpd", "apache", "apache2"],
    memory_mib: (64, 128),
    port: 8080,
    secrets: &[],
    recipe: r#"license: Apache-2.0
releases: { debian: apache2 }
port: @PORT@
protocol: http

settings:
  - name: title
    type: string
    default: Welcome
    max: 120
    help: Title of the page.

install:
  - apt: [apache2]
  - file:
      path: /var/www/proximity/index.html
      escape: html
      content: |
        <!doctype html>
        <meta name="generator" content="proximity-app-apache">
        <title>{{ settings.title }}</title>
        <h1>{{ settings.title }}</h1>
  - file:
      path: /etc/apache2/ports.conf
      escape: plain
      content: |
        Listen {{ port }}
  - file:
      path: /etc/apache2/sites-enabled/000-default.conf
      escape: plain
      content: |
        <VirtualHost *:{{ port }}>
            DocumentRoot /var/www/proximity
        </VirtualHost>
  - service: { name: apache2, state: restarted }

health:
  http:
    path: /
    body_contains: proximity-app-apache
  interval_s: 1
  attempts: 60
"#,
};

const ICECAST: Carrier = Carrier {
    images: &["icecast", "icecast2"],
    memory_mib: (64, 128),
    port: 8000,
    secrets: &[
        Secret {
            variable: "ICECAST_SOURCE_PASSWORD",
            setting: "source_password",
            is_made: false,
        },
        Secret {
            variable: "ICECAST_ADMIN_PASSWORD",
            setting: "admin_password",
            is_made: false,
        },
        Secret {
            variable: "ICECAST_RELAY_PASSWORD",
            setting: "relay_password",
            is_made: true,
        },
    ],
    recipe: r#"license: GPL-2.0-only
releases: { debian: icecast2 }
port: @PORT@
protocol: http

settings:
  - name: source_password
    type: secret
    required: true
    min: 12
    max: 128
    help: What those who send give.
  - name: admin_password
    type: secret
    required: true
    min: 12
    max: 128
    help: Password of the account admin.
  - name: relay_password
    type: secret
    generate: { length: 32 }
    help: What other servers that pass it on would give.
  - name: listeners
    type: integer
    default: 100
    min: 1
    max: 10000
    help: How many may listen at the same time.

install:
  - apt: [icecast2]
  - file:
      path: /etc/icecast2/icecast.xml
      mode: "0640"
      group: icecast
      escape: html
      content: |
        <icecast>
          <limits><clients>{{ settings.listeners }}</clients><sources>10</sources></limits>
          <authentication>
            <source-password>{{ settings.source_password }}</source-password>
            <relay-password>{{ settings.relay_password }}</relay-password>
            <admin-user>admin</admin-user>
            <admin-password>{{ settings.admin_password }}</admin-password>
          </authentication>
          <hostname>localhost</hostname>
          <listen-socket><port>{{ port }}</port></listen-socket>
          <paths>
            <basedir>/usr/share/icecast2</basedir>
            <logdir>/var/log/icecast2</logdir>
            <webroot>/usr/share/icecast2/web</webroot>
            <adminroot>/usr/share/icecast2/admin</adminroot>
            <alias source="/" destination="/status.xsl"/>
          </paths>
          <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog></logging>
        </icecast>
  - service: { name: icecast2, state: restarted }

health:
  http:
    path: /status.xsl
    body_contains: Icecast
  interval_s: 1
  attempts: 60
"#,
};

const PYPISERVER: Carrier = Carrier {
    images: &["pypiserver"],
    memory_mib: (64, 128),
    port: 8080,
    secrets: &[],
    recipe: r#"license: Zlib
releases: { pypi: pypiserver }
port: @PORT@
protocol: http

settings:
  - name: hash
    type: enum
    options: [sha256, md5]
    default: sha256
    help: How its lists name what is in a package.

install:
  - apt: [python3-venv]
  - user: { name: pypiserver, home: /var/lib/pypiserver }
  - venv: { path: /opt/pypiserver, packages: ["pypiserver==2.4.2"] }
  - unit:
      name: pypiserver
      description: Python packages
      exec:
        - /opt/pypiserver/bin/pypi-server
        - run
        - "--port={{ port }}"
        - "--hash-algo={{ settings.hash }}"
        - --disable-fallback
        - /var/lib/pypiserver
      user: pypiserver
      working_directory: /var/lib/pypiserver
  - service: { name: pypiserver, state: restarted }

health:
  http:
    path: /
    body_contains: pypiserver
  interval_s: 1
  attempts: 60
"#,
};

const SQUID: Carrier = Carrier {
    images: &["squid"],
    memory_mib: (128, 256),
    port: 3128,
    secrets: &[],
    recipe: r#"license: GPL-2.0-or-later
releases: { debian: squid }
port: @PORT@
protocol: tcp

settings:
  - name: cache_memory_mib
    type: integer
    default: 64
    min: 8
    max: 65536
    help: Memory that it keeps pages in, in MiB.

install:
  - apt: [squid]
  - file:
      path: /etc/squid/squid.conf
      escape: plain
      content: |
        acl nearby src 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fe80::/10 localhost
        acl safe port 80 443 1025-65535
        http_access deny !safe
        http_access allow nearby
        http_access deny all
        http_port {{ port }}
        cache_mem {{ settings.cache_memory_mib }} MB
  - service: { name: squid, state: restarted }

health:
  tcp: {}
  interval_s: 1
  attempts: 60
"#,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn an_image_is_known_by_the_last_part_of_its_name() {
        for image in [
            "adminer",
            "adminer:latest",
            "docker.io/library/adminer:4.8.1",
            "host:5000/adminer@sha256:00",
        ] {
            assert_eq!(software_of(image), "adminer", "{image}");
            assert!(carrier_of(image).is_some(), "{image}");
        }
        assert!(carrier_of("adminer-plus").is_none() && carrier_of("").is_none());
    }

    #[test]
    fn what_is_said_to_be_shipped_is() {
        let catalog = Catalog::load(&[]).unwrap();
        for (image, id) in SHIPPED {
            assert!(catalog.get(&id.parse().unwrap()).is_some(), "{id}");
            assert_eq!(shipped_as(image), Some(id));
            assert!(carrier_of(image).is_none(), "{image}");
        }
    }
}
