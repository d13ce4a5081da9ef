//! One mistake at a time, each with the exact place and words of its error.

use super::*;

/// One mistake: the base, what is replaced by what (`^` stands before the place the error must name), the
/// key, a part of the message, a part of what is allowed.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    // Syntax.
    (EDGE, "[listen]", "[listen^", "listen", "unclosed", ""),
    (EDGE, "id = \"edge-1\"", "id = ^edge-1", "node.id", "string values must be quoted", ""),
    (EDGE, "id = \"default\"", "id = \"default\"\n^id = \"b\"", "service[0].id", "duplicate key", ""),
    // The role.
    (EDGE, "role = \"edge\"\n", "^", "role", "is required", "\"edge\", \"origin\", \"selector\""),
    (EDGE, "\"edge\"", "^\"egde\"", "role", "did you mean `edge`?", "\"selector\""),
    (EDGE, "\"edge\"", "^7", "role", "is an integer, not a string", "\"selector\""),
    // Keys.
    (
        EDGE,
        "[shield]",
        "[cache]\n^memroy = \"1GiB\"\n[shield]",
        "cache.memroy",
        "did you mean `memory`?",
        "fills",
    ),
    (EDGE, "[shield]", "[^cahce]\n[shield]", "cahce", "did you mean `cache`?", "cache, shield"),
    (EDGE, "[node]", "^nonsense = 1\n[node]", "nonsense", "unknown key", "log"),
    (EDGE, "[node]\nid = \"edge-1\"\n", "[^node]\n", "node.id", "is required", "a-z"),
    (
        EDGE,
        "[node]\nid = \"edge-1\"\ntoken = \"0123456789abcdef\"\n",
        "node = ^1\n",
        "node",
        "is an integer",
        "a table, [node]",
    ),
    // Numbers, sizes, lengths of time.
    (
        EDGE,
        "[shield]",
        "[cache]\nmemory = ^\"1B\"\n[shield]",
        "cache.memory",
        "1B is too small",
        "1MiB..64TiB",
    ),
    (
        EDGE,
        "[shield]",
        "[cache]\nmemory = ^-1\n[shield]",
        "cache.memory",
        "-1 is not an amount",
        "1MiB..64TiB",
    ),
    (
        EDGE,
        "[shield]",
        "[cache]\nmemory = ^\"64M\"\n[shield]",
        "cache.memory",
        "`M` is not a unit",
        "1MiB..64TiB",
    ),
    (EDGE, "[shield]", "[cache]\nmemory = ^true\n[shield]", "cache.memory", "is a boolean", "1MiB..64TiB"),
    (
        EDGE,
        "[shield]",
        "[cache]\n block = ^\"300KiB\"\n[shield]",
        "cache.block",
        "not a power of two",
        "256KiB",
    ),
    (
        EDGE,
        "[shield]",
        "[cache]\nblock=^\"8MiB\"\n[shield]",
        "cache.block",
        "8MiB is too large",
        "16KiB..4MiB",
    ),
    (
        EDGE,
        "[shield]",
        "[cache]\nmemory = ^\"1MiB\"\nblock = \"1MiB\"\n[shield]",
        "cache.memory",
        "fewer than four blocks",
        "4MiB..64TiB",
    ),
    (
        EDGE,
        "[shield]",
        "[cache]\nread_ahead = ^\"1MiB\"\nblock = \"4MiB\"\n[shield]",
        "cache.read_ahead",
        "less than a block",
        "4MiB..4GiB",
    ),
    (
        EDGE,
        "[shield]",
        "[cache]\nstall = ^15\n[shield]",
        "cache.stall",
        "write it with its unit",
        "100ms..5m",
    ),
    (EDGE, "[shield]", "[cache]\nstall = ^\"15\"\n[shield]", "cache.stall", "has no unit", "100ms..5m"),
    (EDGE, "[shield]", "[cache]\nstall = ^\"9h\"\n[shield]", "cache.stall", "9h is too large", "100ms..5m"),
    (EDGE, "[shield]", "[cache]\nfills = ^0\n[shield]", "cache.fills", "0 is too small", "1..65536"),
    (
        EDGE,
        "[shield]",
        "[cache]\nfills = ^0x1ffff\n[shield]",
        "cache.fills",
        "131071 is too large",
        "1..65536",
    ),
    (
        EDGE,
        "[shield]",
        "[cache]\nfills = ^1.5\n[shield]",
        "cache.fills",
        "is a float, not an integer",
        "1..65536",
    ),
    (
        EDGE,
        "[shield]",
        "[cache.^disk]\npath = \"x\"\n[shield]",
        "cache.disk.size",
        "is required",
        "1MiB..1PiB",
    ),
    (
        EDGE,
        "[shield]",
        "[limits]\nurl_bytes = ^\"32KiB\"\n[shield]",
        "limits.url_bytes",
        "header_bytes",
        "1KiB..16KiB",
    ),
    (
        SELECTOR,
        "[listen]",
        "[routing]\nspill = ^1.5\n[listen]",
        "routing.spill",
        "1.5 is too large",
        "0.0..1.0",
    ),
    (
        SELECTOR,
        "[listen]",
        "[routing]\nspill = ^nan\n[listen]",
        "routing.spill",
        "is not a number",
        "0.0..1.0",
    ),
    (
        SELECTOR,
        "[listen]",
        "[routing]\nheartbeat = \"2s\"\nsuspect_after = ^\"1s\"\n[listen]",
        "routing.suspect_after",
        "not longer than heartbeat",
        "more than 2s",
    ),
    (
        SELECTOR,
        "[listen]",
        "[sessions]\nmax = \"1h\"\nduration = ^\"2h\"\n[listen]",
        "sessions.duration",
        "longer than sessions.max",
        "1s..1h",
    ),
    (SELECTOR, "[listen]", "player = ^\"yes\"\n[listen]", "player", "is a string", "true, false"),
    // Listeners and certificates.
    (EDGE, "\"127.0.0.1:0\"", "^\"127.0.0.1:99999\"", "listen.http", "not an address", "a port 0 to 65535"),
    (EDGE, "\"127.0.0.1:0\"", "^\"localhost:80\"", "listen.http", "not an address", "an IP address"),
    (EDGE, "[listen]\nhttp = \"127.0.0.1:0\"", "[^listen]", "listen", "nothing listens", "https = "),
    (
        EDGE,
        "http = \"127.0.0.1:0\"",
        "https = \"0.0.0.0:443\"\n[^tls]",
        "tls",
        "needs a certificate",
        "self_signed",
    ),
    (
        EDGE,
        "[shield]",
        "[tls]\ncertificate = ^\"a.pem\"\n[shield]",
        "tls.certificate",
        "without key",
        "self_signed",
    ),
    (
        EDGE,
        "http = \"127.0.0.1:0\"",
        "http = \"127.0.0.1:80\"\n[admin]\nlisten = ^\"127.0.0.1:80\"",
        "admin.listen",
        "taken by [listen]",
        "another",
    ),
    // Names, paths, URLs.
    (EDGE, "\"edge-1\"", "^\"\"", "node.id", "is empty", "1 to 63 characters"),
    (EDGE, "\"edge-1\"", "^\"edge 1\"", "node.id", "`edge 1` does not fit", "a-z, 0-9"),
    (EDGE, "\"edge-1\"", "^\"Edge\"", "node.id", "does not fit", "a-z, 0-9"),
    (
        EDGE,
        "\"edge-1\"",
        "^\"0123456789012345678901234567890123456789012345678901234567890123\"",
        "node.id",
        "does not fit",
        "1 to 63",
    ),
    (EDGE, "[\"http://127.0.0.1:8081\"]", "^[]", "shield.urls", "is empty", "1 to 16 URLs"),
    (
        EDGE,
        "[shield]\nurls = [\"http://127.0.0.1:8081\"]\n",
        "[^shield]\n",
        "shield.urls",
        "is required",
        "1 to 16 URLs",
    ),
    (EDGE, "8081\"]", "8081\", ^\"ftp://b\"]", "shield.urls[1]", "scheme `ftp`", "http://host"),
    (EDGE, "8081\"]", "8081\", ^\"http://127.0.0.1:8081/\"]", "shield.urls[1]", "twice", "http://host"),
    (EDGE, "[\"http://127.0.0.1:8081\"]", "^\"http://a\"", "shield.urls", "not a list", "http://host"),
    (
        EDGE,
        "\"public\"",
        "\"public\"\nprefix = ^\"music\"",
        "service[0].prefix",
        "does not begin with /",
        "/music",
    ),
    (EDGE, "\"public\"", "\"public\"\nprefix = ^\"/a/../b\"", "service[0].prefix", "holds . or ..", "/music"),
    (
        EDGE,
        "\"public\"",
        "\"public\"\nprefix = ^\"/~x\"",
        "service[0].prefix",
        "where tokens stand",
        "/music",
    ),
    (EDGE, "\"public\"", "\"public\"\nquery = [^\"kt\"]", "service[0].query[0]", "does not fit", "the token"),
    (
        EDGE,
        "\"public\"",
        "\"public\"\ncors_origins = [\"*\", ^\"www\"]",
        "service[0].cors_origins[1]",
        "fit",
        "https://",
    ),
    (EDGE, "\"public\"", "^\"pubic\"", "service[0].access", "did you mean `public`?", "token, public"),
    (EDGE, "[shield]", "[log]\nlevel = ^\"inof\"\n[shield]", "log.level", "does not fit", "info"),
    // Services.
    (
        EDGE,
        "[[service]]\nid = \"default\"\naccess = \"public\"\n",
        "^[[service]]\nid = \"a\"\n",
        "service[0].access",
        "no key can verify",
        "selector.urls",
    ),
    (
        EDGE,
        "[[service]]\nid = \"default\"\naccess = \"public\"\n",
        "",
        "service",
        "is required",
        "[[service]]",
    ),
    (
        EDGE,
        "[[service]]",
        "[[service]]\nid = \"a\"\naccess = \"public\"\nprefix = \"/a/\"\n[[service]]\nprefix = ^\"/a\"",
        "service[1].prefix",
        "`/a` is taken on line 12",
        "its own",
    ),
    (
        ORIGIN,
        "[[service]]\nid = ",
        "[[service]]\nid = \"default\"\nprefix = \"/a\"\nsource.dir = \"b\"\n[[service]]\nid = ^",
        "service[1].id",
        "`default` is taken on line 8",
        "its own",
    ),
    // Sources.
    (
        ORIGIN,
        "source = { dir = \"media\" }",
        "^source = { }",
        "service[0].source",
        "says not where",
        "dir = ",
    ),
    (
        ORIGIN,
        "dir = \"media\"",
        "dir = \"a\", http = ^\"http://b\"",
        "service[0].source.http",
        "beside dir",
        "s3 = ",
    ),
    (
        ORIGIN,
        "dir = \"media\"",
        "dir = \"a\", region = ^\"b\"",
        "service[0].source.region",
        "belongs to s3",
        "s3 = ",
    ),
    (
        ORIGIN,
        "dir = \"media\"",
        "s3 = ^\"https://b\"",
        "service[0].source.s3",
        "does not begin with s3://",
        "s3://",
    ),
    (
        ORIGIN,
        "dir = \"media\"",
        "s3 = \"s3://media\", endpoint = ^\"http://10.0.0.1\"",
        "service[0].source.endpoint",
        "not encrypted",
        "allow_http = true",
    ),
    (
        ORIGIN,
        "dir = \"media\"",
        "s3 = \"s3://media\", access_key = ^\"a\"",
        "service[0].source.access_key",
        "without secret_key",
        "both, or none",
    ),
    // Secrets.
    (EDGE, "\"0123456789abcdef\"", "^\"short\"", "node.token", "it has 5 bytes", "16 to 512"),
    (EDGE, "\"0123456789abcdef\"", "^{ }", "node.token", "names no place", "{ file = "),
    (EDGE, "\"0123456789abcdef\"", "{ env = ^\"NONE\" }", "node.token.env", "no variable `NONE`", ""),
    (
        EDGE,
        "\"0123456789abcdef\"",
        "{ file = ^\"none\" }",
        "node.token.file",
        "/etc/kromka/none cannot be read",
        "",
    ),
    (EDGE, "\"0123456789abcdef\"", "{ ^path = \"a\" }", "node.token.path", "unknown key", "{ env = "),
    (
        SELECTOR,
        "[listen]",
        "[[token]]\nname = \"a\"\nsecret = \"0123456789abcdef\"\nscopes = [^\"write\"]\n[listen]",
        "token[0].scopes[0]",
        "`write` does not fit",
        "\"read\"",
    ),
];

#[test]
fn every_mistake_is_found_at_its_line_and_column() {
    for (base, from, to, key, message, allowed) in CASES {
        assert_eq!(base.matches(from).count(), 1, "{from} must stand once");
        let marked = base.replace(from, to);
        // Without a mark the error belongs to the document as a whole.
        let (line, column) = marked.find('^').map_or((1, 1), |at| position(&marked, at));
        let text = marked.replace('^', "");
        let errors = check_text(&text, &name(), &no_env).expect_err(to);
        let error = &errors[0];
        let context = format!("{to}\n{errors:#?}");
        assert_eq!(errors.len(), 1, "{context}");
        assert_eq!(error.key, *key, "{context}");
        assert!(error.message.contains(message), "{context}");
        assert!(error.allowed.contains(allowed), "{context}");
        assert_eq!(error.file, name());
        assert_eq!((error.line, error.column), (line, column), "{context}");
    }
}

/// Counted by hand, not by the code under test.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap().chars().count() + 1)
}
