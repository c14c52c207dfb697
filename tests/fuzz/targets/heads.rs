#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reboot_coordinator::fuzz::heads(bytes));
