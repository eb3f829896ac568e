//! A small shell: the part of `sh` that scripts of recipes and of people at a prompt need.
//!
//! Words with quotes and parameters, pipes, redirections, `&&`, `||`, `;`, `!`, `if`, assignments, and a few built-in
//! commands. Everything else of a shell is refused as a syntax error that names it; nothing is guessed.

mod eval;
mod parse;
mod tokens;

use std::collections::BTreeMap;

use super::exec::{Done, Ended, Run};
use eval::Shell;

/// `sh [-eux] [-c SCRIPT [NAME [ARGUMENT…]] | FILE [ARGUMENT…]]`; without either it reads its script from its input.
pub(crate) fn sh(run: &mut Run<'_>, argv: &[String]) -> Done {
    let mut args = argv.iter().skip(1).cloned().collect::<Vec<_>>();
    let (mut command, mut stops) = (false, false);
    while args
        .first()
        .is_some_and(|arg| arg.len() > 1 && arg.starts_with('-'))
    {
        let arg = args.remove(0);
        if arg == "--" {
            break;
        }
        for letter in arg.chars().skip(1) {
            match letter {
                'c' => command = true,
                'e' => stops = true,
                'u' | 'x' | 'l' | 's' => {}
                other => return Ok(Ended::failed(2, format!("sh: 0: Illegal option -{other}"))),
            }
        }
    }
    if command {
        if args.is_empty() {
            return Ok(Ended::failed(2, "sh: 0: -c requires an argument"));
        }
        let script = args.remove(0);
        let name = if args.is_empty() {
            "sh".to_owned()
        } else {
            args.remove(0)
        };
        return script_of(run, &script, &name, args, stops);
    }
    if args.is_empty() {
        let script = run.input()?;
        let script = String::from_utf8_lossy(&script).into_owned();
        return script_of(run, &script, "sh", args, stops);
    }
    let file = args.remove(0);
    match run.guest.files.text(&run.path(&file)) {
        Ok(script) => script_of(run, &script, &file, args, stops),
        Err(_) => Ok(Ended::failed(
            2,
            format!("sh: 0: cannot open {file}: No such file"),
        )),
    }
}

/// Runs a script under a name with arguments.
pub(crate) fn run(run: &mut Run<'_>, script: &str, name: &str, arguments: Vec<String>) -> Done {
    script_of(run, script, name, arguments, false)
}

fn script_of(
    run: &mut Run<'_>,
    script: &str,
    name: &str,
    arguments: Vec<String>,
    stops: bool,
) -> Done {
    let list = match tokens::tokens(script).and_then(parse::parse) {
        Ok(list) => list,
        Err(why) => {
            let text = format!("{name}: 1: Syntax error: {why}");
            return Ok(Ended::failed(2, text));
        }
    };
    let (cwd, env) = (run.cwd.clone(), run.env.clone());
    let mut shell = Shell {
        run,
        name: name.to_owned(),
        arguments,
        variables: BTreeMap::new(),
        stops,
        status: 0,
        leaving: false,
    };
    let done = shell.list(&list);
    // A shell's directory and variables are its own.
    (run.cwd, run.env) = (cwd, env);
    done
}
