//! Programs that execute text they are given: shells, languages, what hands a word to a shell, and what starts another program. One list
//! for whoever asks which files of a command line are executed, and which words.

/// How its words are read. Letters are options of one letter, also within a cluster such as `-ec`.
struct Interpreter {
    /// With blanks between them.
    names: &'static str,
    /// Options whose value is a program.
    program: &'static str,
    /// Those that start a program which takes all words that follow, and may execute any of them.
    starts: &'static str,
    /// Other options that take a value from the next word.
    value: &'static str,
    rest: Rest,
}

/// What the words behind the options are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The first is a program: a file, or text behind `-c`, which takes none of its own. Then come its name and values.
    Shell,
    /// The first is a program, unless an option brought one.
    Program,
    /// Options may come later, too. Other words may be programs until one is a path.
    Options,
    /// Behind so many words and the values of variables comes a program with all that follows it, unless an option brought one.
    Behind(usize),
    /// All of them are one program.
    All,
    /// Any of them may be executed, in a language of its own. As a word of another command its name says nothing.
    Any,
}

const INTERPRETERS: &[Interpreter] = &[
    reads(
        "sh bash dash ash hush ksh mksh lksh oksh pdksh yash zsh rbash rksh rzsh csh tcsh posh fish nu xonsh elvish",
        "c",
        "oO",
        Rest::Shell,
    ),
    Interpreter {
        starts: "m",
        ..reads("python pypy ipython micropython", "c", "WXQ", Rest::Program)
    },
    reads("perl ruby", "eE", "IrM", Rest::Program),
    reads(
        "node nodejs lua luajit php irb elixir groovy octave",
        "eprBRE",
        "ldc",
        Rest::Program,
    ),
    reads(
        "awk gawk mawk nawk tclsh expect guile",
        "efcEs",
        "Fvl",
        Rest::Program,
    ),
    reads("sed", "ef", "l", Rest::Program),
    reads("su runuser script capsh newgrp", "c", "", Rest::Options),
    Interpreter {
        starts: "S",
        ..reads("env", "", "uCa", Rest::Behind(0))
    },
    reads("flock", "c", "wE", Rest::Behind(1)),
    reads("timeout", "", "ks", Rest::Behind(1)),
    reads("taskset chroot", "", "", Rest::Behind(1)),
    reads("chrt", "", "TPD", Rest::Behind(1)),
    reads("nice ionice", "", "ncpPu", Rest::Behind(0)),
    reads(
        "setsid nohup setpriv busybox toybox pkexec chronic unbuffer",
        "",
        "",
        Rest::Behind(0),
    ),
    reads("stdbuf", "", "ioe", Rest::Behind(0)),
    reads("time", "", "fo", Rest::Behind(0)),
    reads("xargs", "", "adEILnPs", Rest::Behind(0)),
    reads("sudo doas run0", "", "aCcDghpRrTtUu", Rest::Behind(0)),
    reads("systemd-run", "", "HMpEuC", Rest::Behind(0)),
    reads("strace", "", "abeEIoOpPsSuUX", Rest::Behind(0)),
    reads("unshare", "", "SGRw", Rest::Behind(0)),
    reads("nsenter", "", "tSG", Rest::Behind(0)),
    reads(
        "sg pdsh clush ansible salt tmux screen xterm at batch nvim less gmake dbclient parallel socat gdb vim vi ex \
            emacs sqlite psql mysql julia R Rscript make git tar rsync mariadb salt-ssh sem view bun deno pssh dsh lldb \
            ncat nc lftp mosh entr erl dc gnuplot bpftrace salt-call machinectl hyperfine parallel-ssh ansible-playbook \
            nft mongo mongosh mysqlsh raku",
        "",
        "",
        Rest::Any,
    ),
    reads(
        "ssh rsh eval pwsh watch slogin autossh plink",
        "",
        "",
        Rest::All,
    ),
];

/// One that is called so, by its letters: those whose value is a program, and others that take a value.
const fn reads(
    names: &'static str,
    program: &'static str,
    value: &'static str,
    rest: Rest,
) -> Interpreter {
    Interpreter {
        names,
        program,
        starts: "",
        value,
        rest,
    }
}

/// Long options of these that take no value from the next word. Any other might.
const FLAGS: &str = "wait pty pipe quiet scope collect no-block foreground preserve-status verbose debug null no-run-if-empty idle \
    batch fifo other rr cpu-list fork ctty non-interactive nonblock exclusive shared no-new-privs clear-groups \
    ignore-environment follow-forks";

/// Behind these words of `find` and its like stands a program.
const STARTING: [&str; 4] = ["-exec", "-execdir", "-ok", "-okdir"];

/// Long options whose value is a program, whoever has them. Most programs take them shortened, too.
const LONG: [&str; 5] = ["command", "session-command", "eval", "exec", "print"];

/// That of `env`, whose value starts with the program that takes the words which follow.
const SPLIT: &str = "split-string";

/// The interpreter that a word names, with or without its folder and version: `/usr/bin/python3.11`.
fn named(word: &str) -> Option<&'static Interpreter> {
    let name = word.rsplit('/').next().unwrap_or(word);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let built = ["-static", ".distrib", ".real", "-dbg"];
    let bare = built
        .iter()
        .find_map(|how| bare.strip_suffix(how))
        .unwrap_or(bare);
    INTERPRETERS.iter().find(|it| it.is_called(bare))
}

/// Whether a word names a program that executes a file it is given, whatever its mode.
pub(super) fn executes_files(word: &str) -> bool {
    let starts = |it: &Interpreter| matches!(it.rest, Rest::Options | Rest::Behind(_) | Rest::Any);
    word.rsplit('/').next() == Some("busybox") || named(word).is_some_and(|it| !starts(it))
}

/// Whether it goes on with what the kernel hands over in one word, the blanks within included. Perl and some others take that apart.
pub(super) fn splits(word: &str, argument: &str) -> bool {
    let first = argument.split([' ', '\t']).next().unwrap_or_default();
    let refuses = |it: &Interpreter| match it.rest {
        Rest::Shell | Rest::Behind(_) => true,
        _ if it.is_called("python") || it.is_called("sed") => {
            let takes = |c: char| [it.program, it.starts, it.value].concat().contains(c);
            !first.contains(takes)
        }
        _ => false,
    };
    // Blanks may be of the path of a file.
    first == argument || argument.starts_with('/') || !named(word).is_some_and(refuses)
}

/// Which words of a command line say what is executed: its program, and what an interpreter in it takes for its program, with the
/// options before. A text that comes into one of them would be executed, or choose what is. Words behind the program are values.
pub(crate) fn programs(argv: &[String]) -> Vec<usize> {
    let mut found = vec![0];
    let (mut at, mut program) = (0, 0);
    while let Some(word) = argv.get(at) {
        let name = at;
        at += 1;
        if STARTING.contains(&word.as_str()) {
            program = at;
            found.push(program);
        }
        let Some(interpreter) = named(word) else {
            continue;
        };
        // A bare word may be anything, `node` or `script` above all, until an option says that there is a program.
        let surely = name == program || word.contains('/') || interpreter.rest == Rest::All;
        let (words, next, by_option) = interpreter.takes(argv, at);
        if surely || by_option {
            found.extend(words);
            at = next;
        }
        if surely && matches!(interpreter.rest, Rest::Behind(_)) {
            program = next;
        }
    }
    found
}

/// What an option says of the words behind it.
struct Brings {
    /// It brings a program.
    program: bool,
    /// So many of the next words are its value.
    values: usize,
    /// It starts a program that takes them all.
    all: bool,
}

impl Interpreter {
    fn is_called(&self, name: &str) -> bool {
        self.names.split(' ').any(|known| known == name)
    }

    /// The words up to its program and that one, where to go on, and whether an option announced it.
    fn takes(&self, argv: &[String], first: usize) -> (Vec<usize>, usize, bool) {
        if matches!(self.rest, Rest::All | Rest::Any) {
            return ((first..argv.len()).collect(), argv.len(), false);
        }
        let (mut found, mut at, mut by_option, mut ended) = (Vec::new(), first, false, false);
        let (mut before, mut is_path) = (0, false);
        let starts = matches!(self.rest, Rest::Options | Rest::Behind(_));
        while let Some(word) = argv.get(at) {
            let is_option = word.starts_with(['-', '+']) && !ended;
            at += 1;
            if is_option {
                // What follows the end of its own options su hands to the shell, options of that one among them.
                ended = matches!(word.as_str(), "-" | "--") && !starts;
                let brings = self.option(word);
                if brings.all {
                    found.extend(at - 1..argv.len());
                    return (found, argv.len(), true);
                }
                by_option |= brings.program;
                // Its values, of which those behind `-o` and their like are harmless, but nobody needs other people's text there.
                found.extend(at - 1..at + brings.values);
                // The value of a long option that may be a mere flag may be the program.
                let unsure = starts && word.starts_with("--") && !brings.program;
                if unsure && argv.get(at).is_some_and(|word| named(word).is_some()) {
                    return (found, at, by_option);
                }
                at += brings.values;
                continue;
            }
            match self.rest {
                Rest::Options if word.contains('/') && named(word).is_some() => {
                    return (found, at - 1, by_option);
                }
                Rest::Options | Rest::Behind(_) if by_option || is_path => {}
                Rest::Options => {
                    is_path = word.starts_with('/');
                    found.push(at - 1);
                }
                Rest::Behind(words) => {
                    found.push(at - 1);
                    before += usize::from(!assigns(word));
                    if before > words || before > 0 && named(word).is_some() {
                        return (found, at - 1, false);
                    }
                }
                Rest::All | Rest::Any => {}
                Rest::Shell => {
                    found.push(at - 1);
                    // Behind text comes `$0`, which is usually the name of a shell.
                    return (found, at + usize::from(by_option), by_option);
                }
                Rest::Program if by_option => return (found, at, true),
                Rest::Program => {
                    found.push(at - 1);
                    return (found, at, false);
                }
            }
        }
        (found, at, by_option)
    }

    fn option(&self, word: &str) -> Brings {
        if let Some(long) = word.strip_prefix("--") {
            let name = long.split('=').next().unwrap_or_default();
            let is = |whole: &str| !name.is_empty() && whole.starts_with(name);
            let program = LONG.iter().any(|whole| is(whole));
            let takes =
                program && self.rest != Rest::Shell || matches!(name, "rcfile" | "init-file");
            let may_take = matches!(self.rest, Rest::Behind(_))
                && !name.is_empty()
                && !FLAGS.split(' ').any(|flag| flag == name);
            return Brings {
                program,
                values: usize::from((takes || may_take) && !long.contains('=')),
                all: self.starts == "S" && is(SPLIT),
            };
        }
        let cluster = &word[1..];
        if self.rest == Rest::Shell {
            let values = cluster.chars().filter(|c| self.value.contains(*c)).count();
            return Brings {
                program: cluster.contains('c'),
                values,
                all: false,
            };
        }
        let mut letters = cluster.chars();
        let first = letters.find(|c| {
            let letters = [self.program, self.starts, self.value];
            letters.iter().any(|it| it.contains(*c))
        });
        // A letter that takes a value in one program takes none in another of its kind: then the last one counts as well.
        let last = letters.last().or(first).filter(|last| {
            Some(*last) == first && cluster.ends_with(*last) || self.program.contains(*last)
        });
        Brings {
            program: [first, last]
                .into_iter()
                .flatten()
                .any(|c| self.program.contains(c)),
            values: usize::from(last.is_some()),
            all: first.is_some_and(|c| self.starts.contains(c)),
        }
    }
}

/// Whether it is the value of a variable, as they stand in front of a program.
fn assigns(word: &str) -> bool {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    /// In each line `X` stands where a text from elsewhere would be executed, and `v` where it is a value.
    #[test]
    fn what_is_executed_is_told_from_values() {
        for line in [
            "/sbin/shutdown -r now v",
            "/sbin/shutdown -c v",
            "/bin/logger -t sh v",
            "/usr/bin/notify --channel node v",
            "/usr/bin/notify-python3 -c v",
            "/bin/sh -c X",
            "/bin/sh -c p sh v v",
            "/bin/bash -ec X v v",
            "/bin/bash -lc X",
            "/bin/bash -euo pipefail -c X sh v",
            "/bin/bash -c -e X sh v",
            "/bin/sh -c -- X",
            "/bin/sh -c - X",
            "/bin/bash - X v",
            "/bin/bash-static -c X",
            "/usr/bin/sg root X",
            "/usr/sbin/capsh -- -c X",
            "/usr/bin/su root -- -c X",
            "/usr/sbin/runuser - root -- -c X",
            "/usr/bin/setpriv -- su root -- -c X",
            "/bin/bash +x -o errexit -c X",
            "/bin/bash5.2 --rcfile X -c X",
            "/bin/bash --norc -c X",
            "/bin/sh X v",
            "/bin/sh /usr/local/sbin/drain -c v",
            "/usr/bin/fish --command X",
            "/usr/bin/fish --command=X",
            "/usr/bin/env A=v sh -c X",
            "/usr/bin/env -S X",
            "/usr/bin/env --split-string=X",
            "/usr/bin/env -S sh X X",
            "/usr/bin/env -Ssh X",
            "/usr/bin/env -iS sh X",
            "/usr/bin/env -u A -S sh X",
            "/usr/bin/env --split-string=sh X",
            "/usr/bin/env --spl sh X",
            "/usr/bin/env --s=sh X",
            "/usr/bin/timeout 5 env -vS sh X",
            "/usr/bin/env -u A logger v",
            "/usr/bin/env -i logger v",
            "/bin/busybox sh -c X",
            "/usr/bin/nice -n 5 sh -c X",
            "/usr/bin/timeout 5 bash -lc X",
            "/usr/bin/setsid /bin/dash -c X",
            "/usr/sbin/chroot /sysroot /bin/sh -c X sh v",
            "/usr/bin/find / -exec sh -c X sh v",
            "/usr/bin/su - user -c X",
            "/usr/bin/su user --command=X",
            "/usr/bin/su user --comm X",
            "/usr/bin/su user --c=X",
            "/usr/bin/flock -nc X",
            "/usr/sbin/runuser -u user -- sh -c X sh v",
            "/usr/bin/flock /run/l -c X",
            "/usr/bin/flock /run/l logger v",
            "/usr/bin/python3 -c X v",
            "/usr/bin/python3.11 -Ic X v",
            "/usr/bin/python3 -W ignore -c X v",
            "/usr/bin/python3 -cX v",
            "/usr/bin/python3 -m timeit X",
            "/usr/bin/python3 -Im timeit X X",
            "/usr/bin/python3 -mtimeit X",
            "/usr/bin/python3 /usr/bin/tool -c v",
            "/usr/bin/perl -e X v",
            "/usr/bin/perl5.36 -lne X v",
            "/usr/bin/perl -e X -e X v",
            "/usr/bin/ruby3.1 -rjson -e X v",
            "/usr/bin/node --eval X v",
            "/usr/bin/node -pe X v",
            "/usr/bin/node --pri X v",
            "/usr/bin/php8.2 -r X v",
            "/usr/bin/lua5.4 -e X",
            "/usr/bin/gawk -F : X v",
            "/bin/sed -e X v",
            "/bin/sed -Ee X v",
            "/bin/sed -se X v",
            "/bin/sed -n -E -e X v",
            "/usr/bin/socat - EXEC:X",
            "/usr/bin/git -c X log",
            "/usr/bin/timeout 5 /usr/bin/gdb -ex X",
            "/usr/bin/wall make v",
            "/bin/sed X v",
            "/usr/bin/env X",
            "/usr/bin/env -i X",
            "/usr/bin/env -- X",
            "/usr/bin/env A=b X",
            "/usr/bin/env BASH_ENV=X /bin/bash /x.sh v",
            "/usr/bin/env A=b LD_PRELOAD=X logger v",
            "/usr/bin/env LANG=C /opt/notify v",
            "/usr/bin/env -C X logger v",
            "/usr/bin/env --unset A logger v",
            "/usr/bin/sudo PATH=X logger v",
            "/usr/bin/timeout 5 env ENV=X sh /x v",
            "/usr/bin/timeout 5 X",
            "/usr/bin/timeout X logger v",
            "/usr/bin/timeout -k 5 10 X",
            "/usr/bin/timeout --kill-after 5 10 X",
            "/usr/bin/timeout --kill-after=5 10 X",
            "/usr/bin/timeout 5 /opt/notify v",
            "/usr/bin/timeout 5 nice X",
            "/usr/bin/timeout --foreground 5 logger v",
            "/usr/bin/timeout --unheard-of timeout 5 X",
            "/usr/bin/nice X",
            "/usr/bin/nice -n 5 X",
            "/usr/bin/nice -5 X",
            "/usr/bin/ionice -c 3 X",
            "/usr/bin/ionice -c3 logger v",
            "/usr/bin/setsid X",
            "/usr/bin/setsid -w X",
            "/usr/bin/nohup X",
            "/usr/bin/stdbuf -oL X",
            "/usr/bin/stdbuf -o L X",
            "/usr/bin/chrt -f 10 X",
            "/usr/bin/chrt -f 10 logger v",
            "/usr/bin/taskset -c 0,1 X",
            "/usr/bin/xargs X",
            "/usr/bin/xargs -I {} X",
            "/usr/bin/xargs -n1 logger v",
            "/usr/bin/find / -exec X ;",
            "/usr/bin/find / -execdir timeout 5 X ;",
            "/usr/bin/find / -exec logger v ;",
            "/usr/bin/sudo X",
            "/usr/bin/sudo -u x X",
            "/usr/bin/sudo -n logger v",
            "/usr/bin/sudo -u git X",
            "/usr/bin/sudo -u mysql /opt/notify v",
            "/usr/bin/doas -u x X",
            "/usr/bin/setpriv --reuid 5 X",
            "/usr/bin/setpriv --reuid=5 --clear-groups logger v",
            "/usr/bin/systemd-run --wait X",
            "/usr/bin/systemd-run --wait --unit=a logger v",
            "/usr/bin/systemd-run -p ExecStartPre=X true v",
            "/usr/bin/systemd-run --unit a X",
            "/usr/bin/strace -f -o X true v",
            "/usr/bin/strace -f X",
            "/usr/sbin/chroot /sysroot X",
            "/usr/bin/flock /l X",
            "/usr/bin/flock -n -w 5 /l X",
            "/usr/bin/su root X",
            "/usr/bin/su -s X root",
            "/usr/bin/su git -c X",
            "/usr/bin/su - node -c X",
            "/usr/bin/su root /x.sh v",
            "/usr/sbin/runuser -u x X",
            "/usr/sbin/runuser -u x -- /opt/notify v",
            "/usr/sbin/runuser -u x -- perl -e X",
            "/bin/busybox X",
            "/bin/busybox awk X v",
            "/bin/busybox sed X v",
            "/bin/busybox timeout 5 X",
            "/usr/bin/timeout 5 busybox sed -e X v",
            "/usr/bin/mariadb -e X",
            "/usr/bin/timeout 5 mysql -e X",
            "/usr/bin/slogin h X",
            "/usr/bin/autossh -M 0 h X",
            "/usr/bin/plink h X",
            "/usr/bin/salt-call cmd.run X",
            "/usr/bin/salt-ssh h -r X",
            "/usr/bin/sem X",
            "/usr/bin/view -c X",
            "/usr/bin/ipython3 -c X v",
            "/usr/bin/micropython -c X",
            "/usr/bin/bun -e X",
            "/usr/bin/irb -e X",
            "/usr/bin/pssh -H h X",
            "/usr/bin/parallel-ssh -H h X",
            "/usr/bin/dsh -c X",
            "/usr/bin/lldb -o X",
            "/usr/bin/ncat -c X",
            "/usr/bin/nu -c X",
            "/usr/bin/xonsh -c X",
            "/usr/bin/elvish -c X",
            "/usr/bin/elixir -e X",
            "/usr/bin/groovy -e X",
            "/usr/bin/octave --eval X",
            "/usr/bin/lftp -c X",
            "/usr/bin/dc -e X",
            "/usr/bin/gnuplot -e X",
            "/usr/bin/bpftrace -e X",
            "/usr/sbin/nft add rule inet f in comment X",
            "/usr/bin/timeout 5 /usr/bin/mongosh --eval X",
            "/usr/bin/mongo --eval X",
            "/usr/bin/mysqlsh --js -e X",
            "/usr/bin/raku -e X",
            "/usr/bin/curl -d v",
            "/usr/bin/mailx -s v root",
            "/bin/logger -t rc v",
            "/opt/notify v",
            "/opt/notify time v",
            "/opt/notify nice v",
            "/usr/bin/python3 /opt/notify.py v",
            "/usr/bin/ssh X X X",
            "/usr/bin/env ssh X X",
            "X v",
        ] {
            let argv = words(line);
            let programs = programs(&argv);
            for (at, word) in argv.iter().enumerate() {
                let found = programs.contains(&at);
                assert!(
                    found || !word.contains('X') || word == "-X",
                    "{line}: {word}"
                );
                assert!(!found || word != "v", "{line}: {word} is a value");
            }
        }
    }

    #[test]
    fn a_name_is_taken_whole_and_with_its_version() {
        for word in [
            "/bin/sh",
            "bash5",
            "/usr/bin/python3.11",
            "perl5.36.0",
            "/bin/busybox",
        ] {
            assert!(executes_files(word), "{word}");
        }
        for word in [
            "/sbin/shutdown",
            "/usr/bin/shred",
            "phpize",
            "/bin/env",
            "perldoc",
            "rsync",
        ] {
            assert!(!executes_files(word), "{word}");
        }
    }
}
