//! A door in front of the server: what the commands send goes through, and every answer is held against the
//! OpenAPI document.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderName, HeaderValue};
use proximity_server::openapi_document;
use proximity_testkit::contract::{Contract, Exchange};

/// The door; it is open as long as the process runs.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    complaints: Arc<Mutex<Vec<String>>>,
}

/// A request or an answer.
struct Message {
    first: String,
    headers: HeaderMap,
    /// As it came.
    bytes: Vec<u8>,
    body: Vec<u8>,
}

impl Door {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = Self {
            address: listener.local_addr().unwrap(),
            complaints: Arc::default(),
        };
        let contract = Arc::new(Contract::new(openapi_document()).unwrap());
        let opened = door.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (door, contract) = (opened.clone(), Arc::clone(&contract));
                std::thread::spawn(move || door.lead(&client, server, &contract));
            }
        });
        door
    }

    /// What was wrong with the answers so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    /// Request by request, until one side closes. Without a server the client is closed, as the system would.
    fn lead(&self, client: &TcpStream, server: SocketAddr, contract: &Contract) {
        let Ok(upstream) = TcpStream::connect(server) else {
            return;
        };
        let (mut asked, mut answered) = (BufReader::new(client), BufReader::new(&upstream));
        while let Some(request) = read(&mut asked, false) {
            let method = request
                .first
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned();
            let sent = (&upstream).write_all(&request.bytes);
            let is_head = method == "HEAD";
            let Some(answer) = sent.ok().and_then(|()| read(&mut answered, is_head)) else {
                return;
            };
            let word =
                |line: &str, at: usize| line.split(' ').nth(at).unwrap_or_default().to_owned();
            let found = contract.complaints(&Exchange {
                method: &method,
                target: &word(&request.first, 1),
                status: word(&answer.first, 1).parse().unwrap(),
                headers: &answer.headers,
                body: &answer.body,
            });
            self.complaints.lock().unwrap().extend(found);
            let mut client = client;
            if client.write_all(&answer.bytes).is_err() {
                return;
            }
        }
    }
}

/// One message with a body of a length that is told; `None` at the end.
fn read(from: &mut impl BufRead, without_body: bool) -> Option<Message> {
    let (mut bytes, mut first, mut headers) = (Vec::new(), String::new(), HeaderMap::new());
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        bytes.extend_from_slice(line.as_bytes());
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            line.clone_into(&mut first);
        } else if let Some((name, value)) = line.split_once(':') {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
        }
    }
    let length = headers
        .get("content-length")
        .map(|v| v.to_str().unwrap().parse().unwrap());
    let mut body = vec![0; if without_body { 0 } else { length.unwrap_or(0) }];
    from.read_exact(&mut body).ok()?;
    bytes.extend_from_slice(&body);
    Some(Message {
        first,
        headers,
        bytes,
        body,
    })
}
