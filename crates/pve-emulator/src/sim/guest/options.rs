//! Options of a command line, as GNU's getopt reads them.

use super::exec::Ended;

/// What a command takes.
pub(crate) struct Options {
    /// Single letters; a `:` behind one means that it takes a value.
    pub(crate) short: &'static str,
    /// Words; a `=` behind one means that it takes a value, `=?` that it may.
    pub(crate) long: &'static [&'static str],
}

/// Options given, and what else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Given {
    options: Vec<(String, Option<String>)>,
    pub(crate) rest: Vec<String>,
}

impl Given {
    /// Whether one of these names was given.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.options
            .iter()
            .any(|(name, _)| names.contains(&name.as_str()))
    }

    /// The last value given under one of these names.
    pub(crate) fn value(&self, names: &[&str]) -> Option<&str> {
        let options = self.options.iter().rev();
        options
            .filter(|(name, _)| names.contains(&name.as_str()))
            .find_map(|(_, value)| value.as_deref())
    }
}

impl Options {
    /// Takes the arguments (without the program) apart; options may stand anywhere before `--`.
    ///
    /// # Errors
    /// An option it does not have, or one without its value: what the command then ends with.
    pub(crate) fn read(&self, program: &str, args: &[String]) -> Result<Given, Ended> {
        self.take(program, args, true)
    }

    /// As [`Options::read`], but the first argument that is no option ends them: the rest is another command's.
    pub(crate) fn read_prefix(&self, program: &str, args: &[String]) -> Result<Given, Ended> {
        self.take(program, args, false)
    }

    fn take(&self, program: &str, args: &[String], anywhere: bool) -> Result<Given, Ended> {
        let mut given = Given::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                given.rest.extend(args.cloned());
                break;
            }
            if let Some(word) = arg.strip_prefix("--") {
                let (name, value) = match word.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (word, None),
                };
                let found = self.long.iter().find_map(|long| {
                    let bare = long.trim_end_matches('?').trim_end_matches('=');
                    (bare == name).then(|| (bare.to_owned(), long.ends_with('=')))
                });
                let Some((name, needs)) = found else {
                    return Err(refused(program, &format!("unrecognized option '{arg}'")));
                };
                let value = match value {
                    None if needs => match args.next() {
                        Some(value) => Some(value.clone()),
                        None => {
                            let text = format!("option '--{name}' requires an argument");
                            return Err(refused(program, &text));
                        }
                    },
                    value => value,
                };
                given.options.push((name, value));
            } else if let Some(letters) = arg.strip_prefix('-').filter(|l| !l.is_empty()) {
                self.letters(program, letters, &mut args, &mut given)?;
            } else {
                given.rest.push(arg.clone());
                if !anywhere {
                    given.rest.extend(args.cloned());
                    break;
                }
            }
        }
        Ok(given)
    }

    fn letters<'a>(
        &self,
        program: &str,
        letters: &str,
        args: &mut impl Iterator<Item = &'a String>,
        given: &mut Given,
    ) -> Result<(), Ended> {
        for (at, letter) in letters.char_indices() {
            let name = letter.to_string();
            let Some(place) = self.short.find(letter).filter(|_| letter != ':') else {
                return Err(refused(program, &format!("invalid option -- '{letter}'")));
            };
            let takes_value = self.short.get(place + letter.len_utf8()..);
            if !takes_value.is_some_and(|after| after.starts_with(':')) {
                given.options.push((name, None));
                continue;
            }
            let attached = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            let value = if attached.is_empty() {
                args.next().cloned()
            } else {
                Some(attached.to_owned())
            };
            if value.is_none() {
                let text = format!("option requires an argument -- '{letter}'");
                return Err(refused(program, &text));
            }
            given.options.push((name, value));
            break;
        }
        Ok(())
    }
}

/// What GNU's tools end with when they do not understand their arguments.
pub(crate) fn refused(program: &str, text: &str) -> Ended {
    let exit = if program == "ls" { 2 } else { 1 };
    Ended::failed(
        exit,
        format!("{program}: {text}\nTry '{program} --help' for more information."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Options = Options {
        short: "rfm:",
        long: &["parents", "mode=", "color=?"],
    };

    fn read(args: &[&str]) -> Result<Given, Ended> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        SOME.read("x", &args)
    }

    #[test]
    fn values_stand_beside_or_behind_their_option() {
        for args in [
            &["-rm", "755", "a"][..],
            &["-m755", "a", "-r"],
            &["--mode=755", "-r", "a"],
            &["a", "--mode", "755", "-r"],
        ] {
            let given = read(args).unwrap();
            assert!(given.has(&["r"]) && given.value(&["m", "mode"]) == Some("755"));
            assert_eq!(given.rest, ["a"]);
        }
        assert_eq!(read(&["--", "-r"]).unwrap().rest, ["-r"]);
        assert!(read(&["--color", "a"]).unwrap().has(&["color"]));
    }

    #[test]
    fn what_is_not_there_is_refused_in_getopts_words() {
        let text = |args: &[&str]| String::from_utf8(read(args).unwrap_err().stderr).unwrap();
        assert!(text(&["-q"]).starts_with("x: invalid option -- 'q'\nTry 'x --help'"));
        assert!(text(&["--q"]).starts_with("x: unrecognized option '--q'\n"));
        assert!(text(&["-m"]).starts_with("x: option requires an argument -- 'm'\n"));
    }
}
