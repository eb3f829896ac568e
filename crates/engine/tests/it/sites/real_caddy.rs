//! Against the real Caddy of Debian's package: certificates in files, a route of somebody else's, and requests while routes change.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proximity_domain::ids::{AppId, InstallationId};
use proximity_domain::ports::PortPair;
use proximity_domain::site::{CertificateFiles, Site};
use proximity_engine::caddy::{AdminAddress, CaddyIngress, CaddyOptions};
use proximity_engine::route_sweep::sweep;
use proximity_engine::seams::{Ingress, IngressError, LedName, RouteSpec};
use proximity_store::exposure::Exposure;
use proximity_testkit::ingress::Routes;
use proximity_testkit::world::Names;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::{now_is, site, world};

const PROGRAM: &str = "/usr/bin/caddy";
const INSTALLATION: InstallationId = InstallationId(Uuid::from_u128(1));

/// A Caddy that somebody set up: two routes of theirs, and a certificate for one of them.
struct Caddy {
    folder: tempfile::TempDir,
    admin: AdminAddress,
    address: SocketAddr,
    http: reqwest::Client,
    _child: Child,
}

/// A certificate for these names, with its key: `NAME.pem` and `NAME.key`.
async fn certificate(folder: &Path, name: &str, hosts: &[&str]) -> CertificateFiles {
    let names: Vec<String> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
    let made = Command::new("/usr/bin/openssl")
        .current_dir(folder)
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '),
        )
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
        .args(["-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName={}", names.join(","))])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .stderr(Stdio::null())
        .status();
    assert!(made.await.unwrap().success());
    let path = |end: &str| folder.join(format!("{name}.{end}")).display().to_string();
    CertificateFiles::new(path("pem"), path("key")).unwrap()
}

fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// What a person has set up: a site of theirs with a certificate, and a rest that is not found.
fn configuration(listen: &str, address: SocketAddr, theirs: &CertificateFiles) -> Value {
    json!({
        "admin": { "listen": listen, "config": { "persist": false } },
        "apps": {
            "http": { "servers": { "mine": {
                "listen": [address.to_string()],
                "automatic_https": { "disable": true },
                "tls_connection_policies": [{}],
                "routes": [
                    {
                        "@id": "theirs",
                        "match": [{ "host": ["wiki.example.org"] }],
                        "handle": [{ "handler": "static_response", "body": "theirs", "headers": { "X-<Odd>": ["a&b"] } }],
                        "terminal": true,
                    },
                    { "@id": "rest", "handle": [{ "handler": "static_response", "status_code": 404 }] },
                ],
            } } },
            "tls": { "certificates": { "load_files": [
                { "@id": "their-certificate", "certificate": theirs.cert_file, "key": theirs.key_file },
            ] } },
        },
    })
}

impl Caddy {
    /// With its admin API on a socket, or on a port.
    async fn start(on_a_socket: bool) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let theirs = certificate(folder.path(), "theirs", &["wiki.example.org"]).await;
        let socket = folder.path().join("admin.sock");
        let (listen, admin) = match on_a_socket {
            true => (
                format!("unix/{}", socket.display()),
                format!("unix:{}", socket.display()),
            ),
            false => {
                let place = format!("127.0.0.1:{}", free_port());
                (place.clone(), format!("http://{place}"))
            }
        };
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let config = configuration(&listen, address, &theirs);
        let file = folder.path().join("caddy.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut child = Command::new(PROGRAM)
            .args(["run", "--config"])
            .arg(&file)
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        loop {
            let line = said.next_line().await.unwrap().unwrap();
            if line.contains("serving initial configuration") {
                break;
            }
        }
        // What it says later is read too, so that it never waits for somebody to.
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0);
        let http = match on_a_socket {
            true => http.unix_socket(socket),
            false => http,
        };
        Self {
            folder,
            admin: admin.parse().unwrap(),
            address,
            http: http.build().unwrap(),
            _child: child,
        }
    }

    /// What its admin API answers.
    async fn admin(&self, method: reqwest::Method, path: &str) -> (u16, String) {
        let (base, host) = match &self.admin {
            AdminAddress::Http(base) => (base.clone(), base.trim_start_matches("http://")),
            AdminAddress::Unix(_) => ("http://caddy".to_owned(), ""),
        };
        let request = self.http.request(method, format!("{base}{path}"));
        let answer = request.header("host", host).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    }

    async fn object(&self, id: &str) -> (u16, String) {
        self.admin(reqwest::Method::GET, &format!("/id/{id}")).await
    }

    /// All that is somebody else's, byte by byte.
    async fn theirs(&self) -> [(u16, String); 3] {
        let theirs = self.object("theirs").await;
        [
            theirs,
            self.object("rest").await,
            self.object("their-certificate").await,
        ]
    }

    fn options(&self, authorities: &[&str]) -> CaddyOptions {
        let pem = authorities
            .iter()
            .map(|name| self.folder.path().join(format!("{name}.pem")));
        let pem: Vec<u8> = pem.flat_map(|file| std::fs::read(file).unwrap()).collect();
        CaddyOptions {
            admin: self.admin.clone(),
            server: "mine".to_owned(),
            address: self.address,
            https: true,
            ca_pem: Some(pem),
        }
    }

    fn ingress(&self, authorities: &[&str]) -> CaddyIngress {
        let ports = Arc::new(Routes::to(Vec::new()));
        CaddyIngress::new(ports, INSTALLATION, self.options(authorities)).unwrap()
    }

    /// A client for which these names are here. It keeps its connection, as browsers do, until Caddy lets go of it.
    fn client(&self, hosts: &[&str], authorities: &[&str]) -> reqwest::Client {
        let pem = self.options(authorities).ca_pem.unwrap();
        let pem = reqwest::Certificate::from_pem_bundle(&pem).unwrap();
        let mut client = reqwest::Client::builder().no_proxy().tls_certs_only(pem);
        for host in hosts {
            client = client.resolve(host, self.address);
        }
        client.build().unwrap()
    }
}

/// An app that answers everything with this text.
async fn backend(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0_u8; 4096];
                let read = stream.read(&mut asked).await.unwrap_or(0);
                if read > 0 {
                    let length = text.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

fn app(n: u16) -> AppId {
    AppId(Uuid::from_u128(0x1000 + u128::from(n)))
}

fn route(n: u16, site: Option<Site>, target: SocketAddr) -> RouteSpec {
    RouteSpec {
        app: app(n),
        installation: INSTALLATION,
        ports: PortPair {
            public: 8100 + n,
            internal: 9100 + n,
        },
        target,
        site,
    }
}

fn id(n: u16) -> String {
    format!("proximity-{INSTALLATION}-{}", app(n))
}

fn blog(certificate: CertificateFiles) -> Site {
    Site {
        certificate: Some(certificate),
        ..site("blog.example.org")
    }
}

#[tokio::test]
async fn real_caddy_leads_under_a_name_with_certificate_files_and_ends_it() {
    for on_a_socket in [false, true] {
        let caddy = Caddy::start(on_a_socket).await;
        let files = certificate(caddy.folder.path(), "blog", &["blog.example.org"]).await;
        let before = caddy.theirs().await;
        assert_eq!(before[0].0, 200, "{before:?}");
        let (ingress, target) = (caddy.ingress(&["blog"]), backend("mine").await);
        let wanted = blog(files);
        let view = ingress
            .set_route(&route(0, Some(wanted.clone()), target))
            .await
            .unwrap();
        let led = LedName::As {
            site: wanted.clone(),
            target,
        };
        assert_eq!(view.name, led);
        let listed = ingress.routes().await.unwrap();
        assert_eq!((listed.len(), &listed[0].name), (1, &led));
        let url = ingress.fetch_by_name(&wanted).await.unwrap();
        assert_eq!(
            url,
            format!("https://blog.example.org:{}/", caddy.address.port())
        );
        let page = caddy
            .client(&["blog.example.org"], &["blog"])
            .get(&url)
            .send()
            .await
            .unwrap();
        assert_eq!(page.text().await.unwrap(), "mine");
        // A certificate of nobody whom people trust is told, not passed over.
        let untrusting = caddy.ingress(&["theirs"]);
        untrusting.fetch_by_name(&wanted).await.unwrap_err();
        assert_eq!(caddy.theirs().await, before);

        ingress.withdraw(app(0)).await.unwrap();
        ingress.withdraw(app(0)).await.unwrap();
        ingress.fetch_by_name(&wanted).await.unwrap_err();
        assert!(ingress.routes().await.unwrap().is_empty());
        assert_eq!(caddy.object(&id(0)).await.0, 404);
        assert_eq!(caddy.object(&format!("{}-certificate", id(0))).await.0, 404);
        assert_eq!(caddy.theirs().await, before);
    }
}

#[tokio::test]
async fn real_caddy_keeps_what_is_somebody_elses_and_says_why() {
    let caddy = Caddy::start(false).await;
    let (ingress, target) = (caddy.ingress(&["theirs"]), backend("mine").await);
    let before = caddy.theirs().await;
    let taken = route(0, Some(site("wiki.example.org")), target);
    let view = ingress.set_route(&taken).await.unwrap();
    let LedName::Not(why) = view.name else {
        panic!("{view:?}")
    };
    assert!(why.contains("the route theirs"), "{why}");
    assert!(view.listening, "its ports are led all the same");
    // Files that are not there are Caddy's to refuse, and its configuration is as before.
    let files = CertificateFiles::new("/nowhere/a.pem".to_owned(), "/nowhere/a.key".to_owned());
    let unread = route(0, Some(blog(files.unwrap())), target);
    let view = ingress.set_route(&unread).await.unwrap();
    let LedName::Not(why) = view.name else {
        panic!("{view:?}")
    };
    assert!(why.contains("/nowhere/a.pem"), "{why}");
    assert_eq!(caddy.object(&id(0)).await.0, 404);
    assert_eq!(caddy.theirs().await, before);
    let absent = CaddyOptions {
        server: "srv0".to_owned(),
        ..caddy.options(&["theirs"])
    };
    let ports = Arc::new(Routes::to(Vec::new()));
    let absent = CaddyIngress::new(ports, INSTALLATION, absent).unwrap();
    let view = absent
        .set_route(&route(1, Some(site("blog.example.org")), target))
        .await
        .unwrap();
    let why = "it has no server \"srv0\"; it has: mine".to_owned();
    assert_eq!(view.name, LedName::Not(why));
    // One whose admin API is not there is told apart from a refusal.
    let away = CaddyOptions {
        admin: format!("http://127.0.0.1:{}", free_port()).parse().unwrap(),
        ..caddy.options(&["theirs"])
    };
    let ports = Arc::new(Routes::to(Vec::new()));
    let away = CaddyIngress::new(ports, INSTALLATION, away).unwrap();
    let error = away.routes().await.unwrap_err();
    assert!(
        matches!(error, IngressError::CaddyUnreachable(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn real_caddy_fails_no_request_while_fifty_routes_change() {
    let caddy = Caddy::start(false).await;
    let files = certificate(caddy.folder.path(), "blog", &["blog.example.org"]).await;
    let before = caddy.theirs().await;
    let ingress = caddy.ingress(&["blog"]);
    let (one, other) = (backend("one").await, backend("other").await);
    let wanted = blog(files);
    ingress
        .set_route(&route(0, Some(wanted.clone()), one))
        .await
        .unwrap();

    let is_over = AtomicBool::new(false);
    let hosts = ["wiki.example.org", "blog.example.org"];
    let client = caddy.client(&hosts, &["theirs", "blog"]);
    let asking = async |host: &str, answers: &[&str]| {
        let url = format!("https://{host}:{}/", caddy.address.port());
        let (mut asked, mut failed) = (0_u32, Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            asked += 1;
            let page = match client.get(&url).send().await {
                Ok(answer) => answer.text().await.map_err(|e| format!("{e:?}")),
                Err(e) => Err(format!("{e:?}")),
            };
            match page {
                Ok(page) if answers.contains(&page.as_str()) => {}
                Ok(page) => failed.push(page),
                Err(why) => failed.push(why),
            }
        }
        (asked, failed)
    };
    let changing = async {
        for n in 1..=50_u16 {
            let target = if n.is_multiple_of(2) { one } else { other };
            // Names come, lead elsewhere and go, and so does the one that is asked for all the time.
            let named = Some(site(&format!("app-{}.example.org", n % 10 + 1)));
            let wish = match n % 5 {
                0 => route(n % 10 + 1, None, target),
                _ => route(n % 10 + 1, named, target),
            };
            ingress.set_route(&wish).await.unwrap();
            ingress
                .set_route(&route(0, Some(wanted.clone()), target))
                .await
                .unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let theirs = asking("wiki.example.org", &["theirs"]);
    let ours = asking("blog.example.org", &["one", "other"]);
    let ((), (asked, failed), (asked_ours, failed_ours)) = tokio::join!(changing, theirs, ours);
    assert_eq!(
        (failed, failed_ours),
        (Vec::<String>::new(), Vec::<String>::new())
    );
    assert!(asked >= 50 && asked_ours >= 50, "{asked} {asked_ours}");
    assert_eq!(caddy.theirs().await, before);
    for n in 0..=10 {
        ingress.withdraw(app(n)).await.unwrap();
    }
    assert!(ingress.routes().await.unwrap().is_empty());
    assert_eq!(caddy.theirs().await, before);
}

#[tokio::test]
async fn real_caddy_gets_back_what_somebody_deleted_or_changed() {
    let caddy = Caddy::start(true).await;
    let before = caddy.theirs().await;
    let (w, app) = world(Some(Names::Caddy(caddy.options(&["theirs"])))).await;
    let led = w
        .engine
        .lead_by_name(&w.actor, "web", None, site("blog.example.org"));
    let led = led.await.unwrap();
    // The emulated container answers nobody but the world: what was not fetched is no URL, and the reason is told.
    assert_eq!(led.app.site.as_ref().unwrap().url, None);
    assert!(
        led.trouble.is_some() && led.app.shown_url() == app.url.as_deref(),
        "{led:?}"
    );
    let id = format!("proximity-{}-{}", w.store.installation(), app.id);
    let (status, ours) = caddy.object(&id).await;
    assert_eq!(status, 200);
    assert!(ours.contains("blog.example.org"), "{ours}");

    let deleted = caddy
        .admin(reqwest::Method::DELETE, &format!("/id/{id}"))
        .await;
    assert_eq!(deleted.0, 200, "{deleted:?}");
    assert_eq!(caddy.object(&id).await.0, 404);
    assert_eq!(sweep(&w.engine).await.unwrap(), 1);
    assert_eq!(caddy.object(&id).await, (200, ours.clone()));
    let changed = caddy
        .admin(reqwest::Method::DELETE, &format!("/id/{id}/match"))
        .await;
    assert_eq!(changed.0, 200, "{changed:?}");
    assert_ne!(caddy.object(&id).await.1, ours);
    assert_eq!(sweep(&w.engine).await.unwrap(), 1);
    assert_eq!(caddy.object(&id).await, (200, ours));
    assert_eq!(caddy.theirs().await, before);

    let ended = w
        .engine
        .expose(&w.actor, "web", Exposure::Closed)
        .await
        .unwrap();
    assert!(
        ended.app.site.is_none() && ended.trouble.is_none(),
        "{ended:?}"
    );
    assert_eq!(caddy.object(&id).await.0, 404);
    assert_eq!(caddy.theirs().await, before);
    assert_eq!(now_is(&w, &app).await.url, app.url);
}
