//! Damaged configurations are answered with problems, never with a panic.

use super::*;

const EXAMPLE: &str = include_str!("../../../docs/examples/config.yaml");

/// A small generator of numbers (xorshift), so that every run sees the same damage.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

#[test]
fn damaged_files_give_one_line_a_problem() {
    let fixture = Fixture::new();
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let pieces = ",:,- ,[,},\",|,  ,null,-1,&a,*a,<<: ,é,\t,? ,\u{a0}u:p@h";
    let pieces: Vec<&str> = pieces.split(',').collect();
    for round in 0..600 {
        let mut lines: Vec<String> = EXAMPLE
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .map(str::to_owned)
            .collect();
        for _ in 0..=numbers.below(3) {
            let (index, piece) = (
                numbers.below(lines.len()),
                pieces[numbers.below(pieces.len())],
            );
            let line = &mut lines[index];
            let cut: Vec<usize> = line
                .char_indices()
                .map(|(at, _)| at)
                .chain([line.len()])
                .collect();
            let at = cut[numbers.below(cut.len())];
            match numbers.below(3) {
                0 => line.insert_str(at, piece),
                1 => line.truncate(at),
                _ => *line = piece.to_owned(),
            }
        }
        if let Err(problems) = fixture.load(&lines.join("\n")) {
            assert!(!problems.0.is_empty(), "round {round}");
            assert_eq!(
                problems.to_string().lines().count(),
                problems.0.len(),
                "round {round}: {problems}"
            );
        }
    }
}

/// The parser takes time that grows with the square of the depth, and each unknown key was compared with every known one.
#[test]
fn large_and_deep_files_are_answered_at_once() {
    let fixture = Fixture::new();
    for nested in ["[".repeat(60_000), "{a: ".repeat(20_000)] {
        let problems = fixture
            .load(&format!("node_name: a\nlog: {nested}\n"))
            .unwrap_err();
        let said = problems.0[0].to_string();
        assert!(said.contains(":2:") && said.contains("nested"), "{said}");
    }
    let unknown: String = (0..12_000).map(|at| format!("u{at}: 1\n")).collect();
    let problems = fixture.load(&unknown).unwrap_err();
    let last = problems.0.iter().map(ToString::to_string);
    assert!(
        last.clone()
            .any(|said| said.contains(":12000: u11999: unknown key"))
    );
    let names = "n, ".repeat(50_000);
    let problems = fixture
        .load(&format!(
            "cluster_policies: {{fallback_nodes: [{names}]}}\n"
        ))
        .unwrap_err();
    assert!(
        problems.0[0].to_string().contains("131072"),
        "{}",
        problems.0[0]
    );
}
