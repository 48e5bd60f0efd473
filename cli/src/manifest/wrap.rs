//! Text that fits a terminal as it has always been.

use textwrap::{Options, WordSplitter};

/// What every terminal has, and every log viewer shows.
pub(super) const WIDTH: usize = 80;

/// `text` behind `label`, on as many lines as it needs; the ones after the first stand under its beginning.
pub(super) fn labelled(label: &str, text: &str) -> String {
    let below = " ".repeat(label.chars().count());
    textwrap::fill(text, options().initial_indent(label).subsequent_indent(&below))
}

/// `text` on as many lines as it needs, the ones after the first a little to the right.
pub fn hanging(text: &str) -> String {
    textwrap::fill(text, options().subsequent_indent("  "))
}

/// Words stay whole: people copy names, paths and commands.
fn options() -> Options<'static> {
    Options::new(WIDTH).break_words(false).word_splitter(WordSplitter::NoHyphenation)
}
