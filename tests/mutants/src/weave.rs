//! Puts mutants into a source file, each behind a question of its own: `if crate::mutant(7) { … } else { … }`.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, BinOp, Expr, ExprBinary, ExprMatch, ExprPath, ExprStruct, ExprUnary, File, ImplItemConst,
    Item, ItemConst, Pat,
};

use crate::list::Mutant;

/// What a constant would be with each of its mutants. They stand where it is used: the constant itself cannot ask.
pub(crate) type Constants = BTreeMap<String, Vec<(usize, String)>>;

/// Adds the constants of a file that have mutants.
pub(crate) fn constants(source: &str, mutants: &[&Mutant], found: &mut Constants) {
    let file = parse(source);
    for item in &file.items {
        let Item::Const(item) = item else { continue };
        let span = item.expr.span().byte_range();
        let inside = mutants
            .iter()
            .filter(|mutant| mutant.genre == "BinaryOperator" && span.contains(&mutant.start));
        let choices: Vec<(usize, String)> = inside
            .map(|mutant| {
                let (before, after) = (span.start..mutant.start, mutant.end..span.end);
                let text = [&source[before], &mutant.replacement, &source[after]].concat();
                (mutant.id, text)
            })
            .collect();
        if !choices.is_empty() {
            found.insert(item.ident.to_string(), choices);
        }
    }
}

fn parse(source: &str) -> File {
    syn::parse_file(source).expect("what is compiled can be parsed")
}

/// The file with all of these mutants in it. One whose place cannot be found or cannot hold a question is left out.
pub(crate) fn weave(source: &str, mutants: &[&Mutant], constants: &Constants) -> String {
    let file = parse(source);
    let mut places = Places {
        source,
        at: BTreeMap::new(),
        constants,
        edits: Vec::new(),
        takes_rest: Vec::new(),
    };
    let mut iterators: BTreeMap<usize, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        if mutant.genre != "FnValue" {
            places.at.entry(mutant.start).or_default().push(mutant);
        } else if mutant.returns.contains("impl Iterator") {
            iterators.entry(mutant.start).or_default().push(mutant);
        } else {
            let question = format!(
                "if crate::mutant({}) {{ return {}; }} ",
                mutant.id, mutant.replacement
            );
            places.edits.push(Edit::insert(mutant.start, question));
        }
    }
    places
        .edits
        .extend(iterators.values().map(|all| iterator(all)));
    places.visit_file(&file);
    places
        .edits
        .sort_by_key(|edit| (edit.start, std::cmp::Reverse(edit.end)));
    render(source, 0, source.len(), &places.edits)
}

/// A body that returns some iterator, and with a mutant another one.
fn iterator(mutants: &[&Mutant]) -> Edit {
    let Some(first) = mutants.first() else {
        return Edit::insert(0, String::new());
    };
    let kind = first.returns.replace("-> impl", "dyn");
    let kind = kind.trim_end_matches(['+', ' ', '\'', '_']);
    let mut before = format!("let chosen: Box<{kind} + '_> = ");
    for mutant in mutants {
        before += &format!(
            "if crate::mutant({}) {{ Box::new({}) }} else ",
            mutant.id, mutant.replacement
        );
    }
    before += "{ Box::new({ ";
    Edit {
        start: first.start,
        end: first.end,
        before,
        after: " }) }; chosen".to_owned(),
    }
}

/// A piece of the source with what comes before and after it. Edits lie within each other or apart.
struct Edit {
    start: usize,
    end: usize,
    before: String,
    after: String,
}

impl Edit {
    fn insert(at: usize, text: String) -> Edit {
        Edit {
            start: at,
            end: at,
            before: text,
            after: String::new(),
        }
    }
}

fn render(source: &str, from: usize, to: usize, edits: &[Edit]) -> String {
    let mut text = String::new();
    let (mut at, mut rest) = (from, edits);
    while let [edit, others @ ..] = rest {
        let inside = others.partition_point(|other| other.start < edit.end);
        text += &source[at..edit.start];
        text += &edit.before;
        text += &render(source, edit.start, edit.end, &others[..inside]);
        text += &edit.after;
        at = edit.end;
        rest = &others[inside..];
    }
    text + &source[at..to]
}

struct Places<'a> {
    source: &'a str,
    /// Mutants by where they start.
    at: BTreeMap<usize, Vec<&'a Mutant>>,
    constants: &'a Constants,
    edits: Vec<Edit>,
    /// Of each match around here: whether its last arm takes whatever the others leave.
    takes_rest: Vec<bool>,
}

impl<'a> Places<'a> {
    fn of(&self, genre: &str, start: usize) -> Vec<&'a Mutant> {
        let here = self.at.get(&start).into_iter().flatten();
        here.filter(|mutant| mutant.genre == genre)
            .copied()
            .collect()
    }

    fn text(&self, span: Span) -> &'a str {
        &self.source[span.byte_range()]
    }

    /// `(if crate::mutant(7) { … } else { the piece itself })`
    fn choose(&mut self, span: Span, choices: &[(usize, String)]) {
        if choices.is_empty() {
            return;
        }
        let mut before = "(".to_owned();
        for (id, text) in choices {
            before += &format!("if crate::mutant({id}) {{ {text} }} else ");
        }
        before += "{ ";
        self.edits.push(Edit {
            start: span.byte_range().start,
            end: span.byte_range().end,
            before,
            after: " })".to_owned(),
        });
    }
}

impl<'ast> Visit<'ast> for Places<'_> {
    fn visit_expr_binary(&mut self, expr: &'ast ExprBinary) {
        let mutants = self.of("BinaryOperator", expr.op.span().byte_range().start);
        if !(matches!(expr.op, BinOp::And(_)) && has_let(expr)) {
            let (left, right) = (self.text(expr.left.span()), self.text(expr.right.span()));
            let choices: Vec<(usize, String)> = mutants
                .iter()
                .map(|mutant| (mutant.id, format!("{left} {} {right}", mutant.replacement)))
                .collect();
            self.choose(expr.span(), &choices);
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast ExprUnary) {
        let mutants = self.of("UnaryOperator", expr.op.span().byte_range().start);
        let operand = self.text(expr.expr.span()).to_owned();
        let choices: Vec<(usize, String)> = mutants
            .iter()
            .map(|mutant| (mutant.id, operand.clone()))
            .collect();
        self.choose(expr.span(), &choices);
        visit::visit_expr_unary(self, expr);
    }

    /// An arm can be missing only where another one takes what it took.
    fn visit_expr_match(&mut self, expr: &'ast ExprMatch) {
        let rest = |arm: &Arm| arm.guard.is_none() && matches!(arm.pat, Pat::Wild(_));
        self.takes_rest.push(expr.arms.iter().any(rest));
        visit::visit_expr_match(self, expr);
        self.takes_rest.pop();
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        let without = self.of("MatchArm", arm.pat.span().byte_range().start);
        let without = without.first().map(|mutant| mutant.id);
        match &arm.guard {
            None => {
                if let (Some(id), Some(true)) = (without, self.takes_rest.last()) {
                    let end = arm.pat.span().byte_range().end;
                    let question = format!(" if !crate::mutant({id})");
                    self.edits.push(Edit::insert(end, question));
                }
            }
            Some((_, guard)) => {
                let start = guard.span().byte_range().start;
                let mut choices: Vec<(usize, String)> = self
                    .of("MatchArmGuard", start)
                    .iter()
                    .map(|mutant| (mutant.id, mutant.replacement.clone()))
                    .collect();
                choices.extend(without.map(|id| (id, "false".to_owned())));
                self.choose(guard.span(), &choices);
            }
        }
        visit::visit_arm(self, arm);
    }

    /// Without the field, what stands after `..` says what it is.
    fn visit_expr_struct(&mut self, expr: &'ast ExprStruct) {
        let whole = expr.span().byte_range();
        let mut choices = Vec::new();
        for pair in expr.fields.pairs() {
            let field = pair.value().span().byte_range();
            let end = pair
                .punct()
                .map_or(field.end, |comma| comma.span().byte_range().end);
            for mutant in self.of("StructField", field.start) {
                let (before, after) = (whole.start..field.start, end..whole.end);
                let without = [&self.source[before], &self.source[after]].concat();
                choices.push((mutant.id, without));
            }
        }
        self.choose(expr.span(), &choices);
        visit::visit_expr_struct(self, expr);
    }

    fn visit_expr_path(&mut self, expr: &'ast ExprPath) {
        let name = expr.path.segments.last().map(|last| last.ident.to_string());
        let choices = name.and_then(|name| self.constants.get(&name));
        if let Some(choices) = choices.filter(|_| expr.qself.is_none()) {
            self.choose(expr.span(), choices);
        }
    }

    /// A constant is computed by the compiler, which cannot ask.
    fn visit_item_const(&mut self, _: &'ast ItemConst) {}

    fn visit_impl_item_const(&mut self, _: &'ast ImplItemConst) {}
}

/// A condition with a `let` in it cannot be put into parentheses.
fn has_let(expr: &ExprBinary) -> bool {
    [&expr.left, &expr.right]
        .into_iter()
        .any(|side| match &**side {
            Expr::Let(_) => true,
            Expr::Binary(inner) => has_let(inner),
            _ => false,
        })
}
