//! Kernels that fold rows.
//!
//! Three forms share one text generator: an invocation for each row, an invocation for four neighbouring rows (where neighbours
//! in memory lie in neighbouring rows), and a workgroup for each row (on a real GPU, for long rows). The first and the last go
//! along the row in fours.

use std::fmt::Write;

use wgrad_core::Reduce;
use wgrad_core::plan::{Inst, Kernel, Level, ValueId};

use crate::collapse::collapse;
use crate::emit::{Body, Names, Shared, Widths};
use crate::form::Form;
use crate::index::{Lanes, Point, lanes};
use crate::part::{Machine, Part, decode};
use crate::scalar;
use crate::store::stores;
use crate::template::{ROWS, ROWS_WORKGROUP, fill};
use crate::words::Words;

/// Length from which a real GPU gives a row a workgroup, and the number of rows from which it need not.
const WORKGROUP_ROW_MIN: usize = 128;
const WORKGROUP_ROWS_MAX: usize = 1 << 16;
/// Accumulators side by side where an invocation takes four rows.
const UNROLL: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    One,
    Four,
    Workgroup,
}

struct Walker<'k, 'a> {
    body: &'a Body<'k>,
    levels: Vec<Level>,
    form: Rows,
    /// Axes of the point, the last one (along the row) left to the loops.
    outer: Vec<String>,
    length: String,
    size: usize,
    shared: &'a mut Shared,
}

/// The code of a kernel.
pub(crate) fn part(kernel: &Kernel, words: &mut Words, shared: &mut Shared, machine: &Machine) -> Result<Part, String> {
    let kernel = collapse(kernel, 1);
    let Some((&length, outer)) = kernel.space.split_last() else {
        return Err("a rows kernel without an axis".to_owned());
    };
    let rows: usize = outer.iter().product();
    let form = choose(&kernel, rows, length, machine);
    let items = if form == Rows::Four { rows / 4 } else { rows };
    let count = words.add(items);
    let length_word = words.add(length);
    let body = Body::new(&kernel, words);
    let sizes: Vec<String> = outer.iter().map(|&size| words.add(size)).collect();

    let mut text = String::new();
    let _ = writeln!(text, "let row = item{};", if form == Rows::Four { " * 4u" } else { "" });
    let outer = decode("row", &sizes, "c", &mut text);
    let levels = kernel.levels();
    let mut walker =
        Walker { body: &body, levels, form, outer, length: length_word.clone(), size: machine.size, shared };
    walker.walk(&mut text, length)?;

    let mut names = format!("{}let row_length = {length_word};\nlet size = {}u;\n", words.names(), machine.size);
    if form == Rows::Workgroup {
        shared.scratch = true;
        let text = fill(ROWS_WORKGROUP, &[("names", &names), ("body", &text)])?;
        Ok(Part { text, groups: rows, form: Form::RowsWorkgroup })
    } else {
        let _ = writeln!(names, "let count = {count};");
        let text = fill(ROWS, &[("names", &names), ("body", &text)])?;
        let form = if form == Rows::Four { Form::RowsFour } else { Form::RowsOne };
        Ok(Part { text, groups: items.div_ceil(machine.size), form })
    }
}

fn choose(kernel: &Kernel, rows: usize, length: usize, machine: &Machine) -> Rows {
    let row = kernel.space.len() - 1;
    let levels = kernel.levels();
    let stores_elements = kernel.stores.iter().any(|s| levels[s.value.index()].per_element);
    let goes_along = |axis: usize| {
        kernel.operands.iter().any(|o| lanes(&o.index, Some(axis)) == Lanes::Consecutive && depends_on(o, row))
    };
    let across = row.checked_sub(1).filter(|&axis| kernel.space[axis].is_multiple_of(4));
    if let Some(axis) = across
        && !stores_elements
        && goes_along(axis)
        && !goes_along(row)
    {
        let starved = !machine.software && rows < 1024 && length >= WORKGROUP_ROW_MIN;
        return if starved { Rows::Workgroup } else { Rows::Four };
    }
    let long = length >= WORKGROUP_ROW_MIN && rows < WORKGROUP_ROWS_MAX;
    if !machine.software && machine.size == 64 && long { Rows::Workgroup } else { Rows::One }
}

fn depends_on(operand: &wgrad_core::plan::Operand, axis: usize) -> bool {
    operand.index.terms.iter().any(|t| t.axis == axis)
}

impl Walker<'_, '_> {
    /// All walks along the row, then the stores of the row's values.
    fn walk(&mut self, out: &mut String, length: usize) -> Result<(), String> {
        let body = self.body;
        let row = self.outer.len();
        let lane = match self.form {
            Rows::Four => row.checked_sub(1),
            Rows::One | Rows::Workgroup => None,
        };
        let widths = body.widths(lane);
        let elements: Vec<ValueId> =
            body.kernel.stores.iter().map(|s| s.value).filter(|v| self.level(*v).per_element).collect();
        let folds: Vec<(ValueId, Reduce, ValueId)> = body
            .kernel
            .body
            .iter()
            .enumerate()
            .filter_map(|(at, inst)| match inst {
                Inst::Fold(op, x) => Some((ValueId::from_index(at), *op, *x)),
                _ => None,
            })
            .collect();
        let last_fold = folds.iter().map(|(_, _, x)| self.level(*x).pass + 1).max().unwrap_or(0);
        let walks = elements.iter().map(|v| self.level(*v).pass + 1).max().unwrap_or(0).max(last_fold);
        let mut names = body.names();
        let live = body.closure(body.kernel.stores.iter().map(|s| s.value).chain(folds.iter().map(|(_, _, x)| *x)));
        for pass in 0..=walks {
            let ready = |v: &&ValueId| {
                let Level { pass: of, per_element } = self.level(**v);
                !per_element && of <= pass
            };
            let values: Vec<ValueId> = live.iter().filter(ready).copied().collect();
            let point = self.point("0u", lane);
            body.emit(out, &values, &point, (&mut names, ""), &widths, self.shared)?;
            if pass < walks {
                let now: Vec<_> = folds.iter().filter(|(_, _, x)| self.level(*x).pass == pass).copied().collect();
                let stored = if pass + 1 == walks { &elements[..] } else { &[] };
                self.one_walk(out, length, &now, stored, &mut names, &widths)?;
            }
        }
        let is_row = |v: ValueId| !self.levels[v.index()].per_element;
        if self.form == Rows::Workgroup {
            out.push_str("if (lane == 0u) {\n");
        }
        let wide = self.form == Rows::Four;
        stores(body, out, "row", wide, true, (&names, &widths), self.shared, is_row);
        if self.form == Rows::Workgroup {
            out.push_str("}\n");
        }
        Ok(())
    }

    fn level(&self, value: ValueId) -> Level {
        self.levels[value.index()]
    }

    /// The point at a position along the row; its lanes go along `lane`, which is an outer axis or the row.
    fn point(&self, along: &str, lane: Option<usize>) -> Point {
        let mut axes = self.outer.clone();
        axes.push(along.to_owned());
        match lane {
            Some(lane) => Point::four(axes, lane),
            None => Point::single(axes),
        }
    }

    /// One walk: accumulates folds, stores elements, and names the folds' results.
    fn one_walk(
        &mut self,
        out: &mut String,
        length: usize,
        folds: &[(ValueId, Reduce, ValueId)],
        stored: &[ValueId],
        names: &mut Names,
        widths: &Widths,
    ) -> Result<(), String> {
        let row = self.outer.len();
        let (lane, steps) = match self.form {
            Rows::Four => (row.checked_sub(1), UNROLL),
            Rows::One | Rows::Workgroup => (Some(row), 1),
        };
        let lane_widths = self.body.widths(lane);
        // Four elements a step, either as the four lanes of one vector or as a text repeated four times.
        let whole = length >= 4;
        let tail = !length.is_multiple_of(4) || !whole;
        let form = self.form;
        let wide = |fold: ValueId| form != Rows::Four || widths.is_wide(fold);
        for &(fold, op, _) in folds {
            let neutral = self.body.neutral(op);
            for step in 0..if whole { steps } else { 0 } {
                let four = if wide(fold) { format!("vec4f({neutral})") } else { neutral.clone() };
                let _ = writeln!(out, "var f{}_{step} = {four};", fold.index());
            }
            if tail {
                let vector = self.form == Rows::Four && wide(fold);
                let first = if vector { format!("vec4f({neutral})") } else { neutral };
                let _ = writeln!(out, "var t{} = {first};", fold.index());
            }
        }
        let length_text = self.length.clone();
        let (start, stride) = match self.form {
            Rows::One | Rows::Four => ("0u".to_owned(), "4u".to_owned()),
            Rows::Workgroup => ("lane * 4u".to_owned(), format!("{}u", self.size * 4)),
        };
        if whole {
            let bound = if tail { format!("({length_text} & 0xfffffffcu)") } else { length_text.clone() };
            let _ = writeln!(out, "for (var j = {start}; j < {bound}; j += {stride}) {{");
            for step in 0..steps {
                let along = if step == 0 { "j".to_owned() } else { format!("(j + {step}u)") };
                let accumulator = |fold: ValueId| format!("f{}_{step}", fold.index());
                let suffix = format!("_{step}");
                self.step(out, &along, lane, (&lane_widths, names, &suffix), folds, &accumulator, stored, !tail)?;
            }
            out.push_str("}\n");
        }
        if tail {
            let first = if whole { format!("({length_text} & 0xfffffffcu)") } else { "0u".to_owned() };
            let (first, stride) = match self.form {
                Rows::One | Rows::Four => (first, "1u".to_owned()),
                Rows::Workgroup => (format!("{first} + lane"), format!("{}u", self.size)),
            };
            let _ = writeln!(out, "for (var j = {first}; j < {length_text}; j += {stride}) {{");
            let lane = if self.form == Rows::Four { lane } else { None };
            let tail_widths = self.body.widths(lane);
            let accumulator = |fold: ValueId| format!("t{}", fold.index());
            self.step(out, "j", lane, (&tail_widths, names, "_t"), folds, &accumulator, stored, false)?;
            out.push_str("}\n");
        }
        for &(fold, op, _) in folds {
            let result = self.combine(fold, op, whole.then_some(steps), tail, wide(fold));
            let name = format!("v{}", fold.index());
            let _ = writeln!(out, "let {name} = {result};");
            names[fold.index()] = Some(name);
        }
        Ok(())
    }

    /// The body at one position along the row, or at four.
    #[expect(clippy::too_many_arguments, reason = "one step of a walk needs all that the walk knows")]
    fn step(
        &mut self,
        out: &mut String,
        along: &str,
        lane: Option<usize>,
        (widths, names, suffix): (&Widths, &Names, &str),
        folds: &[(ValueId, Reduce, ValueId)],
        accumulator: &dyn Fn(ValueId) -> String,
        stored: &[ValueId],
        aligned: bool,
    ) -> Result<(), String> {
        let mut names = names.clone();
        let point = self.point(along, lane);
        let values = self.body.closure(folds.iter().map(|(_, _, x)| *x).chain(stored.iter().copied()));
        let elements: Vec<ValueId> = values.into_iter().filter(|v| self.level(*v).per_element).collect();
        self.body.emit(out, &elements, &point, (&mut names, suffix), widths, self.shared)?;
        for &(fold, op, x) in folds {
            let wide = match self.form {
                Rows::Four => widths.is_wide(x),
                Rows::One | Rows::Workgroup => lane.is_some(),
            };
            let value = self.body.value(x, wide, &names, widths);
            let name = accumulator(fold);
            let next = scalar::fold(op, &name, &value, wide, &mut self.shared.library);
            let _ = writeln!(out, "{name} = {next};");
        }
        if !stored.is_empty() {
            let _ = writeln!(out, "let at{suffix} = row * {} + {along};", self.length);
            let position = format!("at{suffix}");
            let is_element = |v: ValueId| self.levels[v.index()].per_element;
            let wide = lane.is_some();
            stores(self.body, out, &position, wide, aligned, (&names, widths), self.shared, is_element);
        }
        Ok(())
    }

    /// The result of a fold from its accumulators, in a fixed order.
    fn combine(&mut self, fold: ValueId, op: Reduce, steps: Option<usize>, tail: bool, wide: bool) -> String {
        let v = fold.index();
        let vector = self.form == Rows::Four && wide;
        let library = &mut self.shared.library;
        let mut pair = |a: &str, b: &str| match op {
            Reduce::Sum => format!("({})", scalar::fold(op, a, b, vector, library)),
            Reduce::Max | Reduce::Min => scalar::fold(op, a, b, vector, library),
        };
        let mut result = steps.map(|steps| {
            if steps == 1 && wide {
                let low = pair(&format!("f{v}_0.x"), &format!("f{v}_0.y"));
                let high = pair(&format!("f{v}_0.z"), &format!("f{v}_0.w"));
                pair(&low, &high)
            } else {
                let low = pair(&format!("f{v}_0"), &format!("f{v}_1"));
                let high = pair(&format!("f{v}_2"), &format!("f{v}_3"));
                pair(&low, &high)
            }
        });
        if tail {
            let t = format!("t{v}");
            result = Some(match result {
                Some(result) => pair(&result, &t),
                None => t,
            });
        }
        let result = result.unwrap_or_else(|| self.body.neutral(op));
        if self.form == Rows::Workgroup {
            let tree = self.shared.library.plain(match op {
                Reduce::Sum => "tree_sum",
                Reduce::Max => "tree_max",
                Reduce::Min => "tree_min",
            });
            format!("{tree}({result}, lane)")
        } else {
            result
        }
    }
}
