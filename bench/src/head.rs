//! Heads of HTTP/1.1 messages (RFC 9112), as far as the benchmark's own client and source need them.

use anyhow::{Context, Result, bail};

/// Longest head that is read.
pub const HEAD_MAX: usize = 16 * 1024;

/// The head of a request or an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// The first line: `GET /path HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub line: String,
    /// Names in lower case, values without the blanks around them.
    pub fields: Vec<(String, String)>,
    /// Bytes of the head, its empty line included.
    pub size: usize,
}

impl Head {
    /// Reads the head at the start of `bytes`; nothing as long as it is not whole.
    ///
    /// # Errors
    /// It is no HTTP head, or longer than 16 KiB.
    pub fn parse(bytes: &[u8]) -> Result<Option<Head>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if bytes.len() > HEAD_MAX {
                bail!("a head of more than {HEAD_MAX} bytes");
            }
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).context("a head that is not UTF-8")?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .map(|line| {
                let (name, value) = line.split_once(':').with_context(|| format!("`{line}` is no field"))?;
                Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Result<_>>()?;
        Ok(Some(Head { line, fields, size: end + 4 }))
    }

    /// The value of the first field of this (lower case) name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// An answer's status.
    ///
    /// # Errors
    /// The first line is not that of an answer.
    pub fn status(&self) -> Result<u16> {
        let status = self.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        status.with_context(|| format!("`{}` is not the first line of an answer", self.line))
    }

    /// Bytes of the body.
    ///
    /// # Errors
    /// The head does not say; nothing else is understood here.
    pub fn length(&self) -> Result<u64> {
        let length = self.field("content-length").context("an answer without Content-Length")?;
        length.parse().with_context(|| format!("Content-Length `{length}`"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let bytes = b"HTTP/1.1 206 Partial Content\r\nContent-Length:  12 \r\nETag: \"a:b\"\r\n\r\nbody";
        let head = Head::parse(bytes).unwrap().unwrap();
        assert_eq!((head.status().unwrap(), head.length().unwrap()), (206, 12));
        assert_eq!(head.field("etag"), Some("\"a:b\""));
        assert_eq!(&bytes[head.size..], b"body");
        assert!(Head::parse(&bytes[..head.size - 1]).unwrap().is_none());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nno field\r\n\r\n").is_err());
        assert!(Head::parse(&vec![b'x'; HEAD_MAX + 1]).is_err());
        let head = Head::parse(b"GET / HTTP/1.1\r\n\r\n").unwrap().unwrap();
        assert!(head.status().is_err());
        assert!(head.length().is_err());
    }
}
