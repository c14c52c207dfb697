//! `version`.

use super::exit::Exit;
use super::output::print;

/// Version of the records in etcd, their field `v`. Nodes with different ones refuse to work together.
const PROTOCOL: u32 = 1;

/// Prints name, version and what it speaks, on one line.
pub(super) fn version(json: bool) -> Exit {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    if json {
        print(&serde_json::json!({ "name": name, "version": version, "records": PROTOCOL, "etcd_api": "v3" }).to_string());
    } else {
        print(&format!(
            "{name} {version} (records v{PROTOCOL}, etcd v3 over the JSON gateway)"
        ));
    }
    Exit::Done
}
