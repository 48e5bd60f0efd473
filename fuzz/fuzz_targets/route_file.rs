#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fundbond_fuzz::route_file::check(data));
