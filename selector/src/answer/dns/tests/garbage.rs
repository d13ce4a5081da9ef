//! Whatever comes: nothing breaks, an answer is never larger than its bound, and it can be read.

use proptest::prelude::*;

use super::{super::numbers::kind, Question, any_message, ask_at, server, three};

/// Good questions, for the harm that is done to them.
fn seeds() -> Vec<Vec<u8>> {
    let video = |kind| Question::new("s1.video.a.cdn.test", kind);
    vec![
        video(kind::A).bytes,
        video(kind::AAAA).edns(1232).bytes,
        video(kind::HTTPS).subnet([203, 0, 113, 0], 24).bytes,
        video(kind::A).subnet([203, 0, 112, 0], 22).option(10, &[5; 24]).option(3, &[]).bytes,
        Question::new("cdn.test", kind::SOA).edns(512).option(10, &[5; 8]).bytes,
    ]
}

/// One way to harm a message.
#[derive(Clone, Debug)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, with)| Harm::Flip(at, with)),
        1 => at().prop_map(Harm::Cut),
        1 => (at(), proptest::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, what)| Harm::Insert(at, what)),
        1 => (at(), 1usize..8).prop_map(|(at, many)| Harm::Remove(at, many)),
        1 => (at(), 1usize..64).prop_map(|(at, many)| Harm::Repeat(at, many)),
    ]
}

fn harmed(mut bytes: Vec<u8>, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        if bytes.is_empty() {
            return bytes;
        }
        let length = bytes.len();
        match harm {
            Harm::Flip(at, with) => bytes[at.index(length)] ^= with,
            Harm::Cut(at) => bytes.truncate(at.index(length)),
            Harm::Insert(at, what) => drop(bytes.splice(at.index(length)..at.index(length), what.clone())),
            Harm::Remove(at, many) => {
                drop(bytes.drain(at.index(length)..(at.index(length) + many).min(length)));
            }
            Harm::Repeat(at, many) => {
                let from = at.index(length);
                let again = bytes[from..(from + many).min(length)].to_vec();
                bytes.splice(from..from, again);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn harmed_questions_get_sound_answers_or_none(
        seed in 0usize..5,
        harms in proptest::collection::vec(harm(), 1..6),
    ) {
        any_message(&harmed(seeds()[seed].clone(), &harms));
    }

    #[test]
    fn noise_gets_sound_answers_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        any_message(&bytes);
    }
}

#[test]
fn every_cut_of_a_good_question_is_survived() {
    for seed in seeds() {
        for end in 0..=seed.len() {
            any_message(&seed[..end]);
        }
    }
}

#[test]
fn names_that_point_at_themselves_or_never_end_are_refused() {
    for tail in [vec![0xC0, 12], vec![0xC0, 0], vec![63; 200], vec![1; 300], vec![0x40, 1], vec![0x80, 1]] {
        let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(tail);
        bytes.extend([0, 0, 1, 0, 1]);
        any_message(&bytes);
        let server = server(three(), 0, 0);
        let answer = ask_at(&server, &bytes, 0).unwrap();
        assert_eq!(answer[3] & 0xF, 1, "FORMERR to {bytes:?}");
    }
}
