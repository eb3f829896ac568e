//! The method table and how a path finds its method.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

static ASSET: &str = include_str!("../../assets/schema-9.2.11.json");

/// All methods of PVE 9.2.11's API.
#[derive(Debug, Default)]
pub struct Table {
    methods: Vec<Method>,
    root: Branch,
}

/// One method of the API.
#[derive(Debug)]
pub struct Method {
    /// Path with placeholders, e.g. `/nodes/{node}/lxc/{vmid}/config`.
    pub path: String,
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub verb: String,
    /// PVE's name of the function, e.g. `update_vm`.
    pub name: String,
    /// Runs in the privileged daemon.
    pub protected: bool,
    /// Parameter that names the node a call is proxied to.
    pub proxyto: Option<String>,
    /// Refused to API tokens.
    pub ticket_only: bool,
    /// Who may call it; absent means `root@pam` alone (a ticket, no token).
    pub permissions: Option<Permissions>,
    /// Parameters by name; a name may end in `[n]`.
    pub parameters: BTreeMap<String, Property>,
    /// Parameters beyond those listed are let through.
    pub open: bool,
    /// Parameters that only go with some values of another one.
    pub variants: Option<Variants>,
}

/// Parameters that one parameter decides on.
#[derive(Debug, Clone)]
pub struct Variants {
    /// The one that decides; it has to be given.
    pub by: String,
    /// What goes with each of its values.
    pub kinds: BTreeMap<String, BTreeMap<String, Property>>,
}

/// Who may call a method.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Permissions {
    /// `all` (any account) or `world` (anybody).
    pub user: Option<String>,
    /// PVE's check expression, e.g. `["perm", "/vms/{vmid}", ["VM.Audit"]]`.
    pub check: Option<Value>,
}

/// What a parameter must look like.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Property {
    /// `string`, `integer`, `number`, `boolean`, `array` …
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Named format or a property string's keys.
    pub format: Option<Format>,
    /// Allowed values.
    #[serde(rename = "enum")]
    pub values: Option<Vec<Value>>,
    /// Lowest number.
    pub minimum: Option<Limit>,
    /// Highest number.
    pub maximum: Option<Limit>,
    /// Shortest text, characters.
    #[serde(rename = "minLength")]
    pub min_length: Option<usize>,
    /// Longest text, characters.
    #[serde(rename = "maxLength")]
    pub max_length: Option<usize>,
    /// Perl regular expression for the whole value.
    pub pattern: Option<String>,
    /// May be missing.
    #[serde(deserialize_with = "flag")]
    pub optional: bool,
    /// Documented default.
    pub default: Option<Value>,
    /// Another parameter that must be given too.
    pub requires: Option<String>,
    /// Elements of an array.
    pub items: Option<Box<Property>>,
    /// The key of a property string that needs no `key=`.
    #[serde(deserialize_with = "flag")]
    pub default_key: bool,
    /// Key this one stands for.
    pub alias: Option<String>,
    /// Key that takes the alias's name.
    #[serde(rename = "keyAlias")]
    pub key_alias: Option<String>,
    /// Alternatives; one must fit.
    #[serde(rename = "oneOf")]
    pub one_of: Vec<Property>,
    /// Depends on another parameter's value: not checked here.
    #[serde(rename = "type-property")]
    pub type_property: Option<String>,
}

/// A format by name or by the keys of its property string.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Format {
    /// Registered name, possibly with `-list` or `-opt`.
    Named(String),
    /// `key=value,…` with these keys.
    Keys(BTreeMap<String, Property>),
}

/// A bound as PVE prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// For comparing.
    pub value: f64,
    /// For messages.
    pub text: String,
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let value = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self { value, text })
    }
}

fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(matches!(
        Value::deserialize(deserializer)?,
        Value::Bool(true) | Value::Number(_)
    ))
}

#[derive(Deserialize)]
struct Document {
    properties: Vec<Property>,
    methods: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    method: String,
    name: String,
    #[serde(default)]
    protected: u8,
    proxyto: Option<String>,
    #[serde(default)]
    ticket_only: u8,
    permissions: Option<Permissions>,
    parameters: BTreeMap<String, usize>,
    #[serde(default)]
    open: u8,
    variants: Option<VariantEntry>,
}

#[derive(Deserialize)]
struct VariantEntry {
    by: String,
    kinds: BTreeMap<String, BTreeMap<String, usize>>,
}

/// One path component and what follows it.
#[derive(Debug, Default)]
struct Branch {
    fixed: BTreeMap<String, Branch>,
    placeholder: Option<(String, Box<Branch>)>,
    verbs: BTreeMap<String, usize>,
}

/// What a path and verb lead to.
#[derive(Debug)]
pub struct Lookup<'a> {
    /// The method.
    pub method: &'a Method,
    /// Placeholder values by name.
    pub placeholders: BTreeMap<String, String>,
}

/// The table of PVE 9.2.11, parsed once.
pub fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| match serde_json::from_str(ASSET) {
        Ok(document) => Table::build(document),
        Err(error) => {
            tracing::error!(%error, "the schema asset does not parse; no method is known");
            Table::default()
        }
    });
    &TABLE
}

/// PVE lists its top-level folders at `/`, but its schema does not mention that.
fn root_listing() -> Method {
    Method {
        path: "/".into(),
        verb: "GET".into(),
        name: "index".into(),
        protected: false,
        proxyto: None,
        ticket_only: false,
        permissions: Some(Permissions {
            user: Some("all".into()),
            check: None,
        }),
        parameters: BTreeMap::new(),
        open: false,
        variants: None,
    }
}

impl Table {
    fn build(document: Document) -> Self {
        let mut table = Self::default();
        let resolve = |names: BTreeMap<String, usize>| -> BTreeMap<String, Property> {
            names
                .into_iter()
                .filter_map(|(name, index)| Some((name, document.properties.get(index)?.clone())))
                .collect()
        };
        for entry in document.methods {
            let parameters = resolve(entry.parameters);
            let variants = entry.variants.map(|variants| Variants {
                by: variants.by,
                kinds: variants
                    .kinds
                    .into_iter()
                    .map(|(kind, names)| (kind, resolve(names)))
                    .collect(),
            });
            table.insert(Method {
                path: entry.path,
                verb: entry.method,
                name: entry.name,
                protected: entry.protected == 1,
                proxyto: entry.proxyto,
                ticket_only: entry.ticket_only == 1,
                permissions: entry.permissions,
                parameters,
                open: entry.open == 1,
                variants,
            });
        }
        table.insert(root_listing());
        table
    }

    fn insert(&mut self, method: Method) {
        let mut branch = &mut self.root;
        for component in method.path.split('/').filter(|c| !c.is_empty()) {
            let name = component
                .strip_prefix('{')
                .and_then(|c| c.strip_suffix('}'));
            branch = match name {
                None => branch.fixed.entry(component.to_owned()).or_default(),
                Some(name) => {
                    &mut branch
                        .placeholder
                        .get_or_insert_with(|| (name.to_owned(), Box::default()))
                        .1
                }
            };
        }
        branch.verbs.insert(method.verb.clone(), self.methods.len());
        self.methods.push(method);
    }

    /// All methods.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The method of this schema path, e.g. `/nodes/{node}/lxc`.
    pub fn of_template(&self, verb: &str, template: &str) -> Option<&Method> {
        // Nothing in braces is a component by itself, so a template leads to its own method.
        let found = self.lookup(verb, template)?.method;
        (found.path == template).then_some(found)
    }

    /// The method for a decoded path such as `/nodes/pve1/lxc`; empty components are ignored as PVE
    /// does.
    pub fn lookup(&self, verb: &str, path: &str) -> Option<Lookup<'_>> {
        let components: Vec<&str> = path.split('/').filter(|c| !c.is_empty()).collect();
        let mut branch = &self.root;
        let mut placeholders = BTreeMap::new();
        for (position, component) in components.iter().enumerate() {
            if let Some(next) = branch.fixed.get(*component) {
                branch = next;
                continue;
            }
            let (name, next) = branch.placeholder.as_ref()?;
            // A volume id and a network have a slash of their own: the last placeholder of such a path
            // takes the rest.
            if matches!(name.as_str(), "volume" | "cidr") {
                placeholders.insert(name.clone(), components[position..].join("/"));
                branch = next;
                break;
            }
            placeholders.insert(name.clone(), (*component).to_owned());
            branch = next;
        }
        let method = self.methods.get(*branch.verbs.get(verb)?)?;
        Some(Lookup {
            method,
            placeholders,
        })
    }
}

impl Method {
    /// The definition of a parameter; `net0` finds `net[n]`.
    pub fn parameter(&self, name: &str) -> Option<&Property> {
        if let Some(property) = self.parameters.get(name) {
            return (!name.ends_with("[n]")).then_some(property);
        }
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
            return None;
        }
        let number: u32 = digits.parse().ok()?;
        if number >= family_size(stem) {
            return None;
        }
        self.parameters.get(&format!("{stem}[n]"))
    }
}

/// How many of an indexed parameter PVE knows (0 to this minus one); the schema's text shows only
/// `[n]`.
fn family_size(stem: &str) -> u32 {
    match stem {
        "net" | "ipconfig" => 32,
        "ide" => 4,
        "sata" | "acmedomain" => 6,
        "scsi" => 31,
        "virtio" | "hostpci" => 16,
        "serial" => 4,
        "parallel" => 3,
        "usb" => 14,
        "numa" | "link" => 8,
        "virtiofs" => 10,
        _ => 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_all_methods_of_the_schema() {
        let of_schema = table().methods().iter().filter(|method| method.path != "/");
        assert_eq!(of_schema.count(), 661);
    }

    #[test]
    fn each_template_leads_to_its_own_method() {
        for method in table().methods() {
            let found = table().of_template(&method.verb, &method.path);
            let is_same = found.is_some_and(|found| std::ptr::eq(found, method));
            assert!(is_same, "{} {}", method.verb, method.path);
        }
        assert!(table().of_template("GET", "/nodes/pve1/lxc").is_none());
    }

    #[test]
    fn fixed_components_win_over_placeholders() {
        let found = table()
            .lookup("GET", "/nodes/pve1/lxc/100/status/current")
            .unwrap();
        assert_eq!(found.method.name, "vm_status");
        assert_eq!(found.placeholders["vmid"], "100");
        assert!(
            table()
                .lookup("GET", "/nodes/pve1/lxc/100/nosuch")
                .is_none()
        );
        assert!(table().lookup("DELETE", "/nodes").is_none());
    }

    #[test]
    fn a_volume_takes_the_rest_of_the_path() {
        let found = table()
            .lookup("GET", "/nodes/a/storage/local/content/local:vztmpl/x.tar")
            .unwrap();
        assert_eq!(found.placeholders["volume"], "local:vztmpl/x.tar");
    }

    #[test]
    fn indexed_parameters_have_an_end() {
        let method = table().lookup("POST", "/nodes/a/lxc").unwrap().method;
        assert!(method.parameter("net0").is_some());
        assert!(method.parameter("net31").is_some());
        assert!(method.parameter("net32").is_none());
        assert!(method.parameter("net00").is_none());
        assert!(method.parameter("net[n]").is_none());
        assert!(method.parameter("net").is_none());
    }
}
