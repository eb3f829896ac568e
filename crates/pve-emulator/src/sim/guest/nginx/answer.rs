//! What nginx answers to a request, from its servers and the files now on the disk.

use super::super::files::{Files, Kind};
use super::super::http::{HttpRequest, HttpResponse, path_of};
use super::config::{Location, Server, Servers};

/// Answers a request.
pub(crate) fn respond(files: &Files, servers: &Servers, request: &HttpRequest) -> HttpResponse {
    let answer = Answering {
        files,
        servers,
        request,
    };
    let mut response = match path_of(&request.target) {
        Some(path) => answer
            .server()
            .map_or_else(|| page(404), |server| answer.at(server, &path, true)),
        None => page(400),
    };
    response
        .headers
        .insert(0, ("Server".to_owned(), "nginx".to_owned()));
    response
}

struct Answering<'a> {
    files: &'a Files,
    servers: &'a Servers,
    request: &'a HttpRequest,
}

impl<'a> Answering<'a> {
    /// The server whose name is asked for, or the first.
    fn server(&self) -> Option<&'a Server> {
        let host = self.request.host.as_deref().unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let mut servers = self.servers.servers.iter();
        let named = servers.find(|server| server.names.iter().any(|name| name == host));
        named.or_else(|| self.servers.servers.first())
    }

    fn at(&self, server: &Server, path: &str, first: bool) -> HttpResponse {
        let location = location_of(server, path).unwrap_or(&server.base);
        let answer = location.answer.as_ref().or(server.base.answer.as_ref());
        if let Some((code, text)) = answer {
            return returned(*code, text);
        }
        if !["GET", "HEAD"].contains(&self.request.method.as_str()) {
            return page(405);
        }
        if first && !location.try_files.is_empty() {
            return self.try_files(server, location, path);
        }
        self.file(location, path)
    }

    fn try_files(&self, server: &Server, location: &Location, path: &str) -> HttpResponse {
        let Some((last, tried)) = location.try_files.split_last() else {
            return page(500);
        };
        for wanted in tried {
            let wanted = wanted.replace("$uri", path);
            let on_disk = disk_path(location, &wanted);
            let is_dir = wanted.ends_with('/');
            if self.files.is_dir(&on_disk) == is_dir && self.files.exists(&on_disk) {
                return self.file(location, &wanted);
            }
        }
        match last.strip_prefix('=').and_then(|code| code.parse().ok()) {
            Some(code) => page(code),
            None => match path_of(&last.replace("$uri", path)) {
                Some(path) => self.at(server, &path, false),
                None => page(500),
            },
        }
    }

    fn file(&self, location: &Location, path: &str) -> HttpResponse {
        let on_disk = disk_path(location, path);
        if !self.files.is_dir(&on_disk) {
            return self.send(&on_disk);
        }
        if !path.ends_with('/') {
            let mut moved = page(301);
            moved
                .headers
                .push(("Location".to_owned(), format!("{path}/")));
            return moved;
        }
        let mut indexes = location
            .index
            .iter()
            .map(|name| format!("{on_disk}/{name}"));
        match indexes.find(|path| self.files.exists(path)) {
            Some(index) => self.send(&index),
            None => page(403),
        }
    }

    fn send(&self, on_disk: &str) -> HttpResponse {
        // Its workers are no longer root: what others may not read they cannot either.
        let node = match self.files.get(on_disk) {
            Ok(node) => node,
            Err(_) => return page(404),
        };
        match &node.kind {
            Kind::File(_) if node.mode & 0o004 == 0 && node.uid != 33 => page(403),
            Kind::File(content) => {
                let kind = self.kind_of(on_disk);
                HttpResponse::new(200, &kind, content.0.clone())
            }
            Kind::Dir | Kind::Program(_) | Kind::Link(_) | Kind::Null => page(404),
        }
    }

    fn kind_of(&self, on_disk: &str) -> String {
        let name = on_disk.rsplit('/').next().unwrap_or_default();
        let extension = name
            .rsplit_once('.')
            .map(|(_, extension)| extension.to_lowercase());
        let known = extension.and_then(|extension| self.servers.types.get(&extension));
        known.unwrap_or(&self.servers.default_type).clone()
    }
}

/// Exact first, then the longest beginning that forbids patterns, then patterns in order, then the longest beginning.
fn location_of<'a>(server: &'a Server, path: &str) -> Option<&'a Location> {
    let locations = || server.locations.iter();
    if let Some(exact) = locations().find(|l| l.modifier == "=" && l.path == path) {
        return Some(exact);
    }
    let longest = locations()
        .filter(|l| ["", "^~"].contains(&l.modifier.as_str()) && path.starts_with(&l.path))
        .max_by_key(|l| l.path.len());
    if longest.is_some_and(|l| l.modifier == "^~") {
        return longest;
    }
    let matches = |location: &&Location| {
        let pattern = match location.modifier.as_str() {
            "~" => location.path.clone(),
            "~*" => format!("(?i){}", location.path),
            _ => return false,
        };
        regex::Regex::new(&pattern).is_ok_and(|pattern| pattern.is_match(path))
    };
    locations().find(matches).or(longest)
}

fn disk_path(location: &Location, path: &str) -> String {
    match &location.alias {
        Some(alias) => format!(
            "{alias}{}",
            path.strip_prefix(&location.path).unwrap_or(path)
        ),
        None => format!("{}{path}", location.root),
    }
}

fn returned(code: u16, text: &str) -> HttpResponse {
    if (300..400).contains(&code) {
        let mut moved = page(code);
        moved.headers.push(("Location".to_owned(), text.to_owned()));
        return moved;
    }
    if text.is_empty() && code >= 300 {
        return page(code);
    }
    HttpResponse::new(code, "text/plain", text)
}

fn page(status: u16) -> HttpResponse {
    let mut response = HttpResponse::new(status, "text/html", "");
    let title = format!("{status} {}", response.reason());
    response.body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    .into_bytes();
    response
}
