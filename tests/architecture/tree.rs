//! The files of the repository as the tests see them: committed or about to be, never built or downloaded.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One file: its path from the top of the repository, with `/`, and its text (empty where it is not text).
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    /// Whether the whole file is tests: they may be long and name what they like.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.split('/').any(|part| part == "tests")
    }

    /// Whether the file is module `place`: `a/b` is `a/b.rs` and all under `a/b/`.
    pub(super) fn is_in(&self, place: &str) -> bool {
        self.path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// The code alone, line by line with its number: no comments, and no tests at the end of the file.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate();
        lines.map(|(index, line)| (index + 1, without_comment(line))).filter(|(_, line)| !line.is_empty())
    }
}

/// The top of the repository.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file, in order. Git says what belongs; where there is no git, all but what is built or downloaded.
pub(super) fn files() -> Vec<File> {
    let mut paths = tracked().unwrap_or_else(walked);
    paths.sort();
    paths.dedup();
    assert!(paths.iter().any(|path| path == "Cargo.toml"), "the repository's files were not found");
    let read = |path: String| {
        let bytes = std::fs::read(root().join(&path)).ok()?;
        Some(File { path, text: String::from_utf8(bytes).unwrap_or_default() })
    };
    // A file that is deleted but not yet committed is gone.
    paths.into_iter().filter_map(read).collect()
}

/// The Rust files among them.
pub(super) fn rust() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn tracked() -> Option<Vec<String>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let answer = Command::new("git").args(list).current_dir(root()).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    answer.status.success().then(|| text.split_terminator('\0').map(str::to_owned).collect())
}

fn walked() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let made = ["target", "node_modules", ".git"].iter().any(|name| entry.file_name() == *name);
            if entry.file_type().unwrap().is_dir() {
                if !made {
                    folders.push(path);
                }
            } else {
                found.push(path.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    found
}

fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("//") {
        ""
    } else {
        line.split_once(" // ").map_or(line, |(code, _)| code.trim_end())
    }
}

#[test]
fn git_and_a_walk_find_the_same_sources() {
    let walk: Vec<_> = walked().into_iter().filter(|path| path.ends_with(".rs")).collect();
    for file in rust() {
        assert!(walk.contains(&file.path), "only git knows {}", file.path);
    }
}

#[test]
fn comments_and_inline_tests_are_no_code() {
    let text =
        "//! moka::sync\nuse a; // moka::sync\nlet url = \"http://x\";\n#[cfg(test)]\nmod tests {\nuse b;\n}";
    let file = File { path: "a/src/b.rs".into(), text: text.into() };
    assert_eq!(file.code().collect::<Vec<_>>(), [(2, "use a;"), (3, "let url = \"http://x\";")]);
    assert!(file.is_in("a/src/b") && file.is_in("a/src") && !file.is_in("a/src/bb") && !file.is_in("a/s"));
}
