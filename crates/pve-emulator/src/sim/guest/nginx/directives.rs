//! Which directives nginx knows, and where they may stand.

/// Where a directive may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Main,
    Events,
    Http,
    Server,
    Location,
}

use Place::{Events, Http, Location, Main, Server};

const ANY: &[Place] = &[Http, Server, Location];

/// Directives without an effect on what is listened on and answered from disk; they are accepted where they may stand.
const ACCEPTED: &[(&[Place], &[&str])] = &[
    (
        &[Main],
        &[
            "user",
            "pid",
            "daemon",
            "master_process",
            "worker_rlimit_nofile",
            "worker_priority",
            "pcre_jit",
            "env",
            "load_module",
        ],
    ),
    (&[Events], &["use", "multi_accept", "accept_mutex"]),
    (&[Main, Http, Server, Location], &["error_log"]),
    (
        &[Http, Server],
        &[
            "large_client_header_buffers",
            "client_header_buffer_size",
            "client_header_timeout",
            "http2",
            "merge_slashes",
            "server_names_hash_bucket_size",
            "ssl_certificate",
            "ssl_certificate_key",
            "ssl_protocols",
            "ssl_ciphers",
            "ssl_prefer_server_ciphers",
            "ssl_session_cache",
            "ssl_session_timeout",
            "underscores_in_headers",
        ],
    ),
    (
        &[Http],
        &[
            "types_hash_max_size",
            "types_hash_bucket_size",
            "server_names_hash_max_size",
            "log_format",
            "map_hash_bucket_size",
        ],
    ),
    (
        ANY,
        &[
            "access_log",
            "add_header",
            "aio",
            "autoindex",
            "charset",
            "client_body_buffer_size",
            "client_body_timeout",
            "client_max_body_size",
            "directio",
            "disable_symlinks",
            "etag",
            "expires",
            "gzip",
            "gzip_comp_level",
            "gzip_disable",
            "gzip_http_version",
            "gzip_min_length",
            "gzip_proxied",
            "gzip_static",
            "gzip_types",
            "gzip_vary",
            "if_modified_since",
            "keepalive_requests",
            "keepalive_timeout",
            "limit_rate",
            "log_not_found",
            "open_file_cache",
            "output_buffers",
            "reset_timedout_connection",
            "resolver",
            "send_timeout",
            "sendfile",
            "server_tokens",
            "tcp_nodelay",
            "tcp_nopush",
            "absolute_redirect",
            "port_in_redirect",
        ],
    ),
    (&[Location], &["internal"]),
];

/// Directives this simulation acts on.
const ACTED_ON: &[(&[Place], &[&str])] = &[
    (&[Main], &["worker_processes", "events", "http"]),
    (&[Events], &["worker_connections"]),
    (&[Http], &["server"]),
    (ANY, &["root", "index", "default_type", "types"]),
    (&[Server], &["listen", "server_name"]),
    (&[Server, Location], &["location", "try_files", "return"]),
    (&[Location], &["alias"]),
];

/// Directives of the real program that this simulation cannot follow: it refuses them rather than answering wrongly.
const BEYOND: &[&str] = &[
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "upstream",
    "map",
    "geo",
    "rewrite",
    "if",
    "error_page",
    "auth_basic",
    "auth_request",
    "allow",
    "deny",
    "limit_req",
    "limit_conn",
    "sub_filter",
    "stream",
    "mail",
    "perl",
    "set",
    "split_clients",
    "limit_except",
    "satisfy",
];

/// Checks that a directive may stand here.
///
/// # Errors
/// Text as nginx prints it.
pub(crate) fn check(name: &str, place: Place, at: &str) -> Result<(), String> {
    let find = |tables: &[(&[Place], &[&str])]| {
        let mut fitting = tables.iter().filter(|(_, names)| names.contains(&name));
        let (places, _) = fitting.next()?;
        Some(places.contains(&place) || fitting.any(|(places, _)| places.contains(&place)))
    };
    match find(ACTED_ON).or_else(|| find(ACCEPTED)) {
        Some(true) => Ok(()),
        Some(false) => Err(format!("\"{name}\" directive is not allowed here in {at}")),
        None if BEYOND.contains(&name) => {
            Err(format!("\"{name}\" is beyond this simulated nginx in {at}"))
        }
        None => Err(format!("unknown directive \"{name}\" in {at}")),
    }
}
