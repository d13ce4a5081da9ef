#![allow(clippy::unwrap_used, clippy::expect_used)]

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

/// One verb's own arguments, after a first word that does not count.
pub(super) fn arguments<A: clap::Args>(words: &[&str]) -> Result<A, clap::Error> {
    let command = A::augment_args(clap::Command::new("kromka"));
    A::from_arg_matches(&command.try_get_matches_from(["kromka"].iter().chain(words))?)
}

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["kromka"].into_iter().chain(line.split_whitespace()))
}

#[test]
fn every_promised_line_is_understood() {
    for line in [
        "up",
        "up --media s3://bucket/prefix --listen 127.0.0.1 --edges 2 --data d --ready-file f",
        "edge --config edge.toml",
        "origin --config origin.toml",
        "selector --config selector.toml",
        "check edge.toml",
        "sign --path /x --ttl 300 --prefix --key k.pem --kid k --url https://edge/",
        "verify a.b.c --jwks keys.json --path /x --service s --client-ip ::1 --at 0",
        "sessions create --asset /a.m3u8 --subject me --output json",
        "prewarm --tree /a.m3u8 --wait",
        "purge --url /a --prefix /b --tag c --mode soft --wait",
        "operations 0198 --wait",
        "operations cancel 0198",
        "nodes list --selector http://127.0.0.1:1 --token t",
        "--selector http://127.0.0.1:1 --output json nodes drain edge-1",
        "nodes --token-file t resume edge-1",
        "nodes drain edge-1 --wait --timeout 10m",
        "explain /stream/demo/master.m3u8 --client-ip 203.0.113.7",
        "simulate --drain edge-1 --lose-site ams --add edge-9,lon,10000000000",
        "zones show",
        "zones import zones.json --dry-run",
        "costs set ams 12.5",
        "maintenance plan --node edge-1 --site ams --from 2026-01-31T02:00:00Z --until 2026-01-31T04:00:00Z --ramp 10m",
        "maintenance cancel 0198",
        "completions zsh",
        "man",
        "man nodes drain",
        "man --dir pages",
        "version",
    ] {
        parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn a_wrong_line_is_a_usage_error() {
    for line in [
        "",
        "fly",
        "edge",
        "check",
        "purge",
        "purge --url /a --mode gentle",
        "nodes",
        "completions c64",
        "man up --dir pages",
    ] {
        assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
    }
    assert_eq!(parsed("--version").unwrap_err().exit_code(), 0);
}

#[test]
fn options_are_the_same_before_and_after_the_verb() {
    for line in ["--output json nodes list", "nodes --output json list", "nodes list --output json"] {
        assert_eq!(parsed(line).unwrap().output, output::Output::Json, "{line}");
    }
}

#[test]
fn every_verb_says_what_it_is_for() {
    fn described(command: &clap::Command) {
        for verb in command.get_subcommands() {
            assert!(verb.get_about().is_some(), "{} has no description", verb.get_name());
            for arg in verb.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {} has no help", verb.get_name(), arg.get_id());
            }
            described(verb);
        }
    }
    described(&Cli::command());
}
