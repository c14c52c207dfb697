//! Is the running kernel the newest installed one?

mod image;
mod loader;
pub mod release;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::core::facts::DetectorResult;
use image::{image_release, initrd_release, names};
use release::Release;

const OSTREE: &str = "[rpm-ostree, status, --pending-exit-77] with success_exit_codes [77], or what bootc status says";

/// Systems that start their next kernel from an image, a snapshot or another partition, where nobody sees it from here: a path
/// that only they have (the last name may be the beginning of one), what it belongs to, and what to ask instead.
const IMAGE_BASED: &[(&str, &str, &str)] = &[
    ("run/ostree-booted", "ostree or bootc", OSTREE),
    ("ostree/boot.", "ostree or bootc", OSTREE),
    (
        "usr/share/flatcar",
        "Flatcar",
        "[sh, -c, \"update_engine_client -status | grep -q NEED_REBOOT\"] with success_exit_codes [0]",
    ),
    (
        "run/booted-system",
        "NixOS",
        "a comparison of /run/booted-system with /run/current-system",
    ),
    (
        "usr/sbin/transactional-update",
        "transactional-update",
        "a file detector for /run/reboot-needed",
    ),
    (
        "var/lib/snapd/modeenv",
        "Ubuntu Core",
        "a script that asks snap changes",
    ),
    (
        "etc/rauc/system.conf",
        "RAUC",
        "a script that asks rauc status",
    ),
    ("etc/mender", "Mender", "a script that asks mender-update"),
    // Where systemd runs in one, whatever packages it holds.
    (
        "run/systemd/container",
        "a container",
        "a script that asks the host of it",
    ),
];

/// Compares the running kernel of the host whose files are below `root` with the installed ones of its flavour.
///
/// Installed is what has an image whose name ends in the release, in `/boot` or its module tree. Where no image is named
/// that way (Alpine, some boards), a complete module tree counts. Rescue images never do.
///
/// What it cannot see: a rebuild under the same release, and images that a boot loader keeps elsewhere. An image-based system is
/// an error, with what to ask instead. Where GRUB or systemd-boot is told to start an older kernel than the newest, that one
/// counts; what starts next in other ways is not known, and the reboot budget is for that. A container or a machine whose
/// kernel comes from its host gets an error. Answers as well which newer kernel would be booted.
pub fn check(root: &Path) -> Verdict {
    let verdict = || {
        not_image_based(root)?;
        let running = running(&root.join("proc/sys/kernel/osrelease"))?;
        judge(&running, &installed(root)?, root)
    };
    verdict().unwrap_or_else(|why| (DetectorResult::Failed(why), None))
}

/// Whether a reboot is required, and for which kernel, if that is certain.
pub type Verdict = (DetectorResult, Option<String>);

/// An error where the files of this system say nothing of the kernel that it starts next.
fn not_image_based(root: &Path) -> Result<(), String> {
    let is_there = |path: &str| {
        let (folder, begin) = path.rsplit_once('/').unwrap_or(("", path));
        let names = names(&root.join(folder)).unwrap_or_default();
        let is_it =
            |name: &String| name == begin || begin.ends_with('.') && name.starts_with(begin);
        names.iter().any(is_it)
    };
    match IMAGE_BASED.iter().find(|(path, ..)| is_there(path)) {
        None => Ok(()),
        Some((_, what, instead)) => Err(format!(
            "this host is of {what}, whose next kernel is not to be seen in /boot; use a command detector instead: {instead}"
        )),
    }
}

/// What is there of an installed kernel. Of a file: whether something is in it, as a file system without space leaves empty ones.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    image: Option<bool>,
    /// Whether a module tree is complete, if there is one.
    modules: Option<bool>,
    initrd: Option<bool>,
}

impl Found {
    /// Whether it has all that the running kernel has: what a package has only begun to install has not.
    fn is_as_complete_as(self, running: Found) -> bool {
        // Where the running one is gone already, nothing says what its packages bring; a tree that is begun is one all the same.
        let is_begun = self.modules == Some(false) && running.modules != Some(false);
        self.image >= running.image
            && self.modules >= running.modules
            && self.initrd >= running.initrd
            && !is_begun
    }
}

/// Whether something is in a file, if it is there. A link that leads nowhere boots nothing.
fn is_whole(file: &Path) -> Option<bool> {
    let file = file.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(file.len() > 0)
}

fn judge(
    running: &Release,
    installed: &BTreeMap<String, Found>,
    root: &Path,
) -> Result<Verdict, String> {
    // Whether images are named by release is asked for each flavour: one of another flavour says nothing of module trees here.
    let of_its_flavour = |name: &str| Release::parse(name).filter(|it| it.same_flavour(running));
    let images = installed
        .iter()
        .any(|(name, found)| found.image.is_some() && of_its_flavour(name).is_some());
    let here = installed.get(&running.name).copied();
    let kernels: Vec<Release> = installed
        .iter()
        .filter(|(_, found)| found.image.is_some() || !images)
        .filter(|(_, found)| found.is_as_complete_as(here.unwrap_or_default()))
        .filter_map(|(name, _)| Release::parse(name))
        .collect();
    if kernels.is_empty() {
        return Err("no installed kernel found in /boot, /lib/modules or /usr/lib/modules".into());
    }
    let name = &running.name;
    let of_flavour = || kernels.iter().filter(|it| it.same_flavour(running));
    let newest = of_flavour().max_by(|a, b| a.compare(b));
    match newest {
        Some(newest) if newest.compare(running) == Ordering::Greater => {
            let next = loader::next(root, &newest.name)
                .filter(|(next, _)| of_flavour().any(|it| it.name == *next));
            let (why, target) = match next {
                Some((next, _)) if next == *name => return Ok((DetectorResult::Clear, None)),
                Some((next, says)) => {
                    let why =
                        format!("kernel {next} is what {says} starts next, {name} is running");
                    (why, next)
                }
                None => (
                    format!("kernel {} is installed, {name} is running", newest.name),
                    newest.name.clone(),
                ),
            };
            Ok((DetectorResult::Required(why), Some(target)))
        }
        _ if here.is_some() => Ok((DetectorResult::Clear, None)),
        Some(newest) => {
            let newest = &newest.name;
            let why = format!("running kernel {name} is no longer installed, {newest} is");
            Ok((DetectorResult::Required(why), None))
        }
        None => {
            let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
            Err(format!(
                "running kernel {name} is not installed, and none of its flavour is; found {}",
                names.join(", ")
            ))
        }
    }
}

fn running(osrelease: &Path) -> Result<Release, String> {
    let text =
        fs::read_to_string(osrelease).map_err(|e| format!("{}: {e}", osrelease.display()))?;
    let name = text.trim();
    Release::parse(name).ok_or_else(|| format!("running kernel {name:?}: not a version"))
}

/// All kernels with an image or a complete module tree, by release.
fn installed(root: &Path) -> Result<BTreeMap<String, Found>, String> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let mut initrds = Vec::new();
    let boot = root.join("boot");
    for name in names(&boot)? {
        let path = boot.join(&name);
        let Some(file) = is_whole(&path).map(Some) else {
            continue;
        };
        if let Some(release) = image_release(&name) {
            let image = &mut found.entry(release.into()).or_default().image;
            *image = file.max(*image);
        } else if let Some(release) = initrd_release(&name) {
            initrds.push((release.to_owned(), file));
        }
    }
    for dir in ["lib/modules", "usr/lib/modules"].map(|dir| root.join(dir)) {
        for name in names(&dir)? {
            let tree = dir.join(&name);
            let image = is_whole(&tree.join("vmlinuz"));
            let modules = is_complete(&tree);
            if Release::parse(&name).is_some() && (image.is_some() || modules) {
                let entry = found.entry(name).or_default();
                entry.modules = entry.modules.max(Some(modules));
                entry.image = image.max(entry.image);
            }
        }
    }
    for (release, file) in initrds {
        if let Some(found) = found.get_mut(&release) {
            found.initrd = file.max(found.initrd);
        }
    }
    Ok(found)
}

/// Packages removed and packages half unpacked leave folders: with DKMS modules, with a link to headers, or without the
/// index that is made last.
fn is_complete(tree: &Path) -> bool {
    tree.join("modules.dep").exists()
        && (tree.join("kernel").exists() || tree.join("modules.builtin").exists())
}

#[cfg(test)]
mod tests;
