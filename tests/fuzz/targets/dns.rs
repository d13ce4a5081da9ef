//! Messages to the selector's DNS server: each is answered soundly, within its bound, or not at all.
#![no_main]

libfuzzer_sys::fuzz_target!(|message: &[u8]| kromka_selector::any_message(message));
