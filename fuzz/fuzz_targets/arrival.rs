#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wormhole_fuzz::targets::arrival::run(data));
