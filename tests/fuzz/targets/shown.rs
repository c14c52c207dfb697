#![no_main]

use std::sync::OnceLock;

use tempfile::TempDir;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder can be had"));
    reboot_coordinator::fuzz::shown(folder.path(), bytes);
});
