//! Kernel releases in the order in which package managers know them.

use super::*;

/// One series each, oldest first: every pair must be of one flavour and in this order.
#[rustfmt::skip]
const SERIES: &[(&str, &[&str])] = &[
    ("Debian stable and backports", &[
        "6.1.0-0.deb11.7-amd64", "6.1.0-0.deb11.21-amd64", "6.1.0-9-amd64", "6.1.0-10-amd64",
        "6.1.0-26-amd64", "6.9.7+bpo-amd64", "6.10.11+bpo-amd64", "6.11-rc4-amd64",
        "6.11-rc10-amd64", "6.11-amd64", "6.11.2-amd64", "6.12.9+bpo-amd64", "6.12.57+deb13-amd64",
    ]),
    ("Debian cloud", &[
        "6.1.0-9-cloud-amd64", "6.1.0-26-cloud-amd64", "6.12.9+bpo-cloud-amd64",
    ]),
    ("Debian rt", &[
        "6.1.0-9-rt-amd64", "6.1.0-10-rt-amd64",
    ]),
    ("Debian 32 bit", &[
        "6.1.0-9-686-pae", "6.1.0-10-686-pae",
    ]),
    ("Debian arm", &[
        "6.1.0-9-armmp-lpae", "6.1.0-26-armmp-lpae",
    ]),
    ("Debian mips", &[
        "6.1.0-9-5kc-malta", "6.1.0-26-5kc-malta",
    ]),
    ("Raspberry Pi", &[
        "6.6.9+rpt-rpi-v8", "6.6.31+rpt-rpi-v8", "6.12.25+rpt-rpi-v8",
    ]),
    ("Raspberry Pi 5", &[
        "6.6.31+rpt-rpi-2712", "6.12.25+rpt-rpi-2712",
    ]),
    ("Raspberry Pi, old", &[
        "5.15.84-v8+", "6.1.9-v8+", "6.1.21-v8+",
    ]),
    ("Ubuntu", &[
        "5.15.0-119-generic", "6.8.0-9-generic", "6.8.0-45-generic", "6.8.0-100-generic",
        "6.9.0-060900rc1-generic", "6.9.0-060900rc12-generic", "6.9.0-060900-generic",
        "6.11.0-8-generic",
    ]),
    ("Ubuntu aws", &[
        "6.5.0-1023-aws", "6.8.0-1009-aws", "6.8.0-1015-aws",
    ]),
    ("Ubuntu 64k", &[
        "6.8.0-44-generic-64k", "6.8.0-45-generic-64k",
    ]),
    ("RHEL 9", &[
        "5.14.0-70.13.1.el9_0.x86_64", "5.14.0-362.el9.x86_64", "5.14.0-362.8.1.el9_3.x86_64",
        "5.14.0-362.18.1.el9_3.x86_64", "5.14.0-427.13.1.el9_4.x86_64",
        "5.14.0-503.11.1.el9_5.x86_64",
    ]),
    ("RHEL 9 rt", &[
        "5.14.0-427.13.1.el9_4.x86_64+rt", "5.14.0-503.11.1.el9_5.x86_64+rt",
    ]),
    ("RHEL 9 arm", &[
        "5.14.0-427.13.1.el9_4.aarch64+64k", "5.14.0-503.11.1.el9_5.aarch64+64k",
    ]),
    ("RHEL 7 rt", &[
        "3.10.0-1062.rt56.1022.el7.x86_64", "3.10.0-1160.rt56.1131.el7.x86_64",
    ]),
    ("Oracle UEK", &[
        "5.15.0-9.96.3.el9uek.x86_64", "5.15.0-200.131.27.el9uek.x86_64",
    ]),
    ("Fedora", &[
        "6.9.7-200.fc39.x86_64", "6.9.7-200.fc40.x86_64", "6.10.0-0.rc5.43.fc41.x86_64",
        "6.10.0-0.rc5.20240625git55027e689933.44.fc41.x86_64", "6.10.0-0.rc10.2.fc41.x86_64",
        "6.10.0-61.fc41.x86_64", "6.10.3-100.fc40.x86_64",
    ]),
    ("Amazon Linux 2023", &[
        "6.1.94-99.176.amzn2023.x86_64", "6.1.102-108.177.amzn2023.x86_64",
    ]),
    ("Amazon Linux 2", &[
        "4.14.350-266.564.amzn2.x86_64", "5.10.219-208.866.amzn2.x86_64",
    ]),
    ("ELRepo", &[
        "6.9.7-1.el9.elrepo.x86_64", "6.10.1-1.el9.elrepo.x86_64",
    ]),
    ("Azure Linux", &[
        "6.6.43.1-7.azl3", "6.6.43.1-10.azl3", "6.6.51.1-1.azl3",
    ]),
    ("Photon", &[
        "6.1.94-3.ph5-esx", "6.1.94-10.ph5-esx",
    ]),
    ("Clear Linux", &[
        "6.9.7-1440.native", "6.9.10-1450.native",
    ]),
    ("SLES", &[
        "5.14.21-150500.55.65-default", "6.4.0-150600.21-default", "6.4.0-150600.23.7-default",
        "6.4.0-150600.23.25-default",
    ]),
    ("Tumbleweed", &[
        "6.9.7-1-default", "6.9.10-1-default", "6.10.0-1-default",
    ]),
    ("Arch", &[
        "6.9.7-arch1-1", "6.9.7-arch1-2", "6.9.7-arch2-1", "6.9.10-arch1-1", "6.10.0-arch1-1",
    ]),
    ("Arch lts", &[
        "6.6.9-1-lts", "6.6.36-1-lts",
    ]),
    ("Arch zen", &[
        "6.9.7-zen1-1-zen", "6.9.10-zen1-1-zen",
    ]),
    ("Arch hardened", &[
        "6.9.7-hardened1-1-hardened", "6.9.7-hardened2-1-hardened",
    ]),
    ("Arch rt", &[
        "6.6.9.15.realtime1-1-rt", "6.6.35.34.realtime1-1-rt",
    ]),
    ("Manjaro", &[
        "6.6.32-1-MANJARO", "6.9.3-3-MANJARO", "6.9.3-10-MANJARO",
    ]),
    ("Gentoo", &[
        "6.6.9-gentoo", "6.6.35-gentoo", "6.6.35-gentoo-r1", "6.6.35-gentoo-r10", "6.6.36-gentoo",
    ]),
    ("Gentoo, named by architecture", &[
        "6.6.35-gentoo-x86_64", "6.6.35-gentoo-r1-x86_64",
    ]),
    ("Alpine", &[
        "6.6.9-0-lts", "6.6.34-0-lts", "6.6.34-1-lts",
    ]),
    ("Proxmox", &[
        "6.5.13-5-pve", "6.8.4-3-pve", "6.8.8-2-pve", "6.8.12-1-pve",
    ]),
    ("Void", &[
        "6.6.9_1", "6.6.35_1", "6.6.35_2",
    ]),
    ("Slackware and own builds", &[
        "6.6.9", "6.6.35", "6.10.0-rc5", "6.10.0-rc5-00123-gabcdef123456", "6.10.0",
    ]),
    ("Own builds with a name", &[
        "6.6.9-web-2", "6.6.35-web-2", "6.6.35-web-10",
    ]),
    ("Flatcar", &[
        "6.1.96-flatcar", "6.6.43-flatcar",
    ]),
    ("Own builds, named as rpm marks what comes before", &[
        "6.10.0~beta1", "6.10.0",
    ]),
    ("Own builds, with other signs between the numbers", &[
        "6.9-1", "6.9.2", "6.9_3",
    ]),
    ("XanMod", &[
        "6.9.7-x64v3-xanmod1", "6.9.10-x64v3-xanmod1", "6.9.10-x64v3-xanmod2",
    ]),
];

/// One machine could have all of a row installed, and none replaces another.
#[rustfmt::skip]
const FLAVOURS: &[&[&str]] = &[
    &[
        "6.1.0-26-amd64", "6.1.0-26-cloud-amd64", "6.1.0-26-rt-amd64", "6.1.0-26-arm64",
        "6.1.0-26-686", "6.1.0-26-686-pae",
    ],
    &[
        "6.8.0-45-generic", "6.8.0-45-lowlatency", "6.8.0-45-generic-64k", "6.8.0-1015-aws",
        "6.8.0-1015-azure", "6.8.0-1015-azure-fde",
    ],
    &[
        "5.14.0-427.el9.x86_64", "5.14.0-427.el9.x86_64+rt", "5.14.0-427.el9.x86_64+debug",
        "5.14.0-427.el9.aarch64", "5.14.0-427.el9.aarch64+64k", "5.15.0-200.131.27.el9uek.x86_64",
        "6.9.7-1.el9.elrepo.x86_64",
    ],
    &[
        "3.10.0-1160.el7.x86_64", "3.10.0-1160.rt56.1131.el7.x86_64",
    ],
    &[
        "6.9.7-arch1-1", "6.6.36-1-lts", "6.9.7-zen1-1-zen", "6.9.7-hardened1-1-hardened",
        "6.6.35.34.realtime1-1-rt", "6.10.0-rc5-1-mainline",
    ],
    &[
        "6.4.0-150600.23.7-default", "6.4.0-150600.23.7-rt", "6.4.0-150600.8.5-azure",
        "6.4.0-150600.23.7-kvmsmall",
    ],
    &[
        "6.6.31+rpt-rpi-v8", "6.6.31+rpt-rpi-2712", "6.6.31+rpt-rpi-v7", "6.6.31+rpt-rpi-v7l",
        "6.6.31+rpt-rpi-v6",
    ],
    &[
        "6.9.7-1440.native", "6.9.7-1440.kvm",
    ],
    &[
        "6.6.35", "6.6.35-gentoo", "6.6.35-gentoo-dist", "6.6.35-0-lts", "6.6.35-0-virt", "6.6.35-gfacade",
        "6.6.35-lowlatency",
    ],
    &[
        "6.9.7-x64v2-xanmod1", "6.9.7-x64v3-xanmod1", "6.9.7-rt-x64v3-xanmod1",
    ],
    &[
        "5.10.7-200.fc33.armv7hl", "5.10.7-200.fc33.armv7hl+lpae",
    ],
];

fn parse(name: &str) -> Release {
    Release::parse(name).unwrap()
}

#[test]
fn every_series_is_one_flavour_in_order_of_release() {
    for (series, names) in SERIES {
        let releases: Vec<Release> = names.iter().map(|name| parse(name)).collect();
        for (i, a) in releases.iter().enumerate() {
            for (j, b) in releases.iter().enumerate() {
                assert!(a.same_flavour(b), "{series}: {a:?} and {b:?}");
                assert_eq!(a.compare(b), i.cmp(&j), "{series}: {a:?} and {b:?}");
            }
        }
    }
    assert!(SERIES.iter().map(|(_, names)| names.len()).sum::<usize>() > 100);
}

#[test]
fn flavours_are_told_apart() {
    for row in FLAVOURS {
        for (i, a) in row.iter().enumerate() {
            for (j, b) in row.iter().enumerate() {
                assert_eq!(parse(a).same_flavour(&parse(b)), i == j, "{a} and {b}");
            }
        }
    }
}

#[test]
fn what_is_no_release_is_refused_and_nonsense_does_no_harm() {
    for name in ["", "linux", "lts", "-6.1", "old", "+"] {
        assert!(Release::parse(name).is_none(), "{name}");
    }
    for name in [
        "6",
        "6.",
        "6-",
        "6--",
        "6+-",
        "99999999999999999999999.1",
        "6.1-é",
        "6.é-1",
        "6.1.-.+~_",
        "6-g",
    ] {
        let release = parse(name);
        assert_eq!(release.compare(&release), Ordering::Equal, "{name}");
    }
}
