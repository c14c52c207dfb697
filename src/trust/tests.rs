//! Paths that are believed, and those that somebody else could change.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::*;

/// A folder below /tmp with `a/b/script` in it.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Tree {
        let tree = Tree(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.at("a/b")).unwrap();
        fs::write(tree.at("a/b/script"), "#!/bin/sh\n").unwrap();
        for (part, mode) in [("a", 0o755), ("a/b", 0o755), ("a/b/script", 0o755)] {
            tree.mode(part, mode);
        }
        tree
    }

    fn at(&self, part: &str) -> PathBuf {
        self.0.path().join(part)
    }

    fn mode(&self, part: &str, mode: u32) {
        fs::set_permissions(self.at(part), Permissions::from_mode(mode)).unwrap();
    }

    fn refused(&self, part: &str, expected: &str) {
        let path = self.at(part);
        for (judge, result) in [("program", program(&path)), ("open", open(&path).map(drop))] {
            let why = result.expect_err(judge).to_string();
            assert!(why.contains(expected), "{judge} {part}: {why}");
        }
    }

    fn accepted(&self, part: &str) {
        program(&self.at(part)).unwrap();
        open(&self.at(part)).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn every_folder_up_to_the_root_counts() {
    let tree = Tree::new();
    tree.accepted("a/b/script");
    tree.accepted("a/b/../b/./script");
    for end in ["/", "/.", "/more"] {
        tree.refused(&format!("a/b/script{end}"), "Not a directory");
    }
    for part in ["a", "a/b", "a/b/script"] {
        for mode in [0o777, 0o775, 0o757, 0o722] {
            tree.mode(part, mode);
            tree.refused(
                "a/b/script",
                "can be changed by its group or others; run chmod go-w",
            );
        }
        tree.mode(part, 0o755);
    }
    tree.accepted("a/b/script");
}

#[test]
fn a_sticky_folder_may_lie_on_the_way_and_not_be_read_as_a_whole() {
    let tree = Tree::new();
    for part in ["a", "a/b"] {
        tree.mode(part, 0o1777);
        tree.accepted("a/b/script");
    }
    let why = folder(&tree.at("a/b")).unwrap_err().to_string();
    assert!(why.contains("can be changed"), "{why}");
    tree.mode("a/b", 0o755);
    folder(&tree.at("a/b")).unwrap();
    assert!(
        folder(&tree.at("a/b/script"))
            .unwrap_err()
            .to_string()
            .contains("not a folder")
    );
}

#[test]
fn what_belongs_to_somebody_else_is_not_used() {
    if !is_root() {
        return;
    }
    let tree = Tree::new();
    symlink(tree.at("a/b/script"), tree.at("a/link")).unwrap();
    for part in ["a", "a/b", "a/b/script"] {
        chown(tree.at(part), Some(65534), None).unwrap();
        tree.refused(
            "a/b/script",
            "belongs to the user with id 65534, who can change it; run chown root",
        );
        tree.refused("a/link", "belongs to the user");
        chown(tree.at(part), Some(0), None).unwrap();
    }
    tree.accepted("a/link");
    std::os::unix::fs::lchown(tree.at("a/link"), Some(65534), None).unwrap();
    tree.refused("a/link", "the link ");
    tree.refused("a/link", "chown -h root");
}

#[test]
fn a_link_is_as_good_as_every_folder_that_it_leads_through() {
    let tree = Tree::new();
    fs::create_dir_all(tree.at("open/way")).unwrap();
    symlink(tree.at("a/b"), tree.at("open/way/on")).unwrap();
    symlink(tree.at("open/way/on/script"), tree.at("absolute")).unwrap();
    symlink("open/way/../way/on/script", tree.at("relative")).unwrap();
    for link in ["absolute", "relative"] {
        tree.accepted(link);
    }
    tree.mode("open", 0o777);
    for link in ["absolute", "relative"] {
        tree.refused(link, "open can be changed");
    }
    symlink("round", tree.at("round")).unwrap();
    tree.refused("round", "Too many levels");
    symlink("nowhere", tree.at("dangling")).unwrap();
    tree.refused("dangling", "No such file");
    tree.refused("a/b/script/below", "Not a directory");
}

#[test]
fn only_a_regular_file_is_opened_and_a_fifo_is_not_waited_for() {
    let tree = Tree::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.at("fifo"),
        rustix::fs::FileType::Fifo,
        0o755.into(),
        0,
    )
    .unwrap();
    for part in ["fifo", "a"] {
        tree.refused(part, "is not a regular file");
    }
    let long = read(&tree.at("a/b/script"), 3).unwrap_err().to_string();
    assert!(long.contains("longer than 3 bytes"), "{long}");
    assert_eq!(read(&tree.at("a/b/script"), 10).unwrap(), b"#!/bin/sh\n");
}

#[test]
fn a_program_is_one_that_the_kernel_can_start() {
    let tree = Tree::new();
    let refused = |part: &str, expected: &str| {
        let why = program(&tree.at(part)).unwrap_err().to_string();
        assert!(why.contains(expected), "{part}: {why}");
    };
    tree.mode("a/b/script", 0o644);
    refused("a/b/script", "is not executable; run chmod 755");
    let write = |name: &str, text: &str| {
        fs::write(tree.at(name), text).unwrap();
        tree.mode(name, 0o755);
    };
    write("crlf", "#!/bin/sh\r\nexit 0\r\n");
    refused("crlf", "CR LF");
    write("bare", "exit 0\n");
    refused("bare", "#!/bin/sh");
    write("gone", "#!/opt/no/such/python3\n");
    refused(
        "gone",
        "the interpreter /opt/no/such/python3, which cannot be used: No such file",
    );
    write("inner", "#!/bin/sh\n");
    write("outer", &format!("#!{}\n", tree.at("inner").display()));
    program(&tree.at("outer")).unwrap();
    tree.mode("inner", 0o777);
    refused("outer", "inner can be changed by its group or others");
    write("self", &format!("#!{}\n", tree.at("self").display()));
    refused("self", "from interpreter to interpreter");
    program(Path::new("/bin/true")).unwrap();
}

/// A binary as short as can be: a header, and a segment that names the loader.
fn binary(loader: &str) -> Vec<u8> {
    let own = fs::read("/proc/self/exe").unwrap();
    let mut bytes = vec![0; 120];
    bytes[..20].copy_from_slice(&own[..20]);
    bytes[4] = 2;
    let mut put = |at: usize, number: u64, size: usize| {
        let number = number.to_le_bytes();
        let (from, to) = (&number[..size], &mut bytes[at..at + size]);
        to.copy_from_slice(from);
        if cfg!(target_endian = "big") {
            to.reverse();
        }
    };
    put(32, 64, 8);
    put(54, 56, 2);
    put(56, 1, 2);
    put(64, 3, 4);
    put(64 + 8, 120, 8);
    put(64 + 32, loader.len() as u64 + 1, 8);
    bytes.extend(loader.as_bytes());
    bytes.push(0);
    bytes
}

#[test]
fn a_binary_is_one_that_this_machine_can_start() {
    let tree = Tree::new();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(tree.at(name), bytes).unwrap();
        tree.mode(name, 0o755);
        program(&tree.at(name)).map_err(|error| error.to_string())
    };
    let own = fs::read("/proc/self/exe").unwrap();
    write("own", &own).unwrap();
    let good = binary(tree.at("own").to_str().unwrap());
    write("good", &good).unwrap();
    let refused = |name: &str, bytes: &[u8], expected: &str| {
        let why = write(name, bytes).expect_err(name);
        assert!(why.contains(expected), "{name}: {why}");
    };
    for length in [18, 20, 63, 100, good.len() - 1] {
        refused("cut", &good[..length], "cut off or damaged");
    }
    refused("cut own", &own[..own.len() / 4], "cut off or damaged");
    for (at, what) in [(16, "no program"), (54, "size"), (56, "no segment")] {
        let mut damaged = good.clone();
        damaged[at..at + 2].fill(0);
        refused(what, &damaged, "cut off or damaged");
    }
    let gone = "needs the loader /not/there, which cannot be used: No such file";
    refused("gone", &binary("/not/there"), gone);
    let itself = binary(tree.at("self").to_str().unwrap());
    write("self", &itself).unwrap();
    let script = format!("#!{}\n", tree.at("gone").display());
    refused("script", script.as_bytes(), "its interpreter: ");
    // Scripts up to the last that the kernel goes along with, and a binary that has a loader.
    let mut by = tree.at("good");
    for name in ["1", "2", "3", "4"] {
        write(name, format!("#!{}\n", by.display()).as_bytes()).unwrap();
        by = tree.at(name);
    }
    let mut foreign = good;
    foreign[18..20].fill(0xff);
    for other in [&foreign[..], &[0; 100], b"\x1f\x8b\x08\0\0"] {
        match binary::is_taught() {
            true => write("other", other).unwrap(),
            false => refused("other", other, "for machines of this kind"),
        }
    }
}

#[test]
fn a_program_on_a_noexec_mount_is_refused() {
    // Where a mount of that kind with an executable file in it is at hand.
    let shm = Path::new("/dev/shm");
    let noexec = statvfs(shm).is_ok_and(|it| it.f_flag.contains(StatVfsMountFlags::NOEXEC));
    let Ok(folder) = tempfile::tempdir_in(shm) else {
        return;
    };
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let judged = program(&script);
    assert_eq!(judged.is_err(), noexec, "{judged:?}");
    if let Err(doubt) = judged {
        assert!(doubt.to_string().contains("noexec"), "{doubt}");
    }
}

#[test]
fn programs_among_the_arguments_count_too() {
    let tree = Tree::new();
    let script = tree.at("a/b/script").display().to_string();
    let argv = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let lines = [
        argv(&["/bin/sh", &script]),
        argv(&["/usr/bin/env", "A=b", &script, "/nothing/here"]),
        argv(&["/usr/bin/env", &format!("BASH_ENV={script}"), "/bin/sh"]),
    ];
    for line in &lines {
        command(line).unwrap();
    }
    tree.mode("a", 0o777);
    for (line, at) in lines.iter().zip([1, 2, 1]) {
        let (word, doubt) = command(line).unwrap_err();
        assert_eq!(word, at, "{doubt}");
    }
    // A shell executes what it is given, whatever the mode; a text that is looked at is no program.
    tree.mode("a/b/script", 0o644);
    assert!(command(&lines[0]).is_err());
    command(&argv(&["/bin/cat", &script])).unwrap();
    assert_eq!(command(&argv(&["/nothing"])).unwrap_err().0, 0);
}

/// Whatever the folder of this process is: children are started in `/`.
#[test]
fn a_relative_path_among_the_arguments_is_one_from_the_root() {
    let tree = Tree::new();
    let script = tree.at("a/b/script").display().to_string();
    let relative = script.trim_start_matches('/');
    let dotted = [format!("./{relative}"), format!("../{relative}")];
    tree.mode("a", 0o777);
    for word in [relative, &dotted[0], &dotted[1]] {
        for before in ["/bin/sh", "/usr/bin/timeout 5", "/usr/bin/env"] {
            let mut line: Vec<String> = before.split(' ').map(str::to_owned).collect();
            line.push(word.to_owned());
            let (at, doubt) = command(&line).expect_err(word);
            assert_eq!(at, line.len() - 1, "{doubt}");
        }
    }
}

#[test]
fn the_words_of_a_first_line_are_judged_as_those_of_a_command() {
    let tree = Tree::new();
    let script = tree.at("a/b/script").display().to_string();
    let relative = script.trim_start_matches('/');
    let lines = [
        format!("/bin/sh {script}"),
        format!("/bin/sh ./{relative}"),
        format!("/usr/bin/env -S sh {script}"),
        format!("/usr/bin/env -S -i A=b timeout 5 {script}"),
        format!("/usr/bin/env -S sh -e {relative}"),
        format!("/usr/bin/env -S A=b BASH_ENV={script} sh"),
        format!("/usr/bin/env -S {relative}"),
        format!("/usr/bin/env -S ${{HOME}}/sh {script}"),
    ];
    let judged = |line: &str| {
        fs::write(tree.at("health"), format!("#!{line}\nexit 0\n")).unwrap();
        tree.mode("health", 0o755);
        program(&tree.at("health"))
    };
    for line in &lines {
        judged(line).expect(line);
    }
    tree.mode("a", 0o777);
    for line in &lines {
        let why = judged(line).expect_err(line).to_string();
        assert!(why.contains("begins with #! and"), "{why}");
        assert!(why.contains("can be changed by its group"), "{why}");
    }
}

#[test]
fn a_path_in_a_command_is_one_word_of_a_shell() {
    let tree = Tree::new();
    fs::write(tree.at("a/it's; id"), "").unwrap();
    let path = tree.at("a/it's; id");
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    let why = program(&path).unwrap_err().to_string();
    let quoted = format!(
        "run chmod go-w '{}/a/it'\\''s; id'",
        tree.0.path().display()
    );
    assert!(why.ends_with(&quoted), "{why}");
}
