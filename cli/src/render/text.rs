//! Small text tools: safe, coloured, grouped, measured.

use std::{borrow::Cow, env, io, io::IsTerminal};

use owo_colors::{OwoColorize, Style as Ansi};

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    colored: bool,
}

impl Style {
    /// Without colours.
    pub const PLAIN: Self = Self { colored: false };
    /// With colours.
    pub const COLORED: Self = Self { colored: true };

    /// Colours where standard output is a terminal that has them and `NO_COLOR` is unset or empty.
    pub fn of_stdout() -> Self {
        Self::from_environment(io::stdout().is_terminal(), |name| {
            env::var_os(name).map(|v| v.to_string_lossy().into_owned())
        })
    }

    fn from_environment(is_terminal: bool, read: impl Fn(&str) -> Option<String>) -> Self {
        let refused = read("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = read("TERM").is_none_or(|term| term == "dumb");
        Self { colored: is_terminal && !refused && !dumb }
    }

    fn paint(self, text: &str, ansi: Ansi) -> String {
        if self.colored && !text.is_empty() { text.style(ansi).to_string() } else { text.to_owned() }
    }

    /// Recedes.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint(text, Ansi::new().dimmed())
    }

    /// Stands out.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint(text, Ansi::new().bold())
    }

    /// Went well.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint(text, Ansi::new().green().bold())
    }

    /// Went wrong.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint(text, Ansi::new().red().bold())
    }

    /// Wants attention.
    pub(crate) fn warn(self, text: &str) -> String {
        self.paint(text, Ansi::new().yellow())
    }

    /// Moves on.
    pub(crate) fn step(self, text: &str) -> String {
        self.paint(text, Ansi::new().cyan())
    }
}

/// `text` on one line and without control characters: an event of another publisher must not be able to
/// move the cursor, recolour or retitle a terminal, nor to fake a line of its own.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(is_unprintable) {
        Cow::Owned(text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn is_unprintable(c: char) -> bool {
    // Besides controls: the characters that reorder or break lines.
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A decimal number with its digits grouped (`1,234,567.89`), exactly as many decimals as it has: money is
/// not taken through a float on the way. Anything else stays as it is.
pub(super) fn grouped(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return printable(text).into_owned();
    }
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}

/// A bar of `width` columns for `share` of the whole, in eighths of a column.
pub(super) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    // The share is within 0 and 1 and a width is a few dozen columns: no rounding trouble in either cast.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if let Some(index) = (eighths % 8).checked_sub(1) {
        bar.push(EIGHTHS[index]);
    }
    // What is there can be seen, however small.
    if bar.is_empty() && share > 0.0 {
        bar.push(EIGHTHS[0]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_keeps_its_decimals_and_groups_its_digits() {
        for (text, want) in [
            ("1234567.890", "1,234,567.890"),
            ("-1234.5", "-1,234.5"),
            ("100", "100"),
            ("1000", "1,000"),
            ("12345678901234567890.12", "12,345,678,901,234,567,890.12"),
            ("NaN", "NaN"),
            ("\u{1b}[2J", " [2J"),
        ] {
            assert_eq!(grouped(text), want);
        }
    }

    #[test]
    fn nothing_a_publisher_writes_moves_the_cursor_or_breaks_the_line() {
        assert_eq!(printable("priced\n\u{1b}[2Jchunk\t1\u{202e}"), "priced  [2Jchunk 1 ");
        assert!(matches!(printable("priced chunk 1 – é"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(0.000_1, 10), "▏");
        assert_eq!(bar(0.5, 10), "█████");
        assert_eq!(bar(0.55, 10), "█████▌");
        assert_eq!(bar(7.0, 4), "████");
    }

    #[test]
    fn colours_are_for_terminals_that_have_them_and_people_who_want_them() {
        let check = |is_terminal, pairs: &[(&str, &str)], want| {
            let read = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(Style::from_environment(is_terminal, read).colored, want, "{pairs:?}");
        };
        check(true, &[("TERM", "xterm")], true);
        check(true, &[("TERM", "xterm"), ("NO_COLOR", "")], true);
        check(true, &[("TERM", "xterm"), ("NO_COLOR", "1")], false);
        check(true, &[("TERM", "dumb")], false);
        check(true, &[], false);
        check(false, &[("TERM", "xterm")], false);
    }
}
