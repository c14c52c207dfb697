//! The files of this host: locks, links in their place, disks that are full, and what cannot be read.

use super::*;
use crate::core::facts::ScriptOutcome;
use crate::process::{Cancel, Command, run};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

/// The marker of the last completed reboot, as others may read it.
fn read_completed(run_dir: &Path) -> io::Result<Option<String>> {
    match trust::read(&run_dir.join("completed.json"), READ_LIMIT) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

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
    let held = InstanceLock::acquire(&run_dir).unwrap_err();
    let told = format!("another instance runs on this host, with process id {me}");
    assert_eq!((held.kind(), held.to_string()), (HELD, told));
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
    let open = || private().create(true).open(&path).unwrap();
    let locked = |file| InstanceLock::of(file, &path).unwrap().is_some();
    assert!(locked(open()));
    let file = open();
    fs::remove_file(&path).unwrap();
    assert!(!locked(file));
    let file = open();
    fs::remove_file(&path).unwrap();
    File::create(&path).unwrap();
    assert!(!locked(file));
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
        begins_within: Duration::from_secs(20),
        detach: false,
        stdin: None,
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
    assert_eq!(kill_switch(&at("missing/")), KillSwitch::Absent);
    // A folder that somebody has moved to a file system that is not mounted now.
    let unmounted = ["dangling/", "dangling/.", "dangling/below/it"];
    let long = "x".repeat(300);
    for name in ["file/below", "loop/below", &long]
        .into_iter()
        .chain(unmounted)
    {
        let found = kill_switch(&at(name));
        assert!(
            matches!(&found, KillSwitch::Unknown(_)) && found.forbids(),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn the_marker_is_replaced_whole_and_a_failure_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_completed(dir.path()).unwrap(), None);
    write_completed(dir.path(), r#"{"v":1,"boot":"a"}"#).unwrap();
    write_completed(dir.path(), r#"{"v":1}"#).unwrap();
    let in_the_way = dir.path().join("completed.json.tmp");
    fs::create_dir(&in_the_way).unwrap();
    write_completed(dir.path(), r#"{"v":1,"boot":"b"}"#).unwrap_err();
    assert_eq!(
        read_completed(dir.path()).unwrap().as_deref(),
        Some(r#"{"v":1}"#)
    );
    fs::remove_dir(&in_the_way).unwrap();
    write_completed(dir.path(), "{}").unwrap();
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing temporary is left"
    );
    assert!(write_completed(&dir.path().join("missing"), "{}").is_err());
}

#[test]
fn nothing_is_written_or_read_through_what_stands_in_run_dir() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::set_permissions(&victim, Permissions::from_mode(0o644)).unwrap();
    let run_dir = dir.path().join("run");
    fs::create_dir(&run_dir).unwrap();
    for name in ["completed.json.tmp", "completed.json", "claim.tmp", "claim"] {
        symlink(&victim, run_dir.join(name)).unwrap();
    }
    write_completed(&run_dir, "{}").unwrap();
    write_claim(&run_dir, "none").unwrap();
    for name in ["completed.json", "claim"] {
        let meta = fs::symlink_metadata(run_dir.join(name)).unwrap();
        assert!(
            meta.is_file() && meta.permissions().mode() & 0o777 == 0o600,
            "{name}"
        );
    }
    symlink(&victim, run_dir.join("instance.lock")).unwrap();
    InstanceLock::acquire(&run_dir).unwrap_err();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let mode = fs::metadata(&victim).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    // Nobody waits for the other end of a FIFO.
    for name in ["completed.json", "instance.lock"] {
        let path = run_dir.join(name);
        fs::remove_file(&path).unwrap();
        let mode = 0o600.into();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    read_completed(&run_dir).unwrap_err();
    let error = InstanceLock::acquire(&run_dir).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_run_dir_on_what_is_mounted_read_only_is_refused() {
    // Where there is one, and root is not told first that it is not his.
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    for mount in mounts.lines() {
        let words: Vec<&str> = mount.split(' ').collect();
        let (at, read_only) = (Path::new(words[1]), words[3].starts_with("ro"));
        if read_only && at.is_dir() && rustix::process::geteuid().is_root() {
            let why = InstanceLock::fits(&at.join("new")).unwrap_err().to_string();
            assert!(why.contains("Read-only file system"), "{why}");
        }
    }
}

#[test]
fn a_run_dir_that_others_may_write_or_own_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("run");
    fs::create_dir(&run_dir).unwrap();
    for mode in [0o777, 0o1777, 0o770] {
        fs::set_permissions(&run_dir, Permissions::from_mode(mode)).unwrap();
        let error = InstanceLock::acquire(&run_dir).unwrap_err().to_string();
        assert!(
            error.contains("can be changed by its group or others"),
            "{error}"
        );
    }
    fs::set_permissions(&run_dir, Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&run_dir, Some(65534), None).unwrap();
        let error = InstanceLock::acquire(&run_dir).unwrap_err().to_string();
        assert!(
            error.contains("belongs to the user with id 65534"),
            "{error}"
        );
        std::os::unix::fs::chown(&run_dir, Some(0), None).unwrap();
    }
    drop(acquire_soon(&run_dir));
    let mode = fs::metadata(run_dir.join("instance.lock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_stranger_who_holds_the_lock_is_named_and_is_not_another_instance() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("instance.lock");
    fs::write(&path, "1\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    for kind in ["--shared", "--exclusive"] {
        a_stranger_is_named(dir.path(), &path, kind);
    }
}

fn a_stranger_is_named(run_dir: &Path, path: &Path, kind: &str) {
    let line = format!("exec flock --no-fork {kind} {} cat", path.display());
    // It ends with its input, and so with a test that fails.
    let mut holder = std::process::Command::new("/bin/sh")
        .args(["-c", &line])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let named = format!("is held by process {} (", holder.id());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    // A child that another test is about to start has the lock of the last look for a moment.
    let error = loop {
        let looked = InstanceLock::acquire(run_dir).map(drop);
        match looked {
            Err(error) if error.to_string().contains(&named) => break error,
            looked => assert!(std::time::Instant::now() < deadline, "{looked:?}"),
        }
        std::thread::yield_now();
    };
    let text = error.to_string();
    assert_ne!(error.kind(), HELD, "{text}");
    assert!(text.contains("no reboot-coordinator; end it"), "{text}");
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn the_text_of_a_kill_switch_is_shown_only_when_somebody_trusted_wrote_it_there() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let text = |name: &str| match kill_switch(&at(name)) {
        KillSwitch::Present { text, .. } => text,
        other => panic!("{name}: {other:?}"),
    };
    fs::write(at("secret"), "root:$6$hash\n").unwrap();
    symlink(at("secret"), at("link")).unwrap();
    assert_eq!(text("link"), "");
    assert_eq!(text("secret"), "root:$6$hash");
    fs::set_permissions(at("secret"), Permissions::from_mode(0o666)).unwrap();
    assert_eq!(text("secret"), "");
    fs::write(at("foreign"), "mine\n").unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(at("foreign"), Some(65534), None).unwrap();
        assert_eq!(text("foreign"), "");
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("fifo"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    assert_eq!(text("fifo"), "");
}

#[test]
fn a_boot_id_that_changes_from_one_look_to_the_next_is_none() {
    let uuid = Path::new("/proc/sys/kernel/random/uuid");
    let why = boot_id(uuid).unwrap_err().to_string();
    assert!(why.contains("uuid") && why.contains("another one"), "{why}");
}

#[test]
fn what_a_host_remembers_and_says_of_itself_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(40_000);
    assert_eq!(
        (read_memory(dir.path()), read_standing(dir.path())),
        (None, None)
    );
    write_memory(dir.path(), "{}").unwrap();
    write_standing(dir.path(), &long).unwrap();
    assert_eq!(read_memory(dir.path()).as_deref(), Some("{}"));
    assert_eq!(read_standing(dir.path()), Some(long));
    // What cannot be replaced is not left there to be believed.
    for name in ["memory.json", "standing.json"] {
        fs::create_dir(dir.path().join(format!("{name}.tmp"))).unwrap();
    }
    let failed = write_memory(dir.path(), "{\"begun\":true}").unwrap_err();
    assert!(failed.to_string().contains("memory.json"), "{failed}");
    assert!(write_standing(dir.path(), "{}").is_err());
    assert_eq!(
        (read_memory(dir.path()), read_standing(dir.path())),
        (None, None)
    );
}

#[test]
fn a_memory_in_run_is_kept_in_a_lasting_folder_as_well_when_there_is_one() {
    let elsewhere = Path::new("/elsewhere/x");
    assert!(memory_folders(elsewhere).eq([elsewhere.to_owned()]));
    let gone = Path::new("/run/no-such-folder-anywhere");
    assert!(memory_folders(gone).eq([gone.to_owned()]));
    let folders = fs::read_dir("/var/lib").unwrap().map_while(Result::ok);
    let lasting = folders.map(|entry| entry.path()).find(|path| path.is_dir());
    let lasting = lasting.expect("every host keeps something in /var/lib");
    for run in ["/run", "/var/run"] {
        let run_dir = Path::new(run).join(lasting.file_name().unwrap());
        assert!(memory_folders(&run_dir).eq([run_dir.clone(), lasting.clone()]));
    }
}

#[test]
fn what_cannot_be_looked_at_is_an_error_and_not_absence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = File::create(&path).unwrap();
    assert!(is_at(&file, &path.join("below")).is_err());
    assert!(read_completed(&path).is_err());
}
