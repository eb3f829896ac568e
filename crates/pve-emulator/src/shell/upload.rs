//! Files sent to a storage as `multipart/form-data`: looked at as they pass by, of any length, and never kept whole.

use std::collections::BTreeMap;
use std::time::Duration;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite};

use super::http::{Head, Reader};
use super::keeper::Door;
use crate::core::{self, ApiRequest, Payload, RequestId, Response, Upload};
use crate::oci::Peek;

/// What PVE's server does with what it cannot take: nothing, until the connection is idle for too long.
const SILENCE: Duration = Duration::from_secs(5);
/// Longest part that is no file, and longest head of a part, bytes.
const MOST_FIELD_BYTES: usize = 64 * 1024;
const SOURCE: &str = "/usr/share/perl5/PVE/APIServer/AnyEvent.pm";

/// Whether a call is one of these.
pub(super) fn is_upload(head: &Head) -> bool {
    head.content_length() > 0 && core::is_upload(&head.method, &head.path)
}

/// Takes a file in; nothing when the connection ends unanswered.
pub(super) async fn take_in<S: AsyncRead + AsyncWrite + Unpin>(
    reader: &mut Reader<S>,
    head: &Head,
    mut request: ApiRequest,
    door: &Door,
) -> Option<Response> {
    let asked = request.clone();
    let now_ms = door.now_ms();
    let refused = door.read(move |world| core::refuse_upload(world, &asked, now_ms));
    if let Some(refusal) = refused.await.ok()? {
        return Some(refusal);
    }
    let boundary = head.header("content-type").and_then(boundary);
    let Some(boundary) = boundary.filter(|_| !head.query.contains("tmpfilename=")) else {
        tokio::time::sleep(SILENCE).await;
        return None;
    };
    let mut form = Form::new(&boundary);
    let mut left = head.content_length();
    while left > 0 && !form.is_whole() {
        let piece = reader.piece(left).await?;
        left -= piece.len() as u64;
        if let Err(text) = form.take(&piece) {
            return Some(Response::plain(request.id, 500, &text));
        }
    }
    let Some(upload) = form.finish() else {
        let text = format!("upload failed at {SOURCE} line 1370.\n");
        return Some(Response::plain(RequestId(0), 500, &text));
    };
    request.payload = Payload::Upload(Box::new(upload));
    door.request(request).await
}

/// The text that separates the parts.
fn boundary(content_type: &str) -> Option<String> {
    let mut parts = content_type.split([';', ',']).map(str::trim);
    if parts.next()? != "multipart/form-data" {
        return None;
    }
    let given = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == "boundary").then(|| value.trim().to_owned())
    });
    given.filter(|text| !text.is_empty() && !text.contains(char::is_whitespace))
}

/// A form as it comes in.
struct Form {
    delimiter: Vec<u8>,
    end: Vec<u8>,
    pending: Vec<u8>,
    fields: BTreeMap<String, String>,
    file: Option<Passing>,
    whole: bool,
}

/// A file as it passes by.
#[derive(Default)]
struct Passing {
    size_bytes: u64,
    md5: Md5,
    sha1: Sha1,
    sha224: Sha224,
    sha256: Sha256,
    sha384: Sha384,
    sha512: Sha512,
    peek: Peek,
}

impl Passing {
    fn take(&mut self, piece: &[u8]) {
        self.size_bytes += piece.len() as u64;
        self.md5.update(piece);
        self.sha1.update(piece);
        self.sha224.update(piece);
        self.sha256.update(piece);
        self.sha384.update(piece);
        self.sha512.update(piece);
        self.peek.take(piece);
    }

    fn finish(self, fields: BTreeMap<String, String>) -> Upload {
        let image = self.peek.image();
        let checksums = [
            ("md5", hex::encode(self.md5.finalize())),
            ("sha1", hex::encode(self.sha1.finalize())),
            ("sha224", hex::encode(self.sha224.finalize())),
            ("sha256", hex::encode(self.sha256.finalize())),
            ("sha384", hex::encode(self.sha384.finalize())),
            ("sha512", hex::encode(self.sha512.finalize())),
        ];
        let checksums = checksums.map(|(name, sum)| (name.to_owned(), sum));
        Upload {
            fields,
            size_bytes: self.size_bytes,
            checksums: checksums.into(),
            image,
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

impl Form {
    fn new(boundary: &str) -> Self {
        Self {
            delimiter: format!("--{boundary}").into_bytes(),
            end: format!("--{boundary}--").into_bytes(),
            pending: Vec::new(),
            fields: BTreeMap::new(),
            file: None,
            whole: false,
        }
    }

    fn is_whole(&self) -> bool {
        self.whole
    }

    fn finish(self) -> Option<Upload> {
        let file = self.file.filter(|_| self.whole)?;
        Some(file.finish(self.fields))
    }

    /// Takes the next piece in.
    fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        self.pending.extend_from_slice(piece);
        while self.file.is_none() {
            if !self.part()? {
                return Ok(());
            }
        }
        self.pass();
        Ok(())
    }

    /// Hands on what is certainly the file's: the end is known by the last separator alone.
    fn pass(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| !self.whole) else {
            return;
        };
        if let Some(at) = find(&self.pending, &self.end) {
            let data = &self.pending[..at];
            let data = data.strip_suffix(b"\n").unwrap_or(data);
            file.take(data.strip_suffix(b"\r").unwrap_or(data));
            self.whole = true;
            return;
        }
        let keep = self.end.len() + 2;
        if self.pending.len() > keep {
            let count = self.pending.len() - keep;
            file.take(&self.pending[..count]);
            self.pending.drain(..count);
        }
    }

    /// Reads a part that is whole, or the head of the file; false when more is needed.
    fn part(&mut self) -> Result<bool, String> {
        let failed = || Err(format!("upload failed at {SOURCE} line 1370.\n"));
        let Some(start) = find(&self.pending, &self.delimiter) else {
            return if self.pending.len() > MOST_FIELD_BYTES {
                failed()
            } else {
                Ok(false)
            };
        };
        let rest = &self.pending[start + self.delimiter.len()..];
        let Some(head_end) = find(rest, b"\r\n\r\n") else {
            return if rest.len() > MOST_FIELD_BYTES {
                failed()
            } else {
                Ok(false)
            };
        };
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let (name, file_name) = disposition(&head)?;
        let body = start + self.delimiter.len() + head_end + 4;
        if let Some(file_name) = file_name {
            if name != "filename" {
                let text = format!(
                    "wrong field name '{name}' for file upload, expected 'filename' at {SOURCE} line 1325.\n"
                );
                return Err(text);
            }
            self.fields
                .insert("filename".into(), file_name.trim().to_owned());
            self.pending.drain(..body);
            self.file = Some(Passing::default());
            return Ok(true);
        }
        let Some(length) = find(&self.pending[body..], &self.delimiter) else {
            return if self.pending.len() > MOST_FIELD_BYTES {
                failed()
            } else {
                Ok(false)
            };
        };
        let value = String::from_utf8_lossy(&self.pending[body..body + length]);
        if !["content", "checksum", "checksum-algorithm"].contains(&name.as_str()) {
            return failed();
        }
        self.fields.insert(name, value.trim().to_owned());
        self.pending.drain(..body + length);
        Ok(true)
    }
}

/// Name of a part, and of its file.
fn disposition(head: &str) -> Result<(String, Option<String>), String> {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Disposition: "))
        .unwrap_or_default();
    let kind = line.split(';').next().unwrap_or_default();
    if kind != "form-data" {
        return Err(format!(
            "wrong Content-Disposition '{kind}' in multipart, expected 'form-data'\n"
        ));
    }
    let value = |key: &str| {
        let (_, rest) = line.split_once(&format!("; {key}=\""))?;
        Some(rest.split('"').next().unwrap_or_default().to_owned())
    };
    Ok((value("name").unwrap_or_default(), value("filename")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::tests::archive;

    fn body(file: &[u8]) -> Vec<u8> {
        let mut body =
            b"--x1\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\nvztmpl\r\n".to_vec();
        body.extend_from_slice(b"--x1\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"a.tar\"\r\nContent-Type: application/x-tar\r\n\r\n");
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--x1--\r\n");
        body
    }

    #[test]
    fn a_form_is_read_whatever_the_pieces() {
        let file = archive();
        let sum = hex::encode(Sha256::digest(&file));
        for size in [1, 7, 4_096, 1 << 20] {
            let mut form = Form::new("x1");
            for piece in body(&file).chunks(size) {
                form.take(piece).unwrap();
            }
            let upload = form.finish().unwrap();
            assert_eq!(upload.size_bytes, file.len() as u64);
            assert_eq!(upload.checksums["sha256"], sum);
            assert_eq!(upload.fields["content"], "vztmpl");
            assert_eq!(upload.fields["filename"], "a.tar");
            assert_eq!(upload.image.unwrap().env, ["GREETING=hi"]);
        }
    }

    #[test]
    fn a_form_without_its_end_or_with_other_parts_is_none() {
        let mut form = Form::new("x1");
        let whole = body(b"abc");
        form.take(&whole[..whole.len() - 6]).unwrap();
        assert!(form.finish().is_none());
        let mut form = Form::new("x1");
        let strange =
            b"--x1\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n--x1\r\n";
        assert!(form.take(strange).unwrap_err().starts_with("upload failed"));
        let mut form = Form::new("x1");
        let wrong =
            b"--x1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
        assert!(
            form.take(wrong)
                .unwrap_err()
                .contains("expected 'filename'")
        );
        assert_eq!(
            boundary("multipart/form-data; boundary=ab"),
            Some("ab".into())
        );
        assert_eq!(boundary("application/octet-stream"), None);
    }
}
