#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fundbond_fuzz::foreign_event::check(data));
