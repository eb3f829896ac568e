//! The OS template of the guests: a Debian made by debootstrap, once, and kept in a cache directory.
//!
//! `CACHE/template-HASH/` holds the archive as Proxmox names it and `base.unpriv`, the same tree unpacked with its
//! owners shifted into the guests' user namespace, which overlay clones use as their lower layer. HASH covers the
//! whole recipe, so a changed recipe makes a new directory and running guests keep theirs.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::error::LabError;
use super::lock::lock_exclusive;
use super::program::Program;
use super::recipe;
use super::shift::shift_owners;

/// Archive name, as in `pveam available`.
pub const TEMPLATE_NAME: &str = "debian-12-standard_12.0-1_amd64.tar.zst";
/// First host id of the guests' user namespace, as Proxmox has it.
pub const SHIFT: u32 = 100_000;
/// Number of ids in the guests' user namespace.
pub const SHIFT_COUNT: u32 = 65_536;

/// A finished template.
#[derive(Debug, Clone)]
pub struct Template {
    /// The archive, `…/debian-12-standard_12.0-1_amd64.tar.zst`.
    pub archive: PathBuf,
    /// The unpacked tree with shifted owners.
    pub base: PathBuf,
    /// Size of the archive, bytes.
    pub archive_bytes: u64,
    /// When it was made, Unix seconds.
    pub made_s: u64,
}

/// Makes the template if the cache does not hold it; a second caller waits for the first.
///
/// Flow: lock the cache; if the directory of this recipe is there, done; otherwise build under a temporary name and
/// rename. Guarantees: a killed build is never taken for a template. Assumptions: root, Debian's mirror is reachable.
///
/// # Errors
/// A step's program failed (the text names it), or the cache cannot be written.
pub async fn ensure_template(cache: &Path) -> Result<Template, LabError> {
    std::fs::create_dir_all(cache).map_err(LabError::io(format!("create {}", cache.display())))?;
    let authorities = recipe::host_authorities()?;
    let directory = cache.join(format!("template-{}", recipe_hash(&authorities)));
    if let Some(template) = existing(&directory)? {
        return Ok(template);
    }
    let _lock = lock_exclusive(
        &cache.join("lock"),
        "another lab builds the template; waiting",
    )
    .await?;
    if let Some(template) = existing(&directory)? {
        return Ok(template);
    }
    build(cache, &directory, &authorities).await?;
    existing(&directory)?.ok_or_else(|| LabError::BadState {
        path: directory,
        reason: "the template is missing right after it was built".to_owned(),
    })
}

fn existing(directory: &Path) -> Result<Option<Template>, LabError> {
    let archive = directory.join(TEMPLATE_NAME);
    let base = directory.join("base.unpriv");
    match std::fs::metadata(&archive) {
        Ok(meta) if base.is_dir() => {
            let made_s = u64::try_from(meta.mtime()).unwrap_or(0);
            Ok(Some(Template {
                archive,
                base,
                archive_bytes: meta.len(),
                made_s,
            }))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LabError::Io {
            what: format!("look at {}", archive.display()),
            source,
        }),
    }
}

fn recipe_hash(authorities: &[(String, Vec<u8>)]) -> String {
    let mut hash = Sha256::new();
    hash.update(recipe::text());
    for (name, bytes) in authorities {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    hex::encode(&hash.finalize()[..6])
}

async fn build(
    cache: &Path,
    directory: &Path,
    authorities: &[(String, Vec<u8>)],
) -> Result<(), LabError> {
    let building = cache.join("building");
    remove_tree(&building).await?;
    std::fs::create_dir(&building)
        .map_err(LabError::io(format!("create {}", building.display())))?;
    let rootfs = building.join("rootfs");
    tracing::info!(
        mirror_suite = recipe::SUITE,
        "template: debootstrap (about a minute)"
    );
    bootstrap(&rootfs).await?;
    tracing::info!("template: configuring");
    recipe::configure(&rootfs, authorities).await?;
    tracing::info!("template: packing");
    pack(&rootfs, &building.join(TEMPLATE_NAME)).await?;
    let base = building.join("base.unpriv");
    let from = rootfs.clone();
    let to = base.clone();
    blocking(move || {
        std::fs::rename(&from, &to).map_err(LabError::io("rename the unpacked tree"))?;
        shift_owners(&to, SHIFT, SHIFT_COUNT)
    })
    .await?;
    flush(&building)?;
    std::fs::rename(&building, directory)
        .map_err(LabError::io(format!("rename to {}", directory.display())))?;
    tracing::info!(path = %directory.display(), "template: ready");
    Ok(())
}

async fn bootstrap(rootfs: &Path) -> Result<(), LabError> {
    Program::new("debootstrap")
        .args([
            "--variant=minbase",
            &format!("--include={}", recipe::PACKAGES),
            recipe::SUITE,
        ])
        .args([rootfs])
        .limit(Duration::from_secs(900))
        .succeed()
        .await
        .map(drop)
}

async fn pack(rootfs: &Path, archive: &Path) -> Result<(), LabError> {
    Program::new("tar")
        .args([
            "--numeric-owner",
            "--xattrs",
            "--exclude=./dev/*",
            "-I",
            "zstd -T0 -3 -q",
            "-C",
        ])
        .args([
            rootfs.as_os_str(),
            "-cf".as_ref(),
            archive.as_os_str(),
            ".".as_ref(),
        ])
        .limit(Duration::from_secs(300))
        .succeed()
        .await
        .map(drop)
}

fn flush(directory: &Path) -> Result<(), LabError> {
    let what = || format!("flush {}", directory.display());
    let file = File::open(directory).map_err(LabError::io(what()))?;
    // One call for the whole file system: tens of thousands of files are cheaper this way than one by one.
    rustix::fs::syncfs(&file).map_err(|errno| LabError::io(what())(errno.into()))
}

/// Removes a tree that may not be there, without blocking the runtime.
pub(crate) async fn remove_tree(path: &Path) -> Result<(), LabError> {
    let path = path.to_owned();
    blocking(move || match std::fs::remove_dir_all(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(LabError::Io {
            what: format!("remove {}", path.display()),
            source,
        }),
    })
    .await
}

/// Runs blocking file work on the pool made for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LabError> + Send + 'static,
) -> Result<T, LabError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(LabError::Io {
                what: "file work ended early".to_owned(),
                source: error.into(),
            })
        })
}
