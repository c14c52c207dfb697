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
    let pieces = [
        "", ":", "- ", "[", "}", "\"", "|", "  ", "null", "-1", "&a", "*a", "<<: ", "é", "\t", "? ",
    ];
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
