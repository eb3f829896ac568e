//! What is sent to the core: calls as its HTTP layer would hand them on, and those of somebody else.

use std::fmt::Write;

use proximity_pve::transport::{Method, Request};
use proximity_pve_emulator::core::{ApiRequest, Payload, RequestId};

use super::seed::TEMPLATE;

/// Somebody else's create call.
pub(super) fn stranger(node: &str, vmid: u32) -> Request {
    let params = [
        ("vmid", vmid.to_string()),
        ("ostemplate", format!("local:vztmpl/{TEMPLATE}")),
        ("rootfs", "local:1".to_owned()),
        ("hostname", "stranger".to_owned()),
        ("net0", "name=eth0,bridge=vmbr0,ip=dhcp".to_owned()),
    ];
    let params: Vec<(&str, &str)> = params.iter().map(|(k, v)| (*k, v.as_str())).collect();
    request(Method::Post, &format!("/nodes/{node}/lxc"), &params)
}

/// Any call.
pub(crate) fn request(method: Method, path: &str, params: &[(&str, &str)]) -> Request {
    let own = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
    Request {
        method,
        path: path.to_owned(),
        params: params.iter().map(own).collect(),
        timeout_ms: 10_000,
        answer_ms: None,
        send_before: None,
        reference: None,
        of_adopted: false,
    }
}

/// Any call at a node as it arrives there with this token, whether the client has such a call or not.
pub fn with_token(
    via: &str,
    (id, secret): (&str, &str),
    (method, path, params): (Method, &str, &[(&str, &str)]),
) -> ApiRequest {
    let call = request(method, path, params);
    let token = authorization(id, secret);
    api_request(RequestId(0), &call, &token, via.to_owned())
}

/// The header with a token.
pub(crate) fn authorization(id: &str, secret: &str) -> String {
    format!("PVEAPIToken={id}={secret}")
}

pub(crate) fn api_request(
    id: RequestId,
    request: &Request,
    token: &str,
    via: String,
) -> ApiRequest {
    let encoded = encode(&request.params);
    let in_query = matches!(request.method, Method::Get | Method::Delete);
    let (query, body) = if in_query {
        (encoded, String::new())
    } else {
        (String::new(), encoded)
    };
    ApiRequest {
        id,
        via,
        method: request.method.as_str().to_owned(),
        path: format!("/api2/json{}", request.path),
        query,
        content_type: (!in_query).then(|| "application/x-www-form-urlencoded".to_owned()),
        authorization: Some(token.to_owned()),
        cookie: None,
        user_agent: request.reference.clone(),
        csrf: None,
        payload: if body.is_empty() {
            Payload::None
        } else {
            Payload::Bytes(body.into_bytes())
        },
    }
}

fn encode(params: &[(String, String)]) -> String {
    let mut form = String::new();
    for (key, value) in params {
        if !form.is_empty() {
            form.push('&');
        }
        escape(&mut form, key);
        form.push('=');
        escape(&mut form, value);
    }
    form
}

fn escape(form: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                form.push(char::from(byte));
            }
            _ => {
                // Writing into a string cannot fail.
                let _ = write!(form, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_go_as_a_form() {
        let params = [("a", "1"), ("net0", "name=eth0,x ä"), ("", "")];
        let sent = |method| {
            let call = request(method, "/x", &params);
            api_request(RequestId(1), &call, "t", "pve1".to_owned())
        };
        let form = "a=1&net0=name%3Deth0%2Cx%20%C3%A4&=";
        let read = sent(Method::Get);
        assert_eq!((read.query.as_str(), read.payload), (form, Payload::None));
        let changed = sent(Method::Put);
        let body = Payload::Bytes(form.as_bytes().to_vec());
        assert_eq!((changed.query.as_str(), changed.payload), ("", body));
        let call = request(Method::Post, "/x", &[]);
        let bare = api_request(RequestId(1), &call, "t", "pve1".to_owned());
        assert_eq!(bare.payload, Payload::None);
    }
}
