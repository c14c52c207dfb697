//! Which inputs met the machine in which states.

use reboot_coordinator::core::facts::ScriptReport;
use reboot_coordinator::core::machine::Stage;
use reboot_coordinator::core::{Input, State};

/// Names of the states, as counted here.
pub const STATES: [&str; 32] = [
    "SelfTest",
    "ReadOwn",
    "Registering",
    "Removing",
    "Idle",
    "Gates(PreLock)",
    "Gates(Waiting)",
    "Gates(PostLock)",
    "Gates(Resume)",
    "Gates(Retry)",
    "Granting",
    "Entering",
    "Counting",
    "Queued",
    "TakingAway",
    "Leaving",
    "Committing",
    "Fencing",
    "Draining",
    "Moving",
    "LastLook",
    "Noting",
    "Rebooting",
    "Holding(again)",
    "Holding(stuck)",
    "Verifying",
    "Ending",
    "Stopping",
    "Stopped",
    "Left",
    "Unregistering",
    "Clearing",
];

/// Names of the inputs, as counted here.
pub const INPUTS: [&str; 19] = [
    "tick",
    "etcd ok",
    "etcd refused",
    "etcd unknown",
    "renewed",
    "renewal failed",
    "farewell",
    "detected",
    "script ok",
    "script failed",
    "host free",
    "kill switch",
    "command ok",
    "command failed",
    "watch",
    "stop",
    "reported",
    "monitored",
    "reload",
];

/// How often each pair was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage(pub [[u64; INPUTS.len()]; STATES.len()]);

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage([[0; INPUTS.len()]; STATES.len()])
    }
}

impl Coverage {
    /// Counts one input.
    pub fn count(&mut self, state: &State, input: &Input) {
        self.0[state_index(state)][input_index(input)] += 1;
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Coverage) {
        for (row, others) in self.0.iter_mut().zip(&other.0) {
            for (count, more) in row.iter_mut().zip(others) {
                *count += more;
            }
        }
    }

    /// How many pairs were seen at least once, of how many.
    pub fn pairs(&self) -> (usize, usize) {
        let seen = self.0.iter().flatten().filter(|count| **count > 0).count();
        (seen, STATES.len() * INPUTS.len())
    }
}

/// The state's place in [`STATES`].
pub fn state_index(state: &State) -> usize {
    match state {
        State::SelfTest => 0,
        State::ReadOwn => 1,
        State::Registering(_) => 2,
        State::Removing(_) => 3,
        State::Idle(_) => 4,
        State::Gates(gates) => match gates.stage() {
            Stage::PreLock => 5,
            Stage::Waiting => 6,
            Stage::PostLock => 7,
            Stage::Resume => 8,
            Stage::Retry => 9,
        },
        State::Granting(..) => 10,
        State::Entering(..) => 11,
        State::Counting => 12,
        State::Queued => 13,
        State::TakingAway(_) => 14,
        State::Leaving(..) => 15,
        State::Committing(_) => 16,
        State::Fencing(_) => 17,
        State::Draining(_) => 18,
        State::Moving(..) => 19,
        State::LastLook(_) => 20,
        State::Noting(_) => 21,
        State::Rebooting { .. } => 22,
        State::Holding(Some(_), _) => 23,
        State::Holding(None, _) => 24,
        State::Verifying(_) => 25,
        State::Ending(_) => 26,
        State::Stopping => 27,
        State::Stopped => 28,
        State::Left(_) => 29,
        State::Unregistering(_) => 30,
        State::Clearing(..) => 31,
    }
}

fn input_index(input: &Input) -> usize {
    let script = |report: &ScriptReport| usize::from(!report.outcome.success());
    match input {
        // It changes a word.
        Input::Tick | Input::Hampered(_) => 0,
        Input::Etcd(_, Ok(_)) => 1,
        Input::Etcd(_, Err(error)) if error.is_definite() => 2,
        Input::Etcd(_, Err(_)) => 3,
        Input::Renewed(_, Ok(_)) => 4,
        Input::Renewed(_, Err(_)) => 5,
        Input::Farewell => 6,
        Input::Reported(..) => 16,
        Input::Monitored(..) => 17,
        Input::Reload(_) => 18,
        Input::Detected(..) => 7,
        Input::Script(_, report) => 8 + script(report),
        Input::Host(_, None) => 10,
        Input::Host(_, Some(_)) => 11,
        Input::RebootCommand(_, report) => 12 + script(report),
        Input::Watch(_, _) => 14,
        Input::Stop => 15,
    }
}
