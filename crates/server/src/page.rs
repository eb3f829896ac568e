//! The page: files that the build put into the program, each at its own path, and the page itself wherever a browser looks for
//! one. It never stands before the API: below `/api` there is what the routes have, and nothing else.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use sha2::{Digest, Sha256};

use crate::layers;

/// One file.
#[derive(Debug, Clone, Copy)]
struct PageFile {
    /// Where it is asked for.
    path: &'static str,
    /// Its bytes.
    whole: &'static [u8],
    /// The same, packed with gzip; empty if they were not worth it.
    gzip: &'static [u8],
}

/// All of them; empty in a build that has no page.
static FILES: &[PageFile] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// The page itself.
const FIRST: &str = "/index.html";
/// Below this a file's name changes with its bytes.
const NAMED_BY_BYTES: &str = "/assets/";
/// What never leads to the page, whatever is looked for below it.
const NOT_OF_THE_PAGE: [&str; 3] = ["/api", "/metrics", "/assets"];

/// What the page may do: run, show and ask what comes from this server, and nothing else. No inline script, no inline style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What a build without the page says in its place.
const NO_PAGE: &str = "This build of Proximity has no page: it was built without one (`cargo xtask ui` makes it).\n\
                       The API is here: /api/docs says how it is called.\n";

/// Answers what no route takes: with a file of the page, else with [`layers::no_such_path`].
pub(crate) async fn answer(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    match served(FILES, method, path, request.headers()) {
        Some(answer) => answer,
        None => layers::no_such_path(request).await.into_response(),
    }
}

/// The answer with a file of the page, if this is a request for one.
fn served(
    files: &[PageFile],
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response> {
    if *method != Method::GET && *method != Method::HEAD {
        return None;
    }
    if files.is_empty() {
        return (path == "/").then(no_page);
    }
    Some(delivered(chosen(files, path, headers)?, headers))
}

/// The file of this path; for a browser on its way to a place inside of the page, the page.
fn chosen<'a>(files: &'a [PageFile], path: &str, headers: &HeaderMap) -> Option<&'a PageFile> {
    let of_path = |path: &str| files.iter().find(|file| file.path == path);
    if let Some(file) = of_path(path) {
        return Some(file);
    }
    let inside = path == "/" || (is_of_the_page(path) && lists(headers, ACCEPT, "text/html"));
    inside.then(|| of_path(FIRST)).flatten()
}

fn is_of_the_page(path: &str) -> bool {
    !NOT_OF_THE_PAGE.iter().any(|begin| {
        path.strip_prefix(begin)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn delivered(file: &PageFile, headers: &HeaderMap) -> Response {
    let packed = !file.gzip.is_empty() && lists(headers, ACCEPT_ENCODING, "gzip");
    let bytes = if packed { file.gzip } else { file.whole };
    let tag = format!("\"{}\"", STANDARD.encode(Sha256::digest(bytes)));
    let is_known = has_tag(headers, &tag);
    let body = match is_known {
        true => Body::empty(),
        false => Body::from(Bytes::from_static(bytes)),
    };
    let mut answer = Response::new(body);
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let told = answer.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        told.insert(ETAG, tag);
    }
    let kept = match file.path.starts_with(NAMED_BY_BYTES) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    told.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    told.insert(VARY, HeaderValue::from_static("accept-encoding"));
    told.insert(CONTENT_TYPE, HeaderValue::from_static(kind(file.path)));
    if packed {
        told.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    told.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer
}

fn no_page() -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], NO_PAGE).into_response()
}

/// What a file is, by the end of its name.
fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether a header that lists what is taken has this word, and not with the weight 0.
fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let all = headers.get_all(name).into_iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|one| {
            let (taken, weight) = one.split_once(';').unwrap_or((one, ""));
            let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
            let never = matches!(weight, Some(Ok(weight)) if weight <= 0.0);
            taken.trim().eq_ignore_ascii_case(word) && !never
        })
}

/// Whether the asker has these very bytes already.
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let all = headers.get_all(IF_NONE_MATCH).into_iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|one| one.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const SOME: &[PageFile] = &[
        PageFile {
            path: "/assets/a-1.js",
            whole: b"let a",
            gzip: b"packed",
        },
        PageFile {
            path: "/index.html",
            whole: b"<!doctype html>",
            gzip: &[],
        },
    ];

    fn headers(list: &[(HeaderName, &str)]) -> HeaderMap {
        let pairs = list.iter().cloned();
        pairs
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect()
    }

    fn get(files: &[PageFile], path: &str, list: &[(HeaderName, &str)]) -> Option<Response> {
        served(files, &Method::GET, path, &headers(list))
    }

    async fn text(answer: Response) -> String {
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    const BROWSER: (HeaderName, &str) = (ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");

    #[tokio::test]
    async fn a_browser_gets_the_page_at_every_place_inside_of_it() {
        for path in ["/", "/apps", "/apps/web", "/apiary", "/index.html"] {
            let answer = get(SOME, path, &[BROWSER]).unwrap();
            assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-cache");
            assert_eq!(text(answer).await, "<!doctype html>", "{path}");
        }
    }

    #[test]
    fn what_the_api_does_not_have_stays_what_it_is() {
        for path in ["/api", "/api/", "/api/nope", "/metrics/x", "/assets/b-2.js"] {
            assert!(get(SOME, path, &[BROWSER]).is_none(), "{path}");
        }
        assert!(get(SOME, "/apps", &[(ACCEPT, "application/json")]).is_none());
        assert!(get(SOME, "/apps", &[]).is_none());
        assert!(served(SOME, &Method::POST, "/", &headers(&[BROWSER])).is_none());
    }

    #[tokio::test]
    async fn a_file_is_packed_for_who_takes_it() {
        let packed = get(SOME, "/assets/a-1.js", &[(ACCEPT_ENCODING, "br, gzip")]).unwrap();
        assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(
            packed.headers()[CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
        assert_eq!(text(packed).await, "packed");
        for takes in ["br", "gzip;q=0", ""] {
            let whole = get(SOME, "/assets/a-1.js", &[(ACCEPT_ENCODING, takes)]).unwrap();
            assert!(whole.headers().get(CONTENT_ENCODING).is_none(), "{takes}");
            assert_eq!(text(whole).await, "let a");
        }
    }

    #[tokio::test]
    async fn what_a_browser_has_is_not_sent_again() {
        let first = get(SOME, "/", &[BROWSER]).unwrap();
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        let again = get(SOME, "/", &[BROWSER, (IF_NONE_MATCH, tag.as_str())]).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(text(again).await, "");
        let other = get(SOME, "/", &[BROWSER, (IF_NONE_MATCH, "\"x\"")]).unwrap();
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_build_without_the_page_says_so() {
        let answer = get(&[], "/", &[BROWSER]).unwrap();
        assert!(text(answer).await.contains("has no page"));
        assert!(get(&[], "/apps", &[BROWSER]).is_none());
    }

    #[test]
    fn the_page_that_was_built_keeps_to_its_policy() {
        assert!(!POLICY.contains("unsafe"));
        for file in FILES.iter().filter(|file| file.path.ends_with(".html")) {
            let text = std::str::from_utf8(file.whole).unwrap();
            for word in ["<style", " style=", " onclick", "http://", "https://"] {
                assert!(!text.contains(word), "{} has {word}", file.path);
            }
            let scripts = text.matches("<script").count();
            assert_eq!(text.matches(" src=\"/").count(), scripts, "{}", file.path);
        }
    }
}
