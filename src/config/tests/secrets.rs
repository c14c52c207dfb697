//! Files that a configuration names: the health script, TLS material, the password.

use std::os::unix::fs::symlink;

use super::*;

/// Puts an authority, a client certificate and its key into the folder.
pub(super) fn tls_files(fixture: &Fixture) {
    fixture.file("ca.crt", include_str!("tls/ca.crt"), 0o644);
    fixture.file("node.crt", include_str!("tls/node.crt"), 0o644);
    fixture.file("node.key", include_str!("tls/node.key"), 0o600);
    fixture.file("other.crt", include_str!("tls/other.crt"), 0o644);
    fixture.file("other.key", include_str!("tls/other.key"), 0o600);
}

fn only(problems: &[String], expected: &str) {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(
        problems[0].contains(expected),
        "{}\ndoes not contain\n{expected}",
        problems[0]
    );
}

#[test]
fn the_health_script_must_be_safe_to_run_as_root() {
    let fixture = Fixture::new();
    fixture.file("plain.sh", "", 0o644);
    fixture.file("crlf.sh", "#!/bin/sh\r\nexit 0\r\n", 0o755);
    fixture.file("bare.sh", "exit 0\n", 0o755);
    fixture.file("python.sh", "#!/opt/nothing/python3\n", 0o755);
    fixture.file("group.sh", "", 0o775);
    fixture.file("others.sh", "", 0o757);
    for (name, expected) in [
        ("nothing.sh", "nothing.sh cannot be used: No such file"),
        ("plain.sh", "is not executable; run chmod 755"),
        (
            "group.sh",
            "can be changed by its group or others; run chmod go-w",
        ),
        ("others.sh", "can be changed by its group or others"),
        ("bin", "is not a regular file"),
        ("crlf.sh", "has lines that end in CR LF"),
        ("bare.sh", "let it begin with #!/bin/sh"),
        (
            "python.sh",
            "the interpreter /opt/nothing/python3, which cannot be used: No such file",
        ),
    ] {
        only(
            &fixture.problems(&with(&format!("health_script: DIR/{name}"))),
            expected,
        );
    }
    only(
        &fixture.problems(&with("health_script: health.sh")),
        "must be an absolute path",
    );
}

#[test]
fn the_folder_of_the_health_script_counts_unless_it_is_sticky() {
    let fixture = Fixture::new();
    let script = fixture.file("open/health.sh", "#!/bin/sh\n", 0o755);
    let set = |mode| {
        fs::set_permissions(script.parent().unwrap(), fs::Permissions::from_mode(mode)).unwrap()
    };
    let text = with("health_script: DIR/open/health.sh");
    set(0o777);
    only(
        &fixture.problems(&text),
        "its folder open can be changed by its group or others",
    );
    set(0o1777);
    fixture.load(&text).unwrap();
    // A link into an open folder is as bad as a script in it.
    set(0o775);
    symlink(&script, fixture.path("link.sh")).unwrap();
    only(
        &fixture.problems(&with("health_script: DIR/link.sh")),
        "its folder open can be changed",
    );
}

#[test]
fn a_folder_of_commands_that_others_can_change_is_doubtful() {
    let fixture = Fixture::new();
    let doubts = || fixture.load(&with("")).unwrap().warnings;
    assert_eq!(doubts(), []);
    for mode in [0o777, 0o775, 0o1777] {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(fixture.path("bin"), mode).unwrap();
        let doubts: Vec<String> = doubts().iter().map(ToString::to_string).collect();
        only(
            &doubts,
            "bin can be changed by its group or others; run chmod go-w",
        );
        only(&doubts, "scripts look for their commands in PATH");
    }
}

#[test]
fn an_open_folder_around_several_of_commands_is_told_once() {
    let fixture = Fixture::new();
    for place in ["local/sbin", "local/bin"] {
        fs::create_dir_all(fixture.path(place)).unwrap();
    }
    let mode = fs::Permissions::from_mode(0o2775);
    fs::set_permissions(fixture.path("local"), mode).unwrap();
    let doubts = fixture.load(&with("")).unwrap().warnings;
    let doubts: Vec<String> = doubts.iter().map(ToString::to_string).collect();
    only(&doubts, "local can be changed by its group or others");
}

#[test]
fn hooks_commands_and_detectors_are_judged_as_the_health_script_is() {
    for (text, path) in [
        ("reboot_command: [DIR/open/run]", "reboot_command"),
        ("reboot_command: [/bin/sh, DIR/open/run]", "reboot_command"),
        (
            "pre_reboot_hook: {command: [DIR/open/run]}",
            "pre_reboot_hook.command",
        ),
        (
            "post_boot_hook: {command: [/usr/bin/env, DIR/open/run]}",
            "post_boot_hook.command",
        ),
        (
            "reboot_required_detectors: [{type: command, cmd: [DIR/open/run]}]",
            "cmd",
        ),
    ] {
        let fixture = Fixture::new();
        let program = fixture.file("open/run", "#!/bin/sh\n", 0o755);
        fixture.load(&with(text)).unwrap();
        let folder = program.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        let problems = fixture.problems(&with(text));
        only(
            &problems,
            "its folder open can be changed by its group or others",
        );
        assert!(problems[0].contains(path), "{}", problems[0]);
    }
}

#[test]
fn tls_files_and_passwords_that_others_may_change_are_refused() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    fixture.file("password", "secret\n", 0o600);
    let text = with(
        "etcd_tls: {enabled: true, ca_file: DIR/ca.crt, cert_file: DIR/other.crt, key_file: DIR/other.key}
etcd_auth: {username: u, password_file: DIR/password}",
    );
    fixture.load(&text).unwrap();
    for name in ["ca.crt", "other.crt", "other.key", "password"] {
        let set = |mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(fixture.path(name), mode).unwrap();
        };
        for mode in [0o602, 0o620] {
            set(mode);
            let expected = format!("{name} can be changed by its group or others");
            let problems = fixture.problems(&text);
            assert!(problems[0].contains(&expected), "{mode:o}: {problems:#?}");
        }
        set(0o600);
    }
}

#[test]
fn tls_files_must_exist_parse_and_fit() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    fixture.file("garbage.pem", "not PEM at all\n", 0o600);
    fixture.file(
        "broken.crt",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        0o644,
    );
    fixture.file("open.key", include_str!("tls/node.key"), 0o640);
    fixture.file("p521.key", include_str!("tls/p521.key"), 0o600);
    for (fields, expected) in [
        ("", "etcd_tls.ca_file: is required"),
        (
            "ca_file: DIR/nothing",
            "etcd_tls.ca_file: nothing cannot be read",
        ),
        (
            "ca_file: ca.crt",
            "etcd_tls.ca_file: \"ca.crt\" must be an absolute path",
        ),
        (
            "ca_file: DIR/garbage.pem",
            "garbage.pem holds no certificate",
        ),
        (
            "ca_file: DIR/broken.crt",
            "holds a certificate that cannot be used",
        ),
        (
            "ca_file: DIR/ca.crt, cert_file: DIR/node.crt",
            "etcd_tls.key_file: is required; it belongs to cert_file",
        ),
        (
            "ca_file: DIR/ca.crt, key_file: DIR/node.key",
            "etcd_tls.cert_file: is required; it belongs to key_file",
        ),
        (
            "ca_file: DIR/ca.crt, cert_file: DIR/node.crt, key_file: DIR/other.key",
            "does not belong to cert_file",
        ),
        (
            "ca_file: DIR/ca.crt, cert_file: DIR/node.crt, key_file: DIR/garbage.pem",
            "holds no usable private key",
        ),
        (
            "ca_file: DIR/ca.crt, cert_file: DIR/node.crt, key_file: DIR/p521.key",
            "with a key of P-256, P-384, Ed25519, or RSA from 2048 bits",
        ),
        (
            "ca_file: DIR/ca.crt, cert_file: DIR/node.crt, key_file: DIR/open.key",
            "open.key can be read by its group or others; run chmod 600",
        ),
        (
            "ca_file: DIR/ca.crt, insecure: true",
            "etcd_tls.insecure: unknown key",
        ),
    ] {
        let separator = if fields.is_empty() { "" } else { ", " };
        let text = with(&format!("etcd_tls: {{enabled: true{separator}{fields}}}"));
        only(&fixture.problems(&text), expected);
    }
}

/// A key whose line ends were lost, as happens on the way through a variable or a template.
#[test]
fn a_key_that_is_no_pem_is_not_repeated() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    let key = include_str!("tls/node.key");
    let line = key.lines().nth(1).unwrap();
    let bytes = format!("{:?}", &line.as_bytes()[..8]);
    let told = |problems: &[String]| {
        let problems = problems.join("\n");
        let numbers = bytes.trim_matches(['[', ']']);
        assert!(!problems.contains(&line[..8]), "{problems}");
        assert!(!problems.contains(numbers), "{problems}");
    };
    for end in [" ", "\\n"] {
        let lost = key.replace('\n', end);
        fixture.file("lost", &lost, 0o600);
        for fields in [
            "ca_file: DIR/lost",
            "ca_file: DIR/ca.crt, cert_file: DIR/lost, key_file: DIR/node.key",
            "ca_file: DIR/ca.crt, cert_file: DIR/node.crt, key_file: DIR/lost",
        ] {
            let text = with(&format!("etcd_tls: {{enabled: true, {fields}}}"));
            let problems = fixture.problems(&text);
            only(&problems, "with each BEGIN and END on a line of its own");
            told(&problems);
        }
        // Named as the configuration itself.
        told(&fixture.problems(&lost));
    }
    told(&fixture.problems(key));
}

#[test]
fn working_tls_forms_are_accepted_and_make_https_the_default() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    for fields in [
        "ca_file: DIR/ca.crt",
        "ca_file: DIR/ca.crt, cert_file: DIR/node.crt, key_file: DIR/node.key",
    ] {
        let loaded = fixture
            .load(&with(&format!("etcd_tls: {{enabled: true, {fields}}}")))
            .unwrap();
        assert_eq!(loaded.config.etcd.endpoints, ["https://127.0.0.1:2379"]);
        assert_eq!(loaded.warnings, []);
    }
    let loaded = fixture
        .load(&with(
            "etcd_tls: {enabled: true, insecure_skip_verify: true}",
        ))
        .unwrap();
    assert_eq!(loaded.config.etcd.tls.unwrap().ca_file, None);
    assert!(
        loaded.warnings[0].to_string().contains("anyone in between"),
        "{:?}",
        loaded.warnings
    );
}

#[test]
fn http_endpoints_contradict_tls() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    let text =
        with("etcd_endpoints: ['http://a:1']\netcd_tls: {enabled: true, ca_file: DIR/ca.crt}");
    only(
        &fixture.problems(&text),
        "is http although etcd_tls is enabled",
    );
}

#[test]
fn the_password_file_is_read_by_its_owner_only() {
    let fixture = Fixture::new();
    fixture.file("password", "correct horse battery staple\n", 0o600);
    fixture.file("open", "correct horse\n", 0o604);
    fixture.file("empty", "\n", 0o600);
    for (fields, expected) in [
        (
            "password_file: DIR/password",
            "etcd_auth.username: is required",
        ),
        ("username: root", "etcd_auth.password_file: is required"),
        (
            "username: root, password_file: DIR/open",
            "open can be read by its group or others",
        ),
        ("username: root, password_file: DIR/empty", "empty is empty"),
        (
            "username: root, password_file: DIR/nothing",
            "nothing cannot be read",
        ),
        (
            "username: root, password: secret",
            "did you mean `password_file`?",
        ),
    ] {
        only(
            &fixture.problems(&with(&format!("etcd_auth: {{{fields}}}"))),
            expected,
        );
    }
    let loaded = fixture
        .load(&with(
            "etcd_auth: {username: root, password_file: DIR/password}",
        ))
        .unwrap();
    assert_eq!(loaded.config.etcd.auth.as_ref().unwrap().username, "root");
    assert!(!format!("{loaded:?}").contains("horse"));
}

#[test]
fn a_secret_in_the_place_of_its_file_is_not_repeated() {
    for (text, expected) in [
        (
            "etcd_auth: {username: u, password_file: S3CRET}",
            "etcd_auth.password_file: must be the absolute path of a file",
        ),
        (
            "etcd_auth: {username: u, password_file: /S3CRET}",
            "etcd_auth.password_file: what is named there cannot be read: No such file",
        ),
        (
            "etcd_auth: {username: u, password_file: /S3CRET/+x}",
            "etcd_auth.password_file: what is named there cannot be read: No such file",
        ),
        (
            "etcd_auth: {username: u, password_file: 0x53}",
            "etcd_auth.password_file: must be text, not what stands there",
        ),
        ("etcd_auth: root:S3CRET", "etcd_auth: must be a map"),
        (
            "etcd_auth: {username: u, password_file:S3CRET}",
            "etcd_auth.password_file: unknown key; a space is missing",
        ),
        (
            "etcd_auth: {username: u, password_file: DIR/node.key, password:S3CRET}",
            "etcd_auth.password: unknown key; a space is missing behind the colon; write `password: value`",
        ),
        (
            "etcd_auth: {username: u, password_file: [S3CRET]}",
            "must be text, not a list",
        ),
        (
            "etcd_auth: {username: u, password_file: S3CRET: x}",
            "is not valid YAML",
        ),
        (
            "etcd_tls:\n  key_file: S3CRET: x\n  enabled: true",
            "is not valid YAML",
        ),
        (
            "etcd_tls: {enabled: true, ca_file: DIR/ca.crt, cert_file: DIR/node.crt, key_file: \"-----BEGIN KEY-----\\nS3CRET\"}",
            "etcd_tls.key_file: must be the absolute path of a file",
        ),
    ] {
        let fixture = Fixture::new();
        tls_files(&fixture);
        let problems = fixture.problems(&with(text));
        only(&problems, expected);
        let told = ["S3CRET", "53", "83"]
            .iter()
            .any(|it| problems[0].contains(it));
        assert!(!told, "{}", problems[0]);
    }
}

#[test]
fn a_password_in_an_endpoint_is_refused_and_not_repeated() {
    let problems =
        Fixture::new().problems(&with("etcd_endpoints: ['http://root:hunter2@etcd:2379']"));
    only(&problems, "must not contain a user; set etcd_auth");
    assert!(!problems[0].contains("hunter2"), "{}", problems[0]);
}

/// They go into the log at a reload. Each stands where an address belongs, where it is none, or beside one.
#[test]
fn no_problem_repeats_the_token_or_password_of_an_address() {
    let urls = [
        "https://h/x?token=S3CRET node",
        "http://user:p S3CRET@host/x",
        "ftp://user:S3CRET@host/",
        "ftp://h/x?token=S3CRET",
        "http:/user:S3CRET@h/",
        "http://u:S3C[S3CRET@h/x",
        "http:///x?token=S3CRET",
        "http://h:99999/x?token=S3CRET",
        "//user:S3CRET@host/",
        "user:S3CRET@host",
    ];
    let detector = "reboot_required_detectors";
    let mut texts: Vec<String> = Vec::new();
    for url in urls {
        texts.push(format!(
            "{detector}: [{{type: http, url: '{url}', status_codes: [200]}}]"
        ));
        texts.push(format!("{detector}: ['{url}']"));
        texts.push(format!("{detector}: '{url}'"));
        texts.push(format!(
            "{detector}: [{{type: command, cmd: 'curl {url}'}}]"
        ));
        texts.push(format!("pre_reboot_hook: {{command: 'curl {url}'}}"));
        texts.push(format!("etcd_endpoints: '{url}'"));
        texts.push(format!("etcd_endpoints: ['{url}']"));
        texts.push(format!("etcd_endpoints: [a:1, '{url}, x"));
    }
    for endpoint in [
        "h:1?token=S3CRET",
        "h:1/?token=S3CRET",
        "h:1?token=S3CRET&to=http://h",
        "h:1#S3CRET",
        "http://h?token=S3CRET",
        "http://h h/S3CRET",
        "https://h:1/S3CRET",
    ] {
        texts.push(format!("etcd_endpoints: ['{endpoint}']"));
    }
    for text in texts {
        let problems = Fixture::new().problems(&with(&text)).join("\n");
        assert!(!problems.contains("S3CRET"), "{text}: {problems}");
    }
}

#[test]
fn the_name_that_a_detector_gets_of_its_address_repeats_no_secret() {
    for (url, name) in [
        (
            "https://h:1/reboot/node-7?k=S3CRET",
            "http:https://h:1/reboot/node-7",
        ),
        (
            "https://h/hooks/token/S3CRET",
            "http:https://h/hooks/token …",
        ),
        ("http://h/a:S3CRET@b/c", "http:…@b/c"),
    ] {
        let text = format!(
            "reboot_required_detectors: [{{type: http, url: '{url}', status_codes: [200]}}]"
        );
        let config = Fixture::new().load(&with(&text)).unwrap().config;
        assert_eq!(config.detectors[0].name, name);
    }
}

#[test]
fn a_common_name_beside_a_user_is_doubtful() {
    let fixture = Fixture::new();
    tls_files(&fixture);
    fixture.file("password", "secret", 0o600);
    let warnings = |name: &str, auth: &str| {
        let tls = format!(
            "etcd_tls: {{enabled: true, ca_file: DIR/ca.crt, cert_file: DIR/{name}.crt, key_file: DIR/{name}.key}}"
        );
        let loaded = fixture.load(&with(&format!("{tls}\n{auth}"))).unwrap();
        loaded
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let auth = "etcd_auth: {username: root, password_file: DIR/password}";
    assert_eq!(warnings("other", auth), [""; 0]);
    assert_eq!(warnings("node", ""), [""; 0]);
    only(
        &warnings("node", auth),
        "etcd_tls: the certificate in cert_file has a common name",
    );
}

#[test]
fn a_password_that_crosses_the_network_without_tls_is_warned_of() {
    let fixture = Fixture::new();
    fixture.file("password", "secret\n", 0o600);
    for (endpoints, warned) in [
        ("127.0.0.1:2379, http://localhost:2379, '[::1]:2379'", false),
        ("127.0.0.1:2379, 10.0.0.1:2379", true),
        ("localhost.example.com:2379", true),
    ] {
        let auth = "etcd_auth: {username: root, password_file: DIR/password}";
        let text = with(&format!("etcd_endpoints: [{endpoints}]\n{auth}"));
        let warnings = fixture.load(&text).unwrap().warnings;
        let told = warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
        match warned {
            true => only(&told, "etcd_auth: the password crosses the network"),
            false => assert_eq!(told, [""; 0], "{endpoints}"),
        }
    }
}
