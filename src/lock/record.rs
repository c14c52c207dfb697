//! The values in etcd: JSON with `"v": 1`. Unknown fields are ignored, an unknown `v` is refused.

use std::fmt;
use std::time::Duration;

use etcd_rs_sync::KeyValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Domains;

mod standing;
pub use standing::{Blocked, Report, Required, Standing};

/// The version of every record this program writes and reads.
pub const RECORD_VERSION: u32 = 1;

/// How long an entry of the history lives.
pub const HISTORY_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// How far a claim has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A place in the queue, or at its head; guarded by the session lease.
    Queued,
    /// Committed; the drain hook runs.
    Draining,
    /// Committed; the reboot command is about to run, or ran.
    Rebooting,
    /// Committed; the node is back and has to prove that it is healthy.
    Verifying,
}

impl Phase {
    /// Whether the claim is past the point of no return and must not expire.
    pub fn committed(self) -> bool {
        match self {
            Phase::Queued => false,
            Phase::Draining | Phase::Rebooting | Phase::Verifying => true,
        }
    }

    /// The word in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Draining => "draining",
            Phase::Rebooting => "rebooting",
            Phase::Verifying => "verifying",
        }
    }
}

/// Place in the queue, then the lock, then the durable record of a reboot in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// Whose it is.
    pub node: String,
    /// Tells two machines with one name apart.
    pub node_id: String,
    /// The kernel's boot id when the claim was made; another one later proves a reboot.
    pub boot_id: String,
    /// Random, new for every process.
    pub session: String,
    /// How far it has come.
    pub phase: Phase,
    /// The writer's `max_concurrent_reboots`.
    pub limit: u32,
    /// The failure domains of its node: the same as long as the claim exists.
    #[serde(flatten)]
    pub domains: Domains,
    /// The detectors that asked, or what the operator wrote.
    pub reasons: Vec<String>,
    /// When it was made, RFC 3339. For people only.
    pub since: String,
    /// When it was committed, RFC 3339. For people only.
    pub committed_at: Option<String>,
    /// How many times this claim was committed; more than once when the reboot command did nothing. Counting also makes
    /// each commit differ from what it replaces, which tells a commit that took effect from one that was fenced.
    #[serde(default)]
    pub attempts: u32,
    /// How long its node may take for a reboot and to settle, seconds: one that does not move for longer has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience_sec: Option<u64>,
    /// How much longer while its node drains, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_sec: Option<u64>,
    /// The gates that it was let past by an urgent request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
    /// The kernel that was to be booted when it was committed, where a detector knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The writer's version.
    pub version: String,
}

impl Claim {
    /// How long it may stand still in its phase; `own` is what the reader allows itself, for one that does not say.
    pub fn patience(&self, own: Duration) -> Duration {
        match self.phase {
            Phase::Draining => self.patience_since_commit(own),
            _ => self.patience_sec.map_or(own, seconds),
        }
    }

    /// The same from its commit on, whatever its phase: it may have drained before.
    pub fn patience_since_commit(&self, own: Duration) -> Duration {
        self.patience_sec.map_or(own, seconds) + seconds(self.drain_sec.unwrap_or_default())
    }
}

/// What stands in a record may be any number, and is added to a clock.
fn seconds(said: u64) -> Duration {
    Duration::from_secs(said.min(u64::from(u32::MAX)))
}

/// The cluster-wide kill switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// Who paused.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when, RFC 3339, when it ends by itself.
    pub until: Option<String>,
}

/// The cooldown: the last completed reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooldown {
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// Who rebooted.
    pub node: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when, RFC 3339, by the writer's clock. The lease decides, not this.
    pub until: String,
}

/// A registered member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// The member's name.
    pub node: String,
    /// The machine behind the name.
    pub node_id: String,
    /// Version of the daemon that registered it.
    pub version: String,
    /// Its wave: members of lower ones go first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wave: i32,
    /// The boot of the machine that wrote this last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The last completed reboot.
    pub last_reboot: Option<LastReboot>,
    /// Reboots committed since the detectors last asked for none.
    #[serde(default)]
    pub budget_used: u32,
    /// The attempt that was committed and has not ended. Without a claim beside it, the claim was taken away.
    pub attempt: Option<Attempt>,
    /// The mod revision of the operator's request that the last commit was made for, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<i64>,
}

fn is_zero(wave: &i32) -> bool {
    *wave == 0
}

/// An operator's request to reboot a node, satisfied by a boot after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootRequest {
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// Which node is to reboot.
    pub node: String,
    /// Who asks.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it was made, RFC 3339. For people only.
    pub since: String,
    /// The boot in which the node first saw it, written by the node itself; any other one later proves a boot after it.
    pub boot_id: Option<String>,
    /// Until when it does not wait for a window or a cooldown, RFC 3339, by the writer's clock. The lease decides, not this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urgent_until: Option<String>,
}

impl RebootRequest {
    /// As a reason for a reboot.
    pub fn text(&self) -> String {
        let urgently = self.urgent_until.as_ref().map_or("", |_| "urgently ");
        format!("{urgently}requested by {}: {}", self.by, self.reason)
    }
}

/// A committed attempt, remembered apart from the claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Boot id before.
    pub boot_before: String,
    /// When it was committed, RFC 3339.
    pub committed_at: String,
}

/// A member's last completed reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReboot {
    /// Boot id before.
    pub boot_before: String,
    /// Boot id after.
    pub boot_after: String,
    /// When it was released, RFC 3339.
    pub at: String,
    /// Why it rebooted.
    pub reasons: Vec<String>,
}

/// One finished attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// Whose attempt.
    pub node: String,
    /// `completed`, `aborted`, `taken-away` (by a waiting node), `released` or `budget-reset` (by an operator).
    pub outcome: String,
    /// Why it ended so, for people.
    pub detail: String,
    /// Why the reboot was asked for.
    pub reasons: Vec<String>,
    /// When the claim was made, RFC 3339.
    pub since: String,
    /// When it was committed, RFC 3339.
    pub committed_at: Option<String>,
    /// When it ended, RFC 3339.
    pub ended_at: String,
    /// Who wrote this entry, when not the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many attempts in a row ended so, when more than one did: times are of the first claim and the last end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The gates that it was let past by an urgent request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
}

impl History {
    /// An entry of an attempt that had this claim, but for whose it was and how it ended.
    pub fn of(claim: &Claim) -> History {
        History {
            v: RECORD_VERSION,
            reasons: claim.reasons.clone(),
            since: claim.since.clone(),
            committed_at: claim.committed_at.clone(),
            passed: claim.passed.clone(),
            ..History::default()
        }
    }

    /// Whether the two differ in nothing but their times.
    pub fn is_like(&self, other: &History) -> bool {
        (&self.outcome, &self.detail, &self.reasons)
            == (&other.outcome, &other.detail, &other.reasons)
    }
}

/// The request in this pair. One that hangs on no lease would be urgent for ever, so it is not.
///
/// # Errors
/// As [`decode`].
pub fn request(value: &[u8], lease: i64) -> Result<RebootRequest, RecordError> {
    let mut request: RebootRequest = decode(value)?;
    request.urgent_until = request.urgent_until.filter(|_| lease != 0);
    Ok(request)
}

/// The pause in this pair. One that hangs on no lease does not end by itself, whatever it says.
///
/// # Errors
/// As [`decode`].
pub fn pause(pair: &KeyValue) -> Result<Pause, RecordError> {
    let mut pause: Pause = decode(&pair.value)?;
    pause.until = pause.until.filter(|_| pair.lease != 0);
    Ok(pause)
}

/// The cooldown in this pair.
///
/// # Errors
/// [`RecordError::Endless`] for one that hangs on no lease; else as [`decode`].
pub fn cooldown(value: &[u8], lease: i64) -> Result<Cooldown, RecordError> {
    let read = decode(value);
    if lease != 0 {
        return read;
    }
    let known = match read {
        Ok(Cooldown { node, since, .. }) => format!("{node} wrote it at {since}"),
        Err(error) => error.to_string(),
    };
    Err(RecordError::Endless(format!(
        "reboot-coordinator resume removes it ({known})"
    )))
}

/// What a daemon says of itself in this pair, for as long as it runs.
///
/// # Errors
/// [`RecordError::Endless`] when it hangs on no lease: a copy of the store has none, and says so of who died long ago; else as
/// [`decode`].
pub fn alive<T: DeserializeOwned>(pair: &KeyValue) -> Result<T, RecordError> {
    if pair.lease == 0 {
        let what = "it was copied or written by hand, and says nothing of that node now; forget removes it";
        return Err(RecordError::Endless(what.to_owned()));
    }
    decode(&pair.value)
}

/// Why a value could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// A newer program wrote it.
    Version(u64),
    /// It is not what the documentation says.
    Malformed(String),
    /// It hangs on no lease, though its kind ends with one; what ends it.
    Endless(String),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Version(found) => write!(
                f,
                "the record has version {found}, this program knows version {RECORD_VERSION}: upgrade this node"
            ),
            RecordError::Malformed(why) => write!(f, "the record is not readable: {why}"),
            RecordError::Endless(known) => write!(
                f,
                "the record hangs on no lease, so it does not end by itself; {known}"
            ),
        }
    }
}

/// The longest record that is read, bytes. What this program writes has at most a few thousand.
const LONGEST: usize = 64 * 1024;

/// Reads a record.
///
/// # Errors
/// [`RecordError::Version`] for another `v`, [`RecordError::Malformed`] for anything that does not parse.
pub fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, RecordError> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    if value.len() > LONGEST {
        let why = format!("it has {} bytes, {LONGEST} are allowed", value.len());
        return Err(RecordError::Malformed(why));
    }
    let malformed = |error: serde_json::Error| RecordError::Malformed(error.to_string());
    let version: Version = serde_json::from_slice(value).map_err(malformed)?;
    if version.v != u64::from(RECORD_VERSION) {
        return Err(RecordError::Version(version.v));
    }
    serde_json::from_slice(value).map_err(malformed)
}

/// Writes a record.
pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain data with text keys")
}
