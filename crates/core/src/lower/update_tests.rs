//! Updates that read each other's variables: what may become one pass, and what must not.

use super::tests::{mlp, mlp_with, target};
use crate::plan::{Kernel, Kind, Plan};
use crate::{
    Builder, Entry, FeedId, GraphError, Init, Op, Program, Role, Scalar, SliceRange, Tensor, TensorType, Update, VarId,
    lower,
};

/// Variables `v0`, `v1`, … of a shape and their new values, lowered.
fn plan<const N: usize>(
    shape: &[usize],
    next: impl for<'g> Fn([Tensor<'g>; N]) -> Result<Vec<(usize, Tensor<'g>)>, GraphError>,
) -> Plan {
    let b = Builder::new();
    let variables = std::array::from_fn(|v| {
        let init = Init::Fill(Scalar::F32(v as f64));
        b.variable(&format!("v{v}"), TensorType::f32(shape.to_vec()), init, Role::Other).expect("declares")
    });
    let updates = next(variables).expect("builds");
    let updates = updates.into_iter().map(|(v, t)| Update::new(VarId::from_index(v), t.id())).collect();
    let entry = Entry { name: "step".to_owned(), updates, ..Entry::default() };
    lower(&Program { graph: b.into_graph(), entries: vec![entry] }, &target()).expect("lowers")
}

/// Whether a kernel reads, elsewhere than at its own point, what it writes.
fn races(kernel: &Kernel) -> bool {
    let len: usize = kernel.space.iter().product();
    kernel.stores.iter().any(|store| {
        let written = store.place.offset..store.place.offset + len;
        kernel.operands.iter().filter(|o| o.buffer == store.place.buffer).any(|o| {
            let start = usize::try_from(o.index.offset).expect("inside");
            start != store.place.offset && (start..start + len).any(|read| written.contains(&read))
        })
    })
}

#[test]
fn a_shift_register_is_not_one_pass() {
    for order in [[(1, 0), (2, 1), (3, 2)], [(0, 1), (1, 2), (2, 3)]] {
        let plan = plan([8].as_slice(), |v: [Tensor<'_>; 4]| Ok(order.map(|(to, from)| (to, v[from])).to_vec()));
        let mut kernels = plan.entries[0].dispatches.iter().flat_map(|d| &d.kernels);
        assert!(!kernels.any(races), "{plan}");
    }
}

#[test]
fn a_pass_waits_for_nothing_that_waits_for_it() {
    // v2 is read by the update of v0 and reads v1, so its update lies between those of v0 and v1.
    let plan = plan([8, 8].as_slice(), |[v0, v1, v2, v3]: [Tensor<'_>; 4]| {
        Ok(vec![(0, (v0 + v2)?), (1, (v1 + v3)?), (2, v1.t()?)])
    });
    assert!(plan.entries[0].dispatches.len() >= 2, "{plan}");
}

#[test]
fn updates_of_two_kinds_that_take_turns_are_two_passes() {
    let plan = plan([8].as_slice(), |[a, b, c, d]: [Tensor<'_>; 4]| {
        Ok(vec![(0, a.mul(2.0)?), (1, b.add(1.0)?), (2, c.mul(2.0)?), (3, d.add(1.0)?)])
    });
    assert_eq!(plan.entries[0].dispatches.iter().map(|d| d.kernels.len()).sum::<usize>(), 2, "{plan}");
    let offsets: Vec<_> = plan.variables.iter().map(|v| v.place.offset).collect();
    assert_eq!(offsets, [0, 16, 8, 24], "those of a kind lie together");
}

/// Gradients end to end, each starting at a multiple of four, and multiplied by what brings their norm down to 1.
fn clip<'g>(b: &'g Builder, grads: Vec<Tensor<'g>>) -> Result<Vec<Tensor<'g>>, GraphError> {
    let (mut pieces, mut starts, mut at) = (vec![], vec![], 0);
    for g in &grads {
        let len = g.shape().len();
        starts.push(at);
        pieces.push(g.reshape([len])?.id());
        at += len.next_multiple_of(4);
        if len % 4 != 0 {
            pieces.push(b.splat(Scalar::F32(0.0), [4 - len % 4])?.id());
        }
    }
    let flat = b.push(Op::Concat { xs: pieces, axis: 0 })?;
    let norm = flat.square()?.sum_all()?.sqrt()?;
    let factor = b.scalar(1.0).div(norm)?.minimum(1.0)?;
    let piece = |(g, &start): (&Tensor<'g>, &usize)| {
        let range = SliceRange { start, stop: start + g.shape().len(), step: 1 };
        flat.slice(&[range])?.reshape(g.shape())?.mul(factor)
    };
    grads.iter().zip(&starts).map(piece).collect()
}

#[test]
fn clipping_by_the_norm_of_all_gradients_takes_two_more_dispatches() {
    for sizes in
        [&[20, 24, 10][..], &[7, 5, 3], &[20; 30], &[33, 31, 30, 29, 28, 27, 26, 25, 23, 22, 21, 19, 17, 15, 14, 13]]
    {
        let plain = lower(&mlp(sizes, 16).expect("builds"), &target()).expect("lowers");
        let clipped = lower(&mlp_with(sizes, 16, clip).expect("builds"), &target()).expect("lowers");
        let dispatches = |plan: &Plan| plan.entries[0].dispatches.len();
        assert!(dispatches(&clipped) <= dispatches(&plain) + 2, "{sizes:?}: {plain}\n{clipped}");
        let last = &clipped.entries[0].dispatches.last().expect("has dispatches").kernels;
        assert!(last.len() == 1 && last[0].kind == Kind::Map && last[0].stores.len() == 3, "{clipped}");
    }
}

/// A step that changes some rows of a table.
fn rows(count: usize) -> Program {
    let b = Builder::new();
    let init = Init::Fill(Scalar::F32(1.0));
    let table = b.variable("table", TensorType::f32([9, 4]), init, Role::Other).expect("declares");
    let index = b.feed("index", TensorType::u32([count])).expect("declares");
    let values = table.gather(index).and_then(|rows| rows.mul(2.0)).expect("builds");
    let updates = vec![Update::of_rows(VarId::from_index(0), values.id(), index.id())];
    let feeds = vec![FeedId::from_index(0)];
    let entry = Entry { name: "step".to_owned(), feeds, updates, ..Entry::default() };
    Program { graph: b.into_graph(), entries: vec![entry] }
}

#[test]
fn rows_are_read_before_any_is_stored() {
    let plan = lower(&rows(3), &target()).expect("lowers");
    let kinds: Vec<_> = plan.entries[0].dispatches.iter().flat_map(|d| &d.kernels).map(|k| &k.kind).collect();
    assert!(matches!(kinds.as_slice(), [Kind::Map, Kind::Scatter(_)]), "{plan}");
    assert_eq!(plan.entries[0].dispatches.len(), 2, "{plan}");
}

#[test]
fn too_many_rows_are_refused() {
    let mut target = target();
    target.limits.loop_iterations_max = 100;
    lower(&rows(100), &target).expect("lowers");
    let error = lower(&rows(101), &target).expect_err("has too many rows").to_string();
    assert!(error.contains("update of rows") && error.contains("101 rows") && error.contains("100"), "{error}");
}
