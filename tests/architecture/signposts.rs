//! What the documents point at is there.

use super::none;
use super::tree::files;

/// Files of code that a document names, as in `disk/ledger.rs`: any part of a path from its end on, with or without the
/// `src/` in it.
#[test]
fn named_files_are_there() {
    let all = files();
    let paths: Vec<String> = all
        .iter()
        .flat_map(|file| [format!("/{}", file.path), format!("/{}", file.path.replace("src/", ""))])
        .collect();
    let mut findings = Vec::new();
    for document in all.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, line) in (1..).zip(document.text.lines()) {
            let code = line.split('`').skip(1).step_by(2);
            for name in code.filter(|name| is_file_of_code(name)) {
                if !paths.iter().any(|path| path.ends_with(&format!("/{name}"))) {
                    findings.push(format!("{}:{number}: `{name}`", document.path));
                }
            }
        }
    }
    none(&findings, "the file has another name or place by now: say where it is.");
}

fn is_file_of_code(name: &str) -> bool {
    [".rs", ".mjs", ".js", ".sh"]
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|stem| !stem.is_empty()))
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b))
}
