use super::*;
use crate::core::facts::ScriptOutcome;
use crate::process::{Cancel, Command, run};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

/// A test that forks in parallel holds a copy of every descriptor until it executes something, for an instant.
fn acquire_soon(run_dir: &Path) -> InstanceLock {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        match InstanceLock::acquire(run_dir) {
            Ok(lock) => return lock,
            Err(e) => assert!(std::time::Instant::now() < deadline, "{e}"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_second_instance_is_told_who_the_first_is_until_that_ends() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("run/reboot-coordinator");
    let first = InstanceLock::acquire(&run_dir).unwrap();
    let me = std::process::id();
    match InstanceLock::acquire(&run_dir) {
        Err(LockError::Held { pid }) => assert_eq!(pid, Some(me)),
        other => panic!("{other:?}"),
    }
    drop(first);
    let path = run_dir.join("instance.lock");
    fs::write(&path, "4242424242 stale, and longer than a process id\n").unwrap();
    let second = acquire_soon(&run_dir);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{me}\n"));
    assert_eq!(
        fs::metadata(&run_dir).unwrap().permissions().mode() & 0o022,
        0
    );
    drop(second);
}

#[test]
fn a_lock_on_a_deleted_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let file = File::create(&path).unwrap();
    assert!(is_at(&file, &path).unwrap());
    fs::remove_file(&path).unwrap();
    assert!(!is_at(&file, &path).unwrap());
    File::create(&path).unwrap();
    assert!(!is_at(&file, &path).unwrap());
}

#[test]
fn children_do_not_keep_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let lock = InstanceLock::acquire(dir.path()).unwrap();
    let ready = dir.path().join("ready");
    let argv = [
        "/bin/sh",
        "-c",
        &format!("touch {}; exec /bin/sleep 1000", ready.display()),
    ];
    let argv = argv.map(String::from).to_vec();
    let env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let spec = Command {
        argv,
        env,
        timeout: Duration::from_secs(20),
        detach: false,
    };
    let cancel = Cancel::new();
    let child = std::thread::spawn({
        let cancel = cancel.clone();
        move || run(&spec, &cancel)
    });
    while !ready.exists() {
        std::thread::yield_now();
    }
    drop(lock);
    acquire_soon(dir.path());
    cancel.cancel();
    assert_eq!(child.join().unwrap().outcome, ScriptOutcome::Cancelled);
}

#[test]
fn a_lock_that_cannot_be_made_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = InstanceLock::acquire(&dir.path().join("file/below")).unwrap_err();
    assert!(
        error.to_string().contains("file/below/instance.lock: "),
        "{error}"
    );
}

#[test]
fn what_is_no_boot_id_is_refused_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("boot_id");
    let why = || boot_id(&path).unwrap_err().to_string();
    assert!(why().contains("boot_id: "));
    let id = "9f1c4a52-7d0e-4b83-a6f1-0c2d3e4f5a6b";
    let (nuls, upper) = ("\0".repeat(37), id.to_uppercase());
    let machine_id = id.replace('-', "");
    let (longer, twice) = (format!("{id}0"), format!("{id}\n{id}"));
    let moved = format!("{}-{}", &id[1..8], &id[8..]).replace("--", "-0");
    for no_id in [
        "",
        " \n",
        "0e5f-1",
        "uninitialized",
        &nuls,
        &upper,
        &machine_id,
        &longer,
        &twice,
        &moved,
        &id[..35],
        "00000000-0000-0000-0000-000000000000",
        "gf1c4a52-7d0e-4b83-a6f1-0c2d3e4f5a6b",
        "\u{feff}9f1c4a52-7d0e-4b83-a6f1-0c2d3e4f5a6b",
        "------------------------------------",
        "cat: /proc/sys: Transport endpoint is not connected",
    ] {
        fs::write(&path, no_id).unwrap();
        assert!(why().contains("is no boot id"), "{no_id:?}: {}", why());
    }
    fs::write(&path, [0xff; 36]).unwrap();
    assert!(why().contains("is no boot id"));
    for whole in [id.to_owned(), format!(" {id}\n")] {
        fs::write(&path, whole).unwrap();
        assert_eq!(boot_id(&path).unwrap(), id);
    }
    assert_eq!(
        boot_id(Path::new("/proc/sys/kernel/random/boot_id"))
            .unwrap()
            .len(),
        36
    );
}

#[test]
fn only_a_missing_kill_switch_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "  INC-1234: disk\u{1b}[31m swap \nmore\n").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("binary"), [0xff, 0xfe, b'\n']).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("/dev/zero", at("device")).unwrap();
    assert_eq!(kill_switch(&at("missing")), KillSwitch::Absent);
    assert!(!KillSwitch::Absent.forbids());
    for (name, line) in [
        ("file", "INC-1234: disk[31m swap"),
        ("empty", ""),
        ("binary", "\u{fffd}\u{fffd}"),
        ("dangling", ""),
        ("loop", ""),
        ("device", ""),
        ("", ""),
    ] {
        let found = kill_switch(&at(name));
        assert!(found.forbids());
        assert!(
            matches!(&found, KillSwitch::Present { since: Some(_), text } if text == line),
            "{name}: {found:?}"
        );
    }
    for name in ["file/below", "loop/below", &"x".repeat(300)] {
        let found = kill_switch(&at(name));
        assert!(
            matches!(&found, KillSwitch::Unknown(_)) && found.forbids(),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn the_marker_is_replaced_whole_and_a_full_disk_is_an_error_that_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_completed(dir.path()).unwrap(), None);
    write_completed(dir.path(), r#"{"v":1,"boot":"a"}"#).unwrap();
    write_completed(dir.path(), r#"{"v":1}"#).unwrap();
    symlink("/dev/full", dir.path().join("completed.json.tmp")).unwrap();
    let error = write_completed(dir.path(), r#"{"v":1,"boot":"b"}"#).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(
        read_completed(dir.path()).unwrap().as_deref(),
        Some(r#"{"v":1}"#)
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing temporary is left"
    );
    write_completed(dir.path(), "{}").unwrap();
    assert!(write_completed(&dir.path().join("missing"), "{}").is_err());
}

#[test]
fn a_boot_id_that_changes_from_one_look_to_the_next_is_none() {
    let uuid = Path::new("/proc/sys/kernel/random/uuid");
    let why = boot_id(uuid).unwrap_err().to_string();
    assert!(why.contains("uuid") && why.contains("another one"), "{why}");
}
