//! The table of commands. By it and that of the [flags](super::flags) the command line is read and help is made; manual and completions are
//! made of both in `tests/manual`.

use std::sync::LazyLock;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandSpec {
    /// What is typed, with what may follow it besides flags.
    pub usage: &'static str,
    /// Its first word.
    pub name: &'static str,
    /// What may follow it besides flags, as shown in help; empty for nothing.
    pub operand: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// More help, in lines.
    pub details: &'static str,
}

/// Every command, in the order of the help: what is typed, one line of help, and more of it below.
const TABLE: &str = "\
run | coordinate this node's reboots
Runs until SIGTERM or SIGINT. SIGHUP makes a daemon read its configuration again.
With --once it makes one full pass, for cron or a timer, and reads it once. When it is
not this node's turn, no place in the queue stays, but for 26 hours what `status` says.

validate-config | check the configuration and every file it names
Problems go to standard error, one a line, and the exit code is 2.
Warnings alone leave it at 0.

check-etcd | check every etcd endpoint from this host, and say what to do
For each endpoint a line each: name, connection, TLS, version, gateway, login, leader, alarms, the
rights of this node key by key, the guards of transactions, a watch that delivers within
seconds, the clock, latency. It writes a key of its own below lock_key, under a lease of 30
seconds, and deletes it; nothing else is changed. The exit code is 1 when something fails.

simulate | run the detectors once, without etcd and without a reboot
The exit code is 6 when a detector fails.

status | show the cluster, the queue, and this node gate by gate
Read-only: takes no lock and runs neither detectors nor scripts. When etcd cannot be
reached it shows what is known locally, and the exit code is 1.

explain [NODE] | say why a node does not reboot now; on its own host gate by gate
Read-only, in the order in which the daemon judges. It looks at what detectors of type
`file` and `kernel` look at, and runs nothing of yours: no command detector, no health
script (`simulate --health` does). With --at the maintenance window is judged at that
time: RFC 3339, or YYYY-MM-DD HH:MM or HH:MM on the clock of the windows' time zone.
When etcd cannot be reached the exit code is 1.

history | list finished attempts of the last 30 days, newest last
DOWN is the time from the commit to the end of the attempt: from the last one, where its
reboot command led to nothing and it committed again. WAITED is what was before.

verify-history | prove from etcd's history that no limit, turn, pause or wave was violated
Read-only. It reads every revision below lock_key from --from, or from the oldest that is not
compacted, to the one that stands when it begins. A finding proves that something else
wrote there, or a fault of this program: the exit code is 9. It is 1 when it cannot be
told, also when --from is compacted, and 0 when nothing was violated.

pause | stop reboots in the whole cluster
Once it returns, no node begins to drain or reboot. Nodes that had begun before are named;
they finish. With --for the pause ends by itself, also when nobody resumes.
On a paused cluster it changes the pause: the reason when one is given, and the end. One
that would end earlier than the present one is confirmed, or needs --yes.

resume | end the pause

request [NODE...] | ask for a coordinated reboot of nodes, or of all
Each of them reboots once, in its turn, when its gates let it; a boot after the request satisfies
it, whoever caused it. To repeat it is safe: a request that stands stays as it is. Nodes
look for one at every check_interval_sec. With --cancel it is withdrawn: once that returns,
no node commits to a reboot for it. A node that had committed before is named and goes on.
With --urgent, and a reason, it waits for no maintenance window and no cooldown; every other
gate and the turn count as ever. It ends after 4 hours, or --for, whether it was served or
not, and takes the place of an ordinary request. The history says what it was let past.

release NODE | take the claim away from a node that will not return
Shows the claim and asks, or needs --yes where nobody can be asked. The next node then
goes: be sure that this one is not about to reboot or on its way back. The claim is taken
only if it is still the one shown. The history says who did it and why.

go-on | let the others go in spite of reboots that failed
After halt_after failed reboots the line stands: no other node commits. This lets it go on in
spite of the failures that are known now, until the next one; with --nodes for so many
nodes at the most. Find out first why they failed. It stands in etcd, by whom and why.

reset-budget NODE | let a node try again whose reboots did not clear what they were for
A node that still requires a reboot after max_reboots_without_clearing of them waits until
no detector asks any more, or for this. Find out first why the reboots did not help:
it reboots again in its turn. The history says who did it and why.

forget NODE | remove a decommissioned member
Removes its registration, its health report and a request for it. Refused while it holds
a claim. A daemon that still runs there registers again.

completions SHELL | print completions for bash, zsh or fish
bash reads it from /etc/bash_completion.d/reboot-coordinator, zsh from a file
_reboot-coordinator in a folder of $fpath, and fish from
~/.config/fish/completions/reboot-coordinator.fish. They offer the names of nodes, too: of
`completions nodes`, and where a claim is wanted of `completions claims`, which ask etcd for
a second at most.

version | print the version

help [COMMAND] | print help, also of one command";

/// The table, read.
pub static COMMANDS: LazyLock<Vec<CommandSpec>> =
    LazyLock::new(|| TABLE.split("\n\n").map(CommandSpec::of).collect());

impl CommandSpec {
    fn of(entry: &'static str) -> CommandSpec {
        let (first, details) = entry.split_once('\n').unwrap_or((entry, ""));
        let (usage, summary) = first.split_once(" | ").unwrap_or_default();
        let (name, operand) = usage.split_once(' ').unwrap_or((usage, ""));
        CommandSpec {
            usage,
            name,
            operand,
            summary,
            details,
        }
    }

    /// Whether several words may follow the command.
    pub fn takes_many(&self) -> bool {
        self.operand.contains("...")
    }

    /// Whether a word has to follow the command.
    pub fn needs_operand(&self) -> bool {
        !self.operand.is_empty() && !self.operand.starts_with('[')
    }
}

/// What the table says of a command.
pub fn spec(name: &str) -> Option<&'static CommandSpec> {
    COMMANDS.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests {
    use super::super::flags::FLAGS;
    use super::*;

    #[test]
    fn every_command_is_in_the_table_once() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..index].iter().all(|it| it.name != command.name));
        }
        for name in FLAGS.iter().flat_map(|flag| &flag.commands) {
            assert!(spec(name).is_some(), "{name}");
        }
        assert_eq!(COMMANDS[0].name, "run");
    }
}
