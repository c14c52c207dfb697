//! Where the records live.

/// Builds every key from one prefix: the namespace followed by `lock_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// `lock_key` without a trailing slash.
    pub fn new(namespace: &str, lock_key: &str) -> Keys {
        Keys {
            prefix: format!("{namespace}{lock_key}"),
        }
    }

    /// What all keys start with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The claim of one node.
    pub fn claim(&self, node: &str) -> String {
        format!("{}/claims/{node}", self.prefix)
    }

    /// What all claims start with.
    pub fn claims(&self) -> String {
        format!("{}/claims/", self.prefix)
    }

    /// The cluster-wide kill switch.
    pub fn pause(&self) -> String {
        format!("{}/pause", self.prefix)
    }

    /// The cooldown after a completed reboot.
    pub fn cooldown(&self) -> String {
        format!("{}/cooldown", self.prefix)
    }

    /// The registration of one member.
    pub fn node(&self, node: &str) -> String {
        format!("{}/nodes/{node}", self.prefix)
    }

    /// What all registrations start with.
    pub fn nodes(&self) -> String {
        format!("{}/nodes/", self.prefix)
    }

    /// That one member is in a wave below 0.
    pub fn wave(&self, node: &str) -> String {
        format!("{}/waves/{node}", self.prefix)
    }

    /// What all of those start with.
    pub fn waves(&self) -> String {
        format!("{}/waves/", self.prefix)
    }

    /// The health report of one member.
    pub fn alive(&self, node: &str) -> String {
        format!("{}/alive/{node}", self.prefix)
    }

    /// What all health reports start with.
    pub fn alives(&self) -> String {
        format!("{}/alive/", self.prefix)
    }

    /// What one node says of itself.
    pub fn standing(&self, node: &str) -> String {
        format!("{}/standing/{node}", self.prefix)
    }

    /// What another machine says that was refused this name.
    pub fn refused(&self, node: &str, node_id: &str) -> String {
        format!("{}/standing/{node}/{node_id}", self.prefix)
    }

    /// What all of those start with.
    pub fn standings(&self) -> String {
        format!("{}/standing/", self.prefix)
    }

    /// An operator's request to reboot one node.
    pub fn request(&self, node: &str) -> String {
        format!("{}/requests/{node}", self.prefix)
    }

    /// What all requests start with.
    pub fn requests(&self) -> String {
        format!("{}/requests/", self.prefix)
    }

    /// That the reboot of one member failed.
    pub fn failed(&self, node: &str) -> String {
        format!("{}/line/failed/{node}", self.prefix)
    }

    /// What all failures start with.
    pub fn failures(&self) -> String {
        format!("{}/line/failed/", self.prefix)
    }

    /// An operator's word that the line goes on in spite of failures.
    pub fn go_on(&self) -> String {
        format!("{}/line/go-on", self.prefix)
    }

    /// One finished attempt. `time` sorts as text, so that the history lists in order.
    pub fn history(&self, time: &str, node: &str) -> String {
        format!("{}/history/{time}-{node}", self.prefix)
    }

    /// What all finished attempts start with.
    pub fn histories(&self) -> String {
        format!("{}/history/", self.prefix)
    }

    /// The node a key below one of the prefixes names; `None` for a key that is not ours: of a tool, or of a group whose
    /// `lock_key` lies below this one.
    pub fn node_of<'a>(prefix: &str, key: &'a [u8]) -> Option<&'a str> {
        let name = std::str::from_utf8(key).ok()?.strip_prefix(prefix)?;
        is_node_name(name).then_some(name)
    }
}

/// What a node may be called.
pub const NODE_NAME_RULE: &str =
    "use 1 to 253 of the characters A-Z a-z 0-9 . _ -, but neither `pause` nor `cooldown`";

/// Whether a node may be called that: it is the end of its keys. In a group whose `lock_key` ends in `/claims`, or in `/nodes`, the
/// two names stand where the group above has the claims, or the registrations, of its nodes.
pub fn is_node_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !["pause", "cooldown"].contains(&name)
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// A key as text in which every byte is seen.
pub fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
