#![allow(clippy::unwrap_used, clippy::expect_used)]

use kromka_access::Signer;

use super::*;
use crate::cli::tests::arguments;

const SECRET: [u8; 32] = [7; 32];

fn args(words: &[&str]) -> Args {
    arguments(words).unwrap()
}

fn token(claims: Claims) -> String {
    let claims = Claims { sid: "s".into(), aud: "music".into(), cdniuc: "path:/a/".into(), ..claims };
    Signer::hs256("k", &SECRET).unwrap().sign(&claims).unwrap()
}

fn verdict(words: &[&str]) -> Result<(), Refusal> {
    let args = args(words);
    let keys = KeySet::new().with_secret("k", "music", &SECRET).unwrap();
    judge(&args, &given(&args)?, &keys, args.at.unwrap_or(1000))
}

#[test]
fn the_token_is_found_wherever_an_edge_would_find_it() {
    let token = token(Claims { exp: 2000, ..Claims::default() });
    for text in [
        token.clone(),
        format!("https://edge.example:8443/~{token}/a/master.m3u8"),
        format!("https://edge.example/a/master.m3u8?x=1&kt={token}"),
        format!("/~{token}/a/master.m3u8"),
    ] {
        assert_eq!(verdict(&[&text]), Ok(()), "{text}");
    }
    for (text, refusal) in [
        ("https://edge.example/a/1.ts".to_owned(), Refusal::Missing),
        (format!("https://edge.example/~{token}/a/1.ts?kt=other"), Refusal::Doubled),
        (format!("https://edge.example/~{token}/b/1.ts"), Refusal::Path),
    ] {
        assert_eq!(verdict(&[&text]), Err(refusal), "{text}");
    }
    let crooked = format!("https://edge.example/~{token}/b/%2e%2e/a/1.ts");
    assert!(matches!(verdict(&[&crooked]), Err(Refusal::Malformed(_))));
}

#[test]
fn each_question_has_its_answer() {
    let net = "192.0.2.0/24".parse().ok();
    let token = token(Claims { exp: 2000, kst: Some(1100), cdniip: net, ..Claims::default() });
    let at_home = ["--client-ip", "192.0.2.7"];
    let ask = |words: &[&str]| verdict(&[&[token.as_str()], words].concat());
    assert_eq!(ask(&[]), Ok(()));
    assert_eq!(ask(&["--service", "video"]), Err(Refusal::Audience));
    assert_eq!(ask(&["--path", "/a/1.ts"]), Err(Refusal::Address));
    assert_eq!(ask(&[&["--path", "/a/1.ts"], &at_home[..]].concat()), Ok(()));
    let late = ["--at", "1131", "--path", "/a/master.m3u8"];
    assert_eq!(ask(&[&late, &at_home[..]].concat()), Err(Refusal::StartDeadline { by_s: 31 }));
    assert_eq!(ask(&["--at", "1970-01-01T01:00:00Z"]), Err(Refusal::Expired { by_s: 1600 }));
}

#[tokio::test]
async fn the_secret_is_known_by_the_name_that_the_token_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let token = token(Claims { exp: 2000, ..Claims::default() });
    let with =
        |more: &[&str]| args(&[&[token.as_str(), "--secret-file", file.to_str().unwrap()], more].concat());
    let read = claims_unverified(&token).unwrap();
    for (more, good) in [(&[][..], true), (&["--kid", "k"], true), (&["--kid", "other"], false)] {
        let args = with(more);
        let keys = keys(&args, &Remote::default(), Some(&read)).await.unwrap();
        assert_eq!(judge(&args, &given(&args).unwrap(), &keys, 1000).is_ok(), good, "{more:?}");
    }
    let error = keys(&args(&[&token]), &Remote::default(), None).await.unwrap_err();
    assert!(error.to_string().contains("--jwks"), "{error}");
}

#[test]
fn people_see_dates_and_the_reason() {
    let token = token(Claims { exp: 1_769_882_400, ..Claims::default() });
    let read = claims_unverified(&token).ok();
    let text = table(&read, None, &Err(Refusal::Expired { by_s: 60 }));
    for part in ["1769882400 (2026-01-31T18:00:00Z)", "path:/a/", "HS256", "refused", "expired 60 s ago"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json = as_json(&read, None, &Err(Refusal::Expired { by_s: 60 }));
    assert_eq!((json["good"].as_bool(), json["refusal"].as_str()), (Some(false), Some("expired")));
    assert_eq!(json["claims"]["aud"], "music");
}
