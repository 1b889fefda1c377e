//! Equal updates of many parameters become one pass.
//!
//! The update of every parameter is an elementwise kernel over its own tensors. Where several have the same body, and their variables
//! follow each other in the arenas at equal distances, one kernel walks the arenas from the first to the last. The gradients that
//! they read are given one arena too, in the same order. Updates that have to wait for each other stay apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::commit::predecessors;
use super::fuse::own_point;
use super::layout::{Layout, Loose, Pool};
use super::{Task, Virtual, VirtualKind, rebind};
use crate::dtype::DType;
use crate::graph::VarId;
use crate::plan::{BufferClass, BufferId, Index, Inst, Kernel, Kind, Operand, Place, Store, ValueId};

/// What members of one pass must have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Role {
    /// An element of an arena that moves with the pass.
    Arena(BufferId, DType),
    /// An element of a temporary that moves with the pass.
    Temp(DType),
    /// One element for all: a number from the host, or what the step made of all gradients.
    Scalar(BufferId, i64, DType),
}

/// An update that could be part of a pass.
struct Member {
    task: usize,
    len: usize,
    /// For each operand and then each store: where its tensor starts.
    starts: Vec<usize>,
    /// Temporaries read, by operand.
    temps: Vec<(usize, BufferId)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    body: Vec<Inst>,
    roles: Vec<Role>,
    values: Vec<ValueId>,
}

/// Makes passes of the updates that lie in a row. Gives lists of variables whose updates would be one pass if they all did.
pub(super) fn merge_updates(
    tasks: &mut Vec<Task>,
    virtuals: &[Virtual],
    layout: &Layout,
    loose: &mut Vec<Loose>,
) -> Vec<Vec<VarId>> {
    let mut keys: HashMap<Key, usize> = HashMap::new();
    let mut groups: Vec<(Key, Vec<Member>)> = Vec::new();
    let scalars = scalar_temps(tasks, layout);
    for (t, task) in tasks.iter().enumerate() {
        let Some((key, member)) = candidate(t, &task.kernel, layout, loose, &scalars) else { continue };
        let group = *keys.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(member);
    }
    let written = |member: &Member| {
        tasks[member.task].writes.iter().filter_map(|b| match virtuals[b.index()].kind {
            VirtualKind::Variable(variable) => Some(variable),
            VirtualKind::Feed(_) | VirtualKind::Constant(_) | VirtualKind::Fetch(_) | VirtualKind::Temp => None,
        })
    };
    let alike = groups.iter().map(|(_, members)| members.iter().flat_map(written).collect()).collect();
    let mut gone = BTreeSet::new();
    for (key, mut members) in groups {
        let Some(lead) = key.roles.iter().rposition(|r| matches!(r, Role::Arena(..))) else { continue };
        members.sort_by_key(|m| m.starts[lead]);
        let mut run: Vec<Member> = Vec::new();
        for member in members {
            if let Some(last) = run.last()
                && !follows(&key.roles, last, &member, run[0].starts[lead], lead, layout.tensor_len_max())
            {
                join(&key, std::mem::take(&mut run), tasks, virtuals, layout, loose, &mut gone);
            }
            run.push(member);
        }
        join(&key, run, tasks, virtuals, layout, loose, &mut gone);
    }
    let mut position = 0;
    tasks.retain(|_| {
        position += 1;
        !gone.contains(&(position - 1))
    });
    alike
}

/// The facts of an update that reads and writes whole tensors at its own point, and single elements.
fn candidate(
    t: usize,
    kernel: &Kernel,
    layout: &Layout,
    loose: &[Loose],
    scalars: &BTreeSet<BufferId>,
) -> Option<(Key, Member)> {
    let is_variable = |b: BufferId| {
        layout.loose_position(b).is_none()
            && matches!(layout.class(b), BufferClass::Parameters | BufferClass::State(_) | BufferClass::Variables)
    };
    let pointwise = kernel.body.iter().all(|i| !matches!(i, Inst::Coord(_) | Inst::Guard(_) | Inst::RandomBits { .. }));
    if kernel.kind != Kind::Map || !pointwise || !kernel.stores.iter().all(|s| is_variable(s.place.buffer)) {
        return None;
    }
    let len = kernel.space.iter().product();
    let own = own_point(kernel, true);
    let mut roles = Vec::new();
    let mut member = Member { task: t, len, starts: Vec::new(), temps: Vec::new() };
    let dtypes = kernel.dtypes();
    for (position, o) in kernel.operands.iter().enumerate() {
        if !o.guards.is_empty() || o.row.is_some() {
            return None;
        }
        let moves = o.index.terms == own.terms;
        let temp = layout.loose_position(o.buffer);
        let start = usize::try_from(o.index.offset).ok()?;
        // One element of a tensor of one element moves with the pass, unless it is a number that all tensors share.
        if o.index.terms.is_empty() && (temp.is_none() && !is_variable(o.buffer) || scalars.contains(&o.buffer)) {
            roles.push(Role::Scalar(o.buffer, o.index.offset, o.dtype));
        } else if moves && temp.is_some_and(|position| start == 0 && loose[position].len == len) {
            roles.push(Role::Temp(o.dtype));
            member.temps.push((position, o.buffer));
        } else if moves && (temp.is_some() || is_variable(o.buffer)) {
            // Temporaries that were made side by side already lie in an arena of their own.
            roles.push(Role::Arena(o.buffer, o.dtype));
        } else if o.index.terms.is_empty() && temp.is_none() {
            roles.push(Role::Scalar(o.buffer, o.index.offset, o.dtype));
        } else {
            return None;
        }
        member.starts.push(start);
    }
    for store in &kernel.stores {
        roles.push(Role::Arena(store.place.buffer, dtypes[store.value.index()]));
        member.starts.push(store.place.offset);
    }
    let values = kernel.stores.iter().map(|s| s.value).collect();
    Some((Key { body: kernel.body.clone(), roles, values }, member))
}

/// Temporaries of which some kernel reads a single element at all of its points.
fn scalar_temps(tasks: &[Task], layout: &Layout) -> BTreeSet<BufferId> {
    let large = tasks.iter().filter(|task| task.kernel.space.iter().product::<usize>() > 1);
    let single =
        large.flat_map(|task| &task.kernel.operands).filter(|o| o.index.terms.is_empty() && o.guards.is_empty());
    single.map(|o| o.buffer).filter(|&b| layout.loose_position(b).is_some()).collect()
}

/// Whether `next` continues a pass right after `last` in every arena.
fn follows(roles: &[Role], last: &Member, next: &Member, first_start: usize, lead: usize, len_max: usize) -> bool {
    let step = last.len.next_multiple_of(4);
    let in_step = roles.iter().zip(last.starts.iter().zip(&next.starts)).all(|(role, (a, b))| match role {
        Role::Arena(..) => a + step == *b,
        Role::Temp(_) | Role::Scalar(..) => true,
    });
    in_step && next.starts[lead] + next.len - first_start <= len_max
}

/// Replaces the members of a run by one kernel.
fn join(
    key: &Key,
    run: Vec<Member>,
    tasks: &mut Vec<Task>,
    virtuals: &[Virtual],
    layout: &Layout,
    loose: &mut Vec<Loose>,
    gone: &mut BTreeSet<usize>,
) {
    // An earlier pass may have moved a temporary away.
    let is_gone = |b: BufferId| layout.loose_position(b).is_some_and(|position| loose[position].len == 0);
    if key.roles.iter().any(|role| matches!(role, Role::Arena(buffer, _) if is_gone(*buffer))) {
        return;
    }
    if run.len() < 2 || !temps_can_move(&run, tasks, layout, loose) || !independent(&run, tasks, virtuals) {
        return;
    }
    let total = run.iter().map(|m| m.len.next_multiple_of(4)).sum::<usize>()
        - run[run.len() - 1].len.next_multiple_of(4)
        + run[run.len() - 1].len;
    // One arena per operand that is a temporary.
    let mut moves: HashMap<BufferId, Place> = HashMap::new();
    let mut arenas: BTreeMap<usize, BufferId> = BTreeMap::new();
    let mut offset = 0;
    for member in &run {
        for &(position, temp) in &member.temps {
            let arena = *arenas.entry(position).or_insert_with(|| {
                loose.push(Loose { len: total.next_multiple_of(4), pool: Pool::Gradients });
                layout.loose_id(loose.len() - 1)
            });
            moves.insert(temp, Place { buffer: arena, offset });
        }
        offset += member.len.next_multiple_of(4);
    }
    let first = &tasks[run[0].task].kernel;
    let space = vec![total];
    let moving = if total == 1 { Index::constant(0) } else { Index::axis(0) };
    let operands = first
        .operands
        .iter()
        .zip(&key.roles)
        .enumerate()
        .map(|(position, (o, role))| match role {
            Role::Arena(buffer, dtype) => {
                let index = Index { offset: o.index.offset, ..moving.clone() };
                Operand { buffer: *buffer, dtype: *dtype, index, guards: vec![], row: None }
            }
            Role::Temp(dtype) => {
                Operand { buffer: arenas[&position], dtype: *dtype, index: moving.clone(), guards: vec![], row: None }
            }
            Role::Scalar(..) => o.clone(),
        })
        .collect();
    let kernel = Kernel {
        label: String::new(),
        nodes: run.iter().flat_map(|m| tasks[m.task].kernel.nodes.clone()).collect(),
        space,
        kind: Kind::Map,
        operands,
        body: first.body.clone(),
        stores: first.stores.iter().map(|s| Store { ..*s }).collect(),
    };
    let reads = run.iter().flat_map(|m| tasks[m.task].reads.clone()).collect();
    let writes = run.iter().flat_map(|m| tasks[m.task].writes.clone()).collect();
    for position in moves.keys().filter_map(|&temp| layout.loose_position(temp)).collect::<BTreeSet<_>>() {
        loose[position].len = 0;
    }
    for task in tasks.iter_mut() {
        rebind(&mut task.kernel, |id| moves.get(&id).copied().unwrap_or(Place { buffer: id, offset: 0 }));
    }
    // They stay until all passes are made, but nothing waits for them any more.
    for member in &run {
        tasks[member.task].reads.clear();
        tasks[member.task].writes.clear();
        gone.insert(member.task);
    }
    tasks.push(Task { kernel, reads, writes });
}

/// Whether updates can run side by side: none reads a variable that another one writes, or waits for something that waits for
/// another one.
fn independent(run: &[Member], tasks: &[Task], virtuals: &[Virtual]) -> bool {
    let members: BTreeSet<usize> = run.iter().map(|m| m.task).collect();
    let before = predecessors(tasks, virtuals);
    let mut seen = BTreeSet::new();
    let mut open: Vec<usize> = members.iter().flat_map(|&m| before[m].iter().copied()).collect();
    while let Some(t) = open.pop() {
        if members.contains(&t) {
            return false;
        }
        if seen.insert(t) {
            open.extend(&before[t]);
        }
    }
    true
}

/// Temporaries can share an arena if each is read in one place of the pass and no other kernel reads some of them and writes others.
fn temps_can_move(run: &[Member], tasks: &[Task], layout: &Layout, loose: &[Loose]) -> bool {
    let members: BTreeSet<usize> = run.iter().map(|m| m.task).collect();
    let mut temps = BTreeSet::new();
    for &(_, temp) in run.iter().flat_map(|m| &m.temps) {
        // Another pass may have moved it already.
        let gone = layout.loose_position(temp).is_none_or(|position| loose[position].len == 0);
        if gone || !temps.insert(temp) {
            return false;
        }
    }
    tasks.iter().enumerate().filter(|(t, _)| !members.contains(t)).all(|(_, task)| {
        let reads = task.kernel.reads().iter().any(|b| temps.contains(b));
        let writes = task.kernel.stores.iter().any(|s| temps.contains(&s.place.buffer));
        !(reads && writes)
    })
}
