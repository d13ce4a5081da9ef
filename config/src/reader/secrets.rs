//! Secrets: in the file itself, in a file of their own, or in the environment. No error quotes one.

use toml::de::{DeTable, DeValue};

use super::{Table, article};
use crate::Secret;
use crate::load::read_text;

/// What a secret is used for, which decides what it may be.
#[derive(Clone, Copy)]
pub(crate) enum SecretRule {
    /// A bearer token: it travels in a header (RFC 6750 section 2.1).
    Bearer,
    /// A signing key: RFC 7518 section 3.2 wants at least the length of the hash.
    Hs256,
    /// A password that somebody else made.
    Foreign,
}

/// Larger files are not secrets but mistakes.
const MAX_FILE: u64 = 64 << 10;

const FORMS: &str = "\"text\", { file = \"path\" } or { env = \"NAME\" }";

impl SecretRule {
    fn allowed(self) -> &'static str {
        match self {
            SecretRule::Bearer => "16 to 512 characters A-Z, a-z, 0-9, -, ., _, ~, +, /, =",
            SecretRule::Hs256 => "32 to 512 bytes",
            SecretRule::Foreign => "1 to 512 bytes",
        }
    }

    fn holds(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            SecretRule::Bearer => {
                (16..=512).contains(&bytes.len())
                    && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b))
            }
            SecretRule::Hs256 => (32..=512).contains(&bytes.len()),
            SecretRule::Foreign => (1..=512).contains(&bytes.len()),
        }
    }
}

impl Table<'_> {
    /// A secret; none if it is absent, or wrong and noted.
    pub(crate) fn secret(&mut self, key: &'static str, rule: SecretRule) -> Option<Secret> {
        let value = self.ask(key, "", None)?;
        let text = match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Table(form) => self.elsewhere(key, form),
            other => {
                self.fault(key, format!("is {}, not a secret", article(other)), FORMS);
                None
            }
        }?;
        if !rule.holds(&text) {
            let length = text.len();
            self.fault(key, format!("the secret does not fit, it has {length} bytes"), rule.allowed());
            return None;
        }
        Some(Secret::new(text))
    }

    /// A secret without a default.
    pub(crate) fn required_secret(&mut self, key: &'static str, rule: SecretRule) -> Secret {
        let secret = self.secret(key, rule);
        self.required(key, secret, FORMS, Secret::new(""))
    }

    /// The text behind `{ file = … }` or `{ env = … }`.
    fn elsewhere(&self, key: &str, form: &DeTable<'_>) -> Option<String> {
        let mut entries = form.iter();
        let (Some((kind, name)), None) = (entries.next(), entries.next()) else {
            self.fault(key, "names no place or more than one", FORMS);
            return None;
        };
        let at = name.span().start;
        let Some(place) = name.get_ref().as_str() else {
            let what = format!("is {}, not a string", article(name.get_ref()));
            self.doc.note(at, &format!("{}.{}", self.name(key), kind.get_ref()), what, FORMS);
            return None;
        };
        let found = match kind.get_ref().as_ref() {
            "env" => (self.doc.env)(place)
                .ok_or_else(|| format!("the environment has no variable `{}`", place.escape_debug())),
            "file" => {
                let path = self.doc.resolve(place);
                read_text(&path, MAX_FILE)
                    .map(|text| without_final_newline(&text).to_owned())
                    .map_err(|why| format!("{} {why}", path.display()))
            }
            other => {
                self.doc.note(
                    kind.span().start,
                    &format!("{}.{other}", self.name(key)),
                    "unknown key".to_owned(),
                    FORMS,
                );
                return None;
            }
        };
        found
            .map_err(|why| {
                let key = format!("{}.{}", self.name(key), kind.get_ref());
                self.doc.note(at, &key, why, "");
            })
            .ok()
    }
}

/// Editors end a file with a newline that is not part of the secret.
fn without_final_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
