//! Wrong plans. All stay within their buffers, so that a backend runs them as if nothing were wrong.

use std::collections::BTreeSet;

use wgrad_core::plan::{BufferClass, BufferId, Dispatch, Inst, Kernel, Kind, Operand, Place, Plan};
use wgrad_core::{Binary, DType, Reduce, Unary};

use super::{Change, Check, Defect};

const PARITY: &[Check] = &[Check::ParityOnCpu, Check::ParityOnGpu];

pub(super) const LIST: &[Defect] = &[
    Defect {
        name: "broadcast along the wrong axis",
        account: "an operand that repeats along one axis is read along that one",
        change: Change::Lowering(broadcast_axis),
        cases: &["add: 3x1 1x5", "sub: 3x5 5"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "buffer freed one reader early",
        account: "a value is written over another one that is read later",
        change: Change::Lowering(shared_buffer),
        cases: &["softmax: 4x10 along 0"],
        golden: &[],
        checks: &[Check::ParityOnCpu, Check::ParityOnGpu, Check::RandomPrograms],
    },
    Defect {
        name: "dependent kernels in the wrong order",
        account: "a kernel runs before the one whose result it reads",
        change: Change::Lowering(exchanged),
        cases: &["linear: two layers with relu between"],
        golden: &[],
        checks: &[Check::ParityOnCpu, Check::ParityOnGpu, Check::Steps],
    },
    Defect {
        name: "variable overwritten while it is needed",
        account: "an update is stored at once though another one still reads the old value",
        change: Change::Lowering(early_commit),
        cases: &[],
        golden: &[],
        checks: &[Check::RandomPrograms],
    },
    Defect {
        name: "epilogue dropped",
        account: "a product is stored without the bias that was to be added to it",
        change: Change::Lowering(epilogue),
        cases: &["linear: bias"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "row one element short",
        account: "a fold stops before the last element of its row",
        change: Change::Lowering(short_row),
        cases: &["reduce_sum: 3x129 over [1]", "reduce_max: 33x31 over [1], kept"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "last partial sum lost",
        account: "a sum in pieces is put together without its last piece, which is shorter than the others",
        change: Change::Lowering(partial_sum),
        cases: &["reduce_sum: all of 70,001"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "long maximum padded with 0",
        account: "pieces of a maximum are filled up with what is neutral for sums, and all elements are negative",
        change: Change::Lowering(padding),
        cases: &["reduce_max: of 70,001 negative", "reduce_min: of 70,001 positive"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "maximum not subtracted",
        account: "a simplification drops it from under the exponentials, because it cancels",
        change: Change::Lowering(unshifted),
        cases: &["softmax: large logits", "logsumexp: large logits", "cross_entropy: large logits"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "last row of a table never read",
        account: "row numbers are clamped to one less than the last",
        change: Change::Lowering(table_rows),
        cases: &["gather: 5x4 at 7"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "padding one element short",
        account: "the guard takes the last element for padding",
        change: Change::Lowering(short_guard),
        cases: &["pad: 5 2+0+3, bare"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "feeds packed without alignment",
        account: "the host writes a feed where the one before ends, the kernels read it from the next multiple of four",
        change: Change::Lowering(packed_feeds),
        cases: &["add: 37 37"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "one random stream for all",
        account: "the number of the stream is left out, so all masks are the same",
        change: Change::Lowering(one_stream),
        cases: &["random_bits: 7", "random_bits: dropout, mask made anew in backward"],
        golden: &[],
        checks: PARITY,
    },
    Defect {
        name: "gradients misplaced in their arena",
        account: "a gradient is stored one place before the one where the optimizer reads it",
        change: Change::Lowering(arena_offset),
        cases: &[],
        golden: &[],
        checks: &[Check::Steps],
    },
];

fn kernels(plan: &mut Plan) -> impl Iterator<Item = &mut Kernel> {
    plan.entries.iter_mut().flat_map(|e| &mut e.dispatches).flat_map(|d| &mut d.kernels)
}

/// An operand along one of two axes is read along the other, if that one is no longer.
fn broadcast_axis(plan: &mut Plan) -> usize {
    let mut places = 0;
    for kernel in kernels(plan).filter(|k| k.kind == Kind::Map && k.space.len() == 2) {
        for operand in &mut kernel.operands {
            if let [term] = operand.index.terms.as_mut_slice()
                && term.modulus.is_none()
                && term.divisor == 1
                && kernel.space[1 - term.axis] <= kernel.space[term.axis]
            {
                term.axis = 1 - term.axis;
                places += 1;
            }
        }
    }
    places
}

fn reads(dispatch: &Dispatch, buffer: BufferId) -> bool {
    dispatch.kernels.iter().any(|k| k.reads().contains(&buffer))
}

fn writes(dispatch: &Dispatch, buffer: BufferId) -> bool {
    dispatch.kernels.iter().any(|k| k.stores.iter().any(|s| s.place.buffer == buffer))
}

/// Takes every use of a buffer in an entry's dispatches to another one.
fn redirect(kernel: &mut Kernel, from: BufferId, to: Place) {
    let offset = i64::try_from(to.offset).expect("offsets fit");
    for Operand { buffer, index, .. } in kernel.operands.iter_mut().filter(|o| o.buffer == from) {
        *buffer = to.buffer;
        index.offset += offset;
    }
    let mut places: Vec<&mut Place> = kernel.stores.iter_mut().map(|s| &mut s.place).collect();
    if let Kind::MatMul(product) = &mut kernel.kind {
        places.extend([&mut product.a.place, &mut product.b.place]);
    }
    for place in places.into_iter().filter(|p| p.buffer == from) {
        *place = Place { buffer: to.buffer, offset: to.offset + place.offset };
    }
}

/// Of each entry the first pair of temporaries of which one is written between the other's last writer and its last reader becomes
/// one buffer.
fn shared_buffer(plan: &mut Plan) -> usize {
    let temps: Vec<BufferId> = (0..plan.buffers.len())
        .filter(|&b| plan.buffers[b].class == BufferClass::Temporaries)
        .map(BufferId::from_index)
        .collect();
    let mut places = 0;
    for entry in &mut plan.entries {
        let when = |f: fn(&Dispatch, BufferId) -> bool, b: BufferId| -> Vec<usize> {
            (0..entry.dispatches.len()).filter(|&d| f(&entry.dispatches[d], b)).collect()
        };
        let clash = temps.iter().flat_map(|&a| temps.iter().map(move |&b| (a, b))).find(|&(held, other)| {
            let fits = plan.buffers[held.index()].len >= plan.buffers[other.index()].len;
            let (Some(&written), Some(&read)) = (when(writes, held).last(), when(reads, held).last()) else {
                return false;
            };
            held != other && fits && when(writes, other).iter().any(|&d| written < d && d < read)
        });
        if let Some((held, other)) = clash {
            let to = Place { buffer: held, offset: 0 };
            entry.dispatches.iter_mut().flat_map(|d| &mut d.kernels).for_each(|k| redirect(k, other, to));
            places += 1;
        }
    }
    places
}

/// The last dispatch that needs the one before it changes places with it.
fn exchanged(plan: &mut Plan) -> usize {
    let mut places = 0;
    for entry in &mut plan.entries {
        let needs = |d: usize| {
            let written: BTreeSet<BufferId> =
                entry.dispatches[d - 1].kernels.iter().flat_map(|k| k.stores.iter().map(|s| s.place.buffer)).collect();
            written.iter().any(|&b| reads(&entry.dispatches[d], b))
        };
        if let Some(later) = (1..entry.dispatches.len()).rev().find(|&d| needs(d)) {
            entry.dispatches.swap(later - 1, later);
            places += 1;
        }
    }
    places
}

fn is_variable(class: &BufferClass) -> bool {
    matches!(class, BufferClass::Parameters | BufferClass::State(_) | BufferClass::Variables)
}

/// What waits in a temporary to be copied to a variable at the end of a run goes there at once.
fn early_commit(plan: &mut Plan) -> usize {
    let class = |b: BufferId| plan.buffers[b.index()].class.clone();
    let mut places = 0;
    for entry in &mut plan.entries {
        let mut waiting = Vec::new();
        for kernel in entry.dispatches.iter().flat_map(|d| &d.kernels) {
            if let ([Inst::Load(0)], [operand], [store]) =
                (kernel.body.as_slice(), kernel.operands.as_slice(), kernel.stores.as_slice())
                && class(operand.buffer) == BufferClass::Temporaries
                && is_variable(&class(store.place.buffer))
                && kernel.kind == Kind::Map
            {
                waiting.push((operand.buffer, store.place));
            }
        }
        for (temporary, home) in waiting {
            let used = entry.dispatches.iter().filter(|d| reads(d, temporary) || writes(d, temporary)).count();
            // Otherwise the buffer has held something else, too.
            if used == 2 {
                let all = entry.dispatches.iter_mut().flat_map(|d| &mut d.kernels);
                all.for_each(|k| redirect(k, temporary, home));
                places += 1;
            }
        }
    }
    places
}

/// A sum of the product and something is stored as the product.
fn epilogue(plan: &mut Plan) -> usize {
    let mut places = 0;
    for kernel in kernels(plan).filter(|k| matches!(k.kind, Kind::MatMul(_))) {
        for store in &mut kernel.stores {
            if let Inst::Binary(Binary::Add, product, _) = kernel.body[store.value.index()] {
                store.value = product;
                places += 1;
            }
        }
    }
    places
}

fn shorten(kernel: &mut Kernel) -> usize {
    let per_row = |kernel: &Kernel| {
        let levels = kernel.levels();
        kernel.stores.iter().all(|s| !levels[s.value.index()].per_element)
    };
    if kernel.kind != Kind::Rows || !per_row(kernel) {
        return 0;
    }
    match kernel.space.last_mut() {
        Some(length) if *length > 1 => {
            *length -= 1;
            1
        }
        _ => 0,
    }
}

fn short_row(plan: &mut Plan) -> usize {
    kernels(plan).map(shorten).sum()
}

/// The row of partial results, which lie in a temporary, is one shorter.
fn partial_sum(plan: &mut Plan) -> usize {
    let temporary: Vec<bool> = plan.buffers.iter().map(|b| b.class == BufferClass::Temporaries).collect();
    let of_partials = |k: &&mut Kernel| k.reads().iter().all(|b| temporary[b.index()]);
    kernels(plan).filter(of_partials).map(shorten).sum()
}

fn padding(plan: &mut Plan) -> usize {
    let mut places = 0;
    for inst in kernels(plan).filter(|k| k.kind == Kind::Rows).flat_map(|k| &mut k.body) {
        if let Inst::Const(DType::F32, bits) = inst
            && f32::from_bits(*bits).is_infinite()
        {
            *bits = 0;
            places += 1;
        }
    }
    places
}

/// The maximum of a row that holds exponentials counts as 0.
fn unshifted(plan: &mut Plan) -> usize {
    let mut places = 0;
    let has_exp = |k: &&mut Kernel| k.body.iter().any(|inst| matches!(inst, Inst::Unary(Unary::Exp, _)));
    for inst in kernels(plan).filter(has_exp).flat_map(|k| &mut k.body) {
        if let Inst::Fold(Reduce::Max, _) = inst {
            *inst = Inst::Const(DType::F32, 0);
            places += 1;
        }
    }
    places
}

fn table_rows(plan: &mut Plan) -> usize {
    let mut places = 0;
    for row in kernels(plan).flat_map(|k| &mut k.operands).filter_map(|o| o.row.as_mut()).filter(|row| row.rows > 1) {
        row.rows -= 1;
        places += 1;
    }
    places
}

fn short_guard(plan: &mut Plan) -> usize {
    let mut places = 0;
    for guard in kernels(plan).flat_map(|k| &mut k.operands).flat_map(|o| &mut o.guards) {
        guard.high -= 1;
        places += 1;
    }
    places
}

fn packed_feeds(plan: &mut Plan) -> usize {
    let mut places = 0;
    for entry in &mut plan.entries {
        let mut end = 0;
        for feed in &mut entry.feeds {
            places += usize::from(feed.place.offset != end);
            feed.place.offset = end;
            end += feed.ty.shape.len();
        }
    }
    places
}

fn one_stream(plan: &mut Plan) -> usize {
    let mut places = 0;
    for inst in kernels(plan).flat_map(|k| &mut k.body) {
        if let Inst::RandomBits { stream, .. } = inst
            && *stream != 0
        {
            *stream = 0;
            places += 1;
        }
    }
    places
}

/// Every gradient but the first of its arena is stored one place before the one where it is read.
fn arena_offset(plan: &mut Plan) -> usize {
    let arenas: Vec<bool> = plan.buffers.iter().map(|b| b.class == BufferClass::Gradients).collect();
    let mut places = 0;
    for store in kernels(plan).flat_map(|k| &mut k.stores) {
        if arenas[store.place.buffer.index()] && store.place.offset > 0 {
            store.place.offset -= 1;
            places += 1;
        }
    }
    places
}
