//! Nothing of the machine a file was written on is in it: no home directory, no path of a checkout, no package host.

use super::{TextFile, Violation};

/// Homes of people and of the superuser.
const HOMES: [&str; 3] = ["/root/", "/home/", "/Users/"];
/// Where packages may come from is each machine's own affair.
const PACKAGE_HOSTS: [&str; 8] = [
    "files.pythonhosted.org",
    "index.crates.io",
    "npm.pkg.github.com",
    "proxy.golang.org",
    "pypi.org",
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "static.crates.io",
];
/// Directories a checkout may lie in whose names prove nothing: images and scripts name them too.
const COMMON_PARENTS: [&str; 14] = [
    "/", "/app", "/build", "/builds", "/code", "/data", "/home", "/mnt", "/opt", "/root", "/src", "/srv",
    "/tmp", "/var",
];
/// The only source a Cargo lock file names.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The one file that spells what it looks for.
const THIS_FILE: &str = "xtask/src/tidy/leaks.rs";

/// Traces of a machine. `checkout` is where the repository lies on this one.
pub fn check(files: &[TextFile], checkout: &str) -> Vec<Violation> {
    let places = machine_paths(checkout);
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.path != THIS_FILE) {
        for (index, line) in file.text.lines().enumerate() {
            let mut report = |text: String| violations.push(Violation::on_line(&file.path, index + 1, text));
            if let Some(place) = places.iter().find(|place| names_path(line, place)) {
                report(format!("`{place}` is a place on one machine: use a relative path or a variable"));
            }
            if let Some(host) = PACKAGE_HOSTS.iter().find(|host| line.contains(**host)) {
                report(format!("`{host}` is a package host: each machine sets its own"));
            }
            if let Some(text) = package_source(file.name(), line) {
                report(text.to_owned());
            }
        }
    }
    violations
}

fn machine_paths(checkout: &str) -> Vec<String> {
    let mut places: Vec<String> = HOMES.map(str::to_owned).into();
    let parent = checkout.rsplit_once('/').map_or("", |(parent, _)| parent);
    for place in [checkout, parent] {
        if !place.is_empty() && !COMMON_PARENTS.contains(&place) {
            places.push(format!("{}/", place.trim_end_matches('/')));
        }
    }
    places
}

/// Whether a line names an absolute path that starts with `place`, rather than a longer path that contains it.
fn names_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|sign| sign.is_alphanumeric() || "_-./}~".contains(sign))
    })
}

/// Lines that bind a lock or configuration file to one package host.
fn package_source(name: &str, line: &str) -> Option<&'static str> {
    let line = line.trim_start();
    match name {
        "package-lock.json" if line.starts_with("\"resolved\":") => Some(
            "a lock file records no addresses: set omit-lockfile-registry-resolved=true in .npmrc, install again",
        ),
        "Cargo.lock" if line.starts_with("source = ") && !line.contains(CRATES_IO) => {
            Some("a crate from somewhere else than crates.io")
        }
        ".npmrc" if line.contains("registry=") || line.contains("registry =") => {
            Some("names a package host: each machine sets its own")
        }
        "requirements.txt"
            if ["-i ", "--index-url", "--extra-index-url", "--find-links"]
                .iter()
                .any(|word| line.starts_with(word)) =>
        {
            Some("names a package host: each machine sets its own")
        }
        "config.toml" if line.starts_with("[source.") || line.starts_with("[registries.") => {
            Some("replaces where crates come from: each machine sets its own")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&[TextFile::new(path, text)], "/ours/checkout").len()
    }

    #[test]
    fn homes_and_the_checkout_are_found_with_their_line() {
        for place in ["/root/x", "/home/me/x", "/Users/me", "/ours/checkout/Cargo.toml", "/ours/notes"] {
            let violations = check(&[TextFile::new("a.md", format!("one\nsee `{place}`"))], "/ours/checkout");
            assert_eq!(violations.len(), 1, "{place}");
            assert_eq!(violations[0].place, "a.md:2");
        }
    }

    #[test]
    fn longer_paths_addresses_and_variables_are_fine() {
        for text in
            ["$HOME/root/x", "https://example.com/home/", "./home/x", "${X}/home/x", "yours/ours/x", "/homes"]
        {
            assert_eq!(found("a.md", text), 0, "{text}");
        }
    }

    #[test]
    fn a_checkout_in_a_common_place_proves_nothing_but_its_own_path_does() {
        let places = machine_paths("/tmp/fundbond");
        assert!(
            places.contains(&"/tmp/fundbond/".to_owned()) && !places.contains(&"/tmp/".to_owned()),
            "{places:?}"
        );
    }

    #[test]
    fn package_hosts_and_recorded_addresses_are_found() {
        for host in PACKAGE_HOSTS {
            assert_eq!(found("a.md", &format!("https://{host}/x")), 1, "{host}");
        }
        assert_eq!(found("web/package-lock.json", "      \"resolved\": \"https://example.com/a.tgz\","), 1);
        assert_eq!(found("web/package-lock.json", "      \"integrity\": \"sha512-00\","), 0);
        assert_eq!(found("Cargo.lock", "source = \"git+https://example.com/a\""), 1);
        assert_eq!(found("Cargo.lock", &format!("source = \"{CRATES_IO}\"")), 0);
        assert_eq!(found("web/.npmrc", "registry=https://example.com"), 1);
        assert_eq!(found("web/.npmrc", "omit-lockfile-registry-resolved=true"), 0);
        assert_eq!(found("a/requirements.txt", "--index-url https://example.com"), 1);
        assert_eq!(found(".cargo/config.toml", "[source.crates-io]"), 1);
    }
}
