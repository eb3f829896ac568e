//! Documents: good ones, of which hostile ones are made by chance, and hostile ones that were made by hand.

/// What documents of values begin with; their values follow.
const VALUES: &str =
    "apiVersion: proximity/v1\nkind: Values\nmetadata: {name: v}\nspec:\n  first: 1\n";
/// Larger than what is read of a file.
const LARGE: usize = 50 << 20;

/// Documents that are right.
pub const GOOD: &[&str] = &[
    "apiVersion: proximity/v1\nkind: App\nmetadata:\n  name: web\nspec:\n  catalog_id: nginx\n  host: home\n  \
     node: pve1\n  resources:\n    memory_mib: 512\n    cores: 2\n    disk_gib: 8\n  settings:\n    site_title: \"Hello ä\"\n    \
     GZIP: true\n    max_body_mib: 16\n    PASSWORD: {secret: web-password}\n  power: running\n  policy: revert\n",
    "# Values, and who names them.\napiVersion: proximity/v1\nkind: Values\nmetadata: {name: production}\nspec:\n  \
     domain: example.org\n  db: {memory: 1024}\n  needed: [shop-db]\n---\napiVersion: proximity/v1\nkind: App\n\
     metadata: {name: web}\nspec:\n  catalog_id: nginx\n  resources: {memory_mib: \"${db.memory}\"}\n  \
     settings: {title: 'Welcome to ${domain}'}\n  depends_on: ${needed}\n---\napiVersion: proximity/v1\nkind: App\n\
     metadata: {name: shop-db}\nspec: {catalog_id: nginx}\n",
    "apiVersion: proximity/v1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  values: {size: &size 512}\n  apps:\n  \
     - name: shop-db\n    catalog_id: nginx\n    resources: {memory_mib: *size}\n    settings:\n      text: >-\n        of two\n        \
     lines\n  - {name: shop-web, catalog_id: nginx, depends_on: [shop-db], settings: {t: \"${size} MiB\"}}\n",
    "{\"apiVersion\": \"proximity/v1\", \"kind\": \"AdoptedApp\", \"metadata\": {\"name\": \"old\"},\n \"spec\": \
     {\"host\": \"home\", \"vmid\": 105, \"type\": \"postgres\", \"port\": 5432, \"expose\": true,\n  \"guard\": true, \
     \"power\": \"stopped\", \"policy\": \"accept\"}}\n",
];

/// What means something to YAML, to the reader, or to nobody.
pub const WORDS: &[&str] = &[
    "---\n",
    "...\n",
    "${",
    "}",
    "${size}",
    "*size",
    "&a ",
    "<<: *size\n",
    "!!binary ",
    "%YAML 1.2\n",
    "|\n",
    ">-\n",
    "? ",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "\"",
    "'",
    "#",
    " #",
    ",",
    "@",
    "`",
    "\t",
    "\r",
    "\r\n",
    "\0",
    "\u{1b}[2J",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "ä",
    "😀",
    "~",
    "null",
    "yes",
    "0x1F",
    "1.10",
    "0644",
    "1e400",
    ".inf",
    "99999999999999999999",
    "\\x",
    "\\ud800",
    "kind: Node\n",
    "apiVersion: v1\n",
    "spec:\n",
    "name: ",
    "depends_on: [web]\n",
    "memory: 1G\n",
];

/// Those that were made by hand; each has to be refused.
pub const NAMES: &[&str] = &[
    "large",
    "large-documents",
    "deep",
    "deeper",
    "deep-maps",
    "dashes",
    "indented",
    "bomb",
    "bomb-of-lists",
    "bomb-of-text",
    "wide",
    "long-list",
    "same",
    "many",
    "open-names",
    "named-often",
    "circle",
    "long-lines",
];

/// The one of this name.
pub fn made(name: &str) -> Vec<u8> {
    let text = match name {
        "large" => "#".repeat(LARGE),
        "large-documents" => documents(),
        "deep" => format!("{VALUES}  a: {}\n", lists(100_000)),
        "deeper" => lists(1_000_000),
        "deep-maps" => "{a: ".repeat(100_000),
        "dashes" => "- ".repeat(100_000),
        "indented" => indented(),
        "bomb" => bomb(|n| format!("  a{n}: &a{n} {{one: *a{0}, two: *a{0}}}\n", n - 1)),
        "bomb-of-lists" => bomb(|n| format!("  a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1)),
        "bomb-of-text" => {
            let (long, aliases) = ("x".repeat(100_000), "*a, ".repeat(100_000));
            format!("{VALUES}  a: &a {long}\n  all: [{aliases}]\n")
        }
        "wide" => values((0..150_000).map(|n| format!("  k{n}: 1\n"))),
        "long-list" => format!("{VALUES}  all: [{}]\n", "1,".repeat(400_000)),
        "same" => "a: 1\n".repeat(30_000),
        "many" => "a: [\n---\n".repeat(20_000),
        "open-names" => app(&"${".repeat(500_000)),
        "named-often" => named_often(),
        "circle" => circle(),
        "long-lines" => format!("a: \"{}\"\nb: [", "ä".repeat(500_000)),
        other => panic!("nobody made {other}"),
    };
    text.into_bytes()
}

/// Lists inside of each other.
fn lists(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

/// An app with this text in a setting.
fn app(text: &str) -> String {
    format!(
        "apiVersion: proximity/v1\nkind: App\nmetadata: {{name: web}}\nspec:\n  catalog_id: nginx\n  settings: {{t: \"{text}\"}}\n"
    )
}

fn documents() -> String {
    let one = format!("{}---\n", app("Hello"));
    one.repeat(LARGE / one.len())
}

fn values(lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.collect();
    format!("{VALUES}{lines}")
}

fn bomb(line: impl Fn(usize) -> String) -> String {
    let first = "  a0: &a0 {x: 1}\n".to_owned();
    values([first].into_iter().chain((1..30).map(line)))
}

fn indented() -> String {
    (0..1000)
        .map(|n| format!("{}a:\n", " ".repeat(n)))
        .collect()
}

/// Values put in more than is read.
fn named_often() -> String {
    let long = "x".repeat(50);
    let names = "${long}".repeat(200_000);
    format!("{VALUES}  long: {long}\n---\n{}", app(&names))
}

/// Each app depends on the ninety that come after it, and the last ones on the first.
fn circle() -> String {
    let apps = (0..1000).map(|n| {
        let needs = (1..=90).map(|more| format!("a{:03}", (n + more) % 1000));
        let needs: Vec<String> = needs.collect();
        let needs = needs.join(", ");
        format!("  - {{name: a{n:03}, catalog_id: nginx, depends_on: [{needs}]}}\n")
    });
    let apps: String = apps.collect();
    format!(
        "apiVersion: proximity/v1\nkind: Stack\nmetadata: {{name: circle}}\nspec:\n  apps:\n{apps}"
    )
}
