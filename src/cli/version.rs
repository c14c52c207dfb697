//! `version`.

use super::exit::Exit;
use super::output::print;
use crate::lock::record::RECORD_VERSION;

/// Prints name, version and what it speaks, on one line.
pub(super) fn version(json: bool) -> Exit {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    if json {
        print(&serde_json::json!({ "name": name, "version": version, "records": RECORD_VERSION, "etcd_api": "v3" }).to_string());
    } else {
        print(&format!(
            "{name} {version} (records v{RECORD_VERSION}, etcd v3 over the JSON gateway)"
        ));
    }
    Exit::DONE
}
