#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fundbond_fuzz::request_guard::check(data));
