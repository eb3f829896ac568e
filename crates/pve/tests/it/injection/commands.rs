//! Texts as arguments: what the kernel says the program in the guest got.

use bytes::Bytes;
use futures::future::join_all;
use proximity_pve::guest::Exec;

use super::{AT_ONCE, Found, Way, shown};

/// Prints its own arguments as the kernel keeps them, each ended by NUL; the shell stays, so that they are its own.
const SCRIPT: &str = r#"cat "/proc/$$/cmdline"; exit 0"#;
const FIXED: [&str; 4] = ["/bin/sh", "-c", SCRIPT, "name"];
/// What is read in half of the commands; it goes another way to the guest.
const INPUT: &[u8] = b"$(:)\0'input'\n";

/// Each group is one command, without input and with.
pub(super) async fn run(way: &Way<'_>, groups: &[&[String]]) -> Found {
    let mut found = Found::default();
    for some in groups.chunks(AT_ONCE) {
        let each = some.iter().flat_map(|group| {
            let input = Bytes::from_static(INPUT);
            [one(way, group, None), one(way, group, Some(input))]
        });
        for wrong in join_all(each).await {
            found.asked += 1;
            found.wrong.extend(wrong);
        }
    }
    found
}

/// What was wrong with a command, if anything was.
async fn one(way: &Way<'_>, group: &[String], stdin: Option<Bytes>) -> Option<String> {
    let fixed = FIXED.into_iter().map(str::to_owned);
    let argv: Vec<String> = fixed.chain(group.iter().cloned()).collect();
    let expected: Vec<u8> = argv
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect();
    let has_input = stdin.is_some();
    let exec = Exec {
        argv,
        stdin,
        timeout_ms: 60_000,
        max_output_bytes: 1 << 20,
        send_before: None,
    };
    let why = match way.access.exec(&way.target, exec).await {
        Ok(output) if output.stdout == expected && output.exit_code == 0 => return None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let code = output.exit_code;
            format!(
                "other arguments arrived (exit code {code}: {})",
                shown(&said)
            )
        }
        Err(error) => error.to_string(),
    };
    let texts: Vec<String> = group.iter().take(3).map(|text| shown(text)).collect();
    let input = if has_input { " with input" } else { "" };
    let texts = texts.join(", ");
    Some(format!("{}: {texts}{input}: {why}", way.name))
}
