//! Updates that read each other's variables: what may become one pass, and what must not.

use super::tests::target;
use crate::plan::{Kernel, Plan};
use crate::{Builder, Entry, GraphError, Init, Program, Role, Scalar, Tensor, TensorType, Update, VarId, lower};

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
    let updates = updates.into_iter().map(|(v, t)| Update { variable: VarId::from_index(v), node: t.id() }).collect();
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
