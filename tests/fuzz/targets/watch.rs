#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etcd_rs_sync::fuzz::watch(bytes));
