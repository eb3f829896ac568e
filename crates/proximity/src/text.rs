//! Tables and details for people.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;

/// A table without lines; `empty` is said instead of one without rows.
pub(crate) fn table<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    empty: &str,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(heads);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut any = false;
    for row in rows {
        any = true;
        table.add_row(row.map(|cell| cell.replace(acts_on_terminals, " ")));
    }
    if any {
        table.trim_fmt()
    } else {
        empty.to_owned()
    }
}

/// Names and notes are other people's: what is in them is shown, and moves no cursor.
pub(crate) fn acts_on_terminals(c: char) -> bool {
    c.is_control() && c != '\n'
}

/// `label   value` lines; values that are empty are left out.
pub(crate) fn details<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<(&str, String)> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let lines: Vec<String> = rows
        .iter()
        .map(|(label, value)| format!("{label:<width$}  {value}"))
        .collect();
    lines.join("\n").replace(acts_on_terminals, " ")
}

/// A moment, to the second, in UTC.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Memory as people write it: whole GiB where it is whole.
pub(crate) fn memory(mib: u64) -> String {
    if mib >= 1024 && mib.is_multiple_of(1024) {
        format!("{} GiB", mib / 1024)
    } else {
        format!("{mib} MiB")
    }
}

/// The value, or a dash.
pub(crate) fn or_dash(value: Option<&str>) -> String {
    value.unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_cell_moves_no_cursor() {
        let row = ["a\u{1b}[2Jb".to_owned(), "c\rd\u{7}".to_owned()];
        let shown = table(["X", "Y"], [row], "nothing");
        let acts = shown.chars().any(|c| c.is_control() && c != '\n');
        assert!(!acts && shown.contains("a [2Jb"), "{shown:?}");
        let shown = details([("about", "a\u{1b}[2Jb\nc".to_owned())]);
        assert_eq!(shown, "about  a [2Jb\nc");
    }
}
