//! The names of files that belong to kernels, and the release in them.

use std::fs;
use std::io;
use std::path::Path;

use super::release::Release;

/// Names of images before the dash and the release.
const IMAGES: &[&str] = &[
    "vmlinuz", "vmlinux", "Image", "Image.gz", "image", "bzImage", "zImage", "uImage", "kernel",
];

/// What stands behind the last dot in names of images that are copies, signatures or packed in another way.
const COPIES: &[&str] = &[
    "old", "bak", "hmac", "sig", "dpkg-tmp", "dpkg-new", "rpmsave", "rpmnew",
];

/// The release of an image named `vmlinuz-RELEASE` or in one of the ways like it; none of a copy or a rescue image.
pub(super) fn image_release(file: &str) -> Option<&str> {
    let is_copy = |(_, end): (&str, &str)| COPIES.contains(&end);
    let (image, release) = file.split_once('-')?;
    if file.ends_with('~') || file.rsplit_once('.').is_some_and(is_copy) || !IMAGES.contains(&image)
    {
        return None;
    }
    // Gentoo's tool names the architecture first: `kernel-genkernel-x86_64-6.6.35-gentoo`.
    let genkernel = release
        .strip_prefix("genkernel-")
        .and_then(|rest| rest.split_once('-'));
    let release = genkernel.map_or(release, |(_, release)| release);
    let release = [".gz", ".xz", ".zst", ".img", ".efi"]
        .iter()
        .find_map(|end| release.strip_suffix(end))
        .unwrap_or(release);
    let is_rescue = release.starts_with("0-rescue");
    (!is_rescue && Release::parse(release).is_some()).then_some(release)
}

/// `initrd.img-RELEASE`, `initramfs-RELEASE.img`, `initrd-RELEASE`.
pub(super) fn initrd_release(file: &str) -> Option<&str> {
    let release = ["initrd.img-", "initramfs-", "initrd-"]
        .iter()
        .find_map(|prefix| file.strip_prefix(prefix))?;
    Some(release.strip_suffix(".img").unwrap_or(release))
}

/// Names in a folder. A missing folder has none; one that cannot be read is an error, because what is in it is unknown.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, String> {
    let problem = |e: io::Error| format!("{}: {e}", dir.display());
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(problem(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(problem)?.file_name().into_string());
    }
    Ok(names)
}
