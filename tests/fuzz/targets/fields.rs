//! Header fields of clients and of sources, as the cache reads them: ranges, conditions, lifetimes, `Vary`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| kromka_cache::any_fields(text));
