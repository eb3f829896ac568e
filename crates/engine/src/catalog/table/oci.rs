//! What an entry says of the image that its container is made of.

use super::rules::{ARGUMENT, DIGEST, IMAGE, PATH, VARIABLE};
use super::{Object, Shape, needed, optional};

pub(in crate::catalog) static OCI: Object = Object {
    name: "Oci",
    about: "An image of a registry, and what its container is started with.",
    one_of: &[],
    fields: &[
        needed(
            "image",
            "Repository and tag, such as docker.io/library/nginx:1.29-alpine.",
            Shape::Text(&IMAGE),
        ),
        needed(
            "digest",
            "Digest of its configuration, as skopeo says it when it copies the image to an oci-archive.",
            Shape::Text(&DIGEST),
        ),
        optional(
            "entrypoint",
            "Program (absolute path) and arguments in the place of the image's own; each is a template and one word.",
            Shape::Texts(&ARGUMENT, 0, 64),
        ),
        optional(
            "env",
            "Variables, in the place of those of the image that have the same names.",
            Shape::Objects(&OCI_ENV, 0, 64),
        ),
        optional(
            "volumes",
            "Volumes that are made with the container and go with it.",
            Shape::Objects(&OCI_VOLUME, 0, 16),
        ),
    ],
};

pub(in crate::catalog) static OCI_ENV: Object = Object {
    name: "Variable",
    about: "A variable that the program is started with.",
    one_of: &[],
    fields: &[
        needed("name", "Its name.", Shape::Text(&VARIABLE)),
        needed(
            "value",
            "A template; no secret, for it stands in the container's configuration.",
            Shape::Text(&ARGUMENT),
        ),
    ],
};

pub(in crate::catalog) static OCI_VOLUME: Object = Object {
    name: "Volume",
    about: "A volume of the container, which is in its backups.",
    one_of: &[],
    fields: &[
        needed("path", "Where it is in the container.", Shape::Text(&PATH)),
        needed("size_gib", "Its size, GiB.", Shape::Integer(1, 16_384)),
    ],
};
