//! Nothing of one machine, and nothing about how the text was made, is committed.

use super::none;
use super::tree::{File, files};

/// Beginnings of paths that exist on one machine only; written in two halves, so as not to find themselves.
const PLACES: [&str; 6] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tm", "p/plan"),
    concat!("bash", "_jobs"),
];

/// Words about makers and their tools, not about the thing made.
const MAKERS: [&str; 9] = [
    concat!("ai", "-generated"),
    concat!("anth", "ropic"),
    concat!("assis", "tant"),
    concat!("chat", "gpt"),
    concat!("cla", "ude"),
    concat!("co", "pilot"),
    concat!("language", " model"),
    concat!("ll", "m"),
    concat!("open", "ai"),
];

#[test]
fn no_path_of_one_machine() {
    let findings: Vec<_> =
        texts().iter().flat_map(|file| found(file, &PLACES, |c| "._-~$}".contains(c))).collect();
    none(
        &findings,
        "write a path relative to the repository, a variable, or one that every installation has (/etc/kromka, \
         /var/lib/kromka).",
    );
}

#[test]
fn no_word_about_the_making() {
    let findings: Vec<_> = texts().iter().flat_map(|file| found(file, &MAKERS, |_| false)).collect();
    none(&findings, "say what the thing does and why; leave out what it was written with.");
}

/// Files that people write; what tools write (locks, checksums) holds anything.
fn texts() -> Vec<File> {
    let made = |path: &str| {
        path == "Cargo.lock" || path.ends_with("package-lock.json") || path.ends_with("vectors.json")
    };
    files().into_iter().filter(|file| !made(&file.path)).collect()
}

/// Lines with one of the words, not as a part of a longer one; `joins` names more letters that lengthen a word.
fn found(file: &File, words: &[&str], joins: impl Fn(char) -> bool) -> Vec<String> {
    let part = |c: char| c.is_alphanumeric() || joins(c);
    let has = |line: &str, word: &str| {
        let word = word.to_lowercase();
        line.match_indices(&word).any(|(at, _)| {
            let open = line[..at].chars().next_back().is_none_or(|c| !part(c));
            let after = line[at + word.len()..].chars().next();
            open && (word.starts_with('/') || after.is_none_or(|c| !part(c)))
        })
    };
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let lower = line.to_lowercase();
        if words.iter().any(|word| has(&lower, word)) {
            findings.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
        }
    }
    findings
}

#[test]
fn words_are_found_whole() {
    let count = |text: &str, words: &[&str]| {
        found(&File { path: "a".into(), text: text.into() }, words, |c| "._-".contains(c)).len()
    };
    assert_eq!(count("an Oven;\nan oven-door", &["oven"]), 1);
    assert_eq!(count("woven ovens", &["oven"]), 0);
    assert_eq!(count("in \"/den/a\"\n=/den/b", &["/den/"]), 2);
    assert_eq!(count("http://a.b/den/c", &["/den/"]), 0);
}
