//! The page docs/reference/errors.md, made from the tables.

use std::fmt::Write;

use super::codes::CODES;
use super::kind::{ErrorKind, ExitCode};

/// The text of docs/reference/errors.md.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Errors and exit codes\n\n\
         <!-- Made by `proximity reference errors`; a test compares the two. -->\n\n\
         Every answer of the API that is not a success has this body; `fields` names the fields of the\n\
         request that are wrong:\n\n\
         ```json\n\
         {\"error\": {\"code\": \"hostname_taken\", \"message\": \"…\", \"hint\": \"…\", \"fields\": {\"hostname\": \"…\"}}}\n\
         ```\n\n\
         The command line prints message and hint on stderr (with `--json`, the body above) and ends with an\n\
         exit code from this table.\n\n",
    );
    // Writing to a String cannot fail; the error is dropped on purpose.
    let _ = exit_codes(&mut page);
    let _ = kinds(&mut page);
    let _ = codes(&mut page);
    page
}

fn exit_codes(page: &mut String) -> std::fmt::Result {
    writeln!(page, "## Exit codes\n\n| exit code | meaning |\n|---|---|")?;
    for code in ExitCode::ALL {
        writeln!(page, "| {} | {} |", code.number(), code.meaning())?;
    }
    Ok(())
}

fn kinds(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "\n## Kinds\n\n| kind | HTTP status | exit code |\n|---|---|---|"
    )?;
    for kind in ErrorKind::ALL {
        let (status, exit) = (kind.status(), kind.exit_code().number());
        writeln!(page, "| {} | {} | {exit} |", kind.label(), status.as_u16())?;
    }
    Ok(())
}

fn codes(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "\n## Codes\n\nCodes of requests are answered with their HTTP status; codes of operations are found in the\n\
         operation's `problem`. A code that is not listed has the meaning of its HTTP status.\n\n\
         | code | HTTP status | exit code | when |\n|---|---|---|---|"
    )?;
    for row in CODES {
        let (status, exit) = (row.kind.status(), row.exit.number());
        writeln!(
            page,
            "| `{}` | {} | {exit} | {} |",
            row.code,
            status.as_u16(),
            row.when
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_the_one_made_here() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/errors.md"
        );
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == reference_markdown(),
            "docs/reference/errors.md is out of date; run: \
             cargo run -- reference errors > docs/reference/errors.md"
        );
    }
}
