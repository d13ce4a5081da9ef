//! What stands between README's fences, as one script, and what each block printed.

use crate::world::Ran;

/// The sections whose blocks are run: everything for the first ten minutes.
const SECTIONS: &str = "first ten minutes";

/// What the script prints before each block of commands.
const MARK: &str = "@@ block";

/// A block between fences.
pub(super) enum Block {
    /// Commands.
    Shell(String),
    /// A program in Python, and the name that the commands after it call it by.
    Python(String, String),
}

/// The blocks of the sections, in order.
pub(super) fn blocks(readme: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut wanted = false;
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            wanted = title.contains(SECTIONS);
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let text: String =
            lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
        match language {
            _ if !wanted => {}
            "sh" => found.push(Block::Shell(text)),
            "python" => {
                // `python3 sign.py` in a later block says what the reader has saved it as.
                let (_, rest) = readme.split_once("python3 ").expect("a command that calls the Python block");
                let name: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
                found.push(Block::Python(name, text));
            }
            other => panic!(
                "README: a block of `{other}` among the first ten minutes: teach tests/readme to run it"
            ),
        }
    }
    assert!(!found.is_empty(), "README has no blocks under a heading with `{SECTIONS}`");
    found
}

/// One script of all blocks; it stops at the first command that fails, and says which.
pub(super) fn script(blocks: &[Block]) -> String {
    let mut script = "set -E -e -o pipefail\ntrap 'echo \"@@ failed: $BASH_COMMAND\"' ERR\n\
                      export PATH=\"$PWD/target/release:$PATH\"\n"
        .to_owned();
    for block in blocks {
        script += &match block {
            Block::Shell(text) => format!("printf '\\n{MARK} \\n'\n{text}"),
            Block::Python(name, text) => format!("cat > {name} <<'@@ end'\n{text}@@ end\n"),
        };
    }
    script
}

/// What each block of commands is, and what it printed.
pub(super) struct Told(Vec<(String, String)>);

impl Told {
    /// Reads what a run of [`script`] printed; panics with the block and the command if one failed.
    pub(super) fn of(blocks: &[Block], ran: &Ran) -> Told {
        let mark = format!("\n{MARK} ");
        let printed = ran.stdout.split(mark.as_str()).skip(1);
        let printed: Vec<&str> = printed.filter_map(|part| Some(part.split_once('\n')?.1)).collect();
        assert!(
            ran.code == 0,
            "README's blocks end with {} in block {}: {}\n{}",
            ran.code,
            printed.len(),
            printed.last().unwrap_or(&"the beginning"),
            ran.stderr
        );
        let asked = blocks.iter().filter_map(|block| match block {
            Block::Shell(text) => Some(text.clone()),
            Block::Python(..) => None,
        });
        Told(asked.zip(printed.into_iter().map(str::to_owned)).collect())
    }

    /// Asserts that the block with this command printed all of these.
    #[track_caller]
    pub(super) fn says(&self, command: &str, words: &[&str]) {
        let found = self.0.iter().find(|(asked, _)| asked.contains(command));
        let (_, printed) = found.unwrap_or_else(|| panic!("README has no block with `{command}`"));
        for word in words {
            assert!(
                printed.contains(word),
                "`{command}` and what stands around it do not print {word:?}: {printed}"
            );
        }
    }
}
