//! Documents: one value as JSON, YAML or a line.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::args::Format;

/// Writes `value` as a document of `format`; a table is the caller's business and becomes JSON here.
pub fn document(out: &mut dyn Write, format: Format, value: &impl Serialize) -> io::Result<()> {
    match format {
        Format::Ndjson => serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?,
        Format::Table | Format::Json => {
            serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
        }
        Format::Yaml => {
            let text = yaml_serde::to_string(value).map_err(io::Error::other)?;
            // The writer ends with a line break of its own.
            return out.write_all(text.as_bytes());
        }
    }
    writeln!(out)
}

/// A borderless table with a header, as `kubectl` prints one; columns in `right` hold numbers.
pub fn table(header: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.set_header(header.iter().copied().map(Cell::new));
    laid_out(table, right, rows)
}

/// The same without a header.
pub fn columns(right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    laid_out(Table::new(), right, rows)
}

fn laid_out(mut table: Table, right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        // Columns stand two spaces apart, and the first at the margin.
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// `text` in lines of at most `width` columns (one line, where there is no width), each `indent` columns from the margin. A
/// word that is longer has a line of its own.
#[cfg(feature = "kubernetes")]
pub fn wrapped(text: &str, indent: usize, width: Option<usize>) -> String {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent));
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let margin = " ".repeat(indent);
    lines.iter().map(|line| format!("{margin}{line}")).collect::<Vec<_>>().join("\n")
}

/// How many columns standard output has; none where it is no terminal, for files and programs have room.
#[cfg(feature = "kubernetes")]
pub fn width() -> Option<usize> {
    use io::IsTerminal as _;
    let stdout = io::stdout();
    let (width, _) = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal())?;
    Some(usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_no_trailing_space() {
        let rows = [vec!["t1".to_owned(), "7".to_owned()], vec!["longer".to_owned(), "1,000".to_owned()]];
        assert_eq!(table(&["TASK", "DONE"], &[1], rows), "TASK     DONE\nt1          7\nlonger  1,000");
    }

    #[test]
    fn a_document_is_one_value_however_it_is_written() {
        let value = serde_json::json!({"a": [1, "x"]});
        let written = |format| {
            let mut out = Vec::new();
            document(&mut out, format, &value).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Format::Ndjson), "{\"a\":[1,\"x\"]}\n");
        assert_eq!(written(Format::Yaml), "a:\n- 1\n- x\n");
        assert_eq!(written(Format::Json), "{\n  \"a\": [\n    1,\n    \"x\"\n  ]\n}\n");
    }
}
