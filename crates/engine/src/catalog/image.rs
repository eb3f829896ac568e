//! What an app's container is made of where that is an OCI image, and what it is started with. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use proximity_domain::image::{
    ImageDigest, ImageOptions, file_stem, value_objection, word_objection,
};
use proximity_pve::image::OciImage;

use super::error::SettingErrors;
use super::escape::Escape;
use super::format::{ImageVolume, OciFile};
use super::setting::{Setting, SettingValue};
use super::template::{self, Names};

/// How errors call the command and the variables.
const ENTRYPOINT: &str = "oci.entrypoint";
const ENV: &str = "oci.env";

/// An image of a registry that a container is made of. Nothing is set up inside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Repository and tag.
    pub reference: OciImage,
    /// What the image has to be, whatever the tag leads to.
    pub digest: ImageDigest,
    /// Volumes that are made with the container, in this order.
    pub volumes: Vec<ImageVolume>,
    /// Templates of the program and its arguments; none if the image's own is run.
    entrypoint: Vec<String>,
    /// Names of variables and the templates of their values.
    env: Vec<(String, String)>,
}

impl Image {
    /// From a part of a file that was checked; `None` if it is not right all the same.
    pub(super) fn from_file(file: OciFile) -> Option<Self> {
        let env = file.env.into_iter();
        Some(Self {
            reference: file.image.parse().ok()?,
            digest: file.digest.parse().ok()?,
            volumes: file.volumes,
            entrypoint: file.entrypoint,
            env: env.map(|one| (one.name, one.value)).collect(),
        })
    }

    /// The name of the file that it is pulled into, without its ending.
    pub(crate) fn stem(&self) -> String {
        file_stem(&self.reference.to_string(), &self.digest)
    }

    /// The name of that file.
    pub(crate) fn file(&self) -> String {
        format!("{}.tar", self.stem())
    }

    /// Room for all its volumes, GiB.
    pub(crate) fn volumes_gib(&self) -> u64 {
        let sizes = self.volumes.iter().map(|one| u64::from(one.size_gib));
        sizes.sum()
    }

    /// What the container is started with. That no secret is in it was checked when the entry was read: it stands in the container's
    /// configuration, which others than the app's owner read.
    pub(super) fn filled(&self, names: &Arc<Names>) -> Result<ImageOptions, SettingErrors> {
        let fill = |place: &str, template: &str| {
            template::render(template, Escape::Plain, Arc::clone(names))
                .map_err(|reason| SettingErrors::one(place, reason))
        };
        let mut entrypoint = Vec::new();
        for word in &self.entrypoint {
            let word = fill(ENTRYPOINT, word)?;
            if let Some(reason) = word_objection(&word) {
                return Err(SettingErrors::one(ENTRYPOINT, reason.to_owned()));
            }
            entrypoint.push(word);
        }
        let mut env = BTreeMap::new();
        for (name, value) in &self.env {
            let value = fill(ENV, value)?;
            if let Some(reason) = value_objection(&value) {
                return Err(SettingErrors::one(ENV, format!("{name} {reason}")));
            }
            env.insert(name.clone(), value);
        }
        Ok(ImageOptions { entrypoint, env })
    }

    /// Values that cannot be a part of a word of the command line.
    pub(super) fn objections(
        &self,
        values: &[(&Setting, SettingValue)],
        errors: &mut SettingErrors,
    ) {
        for word in &self.entrypoint {
            let used = template::used_settings(word).unwrap_or_default();
            for (setting, value) in values.iter().filter(|(one, _)| used.contains(&one.name)) {
                let text = value.to_json();
                let text = text.as_str().filter(|text| !text.is_empty());
                if let Some(reason) = text.and_then(word_objection) {
                    errors.add(&setting.env, reason.to_owned());
                }
            }
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
