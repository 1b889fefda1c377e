//! Measures every form and tile of matrix products on an adapter, and makes a table of the fastest.

use std::collections::BTreeMap;
use std::time::Instant;

use wgrad::{Builder, Entry, EntryId, Error, Init, Program, Role, Scalar, TensorType, Update, VarId};
use wgrad_core::plan::{Backend, Kind, MatMul, PrepareOptions, Session, Source};
use wgrad_core::{HostVec, lower};
use wgrad_cpu_ref::CpuBackend;
use wgrad_gpu::{
    AdapterClass, Choice, Classes, GpuBackend, GpuOptions, Layouts, ProductForm, Quantity, Range, Rule, Selector, Table,
};

use crate::engine::within;

/// A product that is measured: whether its operands are stored transposed, and its sizes `m`, `n`, `k`.
type Point = ([bool; 2], [usize; 3]);

/// What the built-in choice must be slower by before another one takes its place: less may be noise.
const GAIN_MIN: f64 = 1.05;
/// Times the least time so far, from which on a choice is not measured any further.
const HOPELESS: f64 = 1.5;

/// Runs of a product in a submission.
const RUNS_PER_SUBMISSION: usize = 16;

/// What is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Sizes along each of `m`, `n` and `k`; all of their combinations are measured.
    pub sizes: [Vec<usize>; 3],
    /// What is tried where it is possible, besides the built-in choice.
    pub choices: Vec<Choice>,
    /// Multiplications of the largest product that is measured; larger ones take the choice of the nearest.
    pub work_max: usize,
    /// Rounds in which all choices of a product take turns.
    pub rounds: usize,
    /// Seconds of a choice's turn.
    pub turn: f64,
}

impl Grid {
    /// Skinny, thin, square and large products: 10 classes, batches of 32 to 512, layers of up to 2048.
    pub fn full() -> Self {
        let sizes = || vec![10, 32, 128, 512, 2048];
        Self { sizes: [sizes(), sizes(), sizes()], choices: candidates(), work_max: 1 << 31, rounds: 5, turn: 0.01 }
    }

    /// A few small products in a few ways, to see whether it runs.
    pub fn quick() -> Self {
        let few = |choice: &Choice| {
            let Choice { form, rows, columns } = *choice;
            match form {
                ProductForm::Small => rows == 4 && columns >= 4,
                ProductForm::Subgroup => rows == 32,
                ProductForm::Tiled => rows == 32,
            }
        };
        let choices = candidates().into_iter().filter(few).collect();
        Self { sizes: [vec![64], vec![10, 64], vec![64]], choices, work_max: 1 << 20, rounds: 1, turn: 0.0 }
    }
}

/// Every tile that is worth a try on some adapter.
pub fn candidates() -> Vec<Choice> {
    let tiles = |form, rows: &'static [usize], columns: &'static [usize]| {
        rows.iter().flat_map(move |&rows| columns.iter().map(move |&columns| Choice { form, rows, columns }))
    };
    let mut all: Vec<_> = tiles(ProductForm::Small, &[1, 2, 4, 8], &[1, 4, 8, 16]).collect();
    all.extend(tiles(ProductForm::Subgroup, &[8, 16, 32, 64], &[32, 64, 128]));
    all.extend([32, 64].map(|side| Choice { form: ProductForm::Tiled, rows: side, columns: side }));
    all
}

/// Measures the products of a grid, and gives the table of the adapter; tells every measurement in a line.
///
/// # Errors
/// If the adapter fails, or computes a product wrong.
pub fn tune(selector: &Selector, grid: &Grid, tell: &mut dyn FnMut(String)) -> Result<Table, String> {
    let text = |error: Error| error.to_string();
    let built_in = GpuBackend::open(selector).map_err(|e| e.to_string())?;
    tell(format!("adapter: {}", built_in.info()));
    let mut devices = BTreeMap::new();
    let rules = Table::built_in().rules;
    let built_in_choices = rules.iter().map(|rule| rule.choice).chain([Choice::LAST_RESORT]);
    for choice in grid.choices.iter().copied().chain(built_in_choices) {
        if devices.contains_key(&choice) {
            continue;
        }
        let table = Table { adapter: None, class: None, rules: vec![only(choice)] };
        devices
            .insert(choice, GpuBackend::open_tuned(selector, GpuOptions::default(), table).map_err(|e| e.to_string())?);
    }
    let mut cells: BTreeMap<Point, Option<Choice>> = BTreeMap::new();
    for transposed in [[false, false], [false, true], [true, false]] {
        let [ms, ns, ks] = &grid.sizes;
        for (&m, &n, &k) in ms.iter().flat_map(|m| ns.iter().flat_map(move |n| ks.iter().map(move |k| (m, n, k)))) {
            let point = (transposed, [m, n, k]);
            let fits = m.saturating_mul(n).saturating_mul(k) <= grid.work_max;
            let best = if fits { Some(fastest(point, &built_in, &devices, grid, tell).map_err(text)??) } else { None };
            cells.insert(point, best);
        }
    }
    Ok(table(&cells, grid, &built_in))
}

/// The fastest choice of a product.
fn fastest(
    point: Point,
    built_in: &GpuBackend,
    devices: &BTreeMap<Choice, GpuBackend>,
    grid: &Grid,
    tell: &mut dyn FnMut(String),
) -> Result<Result<Choice, String>, Error> {
    let (transposed, [m, n, k]) = point;
    let letters = transposed.map(|t| if t { "T" } else { "N" }).concat();
    let name = format!("{letters} {m}x{n}x{k}");
    let (program, product, end) = program(point)?;
    let cpu = CpuBackend::new();
    let mut wanted = cpu.prepare(lower(&program, cpu.target())?, PrepareOptions::default())?;
    run(&mut *wanted, 1, end)?;
    let wanted = wanted.read(Source::Variable(product))?;

    let plan = lower(&program, built_in.target())?;
    let Some(matmul) = find(&plan) else { return Ok(Err(format!("{name}: the plan has no product"))) };
    let capabilities = built_in.capabilities();
    let default = Choice::of(&matmul, capabilities);
    let mut entered: Vec<(Choice, Box<dyn Session>, u32, f64)> = vec![];
    let mut least = f64::INFINITY;
    // The built-in choice comes first, so that others are dropped early.
    let others = grid.choices.iter().copied().filter(|choice| *choice != default);
    for choice in std::iter::once(default).chain(others) {
        let Some(device) = devices.get(&choice) else { continue };
        if !choice.is_possible(&matmul, capabilities) || is_wasteful(choice, m, n) {
            continue;
        }
        let mut session = device.prepare(plan.clone(), together_options())?;
        run(&mut *session, 1, end)?;
        if let Err(reason) = check(&session.read(Source::Variable(product))?, &wanted, k) {
            return Ok(Err(format!("{name} as {choice}: {reason}")));
        }
        let once = run(&mut *session, 1, end)?;
        let together = (grid.turn / once).clamp(1.0, 200.0) as u32;
        let time = run(&mut *session, together, end)?.min(once);
        least = least.min(time);
        if time < HOPELESS * least {
            entered.push((choice, session, together, time));
        } else {
            tell(format!("{name:<20} {:<16} {:>10.1} us, not pursued", choice.to_string(), 1e6 * time));
        }
    }
    entered.retain(|(.., time)| *time < HOPELESS * least);
    for _ in 0..grid.rounds {
        for (_, session, together, time) in &mut entered {
            *time = time.min(run(&mut **session, *together, end)?);
        }
    }
    let rate = |time: f64| 2e-9 * (m * n * k) as f64 / time;
    for (choice, .., time) in &entered {
        tell(format!("{name:<20} {:<16} {:>10.1} us {:>8.2} GFLOP/s", choice.to_string(), 1e6 * time, rate(*time)));
    }
    let built_in_time =
        entered.iter().find(|(choice, ..)| *choice == default).map_or(f64::INFINITY, |(.., time)| *time);
    let best = entered.iter().min_by(|a, b| a.3.total_cmp(&b.3));
    let best = best.filter(|(.., time)| built_in_time > GAIN_MIN * time).map_or(default, |(choice, ..)| *choice);
    let mark = if best == default { "as built in" } else { "instead of" };
    tell(format!("{name:<20} {best} {mark}{}", if best == default { String::new() } else { format!(" {default}") }));
    Ok(Ok(best))
}

/// Many runs share a submission, or that would be what is timed of small products.
fn together_options() -> PrepareOptions<'static> {
    PrepareOptions { runs_per_submission: Some(RUNS_PER_SUBMISSION), ..PrepareOptions::default() }
}

/// Whether a tile is mostly outside of the result.
fn is_wasteful(choice: Choice, m: usize, n: usize) -> bool {
    let Choice { form: _, rows, columns } = choice;
    m.next_multiple_of(rows) * n.next_multiple_of(columns) > 4 * m * n
}

/// Runs a program some times; the seconds of one run.
fn run(session: &mut dyn Session, times: u32, end: VarId) -> Result<f64, Error> {
    let start = Instant::now();
    for _ in 0..times {
        session.run(EntryId::from_index(0), &[])?;
    }
    session.read(Source::Variable(end))?;
    Ok(start.elapsed().as_secs_f64() / f64::from(times))
}

/// Whether all elements are what the CPU backend gives, up to the rounding of sums of products of numbers up to 1.
fn check(got: &HostVec, wanted: &HostVec, k: usize) -> Result<(), String> {
    let (HostVec::F32(got), HostVec::F32(wanted)) = (got, wanted) else {
        return Err("the product is not f32".to_owned());
    };
    let bound = 4e-7 * (k as f64 + 4.0);
    let wrong = got.iter().zip(wanted).position(|(got, wanted)| !within(f64::from((got - wanted).abs()), bound));
    match wrong {
        Some(at) => Err(format!("element {at} is {}, but should be {}", got[at], wanted[at])),
        None => Ok(()),
    }
}

/// A program that computes a product into a variable, and changes a small one.
fn program((transposed, [m, n, k]): Point) -> Result<(Program, VarId, VarId), Error> {
    let builder = Builder::new();
    let filled = |name: &str, rows: usize, columns: usize, swapped: bool, stream| {
        let ty = TensorType::f32(if swapped { [columns, rows] } else { [rows, columns] });
        builder.variable(name, ty, Init::Uniform { low: -1.0, high: 1.0, seed: 5, stream }, Role::Other)
    };
    let a = filled("a", m, k, transposed[0], 1)?;
    let b = filled("b", k, n, transposed[1], 2)?;
    filled("product", m, n, false, 3)?;
    let end = builder.variable("end", TensorType::f32([]), Init::Fill(Scalar::F32(0.0)), Role::Other)?;
    let id = |name: &str| builder.with(|graph| graph.find_variable(name)).unwrap_or(VarId::from_index(0));
    let updates = vec![
        Update::new(id("product"), a.matmul_t(b, transposed[0], transposed[1])?.id()),
        Update::new(id("end"), end.add(1.0)?.id()),
    ];
    let (product, end) = (id("product"), id("end"));
    let entry = Entry { name: "run".to_owned(), updates, ..Entry::default() };
    Ok((Program { graph: builder.into_graph(), entries: vec![entry] }, product, end))
}

/// The product of a plan that has one.
fn find(plan: &wgrad_core::plan::Plan) -> Option<MatMul> {
    let mut kernels = plan.entries.iter().flat_map(|e| &e.dispatches).flat_map(|d| &d.kernels);
    kernels.find_map(|kernel| match &kernel.kind {
        Kind::MatMul(matmul) => Some(matmul.clone()),
        Kind::Map | Kind::Rows | Kind::Scatter(_) => None,
    })
}

/// A rule that always holds.
fn only(choice: Choice) -> Rule {
    let ranges = [Range::ALL; Quantity::ALL.len()];
    Rule { classes: Classes::All, layouts: Layouts([None, None]), ranges, choice }
}

/// The table of an adapter: boxes of neighbouring products with equal choices, then the built-in rules for what these cannot do.
fn table(cells: &BTreeMap<Point, Option<Choice>>, grid: &Grid, device: &GpuBackend) -> Table {
    let class = AdapterClass::from(device.info().kind);
    let mut rules = vec![];
    for transposed in [[false, false], [false, true], [true, false]] {
        let choice_at = |at: [usize; 3]| {
            let sizes = [0, 1, 2].map(|axis| grid.sizes[axis][at[axis]]);
            cells.get(&(transposed, sizes)).copied().flatten().or_else(|| nearest(cells, transposed, sizes))
        };
        for (low, high, choice) in boxes([0, 1, 2].map(|axis| grid.sizes[axis].len()), &choice_at) {
            let mut ranges = [Range::ALL; Quantity::ALL.len()];
            for axis in 0..3 {
                ranges[axis] = between(&grid.sizes[axis], low[axis], high[axis]);
            }
            let layouts = Layouts(transposed.map(Some));
            rules.push(Rule { classes: Classes::One(class), layouts, ranges, choice });
        }
    }
    rules.extend(Table::built_in().rules);
    Table { adapter: Some(device.info().name.clone()), class: Some(class), rules }
}

/// The choice of the measured product whose sizes are nearest, by factors.
fn nearest(cells: &BTreeMap<Point, Option<Choice>>, transposed: [bool; 2], sizes: [usize; 3]) -> Option<Choice> {
    let distance = |other: [usize; 3]| -> f64 {
        other.iter().zip(sizes).map(|(a, b)| (*a as f64 / b as f64).log2().powi(2)).sum()
    };
    let measured = cells.iter().filter(|((layout, _), _)| *layout == transposed);
    let measured = measured.filter_map(|((_, other), choice)| Some((distance(*other), (*choice)?)));
    measured.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, choice)| choice)
}

/// Covers a grid with boxes of equal choices: lowest and highest positions, both included.
fn boxes(lens: [usize; 3], choice_at: &dyn Fn([usize; 3]) -> Option<Choice>) -> Vec<([usize; 3], [usize; 3], Choice)> {
    let mut covered = std::collections::BTreeSet::new();
    let mut found = vec![];
    let cells = |low: [usize; 3], high: [usize; 3]| {
        let along = move |axis: usize| low[axis]..=high[axis];
        along(0).flat_map(move |m| along(1).flat_map(move |n| along(2).map(move |k| [m, n, k])))
    };
    for start in cells([0; 3], lens.map(|len| len.saturating_sub(1))) {
        let Some(choice) = choice_at(start).filter(|_| !covered.contains(&start)) else { continue };
        let mut high = start;
        for axis in [2, 1, 0] {
            while high[axis] + 1 < lens[axis] {
                let mut wider = high;
                wider[axis] += 1;
                let mut first = start;
                first[axis] = wider[axis];
                if !cells(first, wider).all(|cell| choice_at(cell) == Some(choice) && !covered.contains(&cell)) {
                    break;
                }
                high = wider;
            }
        }
        covered.extend(cells(start, high));
        found.push((start, high, choice));
    }
    found
}

/// The numbers that belong to some neighbouring sizes: up to the geometric means with those beside them.
fn between(sizes: &[usize], low: usize, high: usize) -> Range {
    let middle = |a: usize, b: usize| ((a as f64 * b as f64).sqrt()).round() as usize;
    Range {
        least: if low == 0 { 0 } else { middle(sizes[low - 1], sizes[low]) },
        most: if high + 1 == sizes.len() { usize::MAX } else { middle(sizes[high], sizes[high + 1]) - 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_cover_equal_neighbours() {
        let [one, two] = [1, 4].map(|rows| Choice { form: ProductForm::Small, rows, columns: 4 });
        let choice_at = |[m, n, _]: [usize; 3]| Some(if m == 1 && n == 1 { two } else { one });
        let found = boxes([3, 2, 2], &choice_at);
        assert_eq!(found.len(), 4);
        let cells: usize =
            found.iter().map(|(low, high, _)| (0..3).map(|i| high[i] + 1 - low[i]).product::<usize>()).sum();
        assert_eq!(cells, 12);
        assert!(found.contains(&([1, 1, 0], [1, 1, 1], two)), "{found:?}");
    }

    #[test]
    fn ranges_meet_without_gaps() {
        let sizes = [10, 32, 128, 512];
        let ranges: Vec<_> = (0..4).map(|at| between(&sizes, at, at)).collect();
        assert_eq!((ranges[0].least, ranges[3].most), (0, usize::MAX));
        assert!(ranges.windows(2).all(|pair| pair[0].most + 1 == pair[1].least), "{ranges:?}");
        assert_eq!(ranges[2], Range { least: 64, most: 255 });
    }

    #[test]
    fn wrong_products_are_noticed() {
        let vec = |values: &[f32]| HostVec::F32(values.to_vec());
        assert_eq!(check(&vec(&[1.0, 2.0]), &vec(&[1.0, 2.0]), 8), Ok(()));
        let error = check(&vec(&[1.0, f32::NAN]), &vec(&[1.0, 2.0]), 8).unwrap_err();
        assert_eq!(error, "element 1 is NaN, but should be 2");
        assert!(check(&vec(&[1.0, 2.1]), &vec(&[1.0, 2.0]), 8).is_err());
    }
}
