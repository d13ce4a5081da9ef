//! One case a line of the standards: what the server behind says, what is asked, what has to come back.
//!
//! Nothing waits for time to pass: the server gives its answers the age that the case is about.

use crate::world::script::Said;
use crate::world::{Got, Proxy, Script, Viewer, until};

/// What a step has to show.
enum Want {
    Status(u16),
    /// The body of the nth thing the server said, from 1.
    Body(usize),
    /// So many requests have reached the server, in the end.
    Asked(usize),
    Field(&'static str, &'static str),
    Without(&'static str),
    /// The last request at the server had this field, with this in it.
    Sent(&'static str, &'static str),
}
use Want::{Asked, Body, Field, Sent, Status, Without};

/// One request: its method, its fields, and what has to come of it.
type Step = (&'static str, &'static [(&'static str, &'static str)], &'static [Want]);

/// What the server says, one answer a line: status, then fields, separated by `|`. `CLOSE` says nothing and
/// hangs up. Its body is its number.
type Answers = &'static [&'static str];

/// Where it stands, what it says, and how it is tried.
type Case = (&'static str, &'static str, Answers, &'static [Step]);

const GET: &str = "GET";

const AGE: &[Case] = &[
    (
        "9111 §5.1",
        "the first of several ages counts",
        &["200 OK|cache-control: max-age=10|age: 30, 5"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(2)])],
    ),
    (
        "9111 §5.1",
        "an age on a second line does not count",
        &["200 OK|cache-control: max-age=10|age: 5|age: 30"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(1), Field("age", "5")])],
    ),
    (
        "9111 §5.1",
        "an age that is no number is ignored",
        &["200 OK|cache-control: max-age=10|age: +30"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(1)])],
    ),
    (
        "9111 §1.2.2",
        "one that is too large is the largest",
        &["200 OK|cache-control: max-age=10|age: 9999999999999"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(2)])],
    ),
    (
        "9110 §6.6.1",
        "what came without a date gets one",
        &["200 OK|cache-control: max-age=10"],
        &[(GET, &[], &[Field("date", "GMT")])],
    ),
    (
        "9111 §5.3",
        "an Expires that is no date has passed",
        &["200 OK|expires: 0|etag: \"1\"", "304 Not Modified|etag: \"1\""],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(2), Body(1), Sent("if-none-match", "\"1\"")])],
    ),
];

const TARGETED: &[Case] = &[
    (
        "9213 §2.2",
        "CDN-Cache-Control replaces Cache-Control and stays here",
        &["200 OK|cache-control: no-store|cdn-cache-control: max-age=60"],
        &[
            (GET, &[], &[Without("cdn-cache-control"), Field("cache-control", "no-store")]),
            (GET, &[], &[Asked(1)]),
        ],
    ),
    (
        "9213 §2.2",
        "it replaces Expires too",
        &["200 OK|expires: Fri, 01 Jan 2100 00:00:00 GMT|cdn-cache-control: max-age=0"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(2)])],
    ),
    (
        "9213 §2.1",
        "malformed, it is not there",
        &["200 OK|cache-control: max-age=60|cdn-cache-control: no-store, max-age=("],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(1)])],
    ),
    (
        "9213 §2.2",
        "what speaks to us alone goes first",
        &["200 OK|cdn-cache-control: no-store|kromka-cache-control: max-age=60"],
        &[(GET, &[], &[Without("kromka-cache-control")]), (GET, &[], &[Asked(1)])],
    ),
    (
        "9111 §5.2.2.3",
        "must-understand overrides no-store where the status is understood",
        &["200 OK|cache-control: max-age=60, no-store, must-understand"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(1)])],
    ),
    (
        "9111 §5.2.2.3",
        "and forbids storing where it is not",
        &["299 What|cache-control: max-age=60, must-understand"],
        &[(GET, &[], &[Status(299)]), (GET, &[], &[Asked(2)])],
    ),
    (
        "9111 §3",
        "any final status with an explicit lifetime is stored",
        &["299 What|cache-control: max-age=60"],
        &[(GET, &[], &[Status(299)]), (GET, &[], &[Status(299), Asked(1)])],
    ),
    (
        "9111 §4.2.2",
        "a redirect without one is not",
        &["302 Found|location: /x|last-modified: Mon, 01 Jan 2001 00:00:00 GMT"],
        &[(GET, &[], &[Status(302)]), (GET, &[], &[Status(302), Asked(2)])],
    ),
    (
        "9111 §4.2.2",
        "a page that changed long ago is fresh for a while",
        &["200 OK|last-modified: Mon, 01 Jan 2001 00:00:00 GMT"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(1)])],
    ),
];

const STALE: &[Case] = &[
    (
        "5861 §3",
        "stale while it is revalidated",
        &[
            "200 OK|cache-control: max-age=10, stale-while-revalidate=60|age: 20",
            "200 OK|cache-control: max-age=10",
        ],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Body(1), Asked(2)])],
    ),
    (
        "5861 §3",
        "its sender may grant that beside s-maxage",
        &["200 OK|cache-control: s-maxage=10, stale-while-revalidate=60|age: 20"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Body(1), Asked(2)])],
    ),
    (
        "5861 §4",
        "stale if there is an error",
        &[
            "200 OK|cache-control: max-age=10, stale-if-error=60|age: 20|etag: \"1\"",
            "503 Service Unavailable",
        ],
        &[
            (GET, &[], &[Body(1)]),
            (GET, &[], &[Status(200), Body(1), Field("cache-status", "stale-if-error")]),
        ],
    ),
    (
        "9111 §4.2.4",
        "an error is an answer where nothing was granted, and replaces nothing",
        &["200 OK|cache-control: max-age=60|etag: \"1\"", "500 Oh"],
        &[
            (GET, &[], &[Body(1)]),
            (GET, &[("cache-control", "no-cache")], &[Status(500)]),
            (GET, &[], &[Status(200), Body(1)]),
        ],
    ),
    (
        "9111 §4.3.3",
        "what a gateway says of a server that is gone is none",
        &["200 OK|cache-control: max-age=10|age: 20|etag: \"1\"", "503 Service Unavailable"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Status(200), Body(1)])],
    ),
    (
        "9111 §5.2.2.2",
        "but one with must-revalidate",
        &["200 OK|cache-control: max-age=10, must-revalidate|age: 20|etag: \"1\"", "503 Service Unavailable"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Status(503)])],
    ),
    (
        "9111 §4.2.4",
        "stale where the server is gone",
        &["200 OK|cache-control: max-age=10|age: 20|etag: \"1\"", "CLOSE"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Status(200), Body(1)])],
    ),
    (
        "9111 §5.2.2.2",
        "but not with must-revalidate",
        &["200 OK|cache-control: max-age=10, must-revalidate|age: 20|etag: \"1\"", "CLOSE"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Status(504)])],
    ),
    (
        "9111 §5.2.2.10",
        "nor with s-maxage",
        &["200 OK|cache-control: s-maxage=10|age: 20|etag: \"1\"", "CLOSE"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Status(504)])],
    ),
    (
        "9111 §5.2.2.8",
        "nor with proxy-revalidate",
        &["200 OK|cache-control: max-age=10, proxy-revalidate|age: 20|etag: \"1\"", "CLOSE"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Status(504)])],
    ),
    (
        "9111 §5.2.1.7",
        "nor where only what is stored is wanted",
        &["200 OK|cache-control: max-age=10|age: 20"],
        &[(GET, &[], &[Body(1)]), (GET, &[("cache-control", "only-if-cached")], &[Status(504), Asked(1)])],
    ),
];

const REQUESTS: &[Case] = &[
    (
        "9111 §5.2.1.4",
        "no-cache asks the server",
        &["200 OK|cache-control: max-age=60|etag: \"1\"", "304 Not Modified|etag: \"1\"|x-new: yes"],
        &[
            (GET, &[], &[Body(1)]),
            (GET, &[("cache-control", "no-cache")], &[Body(1), Asked(2), Field("x-new", "yes")]),
            (GET, &[], &[Asked(2), Field("x-new", "yes")]),
        ],
    ),
    (
        "9111 §5.4",
        "so does Pragma where there is no Cache-Control",
        &["200 OK|cache-control: max-age=60|etag: \"1\"", "304 Not Modified|etag: \"1\""],
        &[(GET, &[], &[Body(1)]), (GET, &[("pragma", "no-cache")], &[Body(1), Asked(2)])],
    ),
    (
        "9111 §5.2.1.1",
        "max-age bounds the age",
        &["200 OK|cache-control: max-age=60|age: 30"],
        &[
            (GET, &[], &[Body(1)]),
            (GET, &[("cache-control", "max-age=40")], &[Asked(1)]),
            (GET, &[("cache-control", "max-age=20")], &[Asked(2), Field("cache-status", "fwd=request")]),
        ],
    ),
    (
        "9111 §5.2.1.3",
        "min-fresh bounds what is left",
        &["200 OK|cache-control: max-age=60|age: 30"],
        &[
            (GET, &[], &[Body(1)]),
            (GET, &[("cache-control", "min-fresh=20")], &[Asked(1)]),
            (GET, &[("cache-control", "min-fresh=40")], &[Asked(2)]),
        ],
    ),
    (
        "9111 §5.2.1.2",
        "max-stale takes what is stale",
        &["200 OK|cache-control: max-age=10|age: 30"],
        &[
            (GET, &[], &[Body(1)]),
            (GET, &[("cache-control", "max-stale=60")], &[Body(1), Asked(1)]),
            (GET, &[("cache-control", "max-stale=5")], &[Body(2), Asked(2)]),
        ],
    ),
    (
        "9111 §5.2.1.7",
        "only-if-cached asks nobody",
        &["200 OK|cache-control: max-age=60"],
        &[
            (GET, &[("cache-control", "only-if-cached")], &[Status(504), Asked(0)]),
            (GET, &[], &[Body(1)]),
            (GET, &[("cache-control", "only-if-cached")], &[Status(200), Asked(1)]),
        ],
    ),
    (
        "9111 §5.2.1.5",
        "no-store keeps the answer out",
        &["200 OK|cache-control: max-age=60"],
        &[(GET, &[("cache-control", "no-store")], &[Body(1)]), (GET, &[], &[Body(2), Asked(2)])],
    ),
    (
        "9111 §3.5",
        "an answer to an authorized request is not shared",
        &["200 OK|cache-control: max-age=60"],
        &[(GET, &[("authorization", "Basic eDp5")], &[Body(1)]), (GET, &[], &[Asked(2)])],
    ),
    (
        "9111 §3.5",
        "unless it says so",
        &["200 OK|cache-control: max-age=60, public"],
        &[(GET, &[("authorization", "Basic eDp5")], &[Body(1)]), (GET, &[], &[Asked(1)])],
    ),
];

const FIELDS: &[Case] = &[
    (
        "9111 §5.2.2.4",
        "a field under no-cache goes out once",
        &["200 OK|cache-control: max-age=60, no-cache=\"x-turn\"|x-turn: 1|x-other: 2"],
        &[
            (GET, &[], &[Field("x-turn", "1")]),
            (GET, &[], &[Asked(1), Without("x-turn"), Field("x-other", "2")]),
        ],
    ),
    (
        "9111 §5.2.2.7",
        "a private field is not stored, the rest is",
        &["200 OK|cache-control: max-age=60, private=\"set-cookie\"|set-cookie: a=b"],
        &[(GET, &[], &[Field("set-cookie", "a=b")]), (GET, &[], &[Asked(1), Without("set-cookie")])],
    ),
    (
        "9110 §12.5.5",
        "Vary tells representations apart",
        &["200 OK|cache-control: max-age=60|vary: accept-encoding|content-encoding: gzip"],
        &[
            (GET, &[("accept-encoding", "gzip, br;q=0.5")], &[Body(1)]),
            (GET, &[("accept-encoding", "br, x-gzip")], &[Body(1), Asked(1)]),
            (GET, &[("accept-encoding", "identity")], &[Body(2), Asked(2)]),
            (GET, &[("accept-encoding", "gzip,br")], &[Body(1), Asked(2)]),
        ],
    ),
    (
        "9111 §4.1",
        "a star is never matched",
        &["200 OK|cache-control: max-age=60|vary: *"],
        &[(GET, &[], &[Body(1)]), (GET, &[], &[Asked(2)])],
    ),
    (
        "9110 §7.6.1",
        "what belongs to the connection stays there",
        &["200 OK|cache-control: max-age=60|connection: x-hop|x-hop: 1|keep-alive: timeout=5"],
        &[(GET, &[("connection", "x-mine"), ("x-mine", "1")], &[Without("x-hop"), Without("keep-alive")])],
    ),
    (
        "9211 §2",
        "Cache-Status says how it was come by",
        &["200 OK|cache-control: max-age=60"],
        &[
            (
                GET,
                &[],
                &[Field("cache-status", "kromka-edge; fwd=miss; stored; fwd-status=200; ttl=60; key=\"")],
            ),
            (GET, &[], &[Field("cache-status", "kromka-edge; hit; ttl=")]),
            ("POST", &[], &[Field("cache-status", "kromka-edge; fwd=method; fwd-status=200")]),
        ],
    ),
    (
        "9211 §2.3",
        "what the server answered is told, whatever came of it",
        &[
            "200 OK|cache-control: max-age=10|age: 20|etag: \"1\"",
            "304 Not Modified|cache-control: max-age=10|age: 20|etag: \"1\"",
            "200 OK|cache-control: no-store",
        ],
        &[
            (GET, &[], &[Field("cache-status", "fwd=miss; stored; fwd-status=200; ttl=-10;")]),
            (GET, &[], &[Field("cache-status", "fwd=stale; fwd-status=304; ttl=-10;")]),
            (GET, &[], &[Field("cache-status", "fwd=stale; fwd-status=200; key=")]),
        ],
    ),
    (
        "9211 §2",
        "caches behind are told of first",
        &["200 OK|cache-control: max-age=60|cache-status: far; hit|cache-status: near; fwd=miss"],
        &[
            (GET, &[], &[Field("cache-status", "far; hit, near; fwd=miss, kromka-edge; fwd=miss")]),
            (GET, &[], &[Field("cache-status", "kromka-edge; hit"), Body(1)]),
            ("POST", &[], &[Field("cache-status", "near; fwd=miss, kromka-edge; fwd=method")]),
        ],
    ),
    (
        "8586 §2",
        "the way is written down, in both directions",
        &["200 OK|cache-control: max-age=60"],
        &[(
            GET,
            &[],
            &[
                Sent("cdn-loop", "kromka; node="),
                Sent("via", "1.1 kromka-edge-"),
                Field("via", "kromka-edge-"),
            ],
        )],
    ),
    (
        "9110 §15.2",
        "an interim answer is not the answer",
        &["103 Early Hints|link: </a.css>"],
        &[(GET, &[], &[Status(200), Body(1)]), (GET, &[], &[Status(200), Body(1), Asked(1)])],
    ),
];

const PARTS: &[Case] = &[
    (
        "9111 §3.3",
        "a part is not taken for the whole",
        &[
            "206 Partial Content|cache-control: max-age=60|content-range: bytes 0-0/9|etag: \"1\"",
            "200 OK|cache-control: max-age=60",
        ],
        &[(GET, &[], &[Status(200), Body(2)]), (GET, &[], &[Status(200), Body(2), Asked(2)])],
    ),
    (
        "9111 §3.4",
        "a part that is the whole of it answers for the whole",
        &["206 Partial Content|cache-control: max-age=60|content-range: bytes 0-0/1|etag: \"1\""],
        &[
            (GET, &[("range", "bytes=0-0")], &[Status(206), Body(1)]),
            (GET, &[], &[Status(200), Body(1), Asked(1)]),
        ],
    ),
    (
        "9110 §14.2",
        "a server may answer a range with the whole",
        &["200 OK|cache-control: max-age=60"],
        &[
            (GET, &[("range", "bytes=0-0")], &[Status(206), Field("content-range", "bytes 0-0/1")]),
            (GET, &[("range", "bytes=1-")], &[Status(416), Field("content-range", "bytes */1"), Asked(1)]),
        ],
    ),
    (
        "9110 §13.1.5",
        "If-Range against another version is the whole",
        &["200 OK|cache-control: max-age=60|etag: \"1\""],
        &[
            (GET, &[("range", "bytes=0-0"), ("if-range", "\"1\"")], &[Status(206)]),
            (GET, &[("range", "bytes=0-0"), ("if-range", "W/\"1\"")], &[Status(200)]),
            (GET, &[("range", "bytes=0-0"), ("if-range", "\"2\"")], &[Status(200), Asked(1)]),
        ],
    ),
    (
        "9110 §13.1.2",
        "what the client has is not sent again",
        &["200 OK|cache-control: max-age=60|etag: \"1\"|x-y: z"],
        &[
            (GET, &[("if-none-match", "\"0\", W/\"1\"")], &[Status(304), Field("etag", "\"1\"")]),
            ("HEAD", &[], &[Status(200), Field("content-length", "1"), Asked(1)]),
        ],
    ),
];

const CHANGES: &[Case] = &[
    (
        "9111 §4.4",
        "an unsafe request undoes what is stored",
        &["200 OK|cache-control: max-age=60"],
        &[(GET, &[], &[Body(1)]), ("POST", &[], &[Body(2)]), (GET, &[], &[Body(3), Asked(3)])],
    ),
    (
        "9111 §4.4",
        "one that failed does not",
        &["200 OK|cache-control: max-age=60", "500 Oh"],
        &[(GET, &[], &[Body(1)]), ("DELETE", &[], &[Status(500)]), (GET, &[], &[Body(1), Asked(2)])],
    ),
    (
        "9110 §9.2.1",
        "a safe one does not",
        &["200 OK|cache-control: max-age=60"],
        &[(GET, &[], &[Body(1)]), ("OPTIONS", &[], &[Body(2)]), (GET, &[], &[Body(1), Asked(2)])],
    ),
];

#[tokio::test]
async fn each_line_of_the_standards_holds() {
    let script = Script::start().await;
    let proxy = Proxy::before(&script.url).await;
    let all = [AGE, TARGETED, STALE, REQUESTS, FIELDS, PARTS, CHANGES].concat();
    for (number, case) in all.iter().enumerate() {
        hold(&script, &proxy, number, case).await;
    }
}

async fn hold(script: &Script, proxy: &Proxy, number: usize, (rfc, says, answers, steps): &Case) {
    let path = format!("/{number}");
    // The last is repeated with numbers of its own, so that it shows which one came.
    let more = (0..4).map(|_| *answers.last().unwrap());
    script.says(
        &path,
        answers.iter().copied().chain(more).enumerate().map(|(n, line)| said(n + 1, line)).collect(),
    );
    let viewer = Viewer::new();
    for (at, (method, fields, wants)) in steps.iter().enumerate() {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let got = viewer.ask(method, &format!("{}{path}", proxy.url), fields).await;
        for want in *wants {
            check(script, &path, &got, want, &format!("RFC {rfc}, {says}: step {}", at + 1)).await;
        }
    }
}

fn said(number: usize, line: &str) -> Said {
    let mut parts = line.split('|');
    let status = parts.next().unwrap();
    let fields: Vec<&str> = parts.collect();
    match status.split(' ').next().unwrap() {
        "CLOSE" => Said::then_close(""),
        "304" => Said::raw(format!("HTTP/1.1 {status}\r\n{}\r\n\r\n", fields.join("\r\n"))),
        "103" => {
            let mut said = format!("HTTP/1.1 {status}\r\n{}\r\n\r\n", fields.join("\r\n")).into_bytes();
            let last = Said::answer("200 OK", &["cache-control: max-age=60"], &number.to_string());
            said.extend_from_slice(&last.bytes);
            Said::raw(said)
        }
        _ => Said::answer(status, &fields, &number.to_string()),
    }
}

async fn check(script: &Script, path: &str, got: &Got, want: &Want, what: &str) {
    let heard = || script.heard_of(path);
    match want {
        Status(status) => assert_eq!(got.status, *status, "{what}: {:?}", got.headers),
        Body(number) => assert_eq!(got.text(), number.to_string(), "{what}: {:?}", got.headers),
        Field(name, value) => {
            let all = got.headers.get_all(*name).iter().map(|one| one.to_str().unwrap());
            let all = all.collect::<Vec<_>>().join(", ");
            assert!(all.contains(value), "{what}: {name}: {all:?}");
        }
        Without(name) => assert!(!got.headers.contains_key(*name), "{what}: {name}"),
        Sent(name, value) => {
            let last = heard().pop().unwrap();
            assert!(last.field(name).is_some_and(|sent| sent.contains(value)), "{what}: {name}: {last:?}");
        }
        // What goes on behind the viewer's back takes a moment; more than wanted would show at once.
        Asked(times) => {
            until(&format!("{what}: {times} requests"), || async { (heard().len() >= *times).then_some(()) })
                .await;
            assert_eq!(heard().len(), *times, "{what}: {:#?}", heard());
        }
    }
}

#[tokio::test]
async fn what_a_location_names_is_undone_as_well_if_it_is_of_the_same_site() {
    let script = Script::start().await;
    let proxy = Proxy::before(&script.url).await;
    let viewer = Viewer::new();
    let page = |n: &str| Said::answer("200 OK", &["cache-control: max-age=60"], n);
    for path in ["/list", "/item", "/other"] {
        script.says(path, vec![page("old"), page("new")]);
        assert_eq!(viewer.get(&format!("{}{path}", proxy.url)).await.text(), "old");
    }
    let elsewhere = "content-location: http://elsewhere.example/other";
    script.says("/do", vec![Said::answer("201 Created", &["location: /item", elsewhere], "done")]);
    let got = viewer.ask(reqwest::Method::POST, &format!("{}/do", proxy.url), &[]).await;
    assert_eq!(got.status, 201);
    for (path, text) in [("/item", "new"), ("/other", "old"), ("/list", "old")] {
        assert_eq!(viewer.get(&format!("{}{path}", proxy.url)).await.text(), text, "RFC 9111 §4.4: {path}");
    }
}

#[tokio::test]
async fn what_was_made_under_one_name_is_not_shown_under_another() {
    let script = Script::start().await;
    let proxy = Proxy::before(&script.url).await;
    let viewer = Viewer::new();
    script.says(
        "/",
        (1..9).map(|n| Said::answer("200 OK", &["cache-control: max-age=60"], &n.to_string())).collect(),
    );
    let url = format!("{}/", proxy.url);
    let ask = |host: &'static str| {
        let (viewer, url) = (viewer.clone(), url.clone());
        async move { viewer.ask(reqwest::Method::GET, &url, &[("host", host)]).await.text().to_owned() }
    };
    assert_eq!(ask("a.example").await, "1");
    assert_eq!(ask("evil.example").await, "2");
    assert_eq!(ask("A.example").await, "1");
    assert_eq!(script.heard_of("/")[1].field("x-forwarded-host"), Some("evil.example"));
}
