//! Names, sizes and first lines of files: one subject per file, named after it, and said at its top.

use super::none;
use super::tree::{File, files, rust};

/// Names that say nothing, so that everything ends up in them.
const EMPTY_NAMES: [&str; 9] =
    ["common", "core", "helper", "helpers", "misc", "shared", "util", "utils", "utilities"];

/// Lines of a source file; past them it has two subjects.
const LINES: usize = 600;

#[test]
fn names_say_the_subject() {
    let mut findings = Vec::new();
    for file in files() {
        let empty = |part: &str| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or(part));
        findings.extend(
            file.path.split('/').find(|part| empty(part)).map(|part| format!("{}: `{part}`", file.path)),
        );
    }
    // A module may also be written inside a file.
    for file in rust() {
        for (line, code) in file.code() {
            let code = code.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            let name = code.trim_start_matches("pub ").strip_prefix("mod ").unwrap_or_default();
            if EMPTY_NAMES.contains(&name.trim_end_matches([';', '{', ' '])) {
                findings.push(format!("{}:{line}: `{code}`", file.path));
            }
        }
    }
    none(
        &findings,
        "name the file after the one thing in it, and move what is not that thing to where its subject lives.",
    );
}

#[test]
fn a_file_has_one_subject() {
    let findings: Vec<_> = files()
        .iter()
        .filter(|file| written(file) && !file.is_test() && length(file) > LINES)
        .map(|file| format!("{}: {} lines, more than {LINES}", file.path, length(file)))
        .collect();
    none(
        &findings,
        "find the second subject and give it a file of its own, named after it; aim for 200 lines. Long inline \
         tests go to a sibling tests.rs.",
    );
}

#[test]
fn a_file_says_what_it_is() {
    let findings: Vec<_> = rust()
        .iter()
        .filter(|file| {
            file.path != "tests.rs" && !file.path.ends_with("/tests.rs") && !introduced(&file.text)
        })
        .map(|file| format!("{}: does not begin with `//!`", file.path))
        .collect();
    none(
        &findings,
        "begin it with `//! ` and a sentence: what it is and what it promises. A lib.rs or mod.rs begins with a \
         map: what, its parts in the order of the data flow, what it must not know.",
    );
}

#[test]
fn a_folder_has_a_map() {
    let map = |path: &str| path.ends_with("/lib.rs") || path.ends_with("/mod.rs");
    let findings: Vec<_> = rust()
        .iter()
        .filter(|file| map(&file.path) && !file.is_test() && introduction(&file.text) < 3)
        .map(|file| format!("{}: its map has fewer than three lines", file.path))
        .collect();
    none(
        &findings,
        "begin it with `//!` lines that say what it is, its parts in the order of the data flow, and what it \
         must not know.",
    );
}

fn written(file: &File) -> bool {
    [".rs", ".js", ".mjs", ".css", ".html", ".sql", ".sh"].iter().any(|end| file.path.ends_with(end))
}

/// Lines without the inline tests at the end.
fn length(file: &File) -> usize {
    let end = file.text.find("#[cfg(test)]\nmod tests {").unwrap_or(file.text.len());
    file.text[..end].lines().count()
}

fn introduced(text: &str) -> bool {
    introduction(text) > 0
}

/// How many `//!` lines the file begins with; attributes of the file may stand before them.
fn introduction(text: &str) -> usize {
    let lines = text.lines().skip_while(|line| line.starts_with("#!["));
    lines.take_while(|line| line.starts_with("//!")).count()
}

#[test]
fn introductions_are_counted() {
    assert_eq!(introduction("//! A.\n//!\n//! B.\nuse a;"), 3);
    assert_eq!(introduction("#![no_std]\n//! A."), 1);
    assert_eq!(introduction("\n//! A."), 0);
    assert_eq!(introduction("// A."), 0);
}

#[test]
fn inline_tests_do_not_count() {
    let file = |text: &str| File { path: "src/a.rs".into(), text: text.into() };
    assert_eq!(length(&file("a\nb\n#[cfg(test)]\nmod tests {\n}\n")), 2);
    assert_eq!(length(&file("a\n#[cfg(test)]\nmod tests;\nb\n")), 4);
}
