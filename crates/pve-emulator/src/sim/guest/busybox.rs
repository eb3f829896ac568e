//! The web server inside busybox.

use std::net::{IpAddr, Ipv4Addr};

use super::exec::{Done, Ended, Interrupt, Run, keep};
use super::files::{Files, Kind};
use super::http::{HttpRequest, HttpResponse, path_of};
use super::options::Options;
use super::processes::{Listener, Process, Site};

/// `httpd [-f] [-p [ADDRESS:]PORT] [-h DIR]`.
pub(crate) fn httpd(run: &mut Run<'_>, argv: &[String]) -> Done {
    const OPTIONS: Options = Options {
        short: "fivp:h:c:u:r:",
        long: &[],
    };
    let args = argv.get(1..).unwrap_or_default();
    let given = match OPTIONS.read("httpd", args) {
        Ok(given) => given,
        Err(refused) => return Ok(refused),
    };
    let wanted = given.value(&["p"]).unwrap_or("80");
    let (address, port) = match wanted.rsplit_once(':') {
        Some((address, port)) => (address.parse().ok(), port),
        None => (Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), wanted),
    };
    let (Some(address), Ok(port)) = (address, port.parse::<u16>()) else {
        return Ok(Ended::failed(1, format!("httpd: bad port '{wanted}'")));
    };
    let home = run.path(given.value(&["h"]).unwrap_or("."));
    if !run.guest.files.is_dir(&home) {
        let text = format!("httpd: can't change directory to '{home}': No such file or directory");
        return Ok(Ended::failed(1, text));
    }
    if run.is_taken(address, port) {
        return Ok(Ended::failed(1, "httpd: bind: Address already in use"));
    }
    let need = run.world.image.memory_mib("httpd");
    let listener = Listener {
        address,
        port,
        site: Site::Directory(home),
    };
    let process = Process {
        listeners: vec![listener],
        ..Process::of(argv, need, None)
    };
    let pid = keep(run, process);
    if given.has(&["f"]) {
        return Err(Interrupt::Hang(Some(pid)));
    }
    Ok(Ended::ok())
}

/// Serves a file below the root; a directory by its `index.html`.
pub(crate) fn respond(files: &Files, root: &str, request: &HttpRequest) -> HttpResponse {
    let page = |status: u16, title: &str, text: &str| {
        let body = format!(
            "<HTML><HEAD><TITLE>{status} {title}</TITLE></HEAD>\n<BODY><H1>{status} {title}</H1>\n{text}\n</BODY></HTML>\n"
        );
        HttpResponse::new(status, "text/html", body)
    };
    if !["GET", "HEAD"].contains(&request.method.as_str()) {
        return page(
            501,
            "Not Implemented",
            "The requested method is not recognized",
        );
    }
    let Some(path) = path_of(&request.target) else {
        return page(400, "Bad Request", "Unsupported method");
    };
    let mut file = format!("{}{path}", root.trim_end_matches('/'));
    if files.is_dir(&file) {
        if !path.ends_with('/') {
            let mut moved = page(302, "Found", "");
            moved
                .headers
                .push(("Location".to_owned(), format!("{path}/")));
            return moved;
        }
        file.push_str("index.html");
    }
    match files.get(&file).map(|node| &node.kind) {
        Ok(Kind::File(content)) => HttpResponse::new(200, kind_of(&file), content.0.clone()),
        Ok(_) | Err(_) => page(404, "Not Found", "The requested URL was not found"),
    }
}

fn kind_of(file: &str) -> &'static str {
    match file.rsplit('.').next().unwrap_or_default() {
        "html" | "htm" => "text/html",
        "txt" | "conf" => "text/plain",
        "css" => "text/css",
        "js" => "application/javascript",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        _ => "application/octet-stream",
    }
}
