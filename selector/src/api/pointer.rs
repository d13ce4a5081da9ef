//! Where in a JSON text a line and column are, as a JSON pointer (RFC 6901).

/// One nesting that is open.
enum Nesting {
    /// An object, and the member that is being read.
    Object(Option<String>),
    /// An array, and the place that is being read.
    Array(usize),
}

/// The steps from the root to what ends at line and column (both from 1, in bytes). The text before must be JSON;
/// of other texts the answer is some path, never a panic.
pub(crate) fn steps_at(text: &[u8], line: usize, column: usize) -> Vec<String> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1));
    let end = (lines.map(<[u8]>::len).sum::<usize>() + column).min(text.len());
    let mut open: Vec<Nesting> = Vec::new();
    let mut at = 0;
    while at < end {
        match text[at] {
            b'{' => open.push(Nesting::Object(None)),
            b'[' => open.push(Nesting::Array(0)),
            b'}' | b']' => {
                open.pop();
            }
            b',' => match open.last_mut() {
                Some(Nesting::Object(member)) => *member = None,
                Some(Nesting::Array(place)) => *place += 1,
                None => {}
            },
            b'"' => {
                let close = string_end(text, at);
                if let Some(Nesting::Object(member @ None)) = open.last_mut() {
                    let quoted = text.get(at..=close).unwrap_or_default();
                    *member = Some(serde_json::from_slice(quoted).unwrap_or_default());
                }
                at = close;
            }
            _ => {}
        }
        at += 1;
    }
    let step = |nesting: Nesting| match nesting {
        Nesting::Object(member) => member,
        Nesting::Array(place) => Some(place.to_string()),
    };
    open.into_iter().filter_map(step).collect()
}

/// The steps as a pointer.
pub(crate) fn pointer(steps: &[String]) -> String {
    steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Where the string that begins at `from` ends: at its closing quote, or with the text.
fn string_end(text: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}
