//! Decisions are numbered without gaps, and the list of them is complete.

use super::{TextFile, Violation};

const FOLDER: &str = "docs/adr/";

/// Decisions that are misnamed, missing in the row, or missing in the list.
pub fn check(files: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let in_folder = files.iter().filter_map(|file| Some((file, file.path.strip_prefix(FOLDER)?)));
    let (lists, decisions): (Vec<_>, Vec<_>) = in_folder.partition(|(_, name)| *name == "README.md");
    let Some((list, _)) = lists.first() else {
        return vec![Violation::at(format!("{FOLDER}README.md"), "there is no list of decisions")];
    };
    let mut numbers = Vec::new();
    for (file, name) in decisions {
        match number(name) {
            Some(number) => numbers.push(number),
            None => violations.push(Violation::at(&file.path, "a decision is called 0001-its-subject.md")),
        }
        if !list.text.contains(&format!("({name})")) {
            violations.push(Violation::at(&list.path, format!("does not link to {name}")));
        }
    }
    numbers.sort_unstable();
    for (expected, found) in (1..).zip(numbers) {
        if expected != found {
            let text = format!("number {expected:04} is missing, or {found:04} is taken twice");
            violations.push(Violation::at(FOLDER, text));
            break;
        }
    }
    violations.extend(dead_links(list, files));
    violations
}

/// The number of `0001-its-subject.md`.
fn number(name: &str) -> Option<usize> {
    let (digits, subject) = name.strip_suffix(".md")?.split_once('-')?;
    let plain = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    let named = digits.len() == 4 && !subject.is_empty() && subject.chars().all(plain);
    if named { digits.parse().ok() } else { None }
}

fn dead_links(list: &TextFile, files: &[TextFile]) -> Vec<Violation> {
    let targets = list.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let ours = targets.filter(|target| number(target).is_some());
    ours.filter(|target| !files.iter().any(|file| file.path == format!("{FOLDER}{target}")))
        .map(|target| Violation::at(&list.path, format!("links to {target}, which does not exist")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], list: &str) -> Vec<String> {
        let mut files: Vec<TextFile> =
            names.iter().map(|name| TextFile::new(format!("{FOLDER}{name}"), "# A decision")).collect();
        files.push(TextFile::new(format!("{FOLDER}README.md"), list));
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_full_row_with_a_full_list_is_fine() {
        let list = "- [one](0001-one.md)\n- [two](0002-two-things.md)\n- [elsewhere](../guide.md)";
        assert_eq!(found(&["0001-one.md", "0002-two-things.md"], list), Vec::<String>::new());
    }

    #[test]
    fn gaps_and_doubles_are_violations() {
        let gap = found(&["0001-one.md", "0003-three.md"], "(0001-one.md) (0003-three.md)");
        assert_eq!(gap, ["docs/adr/: number 0002 is missing, or 0003 is taken twice"]);
        assert_eq!(found(&["0001-one.md", "0001-uno.md"], "(0001-one.md) (0001-uno.md)").len(), 1);
        assert_eq!(found(&["0002-two.md"], "(0002-two.md)").len(), 1);
    }

    #[test]
    fn odd_names_missing_entries_and_dead_links_are_violations() {
        assert_eq!(found(&["1-one.md"], "(1-one.md)").len(), 1);
        assert_eq!(found(&["0001-One Two.md"], "(0001-One Two.md)").len(), 1);
        assert_eq!(found(&["0001-one.md"], "nothing"), ["docs/adr/README.md: does not link to 0001-one.md"]);
        assert_eq!(found(&[], "[one](0001-one.md)").len(), 1);
    }

    #[test]
    fn a_missing_list_is_a_violation() {
        assert_eq!(check(&[]).len(), 1);
    }
}
