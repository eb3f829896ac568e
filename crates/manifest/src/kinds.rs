//! The kinds of documents: one table of what each is made of.

use std::net::IpAddr;
use std::str::FromStr;

use proximity_domain::made_with::{MOST_APART, MOST_KEYS};
use proximity_domain::manifest::{API_VERSION, Kind, Policy, RootMode, WantedPower};
use proximity_domain::names::{
    BadName, BridgeName, CatalogId, HostLabel, Hostname, ManifestName, NodeName, SecretName,
    SettingName, ValueName,
};
use proximity_domain::network::NetworkWish;
use proximity_domain::site::NameWish;

use crate::ignored::{self, MOST_IGNORED};
use crate::shape::{Field, Object, Rule, Shape};

/// Characters of a setting's text: more no catalog entry takes.
pub(crate) const MOST_SETTING_CHARS: usize = 8192;

fn follows<T: FromStr<Err = BadName>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|bad| bad.to_string())
}

static HOSTNAME: Rule = Rule {
    pattern: "^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$",
    check: follows::<Hostname>,
    hint: None,
};
static NAME: Rule = Rule {
    pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    check: follows::<ManifestName>,
    hint: None,
};
static CATALOG_ID: Rule = Rule {
    pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    check: follows::<CatalogId>,
    hint: None,
};
static HOST: Rule = Rule {
    pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    check: follows::<HostLabel>,
    hint: None,
};
static NODE: Rule = Rule {
    pattern: "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$",
    check: follows::<NodeName>,
    hint: None,
};
static SECRET: Rule = Rule {
    pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    check: follows::<SecretName>,
    hint: None,
};
/// Names of settings.
pub(crate) static SETTING: Rule = Rule {
    pattern: "^[A-Za-z][A-Za-z0-9_]{0,47}$",
    check: follows::<SettingName>,
    hint: None,
};
/// Names of values, each part by itself.
pub(crate) static VALUE: Rule = Rule {
    pattern: "^[A-Za-z][A-Za-z0-9_-]{0,47}$",
    check: follows::<ValueName>,
    hint: None,
};
/// Texts of settings.
pub(crate) static LINE: Rule = Rule {
    pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
    check: |text| {
        if text.chars().any(char::is_control) {
            Err("a setting is one line without control characters".to_owned())
        } else if text.chars().nth(MOST_SETTING_CHARS).is_some() {
            Err(format!(
                "a setting has at most {MOST_SETTING_CHARS} characters"
            ))
        } else {
            Ok(())
        }
    },
    hint: None,
};

static BRIDGE: Rule = Rule {
    pattern: "^[A-Za-z0-9_.-]{1,15}$",
    check: follows::<BridgeName>,
    hint: None,
};
static HOST_NAME: Rule = Rule {
    pattern: "^(none|[a-z0-9.-]{1,253})$",
    check: follows::<NameWish>,
    hint: None,
};
static PATH: Rule = Rule {
    pattern: "^/[^\\u0000-\\u001f\\u007f-\\u009f{}]{0,999}$",
    check: |text| {
        let is_odd = |c: char| c.is_control() || c == '{' || c == '}';
        if text.starts_with('/') && text.len() <= 1000 && !text.contains(is_odd) {
            Ok(())
        } else {
            Err("a file is named by its whole path, of at most 1000 characters, without control characters and braces".to_owned())
        }
    },
    hint: None,
};
/// A public key as OpenSSH writes it: its kind, the key, and maybe a comment. Whether it is one is looked at where the document is planned.
static KEY: Rule = Rule {
    pattern: "^(ssh|ecdsa|sk)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\\u0000-\\u001f\\u007f-\\u009f]*)?$",
    check: |text| {
        let mut parts = text.splitn(3, ' ');
        let kind = parts.next().unwrap_or_default();
        let is_of_kind = |b: u8| b.is_ascii_alphanumeric() || b"@.-".contains(&b);
        let is_kind = ["ssh-", "ecdsa-", "sk-"].iter().any(|begins| {
            let rest = kind.strip_prefix(begins);
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_of_kind))
        });
        let is_of_key = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
        let key = parts.next().unwrap_or_default();
        let is_key = !key.is_empty() && key.bytes().all(is_of_key);
        let comment = parts.next().unwrap_or_default();
        if is_kind && is_key && !comment.chars().any(char::is_control) {
            Ok(())
        } else {
            Err(
                "a public key is one line of OpenSSH's form, as in a file that ends in .pub"
                    .to_owned(),
            )
        }
    },
    hint: None,
};
static ADDRESS: Rule = Rule {
    pattern: "^[0-9A-Fa-f:.]{2,45}$",
    check: |text| match text.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err("an address is written without a prefix, e.g. 192.0.2.1".to_owned()),
    },
    hint: None,
};
static IPV4: Rule = Rule {
    pattern: "^(dhcp|[0-9.]{7,15}/[0-9]{1,2})$",
    check: |text| {
        attached(NetworkWish {
            ipv4: Some(text.to_owned()),
            ..NetworkWish::default()
        })
    },
    hint: None,
};
static IPV6: Rule = Rule {
    pattern: "^(none|auto|dhcp|[0-9A-Fa-f:.]{2,45}/[0-9]{1,3})$",
    check: |text| {
        attached(NetworkWish {
            ipv6: Some(text.to_owned()),
            ..NetworkWish::default()
        })
    },
    hint: None,
};
static DOMAIN: Rule = Rule {
    pattern: "^[A-Za-z0-9.-]{1,253}$",
    check: |text| {
        attached(NetworkWish {
            search: Some(text.to_owned()),
            ..NetworkWish::default()
        })
    },
    hint: None,
};

fn attached(wish: NetworkWish) -> Result<(), String> {
    wish.check().map(drop).map_err(|bad| bad.why)
}

/// A setting's value that is kept elsewhere.
pub(crate) static SECRET_REFERENCE: Object = Object {
    name: "SecretReference",
    about: "A secret that is kept elsewhere, by its name alone.",
    fields: &[&[Field::needed("secret", "Its name.", Shape::Text(&SECRET))]],
};

static RESOURCES: Object = Object {
    name: "Resources",
    about: "What a container gets; what is left out comes from the catalog entry.",
    fields: &[&[
        // The ranges are Proxmox VE's; `domain::create` has them too.
        Field::optional(
            "memory_mib",
            "Memory limit, MiB.",
            Shape::Integer(16, 16 << 20),
        ),
        Field::optional("cores", "CPU cores.", Shape::Integer(1, 8192)),
        Field::optional(
            "disk_gib",
            "Root file system, GiB.",
            Shape::Integer(1, 131_072),
        ),
    ]],
};

static NETWORK: Object = Object {
    name: "Network",
    about: "How a container is attached to the network; what is left out comes from the host entry, or from its node.",
    fields: &[&[
        Field::optional(
            "bridge",
            "Bridge on the node; left out, the host entry's.",
            Shape::Text(&BRIDGE),
        ),
        Field::optional("vlan", "VLAN tag.", Shape::Integer(1, 4094)),
        Field::optional(
            "ipv4",
            "dhcp, or an address with its prefix; left out, dhcp.",
            Shape::Text(&IPV4),
        ),
        Field::optional(
            "gateway",
            "Gateway of the IPv4 address.",
            Shape::Text(&ADDRESS),
        ),
        Field::optional(
            "ipv6",
            "none, auto, dhcp, or an address with its prefix; left out, none.",
            Shape::Text(&IPV6),
        ),
        Field::optional(
            "gateway6",
            "Gateway of the IPv6 address.",
            Shape::Text(&ADDRESS),
        ),
        Field::optional(
            "dns",
            "Addresses of name servers; left out, the node's.",
            Shape::Texts(&ADDRESS, 3),
        ),
        Field::optional("search", "Search domain.", Shape::Text(&DOMAIN)),
    ]],
};
static CERTIFICATE: Object = Object {
    name: "Certificate",
    about: "Files with a certificate, on Caddy's machine.",
    fields: &[&[
        Field::needed(
            "cert_file",
            "Certificate chain, PEM: a whole path.",
            Shape::Text(&PATH),
        ),
        Field::needed(
            "key_file",
            "Its private key, PEM: a whole path.",
            Shape::Text(&PATH),
        ),
    ]],
};

const ABOUT_IGNORE: &str =
    "Keys of its container that others may change, as Proxmox VE has them: memory, or net*.";

/// What apps of either class have.
const SHARED: &[Field] = &[
    Field::optional(
        "power",
        "Whether it runs; left out, that is left as it is.",
        Shape::Word(WantedPower::LABELS),
    ),
    Field::optional(
        "policy",
        "What a difference made by somebody else leads to: it is told (warn), undone (revert), or taken as what is wanted (accept).",
        Shape::Word(Policy::LABELS),
    ),
    DEPENDS_ON,
];

/// What an app has that has a document of its own; one in a document of a stack is of that one.
const STACK_OF_APP: &[Field] = &[Field::optional(
    "stack",
    "Name of the stack that it is started and stopped with.",
    Shape::Text(&NAME),
)];

const DEPENDS_ON: Field = Field::optional(
    "depends_on",
    "Names of apps and stacks that have to be there before.",
    Shape::Texts(&NAME, 100),
);

const OF_APP: &[Field] = &[
    Field::needed(
        "catalog_id",
        "Entry of the catalog, e.g. nginx.",
        Shape::Text(&CATALOG_ID),
    ),
    Field::optional(
        "host",
        "Host entry, by its label; left out, the best node of all.",
        Shape::Text(&HOST),
    ),
    Field::optional("node", "Node; left out, the best one.", Shape::Text(&NODE)),
    Field::optional(
        "resources",
        "What the container gets.",
        Shape::Object(&RESOURCES),
    ),
    Field::optional(
        "settings",
        "Settings of the catalog entry, by name.",
        Shape::Settings,
    ),
    Field::optional(
        "network",
        "How its container is attached to the network; left out, that is left as it is.",
        Shape::Object(&NETWORK),
    ),
    Field::optional(
        "root_access",
        "How root of its container is let in; left out, that is left as it is.",
        Shape::Word(RootMode::LABELS),
    ),
    Field::optional(
        "root_keys",
        "Public keys that root logs in with, where root_access is keys.",
        Shape::Texts(&KEY, MOST_KEYS),
    ),
    Field::optional(
        "host_name",
        "Host name that people reach it by, or none; left out, that is left as it is.",
        Shape::Text(&HOST_NAME),
    ),
    Field::optional(
        "certificate",
        "The certificate for host_name; left out, Caddy gets one by itself.",
        Shape::Object(&CERTIFICATE),
    ),
    Field::optional(
        "apart_from",
        "Names of apps that it is kept apart from when a node is chosen; left out, that is left as it is.",
        Shape::Texts(&HOSTNAME, MOST_APART),
    ),
    Field::optional(
        "allow_unpinned",
        "An entry that fetches what is held against no SHA-256 is taken all the same; left out, it is not.",
        Shape::Boolean,
    ),
    Field::optional(
        "ignore",
        ABOUT_IGNORE,
        Shape::Texts(&ignored::OF_APP, MOST_IGNORED),
    ),
];

static APP_SPEC: Object = Object {
    name: "AppSpec",
    about: "How an app is to be.",
    fields: &[OF_APP, SHARED, STACK_OF_APP],
};
static ADOPTED_SPEC: Object = Object {
    name: "AdoptedAppSpec",
    about: "Which container is taken over, and what is done with it.",
    fields: &[
        &[
            Field::needed("host", "Host entry, by its label.", Shape::Text(&HOST)),
            Field::needed(
                "vmid",
                "Proxmox VE's number of the container.",
                Shape::Integer(100, 999_999_999),
            ),
            Field::optional(
                "type",
                "What it is, e.g. postgres; left out, taken from its name.",
                Shape::Text(&CATALOG_ID),
            ),
            Field::optional(
                "port",
                "The port its app listens on.",
                Shape::Integer(1, 65_535),
            ),
            Field::optional(
                "expose",
                "The gateway leads its ports to it.",
                Shape::Boolean,
            ),
            Field::optional(
                "guard",
                "It is told when it is configured otherwise than on the day of its adoption.",
                Shape::Boolean,
            ),
            Field::optional(
                "ignore",
                ABOUT_IGNORE,
                Shape::Texts(&ignored::OF_ADOPTED, MOST_IGNORED),
            ),
        ],
        SHARED,
        STACK_OF_APP,
    ],
};
static STACK_APP: Object = Object {
    name: "StackApp",
    about: "One app of a stack.",
    fields: &[
        &[Field::needed(
            "name",
            "Its host name.",
            Shape::Text(&HOSTNAME),
        )],
        OF_APP,
        SHARED,
    ],
};
static STACK_SPEC: Object = Object {
    name: "StackSpec",
    about: "Apps that belong together.",
    fields: &[&[
        Field::needed("apps", "The apps.", Shape::Objects(&STACK_APP, 1000)),
        Field::optional("values", "Values for these apps alone.", Shape::Values),
        DEPENDS_ON,
    ]],
};

static APP_METADATA: Object = Object {
    name: "AppMetadata",
    about: "What it is called.",
    fields: &[&[Field::needed(
        "name",
        "Host name of the app: 3 to 63 lower-case letters, digits and dashes.",
        Shape::Text(&HOSTNAME),
    )]],
};
static METADATA: Object = Object {
    name: "Metadata",
    about: "What it is called.",
    fields: &[&[Field::needed(
        "name",
        "Its name: 1 to 63 lower-case letters, digits and dashes.",
        Shape::Text(&NAME),
    )]],
};

const VERSION: Field = Field::needed(
    "apiVersion",
    "The form of the document.",
    Shape::Word(&[API_VERSION]),
);
const ABOUT_APP: &str = "An app from the catalog, in a container that is made for it.";
const ABOUT_ADOPTED: &str = "A container that is there, and is taken over as it is.";
const ABOUT_STACK: &str = "Apps that belong together.";
const ABOUT_VALUES: &str = "Values that other documents name as ${name}.";

static APP: Object = Object {
    name: "App",
    about: ABOUT_APP,
    fields: &[&[
        VERSION,
        Field::needed("kind", ABOUT_APP, Shape::Word(&["App"])),
        Field::needed(
            "metadata",
            "What it is called.",
            Shape::Object(&APP_METADATA),
        ),
        Field::needed("spec", "How it is to be.", Shape::Object(&APP_SPEC)),
    ]],
};
static ADOPTED_APP: Object = Object {
    name: "AdoptedApp",
    about: ABOUT_ADOPTED,
    fields: &[&[
        VERSION,
        Field::needed("kind", ABOUT_ADOPTED, Shape::Word(&["AdoptedApp"])),
        Field::needed(
            "metadata",
            "What it is called.",
            Shape::Object(&APP_METADATA),
        ),
        Field::needed("spec", "Which one it is.", Shape::Object(&ADOPTED_SPEC)),
    ]],
};
static STACK: Object = Object {
    name: "Stack",
    about: ABOUT_STACK,
    fields: &[&[
        VERSION,
        Field::needed("kind", ABOUT_STACK, Shape::Word(&["Stack"])),
        Field::needed("metadata", "What it is called.", Shape::Object(&METADATA)),
        Field::needed("spec", "The apps.", Shape::Object(&STACK_SPEC)),
    ]],
};
static VALUES: Object = Object {
    name: "Values",
    about: ABOUT_VALUES,
    fields: &[&[
        VERSION,
        Field::needed("kind", ABOUT_VALUES, Shape::Word(&["Values"])),
        Field::needed("metadata", "What it is called.", Shape::Object(&METADATA)),
        Field::needed("spec", "The values.", Shape::Values),
    ]],
};

/// What a document of this kind is made of.
pub(crate) fn document(kind: Kind) -> &'static Object {
    match kind {
        Kind::App => &APP,
        Kind::AdoptedApp => &ADOPTED_APP,
        Kind::Stack => &STACK,
        Kind::Values => &VALUES,
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::create::{Needs, ResourceRequest, Resources, resources};

    use super::*;

    #[test]
    fn a_document_of_each_kind_says_so() {
        for kind in Kind::ALL {
            let object = document(kind);
            assert_eq!(object.name, kind.label());
            let says = object.fields().find(|field| field.name == "kind").unwrap();
            assert!(matches!(says.shape, Shape::Word([label]) if *label == kind.label()));
        }
    }

    #[test]
    fn the_ranges_are_those_of_a_deploy() {
        let needs = Needs {
            min_memory_mib: 1,
            default: Resources {
                memory_mib: 16,
                cores: 1,
                disk_gib: 1,
            },
        };
        let takes = |field: &str, value: i64| {
            let wish = ResourceRequest {
                memory_mib: (field == "memory_mib").then(|| value.try_into().unwrap()),
                cores: (field == "cores").then(|| value.try_into().unwrap()),
                disk_gib: (field == "disk_gib").then(|| value.try_into().unwrap()),
            };
            resources(&"nginx".parse().unwrap(), &needs, wish).is_ok()
        };
        for field in RESOURCES.fields() {
            let Shape::Integer(min, max) = field.shape else {
                panic!("{} is no number", field.name);
            };
            assert!(takes(field.name, min) && takes(field.name, max));
            assert!(!takes(field.name, min - 1) && !takes(field.name, max + 1));
        }
    }
}
