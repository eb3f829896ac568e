//! What OCI images say about themselves, read out of an archive as it passes by or of a layout's folder.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::OciImage;

const BLOCK: usize = 512;
/// Larger files of an archive are layers.
const MOST_FILE_BYTES: u64 = 256 * 1024;
/// Of small files no more than this is kept.
const MOST_KEPT_BYTES: usize = 4 << 20;
/// Longest documents that are read out of a folder, bytes.
pub(crate) const MOST_DOCUMENT_BYTES: u64 = 4 << 20;

/// Looks into a `tar` that comes in pieces, and keeps its small files.
#[derive(Debug, Default)]
pub(crate) struct Peek {
    pending: Vec<u8>,
    state: State,
    files: BTreeMap<String, Vec<u8>>,
    kept_bytes: usize,
}

#[derive(Debug, Default)]
enum State {
    /// The next block is a header.
    #[default]
    Header,
    /// Bytes of a file that is kept, then filling up to a block.
    Keeping {
        name: String,
        left: u64,
        filling: u64,
    },
    Skipping {
        left: u64,
    },
    /// It is no archive, or its end was seen.
    Over,
}

impl Peek {
    /// Takes the next piece in.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        if matches!(self.state, State::Over) {
            return;
        }
        self.pending.extend_from_slice(piece);
        let mut at = 0;
        while self.step(&mut at) {}
        self.pending.drain(..at);
    }

    /// One step on what is pending; false when more is needed.
    fn step(&mut self, at: &mut usize) -> bool {
        let rest = &self.pending[*at..];
        match &mut self.state {
            State::Over => {
                *at = self.pending.len();
                false
            }
            State::Header => {
                let Some(block) = rest.get(..BLOCK) else {
                    return false;
                };
                *at += BLOCK;
                self.state = entry(block).map_or(State::Over, |(name, size)| {
                    let filling = size.next_multiple_of(BLOCK as u64) - size;
                    let room = self.kept_bytes + usize::try_from(size).unwrap_or(usize::MAX / 2);
                    match name {
                        Some(name) if size <= MOST_FILE_BYTES && room <= MOST_KEPT_BYTES => {
                            self.kept_bytes = room;
                            self.files.insert(name.clone(), Vec::new());
                            State::Keeping {
                                name,
                                left: size,
                                filling,
                            }
                        }
                        Some(_) | None => State::Skipping {
                            left: size + filling,
                        },
                    }
                });
                true
            }
            State::Keeping {
                name,
                left,
                filling,
            } => {
                let count = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if let Some(file) = self.files.get_mut(name) {
                    file.extend_from_slice(&rest[..count]);
                }
                *at += count;
                *left -= count as u64;
                if *left > 0 {
                    return false;
                }
                self.state = State::Skipping { left: *filling };
                true
            }
            State::Skipping { left } => {
                let count = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *at += count;
                *left -= count as u64;
                if *left > 0 {
                    return false;
                }
                self.state = State::Header;
                true
            }
        }
    }

    /// What the image says, if the archive was one.
    pub(crate) fn image(&self) -> Option<OciImage> {
        self.files.get("oci-layout")?;
        let document = |name: &str| self.files.get(name).map(Vec::as_slice);
        let index = parse(document("index.json")?)?;
        image(&index["manifests"][0], &|digest| {
            parse(document(&blob(digest)?)?)
        })
    }
}

/// Name (of files only) and size of an entry; nothing at the archive's end, or when it is none.
fn entry(block: &[u8]) -> Option<(Option<String>, u64)> {
    let text = |range: std::ops::Range<usize>| {
        let bytes = &block[range];
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    if !block[257..].starts_with(b"ustar") {
        return None;
    }
    let size = u64::from_str_radix(text(124..136).trim(), 8).ok()?;
    let name = text(0..100);
    let name = name.trim_start_matches("./").to_owned();
    let is_file = matches!(block[156], b'0' | 0);
    Some((is_file.then_some(name), size))
}

fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// Where a blob lies, by its digest.
pub(crate) fn blob(digest: &str) -> Option<String> {
    let (algorithm, hex) = digest.split_once(':')?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain(algorithm) && plain(hex)).then(|| format!("blobs/{algorithm}/{hex}"))
}

/// The manifest that an entry of an index leads to.
fn manifest(entry: &Value, find: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    let mut manifest = find(entry["digest"].as_str()?)?;
    // One for several machines: the one for ours, or the first.
    if let Some(all) = manifest["manifests"].as_array() {
        let ours = all
            .iter()
            .find(|one| one["platform"]["architecture"] == "amd64");
        let digest = ours.or_else(|| all.first())?["digest"].as_str()?.to_owned();
        manifest = find(&digest)?;
    }
    Some(manifest)
}

/// The digest of an image's configuration, by the entry of an index.
pub(crate) fn config_digest(entry: &Value, find: &dyn Fn(&str) -> Option<Value>) -> Option<String> {
    let manifest = manifest(entry, find)?;
    Some(manifest["config"]["digest"].as_str()?.to_owned())
}

/// Reads an image by the entry of an index; `find` gives documents by their digest.
pub(crate) fn image(entry: &Value, find: &dyn Fn(&str) -> Option<Value>) -> Option<OciImage> {
    let config = find(&config_digest(entry, find)?)?;
    let config = &config["config"];
    let words = |key: &str| -> Vec<String> {
        let list = config[key].as_array().into_iter().flatten();
        list.filter_map(|word| word.as_str().map(str::to_owned))
            .collect()
    };
    let command: Vec<String> = [words("Entrypoint"), words("Cmd")]
        .concat()
        .iter()
        .map(|word| quoted(word))
        .collect();
    let folder = config["WorkingDir"]
        .as_str()
        .filter(|folder| !folder.is_empty());
    Some(OciImage {
        entrypoint: (!command.is_empty()).then(|| command.join(" ")),
        env: words("Env"),
        folder: folder.map(str::to_owned),
    })
}

/// A word of a command line, quoted when it needs to be.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Bytes of all blobs of an entry: about what its archive takes.
pub(crate) fn size_bytes(entry: &Value, find: &dyn Fn(&str) -> Option<Value>) -> u64 {
    let own = entry["size"].as_u64().unwrap_or_default();
    let manifest = entry["digest"].as_str().and_then(find).unwrap_or_default();
    let parts = manifest["layers"].as_array().into_iter().flatten();
    let parts = parts.chain([&manifest["config"]]);
    own + parts.filter_map(|part| part["size"].as_u64()).sum::<u64>()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A `tar` of these files.
    pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, bytes) in files {
            let mut header = vec![0_u8; BLOCK];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
            header[156] = b'0';
            header[257..262].copy_from_slice(b"ustar");
            archive.extend_from_slice(&header);
            archive.extend_from_slice(bytes);
            archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        }
        archive.resize(archive.len() + 2 * BLOCK, 0);
        archive
    }

    /// An archive of an image that prints its greeting.
    pub(crate) fn archive() -> Vec<u8> {
        let config = json!({"config": {
            "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo $GREETING"], "Env": ["GREETING=hi"], "WorkingDir": "/srv",
        }});
        let manifest = json!({"config": {"digest": "sha256:cc"}, "layers": [{"digest": "sha256:11", "size": 300}]});
        let index = json!({"manifests": [{"digest": "sha256:aa", "size": 7}]});
        let layer = vec![7; 300 * 1024];
        tar(&[
            ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
            ("blobs/sha256/11", &layer),
            ("blobs/sha256/cc", config.to_string().as_bytes()),
            ("blobs/sha256/aa", manifest.to_string().as_bytes()),
            ("index.json", index.to_string().as_bytes()),
        ])
    }

    #[test]
    fn an_image_is_read_out_of_an_archive_in_pieces() {
        for size in [1, 511, 513, 100_000] {
            let mut peek = Peek::default();
            archive().chunks(size).for_each(|piece| peek.take(piece));
            let image = peek.image().unwrap();
            assert_eq!(
                image.entrypoint.as_deref(),
                Some("/bin/sh -c \"echo $GREETING\"")
            );
            assert_eq!(image.env, ["GREETING=hi"]);
            assert_eq!(image.folder.as_deref(), Some("/srv"));
            assert!(
                !peek.files.contains_key("blobs/sha256/11"),
                "layers are not kept"
            );
        }
    }

    #[test]
    fn what_is_no_image_is_none() {
        let mut peek = Peek::default();
        peek.take(&[0x28; 5_000]);
        assert_eq!(peek.image(), None);
        let mut peek = Peek::default();
        peek.take(&tar(&[("etc/os-release", b"ID=debian\n")]));
        assert_eq!(peek.image(), None);
        assert_eq!(blob("sha256:../x"), None);
    }
}
