//! Made-up hosts, and whether another kernel waits on them.

use super::*;

#[derive(Debug, PartialEq)]
enum Say {
    Clear,
    /// Required, and this release is named first or last.
    Newer(&'static str),
    Replaced(&'static str),
    Failed,
}
use Say::{Clear, Failed, Newer, Replaced};

/// A host: what runs, what is in the file system, and the verdict. `boot/NAME` is an image; `mod/NAME` a complete module
/// tree; `usr/NAME` one with the image inside; `left/NAME` what a removed package leaves; `head/NAME` headers only; `half/NAME` one
/// that is being unpacked; `index/NAME` an index without modules; `image/NAME`
/// the image with modules and no index.
#[rustfmt::skip]
const HOSTS: &[(&str, &str, &[&str], Say)] = &[
    ("Alpine, a module tree that is being unpacked and the index of a removed one", "6.6.34-0-lts", &[
        "mod/6.6.34-0-lts", "half/6.6.36-0-lts", "index/6.6.38-0-lts",
    ], Clear),
    ("OpenMandriva, a digit before its name", "6.2.6-desktop-1omv2390", &[
        "boot/vmlinuz-6.2.6-desktop-1omv2390", "boot/vmlinuz-6.3.5-desktop-3omv2390",
    ], Newer("6.3.5-desktop-3omv2390")),
    ("Parrot", "6.1.0-1parrot1-amd64", &[
        "boot/vmlinuz-6.1.0-1parrot1-amd64", "boot/vmlinuz-6.5.0-13parrot1-amd64",
    ], Newer("6.5.0-13parrot1-amd64")),
    ("Pop!_OS, dailies", "6.6.10-76060610-generic", &[
        "boot/vmlinuz-6.6.10-76060610-generic", "boot/vmlinuz-6.8.0-76060800daily20240311-generic",
    ], Newer("6.8.0-76060800daily20240311-generic")),
    ("Ubuntu mainline, dailies", "6.9.0-060900daily20240501-generic", &[
        "boot/vmlinuz-6.9.0-060900daily20240501-generic", "boot/vmlinuz-6.9.0-060900daily20240512-generic",
    ], Newer("6.9.0-060900daily20240512-generic")),
    ("Raspberry Pi OS, another scheme", "6.1.0-rpi8-rpi-v8", &[
        "boot/vmlinuz-6.1.0-rpi8-rpi-v8", "boot/vmlinuz-6.6.20+rpt-rpi-v8",
    ], Newer("6.6.20+rpt-rpi-v8")),
    ("Debian, the package has begun: an image, no modules.dep", "6.1.0-9-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "boot/initrd.img-6.1.0-9-amd64", "mod/6.1.0-9-amd64",
        "boot/vmlinuz-6.1.0-10-amd64", "left/6.1.0-10-amd64",
    ], Clear),
    ("Debian, only the initrd is missing", "6.1.0-9-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "boot/initrd.img-6.1.0-9-amd64", "mod/6.1.0-9-amd64",
        "boot/vmlinuz-6.1.0-10-amd64", "mod/6.1.0-10-amd64",
    ], Clear),
    ("Fedora, the transaction is over", "6.9.7-200.fc40.x86_64", &[
        "boot/vmlinuz-6.9.7-200.fc40.x86_64", "boot/initramfs-6.9.7-200.fc40.x86_64.img", "mod/6.9.7-200.fc40.x86_64",
        "boot/vmlinuz-6.9.9-200.fc40.x86_64", "boot/initramfs-6.9.9-200.fc40.x86_64.img", "mod/6.9.9-200.fc40.x86_64",
    ], Newer("6.9.9-200.fc40.x86_64")),
    ("Fedora, an image of another flavour beside module trees", "6.9.7-200.fc40.x86_64", &[
        "boot/vmlinuz-6.9.7-200.fc40.x86_64+debug", "mod/6.9.7-200.fc40.x86_64", "mod/6.9.9-200.fc40.x86_64",
    ], Newer("6.9.9-200.fc40.x86_64")),
    ("Raspberry Pi, rpi-update beside a package's image", "6.6.31-v8+", &[
        "boot/vmlinuz-6.6.31+rpt-rpi-2712", "mod/6.6.31-v8+", "mod/6.6.36-v8+",
    ], Newer("6.6.36-v8+")),
    ("a folder and a link that leads nowhere are no images", "6.1.0-9-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "folder/vmlinuz-6.1.0-10-amd64", "nowhere/vmlinuz-6.1.0-11-amd64",
    ], Clear),
    ("an image for which the file system had no space", "6.1.0-9-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "empty/vmlinuz-6.1.0-10-amd64", "mod/6.1.0-9-amd64", "mod/6.1.0-10-amd64",
    ], Clear),
    ("an initrd for which it had none", "6.1.0-9-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "boot/initrd.img-6.1.0-9-amd64", "mod/6.1.0-9-amd64",
        "boot/vmlinuz-6.1.0-10-amd64", "empty/initrd.img-6.1.0-10-amd64", "mod/6.1.0-10-amd64",
    ], Clear),
    ("Fedora, an image is unpacked into a tree whose modules are not", "6.9.7-200.fc40.x86_64", &[
        "usr/6.9.7-200.fc40.x86_64", "image/6.9.9-200.fc40.x86_64",
    ], Clear),
    ("Arch, the old tree is removed and the new one has no index yet", "6.9.7-arch1-1", &[
        "image/6.9.9-arch1-1",
    ], Failed),
    ("Debian, up to date", "6.1.0-26-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "mod/6.1.0-9-amd64", "boot/vmlinuz-6.1.0-26-amd64",
        "mod/6.1.0-26-amd64",
    ], Clear),
    ("Debian, 9 before 10", "6.1.0-9-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "boot/vmlinuz-6.1.0-10-amd64", "boot/config-6.1.0-11-amd64",
        "boot/initrd.img-6.1.0-12-amd64",
    ], Newer("6.1.0-10-amd64")),
    ("Debian, another flavour is newer", "6.1.0-9-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "boot/vmlinuz-6.1.0-26-cloud-amd64",
        "boot/vmlinuz-6.1.0-26-rt-amd64",
    ], Clear),
    ("Debian, backport", "6.1.0-26-amd64", &[
        "boot/vmlinuz-6.1.0-26-amd64", "boot/vmlinuz-6.10.11+bpo-amd64",
    ], Newer("6.10.11+bpo-amd64")),
    ("Debian, leftovers of a newer one", "6.1.0-9-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "mod/6.1.0-9-amd64", "left/6.1.0-26-amd64",
        "head/6.1.0-27-amd64",
    ], Clear),
    ("Ubuntu, modules without image", "6.8.0-45-generic", &[
        "boot/vmlinuz-6.8.0-45-generic", "mod/6.8.0-45-generic", "mod/6.8.0-49-generic",
    ], Clear),
    ("Ubuntu, links and copies", "6.8.0-45-generic", &[
        "boot/vmlinuz", "boot/vmlinuz.old", "boot/vmlinuz-6.8.0-45-generic",
        "boot/vmlinuz-6.8.0-49-generic.old", "boot/vmlinuz-6.8.0-49-generic.dpkg-tmp",
    ], Clear),
    ("Debian, running one removed, older one kept", "6.1.0-26-amd64", &[
        "boot/vmlinuz-6.1.0-9-amd64", "mod/6.1.0-9-amd64",
    ], Replaced("6.1.0-9-amd64")),
    ("Debian, only other flavours left", "6.1.0-26-amd64", &[
        "boot/vmlinuz-6.1.0-26-cloud-amd64",
    ], Failed),
    ("RHEL, rescue image", "5.14.0-362.8.1.el9_3.x86_64", &[
        "boot/vmlinuz-0-rescue-0123456789abcdef0123456789abcdef",
        "boot/vmlinuz-5.14.0-362.8.1.el9_3.x86_64",
        "boot/.vmlinuz-5.14.0-503.11.1.el9_5.x86_64.hmac", "usr/5.14.0-362.8.1.el9_3.x86_64",
    ], Clear),
    ("RHEL, new minor release", "5.14.0-362.8.1.el9_3.x86_64", &[
        "boot/vmlinuz-5.14.0-362.8.1.el9_3.x86_64", "boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64",
    ], Newer("5.14.0-427.13.1.el9_4.x86_64")),
    ("RHEL, only the debug kernel is newer", "5.14.0-362.8.1.el9_3.x86_64", &[
        "boot/vmlinuz-5.14.0-362.8.1.el9_3.x86_64",
        "boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64+debug",
    ], Clear),
    ("Fedora, images only in module trees", "6.9.7-200.fc40.x86_64", &[
        "usr/6.9.7-200.fc40.x86_64", "usr/6.10.3-100.fc40.x86_64",
    ], Newer("6.10.3-100.fc40.x86_64")),
    ("Fedora, kernel-devel is newer", "6.9.7-200.fc40.x86_64", &[
        "usr/6.9.7-200.fc40.x86_64", "head/6.10.3-100.fc40.x86_64",
    ], Clear),
    ("SLES", "6.4.0-150600.23.7-default", &[
        "boot/vmlinuz-6.4.0-150600.23.7-default", "boot/vmlinux-6.4.0-150600.23.7-default.gz",
        "boot/vmlinuz-6.4.0-150600.23.25-default",
    ], Newer("6.4.0-150600.23.25-default")),
    ("SLES on s390x", "6.4.0-150600.23.7-default", &[
        "boot/image-6.4.0-150600.23.7-default",
    ], Clear),
    ("Tumbleweed, images in /usr", "6.9.7-1-default", &[
        "usr/6.9.7-1-default", "usr/6.9.10-1-default",
    ], Newer("6.9.10-1-default")),
    ("Arch, replaced", "6.9.7-arch1-1", &[
        "boot/vmlinuz-linux", "usr/6.9.10-arch1-1", "left/6.9.7-arch1-1",
    ], Newer("6.9.10-arch1-1")),
    ("Arch, downgraded", "6.9.10-arch1-1", &[
        "boot/vmlinuz-linux", "usr/6.9.7-arch1-1",
    ], Replaced("6.9.7-arch1-1")),
    ("Arch, lts next to it", "6.6.36-1-lts", &[
        "boot/vmlinuz-linux", "boot/vmlinuz-linux-lts", "usr/6.9.10-arch1-1", "usr/6.6.36-1-lts",
    ], Clear),
    ("Arch, flavour switched", "6.9.7-arch1-1", &[
        "boot/vmlinuz-linux-lts", "usr/6.6.36-1-lts",
    ], Failed),
    ("Alpine, modules only", "6.6.34-0-lts", &[
        "boot/vmlinuz-lts", "mod/6.6.34-0-lts",
    ], Clear),
    ("Alpine, replaced", "6.6.34-0-lts", &[
        "boot/vmlinuz-lts", "mod/6.6.34-1-lts",
    ], Newer("6.6.34-1-lts")),
    ("Raspberry Pi, other boards' kernels", "6.6.31+rpt-rpi-v8", &[
        "boot/vmlinuz-6.6.31+rpt-rpi-v8", "boot/vmlinuz-6.12.25+rpt-rpi-2712",
    ], Clear),
    ("Gentoo, genkernel", "6.6.35-gentoo", &[
        "boot/kernel-genkernel-x86_64-6.6.36-gentoo", "boot/kernel-6.6.35-gentoo",
        "boot/kernel-6.6.35-gentoo-r1",
    ], Newer("6.6.36-gentoo")),
    ("arm64, named Image", "6.1.96", &[
        "boot/Image-6.1.96", "boot/Image-6.1.100", "boot/Image.gz-6.1.99",
    ], Newer("6.1.100")),
    ("own build, no modules", "6.6.35", &[
        "boot/bzImage-6.6.35",
    ], Clear),
    ("Proxmox", "6.8.4-3-pve", &[
        "boot/vmlinuz-6.8.4-3-pve", "boot/vmlinuz-6.8.12-1-pve",
    ], Newer("6.8.12-1-pve")),
    ("a release candidate is older than its release", "6.11-rc4-amd64", &[
        "boot/vmlinuz-6.11-rc4-amd64", "boot/vmlinuz-6.11-amd64",
    ], Newer("6.11-amd64")),
    ("container", "6.9.7-arch1-1", &[
    ], Failed),
    ("container with leftovers", "6.9.7-arch1-1", &[
        "left/6.1.0-26-amd64", "head/6.1.0-26-amd64", "boot/grub",
    ], Failed),
    ("kernel from the host", "6.1.102", &[
        "boot/vmlinuz-6.1.0-26-amd64", "mod/6.1.0-26-amd64",
    ], Failed),
    ("not a version", "Linux", &[
        "boot/vmlinuz-6.1.0-26-amd64",
    ], Failed),
];

const MODULES: [&str; 2] = ["lib/modules", "usr/lib/modules"];

const OSRELEASE: &str = "proc/sys/kernel/osrelease";

/// A folder in which the host's files were made.
fn host(running: &str, files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for folder in ["boot", MODULES[0], MODULES[1], "proc/sys/kernel"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at(OSRELEASE), format!("{running}\n")).unwrap();
    for file in files {
        let (kind, name) = file.split_once('/').unwrap();
        let inside: &[&str] = match kind {
            "boot" => {
                fs::write(at(file), "x").unwrap();
                continue;
            }
            "empty" => {
                fs::write(at("boot").join(name), "").unwrap();
                continue;
            }
            "folder" => {
                fs::create_dir(at("boot").join(name)).unwrap();
                continue;
            }
            "nowhere" => {
                std::os::unix::fs::symlink("/nonexistent", at("boot").join(name)).unwrap();
                continue;
            }
            "mod" => &["modules.dep", "kernel/fs/ext4.ko"],
            "image" => &["vmlinuz", "kernel/fs/ext4.ko"],
            "usr" => &["vmlinuz", "pkgbase", "modules.dep", "kernel/fs/ext4.ko"],
            "left" => &["updates/dkms/zfs.ko"],
            "half" => &["kernel/fs/ext4.ko"],
            "index" => &["modules.dep"],
            "head" => &["build/Makefile"],
            _ => panic!("{kind}"),
        };
        let tree = at(MODULES[usize::from(kind == "usr")]).join(name);
        for path in inside {
            fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
            fs::write(tree.join(path), "x").unwrap();
        }
    }
    dir
}

#[test]
fn every_host_gets_its_verdict() {
    for (what, running, files, expected) in HOSTS {
        let dir = host(running, files);
        let result = check(dir.path()).0;
        let expected = match expected {
            Clear => DetectorResult::Clear,
            Newer(name) => DetectorResult::Required(format!(
                "kernel {name} is installed, {running} is running"
            )),
            Replaced(name) => DetectorResult::Required(format!(
                "running kernel {running} is no longer installed, {name} is"
            )),
            Failed => {
                assert!(
                    matches!(result, DetectorResult::Failed(_)),
                    "{what}: {result:?}"
                );
                continue;
            }
        };
        assert_eq!(result, expected, "{what}");
    }
}

#[test]
fn missing_folders_hold_nothing_and_unreadable_ones_are_errors() {
    let dir = host("6.6.35", &["boot/vmlinuz-6.6.35"]);
    let fails = |named: &str| {
        let found = check(dir.path()).0;
        assert!(matches!(found, DetectorResult::Failed(why) if why.contains(named)));
    };
    let last = dir.path().join(MODULES[1]);
    fs::remove_dir(&last).unwrap();
    assert_eq!(check(dir.path()).0, DetectorResult::Clear);
    fs::write(&last, "").unwrap();
    fails(MODULES[1]);
    fs::remove_file(dir.path().join(OSRELEASE)).unwrap();
    fails(OSRELEASE);
}

#[test]
fn a_link_from_lib_to_usr_counts_once() {
    let dir = host("6.9.7-arch1-1", &["usr/6.9.7-arch1-1"]);
    let [link, usr] = MODULES.map(|folder| dir.path().join(folder));
    fs::remove_dir(&link).unwrap();
    std::os::unix::fs::symlink(usr, link).unwrap();
    assert_eq!(check(dir.path()).0, DetectorResult::Clear);
}

#[test]
fn a_rescue_image_is_no_installed_kernel() {
    let rescue = "boot/vmlinuz-0-rescue-0123456789abcdef0123456789abcdef";
    let dir = host("5.14.0-427.13.1.el9_4.x86_64", &[rescue]);
    let DetectorResult::Failed(why) = check(dir.path()).0 else {
        panic!("nothing is installed");
    };
    assert!(why.contains("no installed kernel found"), "{why}");
}

#[test]
fn a_kernel_package_in_a_container_says_nothing_of_its_host() {
    let newer = ["boot/vmlinuz-6.1.0-9-amd64", "boot/vmlinuz-6.1.0-10-amd64"];
    let dir = host("6.1.0-9-amd64", &newer);
    fs::create_dir_all(dir.path().join("run/systemd")).unwrap();
    assert!(matches!(check(dir.path()).0, DetectorResult::Required(_)));
    fs::write(dir.path().join("run/systemd/container"), "lxc\n").unwrap();
    let found = check(dir.path()).0;
    assert!(
        matches!(&found, DetectorResult::Failed(why) if why.contains("this host is of a container")),
        "{found:?}"
    );
}

#[test]
fn what_only_resembles_an_image_based_system_is_none() {
    let dir = host("6.1.0-9-amd64", &["boot/vmlinuz-6.1.0-9-amd64"]);
    let make = |path: &str| fs::create_dir_all(dir.path().join(path)).unwrap();
    for path in [
        "ostree/repo",
        "usr/share/flatcar-sdk",
        "run/ostree-booted.d",
    ] {
        make(path);
        assert_eq!(check(dir.path()).0, DetectorResult::Clear, "{path}");
    }
    make("ostree/boot.1.1");
    assert!(matches!(check(dir.path()).0, DetectorResult::Failed(why) if why.contains("bootc")));
}
