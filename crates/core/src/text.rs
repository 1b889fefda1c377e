//! Programs as text, and as a picture.
//!
//! A node is a line `%3 = mul %1, %2 : f32[4,8]  // name`; `to_dot` gives the same graph in the DOT language.

use std::fmt::{self, Display, Formatter, Write};

use crate::dtype::Scalar;
use crate::graph::{FeedDecl, Graph, NodeId, Role, VariableDecl};
use crate::init::Init;
use crate::op::Op;
use crate::program::{Entry, Program};

/// Elements of a constant that are printed.
const ELEMENTS_MAX: usize = 8;

/// Declarations, then one line per node.
impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (id, FeedDecl { name, ty, below }) in self.feeds().iter().enumerate() {
            write!(f, "feed @{id} '{name}' : {ty}")?;
            write_bound(f, *below)?;
        }
        for (id, VariableDecl { name, ty, init, role, below }) in self.variables().iter().enumerate() {
            write!(f, "variable ${id} '{name}' : {ty} = {}, {}", InitText(init), RoleText(role))?;
            write_bound(f, *below)?;
        }
        for id in self.ids() {
            write!(f, "{id} = {} : {}", OpText(&self[id].op), self.ty(id))?;
            match self.name(id) {
                Some(name) => writeln!(f, "  // {name}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// The graph, then the entries.
impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.graph)?;
        for Entry { name, feeds, fetches, updates } in &self.entries {
            writeln!(f, "entry '{name}'({})", Listed(feeds))?;
            for fetch in fetches {
                writeln!(f, "  fetch '{}' = {}", fetch.name, fetch.node)?;
            }
            for update in updates {
                writeln!(f, "  {} <- {}", update.variable, update.node)?;
            }
        }
        Ok(())
    }
}

fn write_bound(f: &mut Formatter<'_>, below: Option<u32>) -> fmt::Result {
    match below {
        Some(bound) => writeln!(f, ", below {bound}"),
        None => writeln!(f),
    }
}

/// Items separated by commas.
struct Listed<'a, T>(&'a [T]);

impl<T: Display> Display for Listed<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// An operation with operands and attributes, without the type of its result.
struct OpText<'a>(&'a Op);

impl Display for OpText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let op = self.0;
        f.write_str(op.name())?;
        if let Op::MatMul { a, b, transpose_a, transpose_b } = op {
            let mark = |transposed: &bool| if *transposed { "ᵀ" } else { "" };
            return write!(f, " {a}{}, {b}{}", mark(transpose_a), mark(transpose_b));
        }
        let operands = op.operands();
        if !operands.is_empty() {
            write!(f, " {}", Listed(&operands))?;
        }
        match op {
            Op::Feed(id) => write!(f, " {id}"),
            Op::Variable(id) => write!(f, " {id}"),
            Op::Splat { value, shape: _ } => write!(f, " {value}"),
            Op::Constant { values, dtype: _, shape: _ } => write_elements(f, values),
            Op::Iota { shape: _, axis } | Op::Concat { xs: _, axis } => write!(f, " axis {axis}"),
            Op::RandomBits { state: _, stream, shape: _ } => write!(f, " stream {stream}"),
            Op::Reduce { op: _, x: _, axes } => write!(f, " axes [{}]", Listed(axes)),
            Op::Permute { x: _, perm } => write!(f, " [{}]", Listed(perm)),
            Op::Slice { x: _, ranges } => {
                let ranges: Vec<_> = ranges.iter().map(|r| format!("{}..{}:{}", r.start, r.stop, r.step)).collect();
                write!(f, " [{}]", Listed(&ranges))
            }
            Op::Pad { x: _, pads } => {
                let pads: Vec<_> = pads.iter().map(|p| format!("{}+{}:{}", p.low, p.high, p.interior)).collect();
                write!(f, " [{}]", Listed(&pads))
            }
            Op::ScatterAdd { index: _, updates: _, rows } => write!(f, " rows {rows}"),
            Op::Unary(..)
            | Op::Binary(..)
            | Op::Compare(..)
            | Op::Select { .. }
            | Op::Cast { .. }
            | Op::Detach(_)
            | Op::MatMul { .. }
            | Op::Broadcast { .. }
            | Op::Reshape { .. }
            | Op::Gather { .. } => Ok(()),
        }
    }
}

fn write_elements(f: &mut Formatter<'_>, values: &[Scalar]) -> fmt::Result {
    let shown = &values[..values.len().min(ELEMENTS_MAX)];
    let more = if shown.len() < values.len() { ", …" } else { "" };
    write!(f, " [{}{more}]", Listed(shown))
}

struct InitText<'a>(&'a Init);

impl Display for InitText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Init::Fill(value) => write!(f, "{value}"),
            Init::F32(values) => write!(f, "{} floats", values.len()),
            Init::U32(values) => write!(f, "{} integers", values.len()),
            Init::Uniform { low, high, seed, stream } => {
                write!(f, "uniform [{low:?}, {high:?}) seed {seed} stream {stream}")
            }
            Init::Normal { mean, std, seed, stream } => {
                write!(f, "normal mean {mean:?} std {std:?} seed {seed} stream {stream}")
            }
        }
    }
}

struct RoleText<'a>(&'a Role);

impl Display for RoleText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Role::Parameter => f.write_str("parameter"),
            Role::State { slot, of } => write!(f, "state '{slot}' of {of}"),
            Role::Other => f.write_str("other"),
        }
    }
}

/// The program's graph in the DOT language, for Graphviz: what entries need, in arena order, with fetches and updates as
/// edges out of it.
pub fn to_dot(program: &Program) -> String {
    let graph = &program.graph;
    let live = graph.reachable(program.entries.iter().flat_map(Entry::roots));
    let mut out = String::from("digraph program {\n  node [shape=box, fontname=monospace];\n");
    let mut line = |text: fmt::Arguments<'_>| {
        out.write_fmt(text).expect("a string takes all text");
    };
    for id in graph.ids().filter(|id| live[id.index()]) {
        line(format_args!("  n{} [label={}{}];\n", id.index(), quoted(&label(graph, id)), style(&graph[id].op)));
        for operand in graph[id].op.operands() {
            line(format_args!("  n{} -> n{};\n", operand.index(), id.index()));
        }
    }
    for (number, entry) in program.entries.iter().enumerate() {
        for (i, fetch) in entry.fetches.iter().enumerate() {
            let text = quoted(&format!("{} {}", entry.name, fetch.name));
            line(format_args!("  f{number}_{i} [shape=oval, label={text}];\n"));
            line(format_args!("  n{} -> f{number}_{i};\n", fetch.node.index()));
        }
        for (i, update) in entry.updates.iter().enumerate() {
            let name = graph.variables().get(update.variable.index()).map_or("?", |variable| variable.name.as_str());
            let text = quoted(&format!("{} {name} <-", entry.name));
            line(format_args!("  u{number}_{i} [shape=cylinder, label={text}];\n"));
            for node in update.nodes() {
                line(format_args!("  n{} -> u{number}_{i};\n", node.index()));
            }
        }
    }
    out.push_str("}\n");
    out
}

/// What a node's box says.
fn label(graph: &Graph, id: NodeId) -> String {
    let text = format!("{id} = {}\n{}", OpText(&graph[id].op), graph.ty(id));
    match graph.name(id) {
        Some(name) => format!("{name}\n{text}"),
        None => text,
    }
}

fn style(op: &Op) -> &'static str {
    if matches!(op, Op::Feed(_)) {
        ", shape=invhouse"
    } else if matches!(op, Op::Variable(_)) {
        ", shape=cylinder"
    } else {
        ""
    }
}

/// A string of the DOT language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, FeedId, Fetch, PadAxis, SliceRange, TensorType, Update, VarId};

    fn program() -> Program {
        let b = Builder::new();
        let x = b.feed("x", TensorType::f32([4, 3])).unwrap();
        let label = b.feed("label", TensorType::u32([4])).unwrap();
        let init = Init::Uniform { low: -0.5, high: 0.5, seed: 7, stream: 0 };
        let w = b.variable("w", TensorType::f32([2, 3]), init, Role::Parameter).unwrap();
        let m = Role::State { slot: "m".to_owned(), of: VarId::from_index(0) };
        b.variable("w.m", TensorType::f32([2, 3]), Init::Fill(Scalar::F32(0.0)), m).unwrap();
        let picked = x.matmul_t(w, false, true).unwrap().named("logits").pick_per_row(label).unwrap();
        let loss = picked.sum_all().unwrap().named("the \"loss\"");
        let next = w.sub(w.mul(0.1).unwrap()).unwrap();
        let entry = Entry {
            name: "train".to_owned(),
            feeds: vec![FeedId::from_index(0), FeedId::from_index(1)],
            fetches: vec![Fetch { name: "loss".to_owned(), node: loss.id() }],
            updates: vec![Update::new(VarId::from_index(0), next.id())],
        };
        Program { graph: b.into_graph(), entries: vec![entry] }
    }

    #[test]
    fn a_program_as_text() {
        let expected = "\
feed @0 'x' : f32[4,3]
feed @1 'label' : u32[4], below 2
variable $0 'w' : f32[2,3] = uniform [-0.5, 0.5) seed 7 stream 0, parameter
variable $1 'w.m' : f32[2,3] = 0.0, state 'm' of $0
%0 = feed @0 : f32[4,3]  // x
%1 = feed @1 : u32[4]  // label
%2 = variable $0 : f32[2,3]  // w
%3 = variable $1 : f32[2,3]  // w.m
%4 = matmul %0, %2ᵀ : f32[4,2]  // logits
%5 = reshape %1 : u32[4,1]
%6 = broadcast %5 : u32[4,2]
%7 = iota axis 1 : u32[4,2]
%8 = eq %7, %6 : u32[4,2]
%9 = splat 0.0 : f32[4,2]
%10 = select %8, %4, %9 : f32[4,2]
%11 = reduce_sum %10 axes [1] : f32[4,1]
%12 = reshape %11 : f32[4]
%13 = reduce_sum %12 axes [0] : f32[1]
%14 = reshape %13 : f32[]  // the \"loss\"
%15 = splat 0.1 : f32[2,3]
%16 = mul %2, %15 : f32[2,3]
%17 = sub %2, %16 : f32[2,3]
entry 'train'(@0, @1)
  fetch 'loss' = %14
  $0 <- %17
";
        assert_eq!(program().to_string(), expected);
    }

    #[test]
    fn attributes() {
        let b = Builder::new();
        let x = b.constant_f64(&[0.5; 10], [2, 5]).unwrap();
        let state = b.constant_u32(&[1, 2, 3, 4], [4]).unwrap();
        b.random_bits(state, 9, [3]).unwrap();
        x.t().unwrap();
        x.slice(&[SliceRange { start: 0, stop: 2, step: 1 }, SliceRange { start: 1, stop: 5, step: 3 }]).unwrap();
        x.pad(&[PadAxis { low: 1, high: 2, interior: 3 }, PadAxis::default()]).unwrap();
        b.concat(&[x, x], 0).unwrap();
        x.scatter_add(b.constant_u32(&[], [0]).unwrap(), 1).unwrap_err();
        let index = b.constant_u32(&[1, 0], [2]).unwrap();
        x.gather(index).unwrap().scatter_add(index, 6).unwrap();
        let expected = "\
%0 = constant [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, …] : f32[2,5]
%1 = constant [1u, 2u, 3u, 4u] : u32[4]
%2 = random_bits %1 stream 9 : u32[3]
%3 = permute %0 [1, 0] : f32[5,2]
%4 = slice %0 [0..2:1, 1..5:3] : f32[2,2]
%5 = pad %0 [1+2:3, 0+0:0] : f32[8,5]
%6 = concat %0, %0 axis 0 : f32[4,5]
%7 = constant [] : u32[0]
%8 = constant [1u, 0u] : u32[2]
%9 = gather %0, %8 : f32[2,5]
%10 = scatter_add %8, %9 rows 6 : f32[6,5]
";
        assert_eq!(b.into_graph().to_string(), expected);
    }

    #[test]
    fn a_program_as_a_picture() {
        let dot = to_dot(&program());
        let lines: Vec<_> = dot.lines().collect();
        for expected in [
            "  n0 [label=\"x\\n%0 = feed @0\\nf32[4,3]\", shape=invhouse];",
            "  n2 -> n4;",
            "  n14 [label=\"the \\\"loss\\\"\\n%14 = reshape %13\\nf32[]\"];",
            "  f0_0 [shape=oval, label=\"train loss\"];",
            "  n14 -> f0_0;",
            "  u0_0 [shape=cylinder, label=\"train w <-\"];",
            "  n17 -> u0_0;",
        ] {
            assert!(lines.contains(&expected), "{expected} is not in\n{dot}");
        }
        assert!(!dot.contains("n3 "), "the unused variable is not drawn:\n{dot}");
    }
}
