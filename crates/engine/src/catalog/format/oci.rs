//! What an app's container is made of, where that is an OCI image.

use garde::Validate;
use proximity_domain::image::ImageDigest;
use proximity_pve::image::OciImage;
use serde::Deserialize;

use super::program;
use super::steps::plain_path;
use crate::catalog::words::GuestPath;

/// An image of a registry, and what its container is started with.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(in crate::catalog) struct OciFile {
    /// Repository and tag, e.g. `docker.io/library/nginx:1.29-alpine`.
    #[garde(length(bytes, max = 200), custom(image_name))]
    pub(in crate::catalog) image: String,
    /// Digest of its configuration.
    #[garde(custom(image_digest))]
    pub(in crate::catalog) digest: String,
    /// Program (absolute path) and arguments in the place of the image's own. Each is a template by itself, and one word.
    #[serde(default)]
    #[garde(length(max = 64), inner(length(bytes, max = 4096)), custom(program))]
    pub(in crate::catalog) entrypoint: Vec<String>,
    /// Variables, in the place of those of the image that have the same names.
    #[serde(default)]
    #[garde(length(max = 64), dive)]
    pub(in crate::catalog) env: Vec<EnvFile>,
    /// Volumes that are made with the container.
    #[serde(default)]
    #[garde(length(max = 16), dive)]
    pub(in crate::catalog) volumes: Vec<ImageVolume>,
}

/// A variable that the program of an image is started with.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(in crate::catalog) struct EnvFile {
    #[garde(pattern(r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"))]
    pub(in crate::catalog) name: String,
    /// A template.
    #[garde(length(bytes, max = 4096))]
    pub(in crate::catalog) value: String,
}

/// A volume that is made with a container and goes with it. What an app keeps belongs onto one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ImageVolume {
    /// Where it is in the container.
    #[garde(custom(plain_path))]
    pub path: GuestPath,
    /// Its size, GiB.
    #[garde(range(min = 1, max = 16_384))]
    pub size_gib: u32,
}

fn image_name(text: &str, _: &()) -> garde::Result {
    match text.parse::<OciImage>() {
        Ok(_) => Ok(()),
        Err(bad) => Err(garde::Error::new(bad.rule)),
    }
}

fn image_digest(text: &str, _: &()) -> garde::Result {
    match text.parse::<ImageDigest>() {
        Ok(_) => Ok(()),
        Err(bad) => Err(garde::Error::new(bad.rule)),
    }
}
