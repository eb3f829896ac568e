//! A guest's file tree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::errno::Errno;

/// Links followed before a path is given up, as Linux does.
const MAX_LINKS: u8 = 40;
/// What all files of a guest may hold together, bytes.
const DISK_BYTES: usize = 64 << 20;

/// A file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, e.g. 0o644.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change, Unix seconds.
    pub mtime_s: u64,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file.
    File(Content),
    /// A program of the simulation, by its name.
    Program(String),
    /// A symbolic link with its target.
    Link(String),
    /// `/dev/null`.
    Null,
}

/// A file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Content(pub Vec<u8>);

/// Bytes in JSON: as text where they are text.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Text(String),
    Hex(String),
}

impl From<Stored> for Content {
    fn from(stored: Stored) -> Self {
        Self(match stored {
            Stored::Text(text) => text.into_bytes(),
            // Only this type writes it; a damaged file reads as an empty one and no longer as what it was.
            Stored::Hex(digits) => hex::decode(digits).unwrap_or_default(),
        })
    }
}

impl From<Content> for Stored {
    fn from(content: Content) -> Self {
        match String::from_utf8(content.0) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Hex(hex::encode(error.as_bytes())),
        }
    }
}

impl Node {
    /// A node of root.
    pub(crate) fn new(kind: Kind, mode: u32, mtime_s: u64) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime_s,
        }
    }

    pub(crate) fn dir(mtime_s: u64) -> Self {
        Self::new(Kind::Dir, 0o755, mtime_s)
    }

    /// Bytes, as `stat` counts them.
    pub(crate) fn size(&self) -> usize {
        match &self.kind {
            Kind::Dir => 4096,
            Kind::File(content) => content.0.len(),
            Kind::Program(_) => 64 << 10,
            Kind::Link(target) => target.len(),
            Kind::Null => 0,
        }
    }

    /// Whether root may run it.
    pub(crate) fn is_executable(&self) -> bool {
        matches!(self.kind, Kind::File(_) | Kind::Program(_)) && self.mode & 0o111 != 0
    }
}

/// All files by absolute path; the root directory is always there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Files(BTreeMap<String, Node>);

type Result<T> = std::result::Result<T, Errno>;

impl Files {
    /// Where `path` leads from `/`: links of all its directories are followed, and of its last part if `follow`. The
    /// last part need not exist.
    pub(crate) fn resolve(&self, path: &str, follow: bool) -> Result<String> {
        let mut links = 0;
        let mut at = String::new();
        let mut rest: Vec<String> = parts(path).rev().map(str::to_owned).collect();
        let must_be_dir = path.len() > 1 && path.ends_with('/');
        while let Some(part) = rest.pop() {
            if part == ".." {
                at.truncate(at.rfind('/').unwrap_or(0));
                continue;
            }
            let next = format!("{at}/{part}");
            match self.0.get(&next).map(|node| &node.kind) {
                Some(Kind::Link(target)) if follow || !rest.is_empty() || must_be_dir => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::Loop);
                    }
                    if target.starts_with('/') {
                        at.clear();
                    }
                    rest.extend(parts(target).rev().map(str::to_owned));
                }
                Some(Kind::Dir) => at = next,
                Some(_) if rest.is_empty() && !must_be_dir => at = next,
                Some(_) => return Err(Errno::NotDirectory),
                None if rest.is_empty() => at = next,
                None => return Err(Errno::NoEntry),
            }
        }
        Ok(if at.is_empty() { "/".to_owned() } else { at })
    }

    /// The node a path leads to, links followed.
    pub(crate) fn get(&self, path: &str) -> Result<&Node> {
        self.at(&self.resolve(path, true)?)
    }

    /// The node itself, even if it is a link.
    pub(crate) fn get_link(&self, path: &str) -> Result<&Node> {
        self.at(&self.resolve(path, false)?)
    }

    fn at(&self, resolved: &str) -> Result<&Node> {
        if resolved == "/" {
            return Ok(&ROOT);
        }
        self.0.get(resolved).ok_or(Errno::NoEntry)
    }

    pub(crate) fn get_mut(&mut self, path: &str) -> Result<&mut Node> {
        let at = self.resolve(path, true)?;
        self.0.get_mut(&at).ok_or(Errno::NoEntry)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.get(path).is_ok()
    }

    pub(crate) fn is_dir(&self, path: &str) -> bool {
        self.get(path).is_ok_and(|node| node.kind == Kind::Dir)
    }

    /// A file's bytes.
    pub(crate) fn read(&self, path: &str) -> Result<&[u8]> {
        match &self.get(path)?.kind {
            Kind::File(content) => Ok(&content.0),
            Kind::Program(name) => Ok(name.as_bytes()),
            Kind::Null => Ok(b""),
            Kind::Dir => Err(Errno::IsDirectory),
            Kind::Link(_) => Err(Errno::Loop),
        }
    }

    /// A file's text; other bytes are replaced.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        self.read(path)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Makes the file or replaces what is in it; owner and mode of a file that is there stay.
    pub(crate) fn write(&mut self, path: &str, bytes: Vec<u8>, now_s: u64) -> Result<()> {
        let at = self.resolve(path, true)?;
        let old = self.0.get(&at);
        match old.map(|node| &node.kind) {
            Some(Kind::Dir) => return Err(Errno::IsDirectory),
            Some(Kind::Null) => return Ok(()),
            _ if path.ends_with('/') => return Err(Errno::IsDirectory),
            _ => {}
        }
        let used: usize = self.0.values().map(Node::size).sum();
        if used - old.map_or(0, Node::size) + bytes.len() > DISK_BYTES {
            return Err(Errno::NoSpace);
        }
        let kind = Kind::File(Content(bytes));
        match self.0.get_mut(&at) {
            Some(node) => {
                node.kind = kind;
                node.mtime_s = now_s;
                Ok(())
            }
            None => self.insert(&at, Node::new(kind, 0o644, now_s)),
        }
    }

    /// Puts a node where there is none; its directory must be there.
    pub(crate) fn insert(&mut self, path: &str, node: Node) -> Result<()> {
        let at = self.resolve(path, false)?;
        if at == "/" || self.0.contains_key(&at) {
            return Err(Errno::Exists);
        }
        self.0.insert(at, node);
        Ok(())
    }

    /// Makes a directory and those above it; one that is there is fine. Gives the paths that were made.
    pub(crate) fn make_dirs(&mut self, path: &str, now_s: u64) -> Result<Vec<String>> {
        let mut made = Vec::new();
        let mut at = String::new();
        for part in parts(path) {
            at = format!("{at}/{part}");
            match self.get(&at).map(|node| &node.kind) {
                Ok(Kind::Dir) => {}
                Ok(_) => return Err(Errno::NotDirectory),
                Err(Errno::NoEntry) => {
                    self.insert(&at, Node::dir(now_s))?;
                    made.push(at.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }

    /// Removes a file or link.
    pub(crate) fn unlink(&mut self, path: &str) -> Result<()> {
        let at = self.resolve(path, false)?;
        match self.at(&at)?.kind {
            Kind::Dir => Err(Errno::IsDirectory),
            _ => self.0.remove(&at).map(drop).ok_or(Errno::NoEntry),
        }
    }

    /// Removes whatever is there, with all below it.
    pub(crate) fn remove_tree(&mut self, path: &str) -> Result<()> {
        let at = self.resolve(path, false)?;
        if at == "/" {
            return Err(Errno::Invalid);
        }
        self.at(&at)?;
        let below = format!("{at}/");
        self.0
            .retain(|path, _| *path != at && !path.starts_with(&below));
        Ok(())
    }

    /// Moves a node with all below it over whatever file is at the goal.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.resolve(from, false)?, self.resolve(to, false)?);
        let is_dir = self.at(&from)?.kind == Kind::Dir;
        if from == to {
            return Ok(());
        }
        let below = format!("{from}/");
        if from == "/" || to == "/" || to.starts_with(&below) {
            return Err(Errno::Invalid);
        }
        match (is_dir, self.0.get(&to).map(|node| &node.kind)) {
            (true, Some(Kind::Dir)) if self.children(&to).next().is_some() => {
                return Err(Errno::NotEmpty);
            }
            (false, Some(Kind::Dir)) => return Err(Errno::IsDirectory),
            (true, Some(Kind::Dir)) | (_, None) | (false, Some(_)) => {}
            (true, Some(_)) => return Err(Errno::NotDirectory),
        }
        let moving: Vec<String> = self
            .0
            .keys()
            .filter(|path| **path == from || path.starts_with(&below))
            .cloned()
            .collect();
        for old in moving {
            if let Some(node) = self.0.remove(&old) {
                let new = format!("{to}{}", old.get(from.len()..).unwrap_or_default());
                self.0.insert(new, node);
            }
        }
        Ok(())
    }

    /// Names and nodes of a directory, in order; `path` as [`Files::resolve`] gives it.
    pub(crate) fn children<'a>(
        &'a self,
        path: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let prefix = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        let after = prefix.clone();
        self.0
            .range(prefix.clone()..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .filter_map(move |(path, node)| {
                let name = path.get(after.len()..)?;
                (!name.contains('/')).then_some((name, node))
            })
    }
}

static ROOT: Node = Node {
    kind: Kind::Dir,
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime_s: 0,
};

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Files {
        let mut files = Files::default();
        files.make_dirs("/usr/bin", 1).unwrap();
        files.write("/usr/bin/x", b"x".to_vec(), 1).unwrap();
        let link = |target: &str| Node::new(Kind::Link(target.to_owned()), 0o777, 1);
        files.insert("/bin", link("usr/bin")).unwrap();
        files.insert("/loop", link("/loop")).unwrap();
        files
    }

    #[test]
    fn links_are_followed_and_loops_end() {
        let files = tree();
        assert_eq!(files.resolve("/bin/x", true).unwrap(), "/usr/bin/x");
        assert_eq!(files.resolve("/bin", false).unwrap(), "/bin");
        assert_eq!(files.resolve("/bin/../y", true).unwrap(), "/usr/y");
        assert_eq!(files.resolve("/loop/x", true), Err(Errno::Loop));
        assert_eq!(files.read("/usr/bin/x/y"), Err(Errno::NotDirectory));
        assert_eq!(files.read("/nothing/y"), Err(Errno::NoEntry));
        assert_eq!(files.read("/usr/"), Err(Errno::IsDirectory));
    }

    #[test]
    fn a_directory_moves_with_what_is_in_it() {
        let mut files = tree();
        files.rename("/usr", "/opt").unwrap();
        assert_eq!(files.read("/opt/bin/x").unwrap(), b"x");
        assert!(!files.exists("/usr") && !files.exists("/bin/x"));
        assert_eq!(files.rename("/opt", "/opt/bin/y"), Err(Errno::Invalid));
    }

    #[test]
    fn only_direct_children_are_listed() {
        let files = tree();
        let names: Vec<&str> = files.children("/").map(|(name, _)| name).collect();
        assert_eq!(names, ["bin", "loop", "usr"]);
    }

    #[test]
    fn the_disk_has_an_end() {
        let mut files = tree();
        let huge = vec![0; DISK_BYTES];
        assert_eq!(files.write("/huge", huge, 1), Err(Errno::NoSpace));
        assert!(!files.exists("/huge"));
    }

    #[test]
    fn bytes_of_any_kind_survive_json() {
        for bytes in [b"text\n".to_vec(), vec![0xff, 0, 1]] {
            let content = Content(bytes);
            let text = serde_json::to_string(&content).unwrap();
            assert_eq!(serde_json::from_str::<Content>(&text).unwrap(), content);
        }
    }
}
