//! Names of images: what they say, and how they are made (pve-storage, `Plugin.pm` and `ZFSPoolPlugin.pm`).
//!
//! In folders an image is `100/vm-100-disk-0.raw`. A pool of ZFS has no folders: there it is `subvol-100-disk-0`, as a template's
//! `basevol-100-disk-0`, and what shares with a template is `basevol-100-disk-0/subvol-101-disk-0`.

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A disk, with a file system made on it.
    Raw,
    /// A file system of the storage's own.
    Subvolume,
}

impl Form {
    /// What a kind of storage makes for a container; one without a size has no disk to be on.
    pub(crate) fn for_container(kind: &str, size_bytes: u64) -> Self {
        match kind {
            "zfspool" => Self::Subvolume,
            "dir" | "btrfs" if size_bytes == 0 => Self::Subvolume,
            _ => Self::Raw,
        }
    }

    /// What a name says in a kind of storage.
    pub(crate) fn of(kind: &str, name: &str) -> Self {
        let file = file_of(name);
        let subvolume = match kind {
            "zfspool" => file.starts_with("subvol-") || file.starts_with("basevol-"),
            _ => file.ends_with(".subvol"),
        };
        if subvolume {
            Self::Subvolume
        } else {
            Self::Raw
        }
    }

    /// As the API calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Subvolume => "subvol",
        }
    }
}

/// What the ending of a file in a folder says it is; nothing of one that can be no image.
pub(crate) fn ending_of(file: &str) -> Option<&str> {
    let (stem, ending) = file.rsplit_once('.')?;
    let odd = stem.is_empty() || file.contains('/') || file.contains(char::is_whitespace);
    let known = ["raw", "qcow2", "vmdk", "subvol"].contains(&ending);
    Some(ending).filter(|_| known && !odd)
}

/// What an image is, as the API calls it.
pub(crate) fn format_of<'a>(kind: &str, name: &'a str) -> &'a str {
    match kind {
        "zfspool" => Form::of(kind, name).word(),
        _ => ending_of(file_of(name)).unwrap_or("raw"),
    }
}

/// A name without what stands before its last slash.
pub(crate) fn file_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

/// The template's image that one of a kind of storage shares with.
pub(crate) fn shares_with<'a>(kind: &str, name: &'a str) -> Option<&'a str> {
    let (base, _) = name.rsplit_once('/').filter(|_| kind == "zfspool")?;
    Some(base)
}

/// Whether an image is a template's.
pub(crate) fn is_base(name: &str) -> bool {
    let file = file_of(name);
    file.starts_with("base-") || file.starts_with("basevol-")
}

/// The name of a container's disk of a number.
pub(crate) fn numbered(kind: &str, form: Form, vmid: u32, number: u32) -> String {
    let prefix = match form {
        Form::Raw => "vm",
        Form::Subvolume => "subvol",
    };
    let file = format!("{prefix}-{vmid}-disk-{number}");
    if kind == "zfspool" {
        file
    } else {
        format!("{vmid}/{file}.{}", form.word())
    }
}

/// The number of a container's disk that a name takes, whatever form it is of.
pub(crate) fn number_of(name: &str, vmid: u32) -> Option<u32> {
    let (prefix, rest) = file_of(name).split_once(&format!("-{vmid}-disk-"))?;
    let end = rest.find(|found: char| !found.is_ascii_digit());
    let digits = &rest[..end.unwrap_or(rest.len())];
    let known = ["vm", "base", "subvol", "basevol"].contains(&prefix);
    digits.parse().ok().filter(|_| known)
}

/// What an image is called when it has become a template's. A folder keeps its name.
pub(crate) fn as_base(kind: &str, name: &str) -> String {
    let file = file_of(name);
    let before = &name[..name.len() - file.len()];
    let swapped = |from: &str, to: &str| Some(format!("{before}{to}{}", file.strip_prefix(from)?));
    let subvolume = swapped("subvol-", "basevol-").filter(|_| kind == "zfspool");
    let new = subvolume.or_else(|| swapped("vm-", "base-"));
    new.unwrap_or_else(|| name.to_owned())
}

/// The guest whose image a name in a pool of ZFS is; nothing of a name that is none.
pub(crate) fn owner_in_pool(name: &str) -> Option<u32> {
    let of = |file: &str, kinds: &[&str]| {
        let (kind, rest) = file.split_once('-')?;
        let (vmid, rest) = rest.split_once('-')?;
        let odd = rest.is_empty() || file.contains(char::is_whitespace);
        let known = kinds.contains(&kind) && !odd && vmid.bytes().all(|b| b.is_ascii_digit());
        vmid.parse::<u32>().ok().filter(|_| known)
    };
    if let Some((base, _)) = name.rsplit_once('/') {
        of(base, &["base", "basevol"])?;
    }
    of(file_of(name), &["base", "basevol", "vm", "subvol"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_subvolumes_and_folders_keep_what_has_no_size_so() {
        for (kind, size_bytes, name) in [
            ("zfspool", 1 << 30, "subvol-100-disk-0"),
            ("zfspool", 0, "subvol-100-disk-0"),
            ("dir", 1 << 30, "100/vm-100-disk-0.raw"),
            ("dir", 0, "100/subvol-100-disk-0.subvol"),
            ("btrfs", 0, "100/subvol-100-disk-0.subvol"),
        ] {
            let form = Form::for_container(kind, size_bytes);
            assert_eq!(numbered(kind, form, 100, 0), name);
            assert_eq!(Form::of(kind, name), form, "{name}");
        }
    }

    #[test]
    fn a_file_says_what_it_is_by_its_ending() {
        for (name, format) in [
            ("100/a.qcow2", "qcow2"),
            ("100/a.b.vmdk", "vmdk"),
            ("100/subvol-100-disk-0.subvol", "subvol"),
            ("100/odd", "raw"),
        ] {
            assert_eq!(format_of("dir", name), format);
        }
        for none in ["vm-100-disk-0", ".raw", "a b.raw", "a/b.raw", "a.tar.gz"] {
            assert_eq!(ending_of(none), None, "{none}");
        }
        assert_eq!(format_of("zfspool", "subvol-100-disk-0"), "subvol");
        assert_eq!(format_of("zfspool", "vm-100-disk-0"), "raw");
    }

    #[test]
    fn templates_have_names_of_their_own() {
        for (kind, name, base) in [
            ("dir", "100/vm-100-disk-0.raw", "100/base-100-disk-0.raw"),
            (
                "dir",
                "100/subvol-100-disk-0.subvol",
                "100/subvol-100-disk-0.subvol",
            ),
            ("zfspool", "subvol-100-disk-0", "basevol-100-disk-0"),
            ("zfspool", "vm-100-disk-0", "base-100-disk-0"),
            (
                "zfspool",
                "basevol-100-disk-0/subvol-101-disk-0",
                "basevol-100-disk-0/basevol-101-disk-0",
            ),
        ] {
            assert_eq!(as_base(kind, name), base);
            assert!(!is_base(name) && is_base(base) == (name != base), "{name}");
        }
    }

    #[test]
    fn numbers_are_taken_in_every_form() {
        for (name, number) in [
            ("100/vm-100-disk-3.raw", Some(3)),
            ("100/subvol-100-disk-12.subvol", Some(12)),
            ("basevol-99-disk-1/subvol-100-disk-7", Some(7)),
            ("basevol-100-disk-7", Some(7)),
            ("subvol-101-disk-7", None),
            ("100/vm-100-data.raw", None),
        ] {
            assert_eq!(number_of(name, 100), number, "{name}");
        }
    }

    #[test]
    fn a_name_in_a_pool_says_whose_it_is() {
        for (name, owner) in [
            ("subvol-100-disk-0", Some(100)),
            ("vm-100-x", Some(100)),
            ("basevol-100-disk-0/subvol-101-disk-0", Some(101)),
            ("subvol-100-disk-0/subvol-101-disk-0", None),
            ("100/vm-100-disk-0.raw", None),
            ("disk-100-0", None),
            ("subvol-100-", None),
        ] {
            assert_eq!(owner_in_pool(name), owner, "{name}");
        }
        let shared = "basevol-100-disk-0/subvol-101-disk-0";
        assert_eq!(shares_with("zfspool", shared), Some("basevol-100-disk-0"));
        assert_eq!(shares_with("zfspool", "subvol-101-disk-0"), None);
        assert_eq!(shares_with("dir", "100/vm-100-disk-0.raw"), None);
    }
}
