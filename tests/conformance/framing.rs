//! Requests that two servers in a row could read in two ways, and the verdict of RFC 9112 on each. What is
//! passed on is written anew, so that the server behind sees one request or none, and never a second one.

use crate::world::{Proxy, Said, Script, wire};

/// What a server has to make of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// 400, the connection ends, and the server behind heard nothing.
    Refused,
    /// A frame that breaks amid the body: by then the head may have been passed on, and perhaps answered. What came
    /// is never taken for a whole body, and the connection ends.
    Broken,
    /// It may be taken, in this one reading: the body that arrives.
    Taken(&'static str),
}
use Verdict::{Broken, Refused, Taken};

/// What a smuggler would want to be a request of its own, behind each of them.
const BEHIND: &str = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n";

const TABLE: &[(&str, &str, &str, Verdict)] = &[
    // RFC 9112 §2.2 lets a lone LF end a line.
    ("§2.2", "bare LF", "POST /x HTTP/1.1\nHost: h\nContent-Length: 2\nConnection: close\n\nab", Taken("ab")),
    ("§2.2", "space before the first field", "POST /x HTTP/1.1\r\n Host: h\r\n\r\n", Refused),
    ("§5.1", "space before the colon", "POST /x HTTP/1.1\r\nHost : h\r\nContent-Length: 0\r\n\r\n", Refused),
    (
        "§5.1",
        "space before the colon of a length",
        "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length : 2\r\n\r\nab",
        Refused,
    ),
    (
        "§5.2",
        "a folded line",
        "POST /x HTTP/1.1\r\nHost: h\r\nX-Long: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        Refused,
    ),
    (
        "§6.3",
        "two lengths",
        "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "§6.3",
        "a list of two lengths",
        "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2, 3\r\n\r\nabc",
        Refused,
    ),
    ("§6.3", "a signed length", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\nab", Refused),
    ("§6.3", "a negative length", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: -2\r\n\r\nab", Refused),
    ("§6.3", "a hexadecimal length", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0x2\r\n\r\nab", Refused),
    (
        "§6.3",
        "a length beyond all numbers",
        "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
        Refused,
    ),
    ("§6.1", "an unknown coding", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\nab", Refused),
    (
        "§6.1",
        "chunked not last",
        "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "§7.1",
        "a chunk size that is none",
        "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n",
        Broken,
    ),
    (
        "§7.1",
        "a chunk size beyond all numbers",
        "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n0\r\n\r\n",
        Broken,
    ),
    (
        "§7.1.1",
        "chunk extensions are ignored",
        "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0;c\r\n\r\n",
        Taken("ab"),
    ),
    (
        "§7.1.2",
        "trailers are no fields",
        "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Late: 1\r\nContent-Length: 9\r\n\r\n",
        Taken("ab"),
    ),
    ("§3.2", "no Host", "GET /x HTTP/1.1\r\nConnection: close\r\n\r\n", Refused),
    ("§3.2", "two Hosts", "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", Refused),
    ("§3", "a space in the target", "GET /x y HTTP/1.1\r\nHost: h\r\n\r\n", Refused),
    ("§2.3", "no version that there is", "GET /x HTTP/9.9\r\nHost: h\r\n\r\n", Refused),
    ("9110 §5.5", "a NUL in a value", "GET /x HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", Refused),
    ("9110 §5.1", "no name", "GET /x HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n", Refused),
];

#[tokio::test]
async fn what_two_servers_could_read_in_two_ways_is_read_in_one_or_refused() {
    for (rfc, what, bytes, verdict) in TABLE {
        let script = Script::start().await;
        script.says("/x", vec![Said::answer("200 OK", &[], "seen")]);
        let proxy = Proxy::before(&script.url).await;
        let answer = wire::send(&proxy.url, format!("{bytes}{BEHIND}").as_bytes()).await;
        let status = answer.as_ref().map(|answer| answer.status);
        let (heard, connections) = (script.heard(), script.connections());
        let case = format!("RFC 9112 {rfc}, {what}: {status:?} {heard:#?}");
        match verdict {
            Refused => {
                assert_eq!((status, heard.len(), connections), (Some(400), 0, 0), "{case}");
            }
            Broken => {
                assert!(status.is_none_or(|status| status == 400), "{case}");
                assert!(heard.is_empty(), "{case}");
            }
            Taken(body) => {
                assert_eq!((status, heard.len()), (Some(200), 1), "{case}");
                assert_eq!((heard[0].target.as_str(), &heard[0].body[..]), ("/x", body.as_bytes()), "{case}");
                assert!(heard[0].field("x-late").is_none(), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_length_beside_chunks_is_refused_or_gone_and_nothing_rides_behind() {
    let script = Script::start().await;
    script.says("/x", vec![Said::answer("200 OK", &[], "seen")]);
    let proxy = Proxy::before(&script.url).await;
    let smuggled = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\n";
    let answer = wire::send(&proxy.url, format!("{smuggled}{BEHIND}").as_bytes()).await;
    let heard = script.heard();
    assert!(heard.iter().all(
        |heard| !(heard.field("content-length").is_some() && heard.field("transfer-encoding").is_some())
    ));
    assert!(answer.is_none_or(|answer| answer.status == 400 || answer.status == 200));
    // RFC 9112 §6.1: the chunks count, and the connection is not used any further.
    assert!(heard.iter().all(|heard| heard.target != "/admin"), "{heard:#?}");
}

#[tokio::test]
async fn a_target_in_absolute_form_says_which_host_is_meant() {
    let script = Script::start().await;
    script.says("/x", vec![Said::answer("200 OK", &[], "seen")]);
    let proxy = Proxy::before(&script.url).await;
    let bytes = b"GET http://named.example/x HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n";
    assert_eq!(wire::send(&proxy.url, bytes).await.unwrap().status, 200);
    let heard = script.heard().remove(0);
    assert_eq!(heard.field("x-forwarded-host"), Some("named.example"), "RFC 9112 §3.2.2");
    assert_eq!(heard.target, "/x");
}

/// How much of an answer may reach a viewer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reaches {
    /// None of it: 502.
    Nobody,
    /// It may be put together to this one reading, else 502.
    PutTogether(&'static str),
    /// A frame that breaks amid the body: what came before may have gone on, but never looks complete.
    InPart,
}

#[tokio::test]
async fn an_answer_that_could_be_read_in_two_ways_reaches_nobody() {
    use Reaches::{InPart, Nobody, PutTogether};
    for (what, bytes, reaches) in [
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc", Nobody),
        // RFC 9112 §5.2 lets a proxy put the line together.
        ("a folded line", "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nab", PutTogether("ab")),
        ("no answer at all", "hello\r\n\r\n", Nobody),
        ("a NUL in a value", "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nab", Nobody),
        (
            "a chunk size that is none",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
            InPart,
        ),
        (
            "a chunk size that is none behind one that is",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\ncd\r\n0\r\n\r\n",
            InPart,
        ),
    ] {
        let script = Script::start().await;
        script.says("/x", vec![Said::then_close(bytes)]);
        let proxy = Proxy::before(&script.url).await;
        let answer = wire::get(&proxy.url, "/x").await;
        let case = format!("{what}: {}\n{:?}", answer.head, String::from_utf8_lossy(&answer.body));
        match reaches {
            Nobody => assert_eq!(answer.status, 502, "{case}"),
            PutTogether(body) => assert!(
                answer.status == 502
                    || answer.status == 200 && answer.whole().as_deref() == Some(body.as_bytes()),
                "{case}"
            ),
            InPart => assert!(answer.status == 502 || answer.whole().is_none(), "{case}"),
        }
        assert!(!answer.head.contains("\r\n b"), "{case}");
    }
}
