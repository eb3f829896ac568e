//! What the name of a volume says: which kind of content it is, and whose (pve-storage, `Plugin.pm`, `parse_volname`).

use super::super::error::ApiError;
use super::super::image_name;
use super::super::world::World;

/// A name, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// `images`, `vztmpl`, `backup` …
    pub(crate) kind: &'static str,
    /// The guest it is of.
    pub(crate) owner: Option<u32>,
}

const TEMPLATES: [&str; 5] = [".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"];
const BACKUPS: [&str; 11] = [
    ".tgz", ".tar", ".tar.gz", ".tar.lzo", ".tar.zst", ".tar.bz2", ".vma", ".vma.gz", ".vma.lzo",
    ".vma.zst", ".vma.bz2",
];
const IMAGES: [&str; 4] = [".raw", ".qcow2", ".vmdk", ".subvol"];
const IMPORTS: [&str; 5] = [".ova", ".ovf", ".qcow2", ".raw", ".vmdk"];

fn ends(name: &str, endings: &[&str]) -> bool {
    let longer = |ending: &&&str| name.len() > ending.len() && name.ends_with(**ending);
    endings.iter().any(|ending| longer(&ending))
}

/// The guest a backup is of.
fn owner_of_backup(file: &str) -> Option<u32> {
    let rest = file.strip_prefix("vzdump-")?;
    let (kind, rest) = rest.split_once('-')?;
    let (vmid, _) = rest.split_once('-')?;
    let known = matches!(kind, "openvz" | "lxc" | "qemu");
    vmid.parse().ok().filter(|_| known)
}

/// A name in a storage of folders.
fn parse_name(name: &str) -> Result<Parsed, String> {
    let odd = || Err(format!("unable to parse directory volume name '{name}'"));
    let Some((folder, file)) = name.split_once('/') else {
        return odd();
    };
    let of = |kind, owner| Ok(Parsed { kind, owner });
    if folder.bytes().all(|b| b.is_ascii_digit()) && !file.is_empty() {
        let last = file.rsplit('/').next().unwrap_or_default();
        let owner = match file.split('/').collect::<Vec<_>>().as_slice() {
            [_, vmid, _] => vmid.parse().ok(),
            _ => folder.parse().ok(),
        };
        if file.contains(char::is_whitespace) {
            return odd();
        }
        if !ends(last, &IMAGES) {
            return Err(format!("unable to parse volume filename '{last}'"));
        }
        return of("images", owner);
    }
    let lower = file.to_ascii_lowercase();
    match folder {
        _ if file.is_empty() || file.contains('/') => odd(),
        "iso" if ends(&lower, &[".iso", ".img"]) => of("iso", None),
        "vztmpl" if ends(&lower, &TEMPLATES) => of("vztmpl", None),
        "backup" if ends(file, &BACKUPS) => of("backup", owner_of_backup(file)),
        "snippets" => of("snippets", None),
        "import" if ends(file, &IMPORTS) => of("import", None),
        _ => odd(),
    }
}

/// Reads a volume id, whose storage has to be there.
pub(crate) fn parse(world: &World, volid: &str) -> Result<Parsed, ApiError> {
    let (storage, name) = volid.split_once(':').unwrap_or_default();
    let Some(found) = world.storage(storage) else {
        let text = format!("storage '{storage}' does not exist");
        return Err(ApiError::died(text));
    };
    if found.kind == "zfspool" {
        let owner = image_name::owner_in_pool(name);
        let owner = owner.ok_or_else(|| format!("unable to parse zfs volume name '{name}'"));
        let owner = Some(owner.map_err(ApiError::died)?);
        return Ok(Parsed {
            kind: "images",
            owner,
        });
    }
    parse_name(name).map_err(ApiError::died)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are_of_and_whose() {
        for (name, kind, owner) in [
            ("100/vm-100-disk-0.raw", "images", Some(100)),
            (
                "100/base-100-disk-0.raw/101/vm-101-disk-0.raw",
                "images",
                Some(101),
            ),
            ("iso/a.ISO", "iso", None),
            ("vztmpl/web_1.0.tar", "vztmpl", None),
            ("vztmpl/none.tar.zst", "vztmpl", None),
            (
                "backup/vzdump-lxc-166-2026_11_20-10_20_15.tar.zst",
                "backup",
                Some(166),
            ),
            ("backup/other.tar", "backup", None),
            ("snippets/hook.sh", "snippets", None),
            ("import/a.qcow2", "import", None),
        ] {
            assert_eq!(parse_name(name), Ok(Parsed { kind, owner }), "{name}");
        }
    }

    #[test]
    fn what_has_another_form_is_refused() {
        for name in [
            "vol",
            "vztmpl/a.zip",
            "backup/a.zip",
            "vztmpl/a/b.tar",
            "nosuch/a.raw",
        ] {
            let text = format!("unable to parse directory volume name '{name}'");
            assert_eq!(parse_name(name), Err(text));
        }
        let text = "unable to parse volume filename 'disk'";
        assert_eq!(parse_name("100/disk"), Err(text.into()));
    }
}
