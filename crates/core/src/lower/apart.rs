//! Which kernels share a dispatch where the device goes through the code of all of them, masked ([`Target::masked_kernels`]).
//!
//! [`Target::masked_kernels`]: crate::plan::Target::masked_kernels
//!
//! There, only kernels of the same code come side by side for nothing. Long ones get dispatches of their own, and kernels that nothing
//! waits for, such as the gradients of equal layers, are put off until they can run together.

use std::collections::{BTreeSet, HashMap};

use super::schedule::KERNELS_MAX;
use super::{Task, Virtual, VirtualKind};
use crate::graph::NodeId;
use crate::plan::{BufferId, Index, Inst, Kernel, Kind};

/// Results from which a product is long: that many workgroups going through another's code, masked, take longer than to start a dispatch.
const LONG_PRODUCT: usize = 1 << 14;
/// Points, or rows, of kernels that ride along with long ones, at most: they go through the others' code once for every 32.
const PASSENGER_POINTS_MAX: usize = 256;
/// Passengers that wait for the end, at most, so that they find room in one dispatch, and bytes of temporaries that live longer for them together.
const LAST_PASSENGERS_MAX: usize = KERNELS_MAX / 2;
const LAST_PASSENGERS_READS_MAX: usize = 1 << 16;
/// Bytes of temporaries that live longer because kernels were put off, at most, together and for one kernel: what reads more takes so long
/// that a dispatch of its own does not matter.
const PUT_OFF_BYTES_MAX: usize = 8 << 20;
const PUT_OFF_READS_MAX: usize = 1 << 20;

/// How a kernel comes side by side with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// Only with kernels of the same code: the number of the code.
    Alike(usize),
    /// With other kernels that are not long.
    Short,
    /// With any, for it has few points, or rows.
    Passenger(usize),
}

/// Who is in a dispatch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aboard {
    first: Company,
    /// Points of passengers that others bear.
    points: usize,
}

impl Company {
    /// In which order dispatches are filled.
    pub(super) const fn rank(self) -> usize {
        match self {
            Self::Short => 0,
            Self::Alike(_) => 1,
            Self::Passenger(_) => 2,
        }
    }
}

impl Aboard {
    /// A dispatch of one.
    pub(super) const fn new(first: Company) -> Self {
        Self { first, points: 0 }
    }

    /// Who is aboard if one more comes, or `None` if it must not; they come by [`Company::rank`]. Passengers ride with long kernels if `riding`.
    pub(super) fn with(self, other: Company, riding: bool) -> Option<Self> {
        let Self { first, points } = self;
        match (first, other) {
            (Company::Alike(code), Company::Alike(other)) => (code == other).then_some(self),
            (Company::Alike(_), Company::Passenger(more)) => {
                let points = points + more;
                (riding && points <= PASSENGER_POINTS_MAX).then_some(Self { first, points })
            }
            (Company::Short, Company::Short) | (Company::Short | Company::Passenger(_), Company::Passenger(_)) => {
                Some(self)
            }
            (Company::Alike(_) | Company::Passenger(_), Company::Short)
            | (Company::Short | Company::Passenger(_), Company::Alike(_)) => None,
        }
    }
}

/// The company of every task. Puts off what can wait for others of its code, which changes the levels.
pub(super) fn arrange(
    tasks: &[Task],
    virtuals: &[Virtual],
    before: &[BTreeSet<usize>],
    levels: &mut [usize],
) -> Vec<Company> {
    let mut codes: Vec<(Kernel, Vec<usize>)> = vec![];
    // By what tells most apart, because a plan may have thousands of kernels.
    let mut known: HashMap<(Vec<usize>, usize), Vec<usize>> = HashMap::new();
    let mut code_of = Vec::with_capacity(tasks.len());
    for (t, task) in tasks.iter().enumerate() {
        let code = code(&task.kernel);
        let near = known.entry((code.space.clone(), code.body.len())).or_default();
        let number = near.iter().copied().find(|&number| codes[number].0 == code).unwrap_or_else(|| {
            near.push(codes.len());
            codes.push((code, vec![]));
            codes.len() - 1
        });
        codes[number].1.push(t);
        code_of.push(number);
    }
    put_off(tasks, virtuals, before, levels, codes.iter().map(|(_, members)| members.as_slice()));
    let company = |(t, task): (usize, &Task)| {
        let Kernel { space, kind, .. } = &task.kernel;
        let points = match kind {
            Kind::Rows => space.iter().rev().skip(1).product::<usize>(),
            Kind::Map | Kind::MatMul(_) | Kind::Scatter(_) => space.iter().product(),
        };
        match kind {
            Kind::MatMul(_) if points >= LONG_PRODUCT => Company::Alike(code_of[t]),
            Kind::Map | Kind::Rows | Kind::MatMul(_) | Kind::Scatter(_) if points <= PASSENGER_POINTS_MAX => {
                Company::Passenger(points)
            }
            Kind::Map | Kind::Rows | Kind::MatMul(_) | Kind::Scatter(_) => Company::Short,
        }
    };
    let company: Vec<Company> = tasks.iter().enumerate().map(company).collect();
    to_the_end(tasks, virtuals, before, levels, &company);
    company
}

/// Moves passengers that nobody waits for, such as counts of steps, to the end, if they have company there and none but long kernels, which
/// with them have codes of their own, where they are.
fn to_the_end(
    tasks: &[Task],
    virtuals: &[Virtual],
    before: &[BTreeSet<usize>],
    levels: &mut [usize],
    company: &[Company],
) {
    let with_short: BTreeSet<usize> = company
        .iter()
        .zip(&*levels)
        .filter(|(company, _)| **company == Company::Short)
        .map(|(_, &level)| level)
        .collect();
    let last = levels.iter().copied().max().unwrap_or(0);
    if !with_short.contains(&last) {
        return;
    }
    let awaited: BTreeSet<usize> = before.iter().flatten().copied().collect();
    let waits = |&t: &usize| {
        matches!(company[t], Company::Passenger(_)) && !awaited.contains(&t) && !with_short.contains(&levels[t])
    };
    let waiting: Vec<usize> = (0..tasks.len()).filter(waits).take(LAST_PASSENGERS_MAX).collect();
    let mut room = LAST_PASSENGERS_READS_MAX;
    for t in waiting {
        let bytes: usize = tasks[t].reads.iter().map(|b| temporary_bytes(virtuals, *b)).sum();
        if bytes <= room {
            room -= bytes;
            levels[t] = last;
        }
    }
}

/// Bytes of a buffer whose memory others may use before and after.
fn temporary_bytes(virtuals: &[Virtual], buffer: BufferId) -> usize {
    match virtuals.get(buffer.index()) {
        Some(Virtual { kind: VirtualKind::Temp, dtype: _, len }) => 4 * len,
        Some(_) | None => 0,
    }
}

/// Moves tasks of the same code that are not waited for to one level.
fn put_off<'a>(
    tasks: &[Task],
    virtuals: &[Virtual],
    before: &[BTreeSet<usize>],
    levels: &mut [usize],
    groups: impl Iterator<Item = &'a [usize]>,
) {
    // The first level at which somebody needs a task; levels only grow, so that it stays one.
    let mut needed: Vec<Option<usize>> = vec![None; levels.len()];
    for (task, predecessors) in before.iter().enumerate() {
        for &p in predecessors {
            needed[p] = needed[p].into_iter().chain([levels[task]]).min();
        }
    }
    let of_temporary = |b: &BufferId| temporary_bytes(virtuals, *b);
    let mut room = PUT_OFF_BYTES_MAX;
    for members in groups {
        let is_small = |t: usize| tasks[t].reads.iter().map(of_temporary).sum::<usize>() <= PUT_OFF_READS_MAX;
        let idle = |&&t: &&usize| is_small(t) && needed[t].is_some_and(|needed| needed > levels[t] + 1);
        let idle: Vec<usize> = members.iter().filter(idle).copied().collect();
        let last = idle.iter().filter_map(|&t| needed[t]).min().map_or(0, |needed| needed - 1);
        let moved: Vec<usize> = idle.into_iter().filter(|&t| levels[t] < last).collect();
        let reads: BTreeSet<BufferId> = moved.iter().flat_map(|&t| tasks[t].reads.iter().copied()).collect();
        let bytes: usize = reads.iter().map(of_temporary).sum();
        // One alone has nobody to wait for.
        let together = members.iter().filter(|&&t| levels[t] == last).count() + moved.len();
        if together > 1 && bytes <= room {
            room -= bytes;
            moved.iter().for_each(|&t| levels[t] = last);
        }
    }
}

/// What a kernel's code depends on: everything but names and where tensors lie.
fn code(kernel: &Kernel) -> Kernel {
    let mut kernel = kernel.clone();
    kernel.label.clear();
    kernel.nodes.clear();
    let mut seen: Vec<BufferId> = vec![];
    let mut canonical = |buffer: &mut BufferId| {
        let position = seen.iter().position(|b| b == buffer).unwrap_or_else(|| {
            seen.push(*buffer);
            seen.len() - 1
        });
        *buffer = BufferId::from_index(position);
    };
    // Of where something starts, only matters whether that is a multiple of four.
    let near = |index: &mut Index| index.offset = index.offset.rem_euclid(4);
    for operand in &mut kernel.operands {
        canonical(&mut operand.buffer);
        near(&mut operand.index);
    }
    match &mut kernel.kind {
        Kind::MatMul(product) => {
            for matrix in [&mut product.a, &mut product.b] {
                canonical(&mut matrix.place.buffer);
                matrix.place.offset %= 4;
            }
        }
        Kind::Scatter(scatter) => {
            canonical(&mut scatter.index.buffer);
            scatter.index.offset %= 4;
        }
        Kind::Map | Kind::Rows => {}
    }
    for store in &mut kernel.stores {
        canonical(&mut store.place.buffer);
        store.place.offset %= 4;
        store.node = NodeId::from_index(0);
    }
    for inst in &mut kernel.body {
        if let Inst::RandomBits { state: _, stream, index: _ } = inst {
            *stream = 0;
        }
    }
    kernel
}
