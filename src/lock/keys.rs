//! Where the records live.

/// Builds every key from one prefix: the namespace followed by `lock_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(String);

impl Keys {
    /// `lock_key` without a trailing slash.
    pub fn new(namespace: &str, lock_key: &str) -> Keys {
        Keys(format!("{namespace}{lock_key}"))
    }

    /// What all keys start with.
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// The node a key below one of the prefixes names; `None` for a key that is not ours: of a tool, or of a group whose
    /// `lock_key` lies below this one.
    pub fn node_of<'a>(prefix: &str, key: &'a [u8]) -> Option<&'a str> {
        let name = std::str::from_utf8(key).ok()?.strip_prefix(prefix)?;
        is_node_name(name).then_some(name)
    }

    /// Whether this is the key of an attempt of this group, and not of a group whose `lock_key` lies below the history.
    pub fn is_of_history(&self, key: &[u8]) -> bool {
        let entry = key.strip_prefix(self.histories().as_bytes());
        entry.is_some_and(|entry| !entry.contains(&b'/'))
    }
}

/// Makes a function of each row: what is below the prefix, with the names of a node and the like in it.
macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident($($part:ident),*) = $below:literal;)*) => {
        impl Keys {
            $($(#[$doc])* pub fn $name(&self, $($part: &str),*) -> String {
                format!(concat!("{}", $below), self.0, $($part = $part),*)
            })*
        }

        /// What is below the prefix.
        const BELOW: &[&str] = &[$($below),*];
    };
}

keys! {
    /// The claim of one node.
    claim(node) = "/claims/{node}";
    /// What all claims start with.
    claims() = "/claims/";
    /// The cluster-wide kill switch.
    pause() = "/pause";
    /// The cooldown after a completed reboot.
    cooldown() = "/cooldown";
    /// The registration of one member.
    node(node) = "/nodes/{node}";
    /// What all registrations start with.
    nodes() = "/nodes/";
    /// That one member is in a wave below 0.
    wave(node) = "/waves/{node}";
    /// What all of those start with.
    waves() = "/waves/";
    /// The health report of one member.
    alive(node) = "/alive/{node}";
    /// What all health reports start with.
    alives() = "/alive/";
    /// What one node says of itself.
    standing(node) = "/standing/{node}";
    /// What another machine says that was refused this name.
    refused(node, node_id) = "/standing/{node}/{node_id}";
    /// What all of those start with.
    standings() = "/standing/";
    /// An operator's request to reboot one node.
    request(node) = "/requests/{node}";
    /// What all requests start with.
    requests() = "/requests/";
    /// That the reboot of one member failed.
    failed(node) = "/line/failed/{node}";
    /// What all failures start with.
    failures() = "/line/failed/";
    /// An operator's word that the line goes on in spite of failures.
    go_on() = "/line/go-on";
    /// One finished attempt. `time` sorts as text, so that the history lists in order.
    history(time, node) = "/history/{time}-{node}";
    /// What all finished attempts start with.
    histories() = "/history/";
}

/// Whether the keys of a group have this word right behind its `lock_key`, and more behind the word.
pub fn is_room(word: &str) -> bool {
    BELOW
        .iter()
        .any(|below| below.starts_with(&format!("/{word}/")))
}

/// What a node may be called.
pub const NODE_NAME_RULE: &str =
    "use 1 to 253 of the characters A-Z a-z 0-9 . _ -, but neither `pause` nor `cooldown`";

/// Whether a node may be called that: it is the end of its keys. In a group whose `lock_key` ends in `/claims`, or in `/nodes`, the
/// two names stand where the group above has the claims, or the registrations, of its nodes.
pub fn is_node_name(name: &str) -> bool {
    is_word(name, 253) && !["pause", "cooldown"].contains(&name)
}

/// Letters, digits and what joins them.
pub fn is_word(text: &str, longest: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}

/// A key as text in which every byte is seen.
pub fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
