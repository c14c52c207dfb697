//! Every rule with the one line that answers its violation.

use super::*;

/// Each row: fields laid over [`LEAST`], and what the single line that answers them must contain.
const REFUSED: &[(&str, &str)] = &[
    // Names and identity.
    ("node_name: \"\"", "node_name: is required"),
    ("node_name: null", "node_name: is required"),
    ("node_name: a/b", "node_name: \"a/b\" is not a node name"),
    ("node_name: 'a b'", "is not a node name"),
    (
        "node_name: true",
        "must be text, not true; put it in quotes",
    ),
    ("node_name: [a]", "must be text, not a list"),
    ("node_name: '%m'", "`%m` is not known"),
    (
        "node_id: {a: 1}",
        "node_id: must be text, not a map; write one text, in quotes if a colon belongs to it",
    ),
    // Numbers that are not written as they would be read.
    ("node_name: 0x1f", "not 0x1f; put it in quotes"),
    ("node_name: 0o17", "not 0o17; put it in quotes"),
    ("node_name: 0b11", "not 0b11; put it in quotes"),
    ("node_name: +5", "not +5; put it in quotes"),
    ("node_name: 1e3", "not 1e3; put it in quotes"),
    ("node_name: .inf", "not .inf; put it in quotes"),
    ("node_id: 1.10", "not 1.10; put it in quotes"),
    ("node_name: 22:00", "\"22:00\" is not a node name"),
    (
        "reboot_command: [/bin/chmod, 0x1f]",
        "reboot_command[1]: must be text, not 0x1f; put it in quotes",
    ),
    // What nobody fills in.
    (
        "lock_key: /cluster/%H",
        "lock_key: \"%H\" is not replaced here, only %H and %l in node_name",
    ),
    ("node_id: a/b", "node_id: \"a/b\" must not contain /"),
    (
        "node_id: \"web-7\\n\"",
        "node_id: \"web-7\\n\" must not contain spaces",
    ),
    (
        "node_id: \"web\\u00a07\"",
        "node_id: \"web\\u{a0}7\" must not contain",
    ),
    ("node_id: '%H'", "node_id: \"%H\" is not replaced here"),
    (
        "node_id: '{{ id }}'",
        "node_id: \"{{\" is not replaced here",
    ),
    ("kill_switch_file: /run/%l/off", "is not replaced here"),
    ("run_dir: /run/${NAME}", "\"${\" is not replaced here"),
    (
        "etcd_endpoints: ['%H:2379']",
        "etcd_endpoints[0]: \"%H:2379\" must be",
    ),
    (
        "health_script: /etc/$(hostname).sh",
        "\"$(\" is not replaced here",
    ),
    // Keys that are there twice, of which one would hold in silence.
    (
        "<<: {dry_run: false}\n<<: {dry_run: true}",
        "config.yaml:9: <<: is written twice, first in line 8; keep one of them",
    ),
    (
        "<<: {dry_run: true, dry_run: false}",
        "config.yaml:8: <<.dry_run: is written twice",
    ),
    (
        "<<:\n  dry_run: true\n  dry_run: false",
        "config.yaml:10: <<.dry_run: is written twice, first in line 9",
    ),
    (
        "<<: [{dry_run: true}, {wave: 1, wave: 2}]",
        "<<[1].wave: is written twice",
    ),
    (
        "<<: {<<: {wave: 1, wave: 2}}",
        "<<.<<.wave: is written twice",
    ),
    (
        "log: {<<: {level: info}, <<: {level: warn}}",
        "log.<<: is written twice",
    ),
    ("<<: 1", "<<: unknown key"),
    // Detectors.
    (
        "reboot_required_detectors: []",
        "reboot_required_detectors: is required",
    ),
    (
        "reboot_required_detectors: file",
        "must be a list, not the text \"file\"; write [{type: file}]",
    ),
    (
        "reboot_required_detectors: /run/reboot-required",
        "write [{type: file, path: /run/reboot-required}]",
    ),
    (
        "reboot_required_detectors: {type: kernel}",
        "must be a list, not a map; begin each of its entries with `- `",
    ),
    (
        "reboot_required_detectors: [file]",
        "reboot_required_detectors[0]: must be a map",
    ),
    (
        "reboot_required_detectors: [{}]",
        "reboot_required_detectors[0].type: is required",
    ),
    (
        "reboot_required_detectors: [{typ: kernel}]",
        "[0].typ: unknown key; did you mean `type`?",
    ),
    (
        "reboot_required_detectors: [{type: fiel}]",
        "did you mean `file`?",
    ),
    (
        "reboot_required_detectors: [{type: apt}]",
        "use file, command, kernel or http",
    ),
    (
        "reboot_required_detectors: [{type: http}]",
        "[0].url: is required",
    ),
    (
        "reboot_required_detectors: [{type: http, url: x, status_codes: [200]}]",
        "does not begin with http:// or https:// and a host",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'ftp://x/', status_codes: [200]}]",
        "does not begin with http://",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://u:p@x/', status_codes: [200]}]",
        "must not hold a user or password",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x:99999/', status_codes: [200]}]",
        "[0].url: needs a port from 1 to 65535 after the host, or none",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x:65616/', status_codes: [200]}]",
        "needs a port",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'https://[::1]:8o', status_codes: [200]}]",
        "needs a port",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x:0/', status_codes: [200]}]",
        "needs a port",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x:/', status_codes: [200]}]",
        "needs a port",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/'}]",
        "[0].status_codes: is required",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: /a}]",
        "[0].equals: is required",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', equals: 1}]",
        "[0].pointer: is required",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: a, equals: 1}]",
        "is not a JSON pointer",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: /a~2, equals: 1}]",
        "[0].pointer: \"/a~2\" is not a JSON pointer; write ~0 for a ~",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: /~01/b~, equals: 1}]",
        "write ~0 for a ~",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: 5, equals: 1}]",
        "[0].pointer: \"5\" is not a JSON pointer; it begins with a slash",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: [/a], equals: 1}]",
        "[0].pointer: must be text, not a list",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: /a, equals: [1]}]",
        "[0].equals: must be a text, a number, true or false",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: /a, equals: 12345678901234567890}]",
        "[0].equals: 12345678901234567890 is too large a number to be compared; use one up to 9007199254740992",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: /a, equals: -.inf}]",
        "[0].equals: -.inf is too large",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', pointer: /a, equals: 1, status_codes: [200]}]",
        "does not go with `pointer` and `equals`",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'http://x/', status_codes: [99]}]",
        "must be a whole number from 200 to 599",
    ),
    (
        "reboot_required_detectors: [{type: http, url: 'https://x/', status_codes: [200], tls_ca_file: /does/not/exist}]",
        "[0].tls_ca_file:",
    ),
    (
        "reboot_required_detectors: [{type: kernel, name: etcd}]",
        "belongs to the detector of operators' requests",
    ),
    (
        "reboot_required_detectors: [{type: etcd}]",
        "always watched; remove this entry",
    ),
    (
        "reboot_required_detectors: [{type: file}]",
        "[0].path: is required",
    ),
    (
        "reboot_required_detectors: [{type: file, path: a}]",
        "[0].path: \"a\" must be an absolute path",
    ),
    (
        "reboot_required_detectors: [{type: command}]",
        "[0].cmd: is required",
    ),
    (
        "reboot_required_detectors: [{type: command, cmd: /bin/true}]",
        "[0].cmd: must be a list",
    ),
    (
        "reboot_required_detectors: [{type: command, cmd: [nothing-like-it]}]",
        "[0].cmd[0]: \"nothing-like-it\" must be an absolute path",
    ),
    (
        "reboot_required_detectors: [{type: command, cmd: [/bin/true], success_exit_codes: [256]}]",
        "[0].success_exit_codes[0]: must be a whole number from 0 to 255, not 256",
    ),
    (
        "reboot_required_detectors: [{type: kernel, path: /x}]",
        "[0].path: belongs to detectors of type file, not kernel",
    ),
    (
        "reboot_required_detectors: [{type: kernel, timeout_sec: -1}]",
        "[0].timeout_sec: must not be negative",
    ),
    (
        "reboot_required_detectors: [{type: kernel}, {type: kernel}]",
        "[1]: the name \"kernel\" is taken by reboot_required_detectors[0]",
    ),
    // Numbers.
    (
        "health_timeout_sec: 0",
        "health_timeout_sec: must be greater than 0",
    ),
    (
        "health_publish_interval_sec: -5",
        "must not be negative, but is -5",
    ),
    ("check_interval_sec: .nan", "must be a number of seconds"),
    (
        "check_interval_sec: .inf",
        "must be at most 315360000 seconds (10 years)",
    ),
    (
        "check_interval_sec: 0.000000001",
        "check_interval_sec: must be at least 0.01 seconds, but is 0.000000001",
    ),
    (
        "post_boot_settle_sec: 1e-12",
        "must be at least 0.01 seconds",
    ),
    ("lock_ttl_sec: 0.0099", "must be at least 0.01 seconds"),
    (
        "reboot_required_detectors: [{type: kernel, timeout_sec: 0.001}]",
        "[0].timeout_sec: must be at least 0.01 seconds",
    ),
    (
        "event_hook: {command: [/bin/true], timeout_sec: 5e-324}",
        "event_hook.timeout_sec: must be at least 0.01 seconds",
    ),
    ("check_interval_sec: 1e300", "must be at most 315360000"),
    (
        "check_interval_sec: 99999999999999999999",
        "must be at most 315360000",
    ),
    (
        "check_interval_sec: '60'",
        "must be a number of seconds, without quotes or unit; write 60",
    ),
    (
        "check_interval_sec: 5 min",
        "without quotes or unit; write 300",
    ),
    (
        "check_interval_sec: five",
        "without quotes or unit, not the text \"five\"",
    ),
    (
        "check_interval_sec: 60s",
        "without quotes or unit; write 60",
    ),
    (
        "check_interval_sec: 500ms",
        "without quotes or unit; write 0.5",
    ),
    (
        "check_interval_sec: inf",
        "without quotes or unit, not the text \"inf\"",
    ),
    (
        "backoff_min_sec: 0",
        "backoff_min_sec: must be greater than 0",
    ),
    (
        "backoff_min_sec: 61",
        "backoff_min_sec (61) must not exceed backoff_max_sec (60)",
    ),
    ("min_reboot_interval_sec: -1", "must not be negative"),
    (
        "max_concurrent_reboots: 0",
        "must be a whole number from 1 to 4294967295, not 0",
    ),
    ("max_concurrent_reboots: 1.5", "must be a whole number"),
    (
        "labels: {rack: }",
        "labels.rack: needs a value: write where this node is, as in `rack: r12`",
    ),
    ("labels: {rack: ''}", "labels.rack: needs a value"),
    ("labels: {rack: [a, b]}", "labels.rack: must be text"),
    (
        "labels: {rack: r 12}",
        "labels.rack: \"r 12\" is no value of a label; use 1 to 64 of",
    ),
    (
        "labels: {rack: '%H'}",
        "labels.rack: \"%H\" is not replaced here",
    ),
    (
        "labels: {'my rack': a}",
        "\"my rack\" is no name of a label; use 1 to 32 of",
    ),
    ("labels: [rack]", "labels: must be a map"),
    ("labels: r12", "labels: must be a map"),
    (
        "labels: {a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1}",
        "labels: has 9 labels, at most 8 are allowed",
    ),
    (
        "limits: {rack: 1}",
        "limits.rack: this node has no label `rack`; say where the node is: `labels: {rack: ...}`",
    ),
    (
        "labels: {rack: a}\nlimits: {rak: 1}",
        "limits.rak: this node has no label `rak`; did you mean `rack`?",
    ),
    (
        "labels: {rack: a}\nlimits: {zone: 1}",
        "limits.zone: this node has no label `zone`; its labels are rack",
    ),
    (
        "labels: {rack: a}\nlimits: {rack: 0}",
        "limits.rack: must be a whole number from 1",
    ),
    (
        "labels: {rack: a}\nlimits: {rack: }",
        "limits.rack: needs a number",
    ),
    (
        "labels: {rack: a}\nlimits: {rack: one}",
        "limits.rack: must be a whole number from 1",
    ),
    ("labels: {rack: a}\nlimits: 1", "limits: must be a map"),
    (
        "max_reboots_without_clearing: 0",
        "must be a whole number from 1",
    ),
    (
        "hold_timeout_sec: 0",
        "hold_timeout_sec: must be greater than 0",
    ),
    (
        "etcd_timeout_sec: 0",
        "etcd_timeout_sec: must be greater than 0",
    ),
    (
        "etcd_timeout_sec: 3601",
        "etcd_timeout_sec: must be at most 3600 seconds (an hour), but is 3601",
    ),
    (
        "reboot_timeout_sec: 0",
        "reboot_timeout_sec: must be greater than 0",
    ),
    ("post_boot_settle_sec: -0.1", "must not be negative"),
    // The lock.
    (
        "lock_key: cluster/lock",
        "must be absolute; begin it with /",
    ),
    ("lock_key: /", "must not be / alone"),
    ("lock_key: /a//b", "must not contain //"),
    ("lock_key: '/a b'", "must not contain spaces"),
    (
        "lock_key: \"/a\\u200b\"",
        "lock_key: \"/a\\u{200b}\" must not contain",
    ),
    ("lock_key: /\u{e9}", "\"/\\u{e9}\" must not contain"),
    (
        "etcd_namespace: \"/prod\\n\"",
        "etcd_namespace: \"/prod\\n\" must not contain spaces",
    ),
    (
        "etcd_namespace: '/prod '",
        "\"/prod \" must not contain spaces",
    ),
    ("etcd_namespace: ' /prod'", "must not contain spaces"),
    (
        "etcd_namespace: \"/prod\\t\"",
        "\"/prod\\t\" must not contain",
    ),
    (
        "etcd_namespace: \"\\uFEFF/prod\"",
        "\"\\u{feff}/prod\" must not contain",
    ),
    (
        "etcd_namespace: \"/pr\\xadod\"",
        "\"/pr\\u{ad}od\" must not contain",
    ),
    ("etcd_namespace: /prod/", "must not end with /"),
    ("etcd_namespace: //prod", "must not contain //"),
    ("lock_key:", "lock_key: is required"),
    ("lock_ttl_sec: 0", "lock_ttl_sec: must be greater than 0"),
    (
        "lock_ttl_sec: 45",
        "plus the renewal interval, a third of the TTL; set lock_ttl_sec to at least 46",
    ),
    (
        "health_timeout_sec: 60",
        "health_timeout_sec: lock_ttl_sec (90) must exceed health_timeout_sec (60)",
    ),
    // etcd.
    ("etcd_endpoints: []", "etcd_endpoints: is required"),
    ("etcd_endpoints: a:1", "etcd_endpoints: must be a list"),
    ("etcd_endpoints: [etcd]", "needs a port"),
    ("etcd_endpoints: ['etcd:0']", "needs a port from 1 to 65535"),
    (
        "etcd_endpoints: ['etcd:65536']",
        "needs a port from 1 to 65535",
    ),
    (
        "etcd_endpoints: ['::1:2379']",
        "an IPv6 address is written [::1]:2379",
    ),
    (
        "etcd_endpoints: ['https://etcd:2379']",
        "is https although etcd_tls is not enabled",
    ),
    (
        "etcd_endpoints: ['unix:///run/etcd']",
        "the scheme \"unix\" is not known",
    ),
    (
        "etcd_endpoints: ['http://etcd:2379/v3']",
        "must not have a path",
    ),
    ("etcd_endpoints: ['']", "etcd_endpoints[0]"),
    // Commands.
    (
        "reboot_command: /sbin/shutdown -r now",
        "must be a list, since no shell reads it; write [/sbin/shutdown, -r, now]",
    ),
    (
        "reboot_command: [needs-restarting]",
        "must be an absolute path; use DIR/bin/needs-restarting",
    ),
    (
        "reboot_command: [/bin/true, '${RC_NODE}']",
        "reboot_command[1]: `${RC_NODE}` is not a known variable",
    ),
    (
        "reboot_command: [/bin/true, '${RC_NODE_NAMES}']",
        "did you mean `${RC_NODE_NAME}`?",
    ),
    (
        "reboot_command: [/bin/true, '${RC_FOO}']",
        "`${RC_FOO}` is not a known variable; docs/scripts.md lists them",
    ),
    (
        "reboot_command: [/bin/true, '${RC_NODE_NAME']",
        "does not close it",
    ),
    (
        "pre_reboot_hook: {command: [/bin/true, '${RC_NODE_NAEM}']}",
        "pre_reboot_hook.command[1]: `${RC_NODE_NAEM}` is not a known variable; did you mean `${RC_NODE_NAME}`?",
    ),
    (
        "post_boot_hook: {command: [/bin/true, 'a ${RC_NODE_NAME']}",
        "post_boot_hook.command[1]: \"a ${RC_NODE_NAME\" opens `${`",
    ),
    (
        "post_boot_hook: {command: [/bin/true, '${RC_EVENT_NAME}']}",
        "post_boot_hook.command[1]: `${RC_EVENT_NAME}` is not a known variable",
    ),
    (
        "event_hook: {command: [/bin/true, '${RC_EVENT_NAMES}']}",
        "event_hook.command[1]: `${RC_EVENT_NAMES}` is not a known variable; did you mean `${RC_EVENT_NAME}`?",
    ),
    (
        "event_hook: {command: [/bin/true, '${RC_EVENT_TEXT']}",
        "event_hook.command[1]: \"${RC_EVENT_TEXT\" opens `${`",
    ),
    (
        "event_hook: {command: [/bin/sh, -c, 'mail ${RC_EVENT_TEXT}']}",
        "event_hook.command[2]: has ${RC_…} in what is executed",
    ),
    (
        "reboot_command: [/bin/sh, -c, 'logger \"${RC_REASONS}\"; reboot']",
        "reboot_command[2]: has ${RC_…} in what is executed",
    ),
    (
        "reboot_command: [/bin/sh, -ec, 'reboot # ${RC_NODE_NAME}']",
        "reboot_command[2]: has ${RC_…} in what is executed",
    ),
    (
        "pre_reboot_hook: {command: [/usr/bin/env, A=b, sh, -lc, 'drain ${RC_REASONS}']}",
        "pre_reboot_hook.command[4]: has ${RC_…} in what is executed",
    ),
    (
        "post_boot_hook: {command: [/bin/true, python3.11, -c, 'print(\"${RC_REASONS}\")']}",
        "post_boot_hook.command[3]: has ${RC_…} in what is executed",
    ),
    (
        "reboot_command: [/usr/bin/env, -S, 'sh -c', 'echo ${RC_REASONS}']",
        "reboot_command[3]: has ${RC_…} in what is executed",
    ),
    (
        "reboot_command: [/bin/sed, -Ee, '1e echo ${RC_REASONS}', /etc/hostname]",
        "reboot_command[2]: has ${RC_…} in what is executed",
    ),
    (
        "reboot_command: [/bin/true, ssh, host, 'reboot # ${RC_REASONS}']",
        "reboot_command[3]: has ${RC_…} in what is executed",
    ),
    (
        "reboot_command: [/usr/bin/env, 'BASH_ENV=${RC_REASONS}', /bin/sh, /etc/hostname]",
        "reboot_command[1]: has ${RC_…} in what is executed",
    ),
    (
        "event_hook: {command: [/usr/bin/timeout, 5, '${RC_EVENT_REASONS}']}",
        "event_hook.command[2]: has ${RC_…} in what is executed",
    ),
    (
        "reboot_command: [/bin/true, {a: 1}]",
        "reboot_command[1]: must be text",
    ),
    (
        "pre_reboot_hook: {}",
        "pre_reboot_hook.command: is required",
    ),
    (
        "pre_reboot_hook: {command: [drain]}",
        "pre_reboot_hook.command[0]: \"drain\" must be an absolute path",
    ),
    (
        "post_boot_hook: {command: [/bin/true], timeout_sec: 0}",
        "post_boot_hook.timeout_sec: must be greater than 0",
    ),
    (
        "post_boot_hook: [/bin/true]",
        "post_boot_hook: must be a map of fields, not a list",
    ),
    // Policies, windows, the rest.
    (
        "cluster_policies: {min_healthy_fraction: 0}",
        "must be above 0 and at most 1, but is 0",
    ),
    (
        "cluster_policies: {min_healthy_fraction: 1.01}",
        "must be above 0 and at most 1, but is 1.01",
    ),
    (
        "cluster_policies: {min_healthy_fraction: half}",
        "must be a number above 0 and up to 1",
    ),
    (
        "cluster_policies: {min_healthy_absolute: -1}",
        "must be a whole number from 0",
    ),
    (
        "cluster_policies: {fallback_nodes: [a, 'b c']}",
        "cluster_policies.fallback_nodes[1]: \"b c\" is not a node name",
    ),
    (
        "cluster_policies: {min_healthy: 1}",
        "cluster_policies.min_healthy: unknown key",
    ),
    (
        "windows: {deny: ['Fry 10:00-11:00']}",
        "windows.deny[0]: \"Fry 10:00-11:00\": \"Fry\" is not a day",
    ),
    (
        "windows: {allow: ['* 10:00-11:00', '10-11']}",
        "windows.allow[1]: \"10-11\": has no time",
    ),
    (
        "windows: {timezone: Europe/Berlim}",
        "windows.timezone: \"Europe/Berlim\" is not in this host's time zone database",
    ),
    (
        "windows: {allow: '* 10:00-11:00'}",
        "windows.allow: must be a list",
    ),
    (
        "kill_switch_file: disable",
        "kill_switch_file: \"disable\" must be an absolute path",
    ),
    (
        "metrics: {listen: example.com:1}",
        "metrics.listen: \"example.com:1\" must be an IP address or localhost, and a port",
    ),
    (
        "metrics: {enabled: maybe}",
        "metrics.enabled: must be true or false",
    ),
    ("log: {level: loud}", "log.level: \"loud\" is no level"),
    ("log: {format: xml}", "log.format: \"xml\" is no format"),
    (
        "dry_run: 1",
        "dry_run: must be true or false, not 1; write true, without quotes",
    ),
    (
        "dry_run: 'true'",
        "the text \"true\"; write true, without quotes",
    ),
    ("dry_run: 'no'", "write false, without quotes"),
    ("dry_run: yes", "write true, without quotes"),
    ("dry_run: Off", "write false, without quotes"),
    ("dry_run: [true]", "write one of them, without quotes"),
    ("run_dir: run", "run_dir: \"run\" must be an absolute path"),
    ("boot_id_file: [x]", "boot_id_file: must be text"),
    // Keys.
    (
        "helth_timeout_sec: 1",
        "helth_timeout_sec: unknown key; did you mean `health_timeout_sec`?",
    ),
    (
        "ca_file: /x",
        "ca_file: unknown key; did you mean `etcd_tls.ca_file`?",
    ),
    ("zzz: 1", "zzz: unknown key; remove it"),
    (
        "log: {colour: 1}",
        "log.colour: unknown key; known here: level, format",
    ),
    (
        "dry_run: true\ndry_run: false",
        "is written twice, first in line",
    ),
    (
        "log: {level: info, level: warn}",
        "log.level: is written twice",
    ),
];

#[test]
fn every_rule_answers_with_one_line() {
    let fixture = Fixture::new();
    for (fields, expected) in REFUSED {
        let expected = expected.replace("DIR/", "");
        let problems = fixture.problems(&with(fields));
        assert_eq!(problems.len(), 1, "{fields}\n{problems:#?}");
        assert!(
            problems[0].contains(&expected),
            "{fields}\n{}\ndoes not contain\n{expected}",
            problems[0]
        );
        assert!(problems[0].starts_with("config.yaml:"), "{}", problems[0]);
    }
}

#[test]
fn one_mistake_hides_no_other() {
    let fixture = Fixture::new();
    for (fields, expected) in [
        (
            "labels: {rack: r1, e: ''}\nlimits: {rack: 0, z: 1}",
            &[
                "labels.e: needs",
                "limits.rack: must",
                "limits.z: this node has no label",
            ][..],
        ),
        (
            "limits: {rack: 0, site: x}",
            &[
                "limits.rack: this node has no label",
                "limits.rack: must",
                "limits.site: this node has no label",
                "limits.site: must",
            ],
        ),
        (
            "etcd_namespace: '/a//b /'",
            &["spaces", "must not contain //", "must not end with /"],
        ),
        (
            "lock_key: a//b",
            &["must be absolute", "must not contain //"],
        ),
        ("node_id: 'a /'", &["spaces", "must not contain /"]),
    ] {
        let problems = fixture.problems(&with(fields));
        let told = problems.len() == expected.len();
        let each = |words: &&str| problems.iter().any(|problem| problem.contains(words));
        assert!(told && expected.iter().all(each), "{fields}\n{problems:#?}");
    }
}

/// The client would refuse one that is far longer, at the next start.
#[test]
fn no_host_is_longer_than_a_name_can_be() {
    let fixture = Fixture::new();
    let host = |length| with(&format!("etcd_endpoints: ['{}:2379']", "a".repeat(length)));
    fixture.load(&host(254)).unwrap();
    let problems = fixture.problems(&host(255));
    assert!(problems[0].contains("must be host:port"), "{problems:?}");
}
