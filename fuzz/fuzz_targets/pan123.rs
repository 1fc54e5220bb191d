#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xpand_fuzz::pan123(data));
