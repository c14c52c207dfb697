//! The name of this node is another machine's: what it says, and how it ends.

use super::{Machine, State};
use crate::core::Note;
use crate::core::io::Action;
use crate::identity::is_same;

/// The exit code for a configuration that cannot be right: two machines with one name.
const EXIT_CONFIGURATION: u8 = 2;

impl Machine {
    /// Whether the registration is another machine's; then the program ends.
    pub(super) fn foreign_registration(&mut self) -> bool {
        let record = self.record();
        if !is_same(&record.node_id, &self.settings.node_id) {
            self.refuse_name("registration", &record.node_id);
            return true;
        }
        match record.boot_id {
            Some(boot) if boot == self.settings.boot_id => {
                self.signed = Some(self.registered_as().0)
            }
            Some(boot) if self.signed.is_some() => {
                let why = "it was written after this boot of this machine had registered";
                self.refuse_copy("registration", &boot, why);
                return true;
            }
            Some(_) => {}
            None if self.registration.is_some() => {}
            None => self.signed = None,
        }
        false
    }

    /// Whether the registration is older than one that this process saw: what a backup brought back tells nothing of copies, and
    /// of claims only what was so. A restore may raise the store's revision, so that etcd does not look older.
    pub(super) fn restored(&self) -> Option<String> {
        let (modified, signed) = (self.registration.as_ref()?.0, self.signed?);
        (modified < signed).then(|| {
            format!(
                "the registration of this node is that of revision {modified}, and this program saw the one of revision {signed}: \
                 etcd was restored from a backup; look after the nodes that are down or drained, then restart this program"
            )
        })
    }

    /// Another machine with this name and this machine id, as a copied image has them.
    pub(super) fn refuse_copy(&mut self, what: &str, boot: &str, why: &str) {
        let (own, or) = match self.settings.boot_id.as_str() {
            own if own == boot => (
                "another process of that boot".to_owned(),
                ", or two of these programs run on this one, with different run_dir",
            ),
            own => (format!("boot {own}"), ""),
        };
        self.note(
            Note::error(
                "name_taken",
                format!(
                    "the {what} of node {name} in etcd is of boot {boot}, and {why}; this machine runs {own}, and both have node_id \
                     {id}: two machines are copies of one{or}. Give one of them another node_name and another node_id (machine id); when \
                     there is no other machine, run: reboot-coordinator release {name}, then forget {name}",
                    name = self.settings.node,
                    id = self.settings.node_id,
                ),
            )
            .with("other_boot_id", boot),
        );
        self.shown.refused_name = Some(self.refused_name("name_copied", &format!(
            "two machines are copies of one, with node_id {}: boot {boot} has the name, and {own} was refused",
            self.settings.node_id
        )));
        self.exit(EXIT_CONFIGURATION);
    }

    pub(super) fn refuse_name(&mut self, what: &str, other: &str) {
        self.note(
            Note::error(
                "name_taken",
                format!(
                    "the {what} of node {name} in etcd belongs to the machine with node_id {other}, this is the machine with \
                     node_id {own}: two machines use one node_name. Give one of them another name; if {other} was replaced by \
                     this machine, run: reboot-coordinator release {name} where it has a claim, and forget {name}",
                    name = self.settings.node,
                    own = self.settings.node_id,
                ),
            )
            .with("other_node_id", other)
            .repeating(),
        );
        if self.renamed && matches!(self.state, State::ReadOwn) {
            // The host took that name while this process ran, and may be given another one: an end would be for good.
            // It goes by no other name meanwhile, for which another host may wait as this one does.
            self.nameless = true;
            self.used_elsewhere = self.former_budget();
            self.registration = None;
            return match self.next {
                Some(_) => self.start_afresh(),
                // Beside the detectors the host is asked for its name, and the machine told.
                None => self.begin_task(Action::Detect),
            };
        }
        self.shown.refused_name = Some(self.refused_name(
            "name_taken",
            &format!(
                "two machines use the name {}: {other} has it, and {} was refused",
                self.settings.node, self.settings.node_id
            ),
        ));
        self.exit(self.code_of_conflict());
    }

    /// A host that waits for its name is called localhost, as any other that does: in a moment it may have one, and is to be started
    /// again. Any other conflict does not mend itself.
    fn code_of_conflict(&self) -> u8 {
        match self.settings.node.split('.').next() {
            Some("localhost") => 1,
            _ => EXIT_CONFIGURATION,
        }
    }

    pub(super) fn refuse_record(&mut self, what: &str, why: &str) {
        self.note(Note::error(
            "record_unreadable",
            format!(
                "the {what} of node {name} in etcd cannot be used: {why}; when no newer version wrote it: reboot-coordinator \
                 release {name} where it has a claim, and forget {name}",
                name = self.settings.node
            ),
        ));
        self.exit(1);
    }
}
