//! Argument parsing as PVE's command line tools do it: Perl's Getopt::Long with its default settings.
//!
//! Options may stand anywhere before `--`, with one or two dashes, shortened, and an option that may have a value
//! takes the next argument if that does not look like an option — even where a person meant something else.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::Died;

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An optional value, `1` when left out.
    Boolean,
    /// A value.
    Text,
}

/// What a command takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) positional: &'static [&'static str],
    pub(crate) options: &'static [(&'static str, Kind)],
    pub(crate) extra: bool,
}

/// The arguments of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// By name, positional ones included.
    pub(crate) values: BTreeMap<&'static str, OsString>,
    /// What follows them.
    pub(crate) extra: Vec<OsString>,
}

impl Parsed {
    /// A value by name.
    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        self.values.get(name).map(OsString::as_os_str)
    }

    /// A boolean option, checked by [`parse`].
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(OsStr::to_str).and_then(boolean)
    }
}

impl Spec {
    /// One usage line.
    pub(crate) fn usage(&self, command: &str) -> String {
        let mut line = format!("pct {command}");
        for name in self.positional {
            line.push_str(&format!(" <{name}>"));
        }
        if self.extra {
            line.push_str(" [<extra-args>]");
        }
        if !self.options.is_empty() {
            line.push_str(" [OPTIONS]");
        }
        line.push('\n');
        line
    }

    /// Finds an option by its name or an unambiguous beginning of it.
    fn option(&self, given: &str) -> Option<(&'static str, Kind)> {
        let given = given.to_lowercase();
        if let Some(exact) = self.all().find(|(name, _)| *name == given) {
            return Some(exact);
        }
        let mut matching = self.all().filter(|(name, _)| name.starts_with(&given));
        match (matching.next(), matching.next()) {
            (Some(one), None) => Some(one),
            (_, _) => None,
        }
    }

    /// Positional arguments may be given as options as well.
    fn all(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        let positional = self.positional.iter().map(|name| (*name, Kind::Text));
        positional.chain(self.options.iter().copied())
    }
}

/// Takes the arguments of `command` apart.
///
/// # Errors
/// The texts of the real tool, with its usage line.
pub(crate) fn parse(command: &str, spec: &Spec, args: Vec<OsString>) -> Result<Parsed, Died> {
    let fail = |text: &str| Died::new(format!("{text}{}", spec.usage(command)));
    let mut parsed = Parsed::default();
    let rest = options(spec, args, &mut parsed)
        .map_err(|complaint| fail(&format!("{complaint}\n400 unable to parse option\n")))?;
    let mut rest = rest.into_iter();
    for name in spec.positional {
        match rest.next() {
            Some(value) => {
                parsed.values.insert(name, value);
            }
            None if parsed.values.contains_key(name) => {}
            None => return Err(fail("400 not enough arguments\n")),
        }
    }
    parsed.extra = rest.collect();
    if !spec.extra && !parsed.extra.is_empty() {
        return Err(fail("400 too many arguments\n"));
    }
    for (name, kind) in spec.options {
        let value = parsed.value(name);
        if *kind == Kind::Boolean && value.is_some() && parsed.flag(name).is_none() {
            return Err(fail("400 unable to parse boolean option\n"));
        }
    }
    Ok(parsed)
}

/// Collects options into `parsed`; gives back the other arguments.
fn options(spec: &Spec, args: Vec<OsString>, parsed: &mut Parsed) -> Result<Vec<OsString>, String> {
    let mut others = Vec::new();
    let mut complaints = Vec::new();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        if arg == "--" {
            others.extend(args);
            break;
        }
        let Some(body) = option_body(&arg) else {
            others.push(arg);
            continue;
        };
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(OsString::from(value))),
            None => (body, None),
        };
        let Some((known, kind)) = spec.option(&name) else {
            complaints.push(format!("Unknown option: {name}"));
            continue;
        };
        let next = || args.next_if(|next| kind == Kind::Text || !looks_like_an_option(next));
        match (inline.or_else(next), kind) {
            (Some(value), _) => drop(parsed.values.insert(known, value)),
            (None, Kind::Boolean) => drop(parsed.values.insert(known, OsString::new())),
            (None, Kind::Text) => complaints.push(format!("Option {known} requires an argument")),
        }
    }
    if complaints.is_empty() {
        Ok(others)
    } else {
        Err(complaints.join("\n"))
    }
}

/// What stands behind the dashes of an option; `None` for anything else (`-` alone is an argument).
fn option_body(arg: &OsStr) -> Option<String> {
    let text = arg.to_string_lossy();
    let body = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    if body.is_empty() {
        None
    } else {
        Some(body.to_owned())
    }
}

/// What an optional value is never taken from.
fn looks_like_an_option(arg: &OsStr) -> bool {
    arg == "--" || option_body(arg).is_some()
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "" | "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// The guest's number, checked as the real tool's parameter.
///
/// # Errors
/// The texts of the real tool.
pub(crate) fn vmid(command: &str, spec: &Spec, parsed: &Parsed) -> Result<u32, Died> {
    let text = parsed
        .value("vmid")
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    let fail = |reason: String| {
        let usage = spec.usage(command);
        Died::new(format!(
            "400 Parameter verification failed.\nvmid: {reason}\n{usage}"
        ))
    };
    let number: i64 = text
        .parse()
        .map_err(|_| fail(format!("type check ('integer') failed - got '{text}'")))?;
    match u32::try_from(number) {
        Ok(vmid @ 100..=999_999_999) => Ok(vmid),
        Ok(0..100) | Err(_) if number < 100 => {
            Err(fail("value must have a minimum value of 100".to_owned()))
        }
        Ok(_) | Err(_) => Err(fail(
            "value must have a maximum value of 999999999".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXEC: Spec = Spec {
        positional: &["vmid"],
        options: &[("keep-env", Kind::Boolean)],
        extra: true,
    };
    const PUSH: Spec = Spec {
        positional: &["vmid", "file", "destination"],
        options: &[
            ("user", Kind::Text),
            ("group", Kind::Text),
            ("perms", Kind::Text),
        ],
        extra: false,
    };

    fn parse_text(spec: &Spec, line: &[&str]) -> Result<Parsed, Died> {
        parse("x", spec, line.iter().map(OsString::from).collect())
    }

    #[test]
    fn everything_behind_the_dashes_belongs_to_the_command() {
        let parsed = parse_text(&EXEC, &["100", "--", "ls", "-la", "--", "x"]).unwrap();
        assert_eq!(parsed.extra, ["ls", "-la", "--", "x"]);
        assert_eq!(parsed.flag("keep-env"), None);
    }

    #[test]
    fn without_the_dashes_the_commands_options_are_taken_for_pcts() {
        let died = parse_text(&EXEC, &["100", "ls", "-la"]).unwrap_err();
        let expected = "Unknown option: la\n400 unable to parse option\n\
            pct x <vmid> [<extra-args>] [OPTIONS]\n";
        assert_eq!((died.text.as_str(), died.code), (expected, 255));
        assert_eq!(parse_text(&EXEC, &["100", "ls"]).unwrap().extra, ["ls"]);
    }

    #[test]
    fn an_optional_value_swallows_what_follows() {
        let parsed = parse_text(&EXEC, &["--keep-env", "0", "100", "--", "env"]).unwrap();
        assert_eq!(parsed.flag("keep-env"), Some(false));
        let died = parse_text(&EXEC, &["--keep-env", "100", "--", "env"]).unwrap_err();
        assert!(died.text.starts_with("400"), "{}", died.text);
        let parsed = parse_text(&EXEC, &["100", "-keep", "--", "env"]).unwrap();
        assert_eq!(parsed.flag("keep-env"), Some(true));
    }

    #[test]
    fn options_may_stand_anywhere() {
        let line = [
            "100",
            "/tmp/a",
            "--perms",
            "0600",
            "/etc/b",
            "--user=33",
            "-group",
            "-",
        ];
        let parsed = parse_text(&PUSH, &line).unwrap();
        assert_eq!(parsed.value("destination").unwrap(), "/etc/b");
        assert_eq!(parsed.value("perms").unwrap(), "0600");
        assert_eq!(parsed.value("user").unwrap(), "33");
        assert_eq!(parsed.value("group").unwrap(), "-");
    }

    #[test]
    fn counts_are_checked() {
        assert!(
            parse_text(&PUSH, &["100", "a"])
                .unwrap_err()
                .text
                .contains("not enough")
        );
        assert!(
            parse_text(&PUSH, &["100", "a", "b", "c"])
                .unwrap_err()
                .text
                .contains("too many")
        );
        assert!(parse_text(&PUSH, &["100", "a", "b", "--user"]).is_err());
    }

    #[test]
    fn a_guest_number_is_checked() {
        let number = |text| {
            let parsed = parse_text(&EXEC, &[text]).unwrap();
            vmid("x", &EXEC, &parsed)
        };
        assert_eq!(number("100"), Ok(100));
        assert!(
            number("99")
                .unwrap_err()
                .text
                .contains("minimum value of 100")
        );
        assert!(number("1000000000").unwrap_err().text.contains("maximum"));
        assert!(number("9999999999").unwrap_err().text.contains("maximum"));
        assert!(
            number("web")
                .unwrap_err()
                .text
                .contains("type check ('integer') failed")
        );
    }
}
