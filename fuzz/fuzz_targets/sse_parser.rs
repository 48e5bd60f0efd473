#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fundbond_fuzz::sse_parser::check(data));
