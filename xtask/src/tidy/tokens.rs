//! Rust files as flat lists of tokens, each knowing its line and whether it is test code: rules then neither trip
//! over comments nor miss what a macro hides.

use super::{TextFile, Violation};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One Rust file.
#[derive(Debug)]
pub struct Source<'a> {
    /// The file it was read from.
    pub file: &'a TextFile,
    /// Its tokens in order; brackets are tokens of their own, comments and documentation are left out.
    pub tokens: Vec<Token>,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// A word, a sign, a bracket, or a literal as written.
    pub text: String,
    /// The line it starts on, counted from 1.
    pub line: usize,
    /// Whether it is compiled only for tests, by its folder or its attributes.
    pub test: bool,
    /// Whether it is inside a function that runs on paused time.
    pub paused: bool,
}

impl Token {
    /// The content of a string literal, as written between its quotes.
    pub fn string(&self) -> Option<&str> {
        let start = self.text.find('"')?;
        // Prefixes are b, c, r and #; a character such as '"' starts otherwise.
        if !self.text[..start].chars().all(|sign| "bcr#".contains(sign)) {
            return None;
        }
        self.text.get(start + 1..self.text.rfind('"')?)
    }
}

impl Source<'_> {
    /// Lines where these tokens follow one another, in code that `wanted` accepts.
    pub fn lines_of(&self, sequence: &[&str], wanted: impl Fn(&Token) -> bool) -> Vec<usize> {
        let windows = self.tokens.windows(sequence.len());
        windows
            .filter(|window| {
                wanted(&window[0]) && window.iter().zip(sequence).all(|(token, text)| token.text == *text)
            })
            .map(|window| window[0].line)
            .collect()
    }
}

/// All Rust files, and a violation for each that is not Rust.
pub fn read(files: &[TextFile]) -> (Vec<Source<'_>>, Vec<Violation>) {
    let mut sources = Vec::new();
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.extension() == "rs") {
        match tokens(file) {
            Ok(tokens) => sources.push(Source { file, tokens }),
            Err(error) => {
                violations.push(Violation::at(&file.path, format!("cannot be read as Rust: {error}")));
            }
        }
    }
    (sources, violations)
}

/// Whether a path is that of tests, benches or examples.
pub fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples" | "tests.rs"))
}

fn tokens(file: &TextFile) -> Result<Vec<Token>, proc_macro2::LexError> {
    let stream: TokenStream = file.text.parse()?;
    let mut tokens = Vec::new();
    flatten(stream, State { test: is_test_path(&file.path), paused: false }, &mut tokens);
    Ok(tokens)
}

#[derive(Clone, Copy)]
struct State {
    test: bool,
    paused: bool,
}

/// Words an item or a statement starts with. Anything else after an attribute is a field, a variant or a match arm,
/// which a comma ends.
const ITEM_WORDS: [&str; 16] = [
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
    "use",
];

fn flatten(stream: TokenStream, outside: State, tokens: &mut Vec<Token>) {
    let mut outside = outside;
    // What holds for the item that is being read; its attributes change it, its end resets it.
    let mut inside = outside;
    let mut first_word: Option<String> = None;
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        if is_sign(&tree, '#') {
            let inner = trees.next_if(|next| is_sign(next, '!')).is_some();
            if let Some(TokenTree::Group(attribute)) = trees.next_if(is_brackets) {
                let meaning = Attribute::of(&attribute.stream());
                inside.test |= meaning.test;
                inside.paused |= meaning.paused;
                if inner {
                    outside = inside;
                }
                if !meaning.documentation {
                    flatten(attribute.stream(), inside, tokens);
                }
                continue;
            }
        }
        let ends_item = match &tree {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(sign) => {
                let in_item = first_word.as_deref().is_some_and(|word| ITEM_WORDS.contains(&word));
                sign.as_char() == ';' || (sign.as_char() == ',' && !in_item)
            }
            _ => false,
        };
        if first_word.is_none() {
            first_word = Some(tree.to_string());
        }
        push(tree, inside, tokens);
        if ends_item {
            inside = outside;
            first_word = None;
        }
    }
}

fn push(tree: TokenTree, state: State, tokens: &mut Vec<Token>) {
    let mut one = |text: String, line: usize| {
        tokens.push(Token { text, line, test: state.test, paused: state.paused });
    };
    match tree {
        TokenTree::Group(group) => {
            let (open, close) = match group.delimiter() {
                Delimiter::Parenthesis => ("(", ")"),
                Delimiter::Brace => ("{", "}"),
                Delimiter::Bracket => ("[", "]"),
                Delimiter::None => ("", ""),
            };
            one(open.to_owned(), group.span_open().start().line);
            let start = tokens.len();
            flatten(group.stream(), state, tokens);
            if open == "{" && calls_pause(&tokens[start..]) {
                tokens[start..].iter_mut().for_each(|token| token.paused = true);
            }
            let line = group.span_close().start().line;
            tokens.push(Token { text: close.to_owned(), line, test: state.test, paused: state.paused });
        }
        leaf => one(leaf.to_string(), leaf.span().start().line),
    }
}

/// `tokio::time::pause()` in a body pauses the time of all of it.
fn calls_pause(body: &[Token]) -> bool {
    body.windows(5)
        .any(|window| window.iter().map(|token| token.text.as_str()).eq(["time", ":", ":", "pause", "("]))
}

struct Attribute {
    documentation: bool,
    test: bool,
    paused: bool,
}

impl Attribute {
    fn of(stream: &TokenStream) -> Self {
        let words = words(stream.clone());
        let first = words.first().map_or("", String::as_str);
        let has = |word: &str| words.iter().any(|found| found == word);
        let path_end = stream
            .clone()
            .into_iter()
            .take_while(|tree| !matches!(tree, TokenTree::Group(_)))
            .filter_map(|tree| if let TokenTree::Ident(word) = tree { Some(word.to_string()) } else { None })
            .last();
        Self {
            documentation: first == "doc",
            test: path_end.as_deref() == Some("test") || (first == "cfg" && has("test") && !has("not")),
            paused: has("start_paused") && has("true"),
        }
    }
}

fn words(stream: TokenStream) -> Vec<String> {
    stream
        .into_iter()
        .flat_map(|tree| match tree {
            TokenTree::Ident(word) => vec![word.to_string()],
            TokenTree::Group(group) => words(group.stream()),
            _ => Vec::new(),
        })
        .collect()
}

fn is_sign(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(found) if found.as_char() == sign)
}

fn is_brackets(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str, word: &str) -> Vec<(usize, bool, bool)> {
        let file = TextFile::new(path, text);
        let tokens = tokens(&file).unwrap();
        let matching = tokens.iter().filter(|token| token.text == word);
        matching.map(|token| (token.line, token.test, token.paused)).collect()
    }

    #[test]
    fn comments_and_documentation_are_no_tokens_and_lines_count_from_one() {
        let text = "// here\n/// here\n#[doc = \"here\"]\nfn f() {\n    here();\n}\n";
        assert_eq!(found("src/lib.rs", text, "here"), [(5, false, false)]);
    }

    #[test]
    fn test_items_end_where_they_end() {
        let text = "#[cfg(test)]\nuse here;\nfn f<A, B>() { here }\n#[cfg(test)]\nmod tests { fn g() { here } }\nconst X: u8 = here;";
        let expected = [(2, true, false), (3, false, false), (5, true, false), (6, false, false)];
        assert_eq!(found("src/lib.rs", text, "here"), expected);
    }

    #[test]
    fn attributes_that_make_test_code_are_told_from_those_that_do_not() {
        let test = |attribute: &str| {
            found("src/lib.rs", &format!("{attribute} fn f<A, B>() {{ here }}"), "here")[0].1
        };
        for attribute in
            ["#[test]", "#[tokio::test]", "#[cfg(any(test, feature = \"twin\"))]", "#[cfg(test)] #[inline]"]
        {
            assert!(test(attribute), "{attribute}");
        }
        for attribute in
            ["#[cfg(not(test))]", "#[inline]", "#[cfg(unix)]", "#[cfg_attr(test, allow(dead_code))]"]
        {
            assert!(!test(attribute), "{attribute}");
        }
    }

    #[test]
    fn a_test_variant_ends_at_its_comma() {
        let text = "enum E { #[cfg(test)] A(here), B(here) }";
        assert_eq!(found("src/lib.rs", text, "here"), [(1, true, false), (1, false, false)]);
    }

    #[test]
    fn inner_attributes_and_test_folders_hold_for_the_whole_file() {
        assert_eq!(
            found("src/lib.rs", "#![cfg(test)]\nfn f() {}\nfn g() { here }", "here"),
            [(3, true, false)]
        );
        assert_eq!(found("cli/tests/it.rs", "fn g() { here }", "here"), [(1, true, false)]);
        assert_eq!(found("cli/src/session/tests.rs", "fn g() { here }", "here"), [(1, true, false)]);
        assert_eq!(found("cli/src/latest.rs", "fn g() { here }", "here"), [(1, false, false)]);
    }

    #[test]
    fn paused_time_is_seen_in_the_attribute_and_in_the_body() {
        let text = "#[tokio::test(start_paused = true)] async fn f() { here }\n#[tokio::test] async fn g() { here }\n\
                    #[tokio::test] async fn h() { tokio::time::pause(); { here } }";
        assert_eq!(found("src/lib.rs", text, "here"), [(1, true, true), (2, true, false), (3, true, true)]);
    }

    #[test]
    fn strings_are_read_in_all_their_forms() {
        let file = TextFile::new("src/lib.rs", "f(\"a\", r#\"b\"#, b\"c\", '\"', 'd', 5, concat!(\"e\"));");
        let tokens = tokens(&file).unwrap();
        assert_eq!(tokens.iter().filter_map(Token::string).collect::<Vec<_>>(), ["a", "b", "c", "e"]);
    }

    #[test]
    fn a_file_that_is_not_rust_is_a_violation() {
        let files = [TextFile::new("src/lib.rs", "fn f( {"), TextFile::new("README.md", "fn f( {")];
        let (sources, violations) = read(&files);
        assert!(sources.is_empty());
        assert!(violations[0].to_string().starts_with("src/lib.rs: cannot be read as Rust"));
    }
}
