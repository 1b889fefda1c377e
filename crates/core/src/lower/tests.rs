//! Plans of whole training steps: their dispatches, fusion and memory.

use crate::plan::{BufferClass, Kernel, Kind, Limits, Plan, Target};
use crate::{Builder, Entry, Fetch, GraphError, Init, Program, Role, Scalar, Tensor, TensorType, Update, VarId, lower};

pub(super) fn target() -> Target {
    Target {
        name: "test".to_owned(),
        limits: Limits::WEBGPU,
        arguments: true,
        readback: true,
        runs_per_submission_max: 1,
        masked_kernels: false,
        texture_bytes_max: 0,
    }
}

fn zeros() -> Init {
    Init::Fill(Scalar::F32(0.0))
}

fn weights(stream: u32) -> Init {
    Init::Uniform { low: -0.1, high: 0.1, seed: 1, stream }
}

/// A relu net with cross-entropy over integer labels, trained by Adam.
pub(super) fn mlp(sizes: &[usize], batch: usize) -> Result<Program, GraphError> {
    mlp_with(sizes, batch, |_, grads| Ok(grads))
}

/// The same with something done to the gradients.
pub(super) fn mlp_with(
    sizes: &[usize],
    batch: usize,
    around: impl for<'g> Fn(&'g Builder, Vec<Tensor<'g>>) -> Result<Vec<Tensor<'g>>, GraphError>,
) -> Result<Program, GraphError> {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([batch, sizes[0]]))?;
    let labels = b.feed("labels", TensorType::u32([batch]))?;
    let scalars = b.feed("scalars", TensorType::f32([3]))?;
    let mut h = x;
    let mut parameters = Vec::new();
    for (l, pair) in sizes.windows(2).enumerate() {
        let stream = u32::try_from(l).expect("few layers");
        let w = b.variable(&format!("w{l}"), TensorType::f32([pair[1], pair[0]]), weights(stream), Role::Parameter)?;
        let bias = b.variable(&format!("b{l}"), TensorType::f32([pair[1]]), zeros(), Role::Parameter)?;
        parameters.extend([w, bias]);
        h = (h.matmul_t(w, false, true)? + bias)?;
        if l + 2 < sizes.len() {
            h = h.relu()?;
        }
    }
    let loss = (h.logsumexp(&[1], false)? - h.pick_per_row(labels)?)?.mean_all()?;
    let grads = around(&b, b.grad(loss, &parameters)?)?;
    let mut updates = Vec::new();
    for (p, g) in parameters.iter().zip(grads) {
        updates.extend(adam(&b, *p, g, scalars)?);
    }
    let fetches = vec![Fetch { name: "loss".to_owned(), node: loss.id() }];
    let graph = b.into_graph();
    let feeds = ["x", "labels", "scalars"].map(|n| graph.find_feed(n).expect("declared")).to_vec();
    Ok(Program { graph, entries: vec![Entry { name: "train".to_owned(), feeds, fetches, updates }] })
}

fn adam<'g>(b: &'g Builder, p: Tensor<'g>, g: Tensor<'g>, scalars: Tensor<'g>) -> Result<Vec<Update>, GraphError> {
    let name = b.with(|graph| graph.name(p.id()).unwrap_or("p").to_owned());
    let of = b.with(|graph| graph.find_variable(&name)).expect("a parameter");
    let state = |slot: &str| {
        b.variable(
            &format!("{name}.{slot}"),
            TensorType::f32(p.shape()),
            zeros(),
            Role::State { slot: slot.to_owned(), of },
        )
    };
    let (m, v) = (state("m")?, state("v")?);
    let scalar = |i: usize| scalars.slice(&[crate::SliceRange { start: i, stop: i + 1, step: 1 }])?.reshape([]);
    let m_next = ((m * 0.9)? + (g * 0.1)?)?;
    let v_next = ((v * 0.999)? + (g.square()? * 0.001)?)?;
    let denominator = ((v_next.sqrt()? * scalar(1)?)? + scalar(2)?)?;
    let p_next = (p - ((m_next * scalar(0)?)? / denominator)?)?;
    let variable = |t: Tensor<'g>| -> VarId {
        b.with(|graph| graph.find_variable(graph.name(t.id()).expect("named")).expect("declared"))
    };
    Ok(vec![Update::new(of, p_next.id()), Update::new(variable(m), m_next.id()), Update::new(variable(v), v_next.id())])
}

fn dispatches(plan: &Plan) -> usize {
    plan.entries[0].dispatches.len()
}

#[test]
fn a_step_of_n_layers_takes_2n_plus_2_dispatches() {
    for n in [1, 2, 3, 4, 5, 9] {
        let mut sizes = vec![24; n];
        sizes.push(10);
        sizes[0] = 20;
        let plan = lower(&mlp(&sizes, 16).expect("builds"), &target()).expect("lowers");
        assert_eq!(dispatches(&plan), 2 * n + 2, "{plan}");
        // However many of the parameters have the same shape, one kernel updates them all.
        let updates = plan.entries[0].dispatches.iter().flat_map(|d| &d.kernels).filter(|k| k.kind == Kind::Map);
        assert_eq!(updates.count(), 1, "{plan}");
    }
}

#[test]
fn all_parameters_are_updated_in_one_pass_over_the_arenas() {
    let plan = lower(&mlp(&[20, 24, 10], 16).expect("builds"), &target()).expect("lowers");
    let last = plan.entries[0].dispatches.last().expect("has dispatches");
    assert_eq!(last.kernels.len(), 1, "{plan}");
    let kernel = &last.kernels[0];
    let parameters = 24 * 20 + 24 + 10 * 24 + 10;
    assert_eq!((kernel.kind.clone(), &kernel.space, kernel.stores.len()), (Kind::Map, &vec![parameters], 3), "{plan}");
    let classes: Vec<&BufferClass> = kernel.reads().into_iter().map(|b| &plan.buffer(b).class).collect();
    assert!(
        classes.contains(&&BufferClass::Gradients) && classes.contains(&&BufferClass::State("m".to_owned())),
        "{plan}"
    );
}

#[test]
fn the_same_program_gives_the_same_plan() {
    let program = mlp(&[20, 24, 10], 16).expect("builds");
    assert_eq!(lower(&program, &target()), lower(&program, &target()));
}

#[test]
fn an_expression_of_more_tensors_than_a_dispatch_can_see_is_computed_in_parts() {
    let b = Builder::new();
    let mut sum = b.scalar(0.0).broadcast_to([5, 7]).expect("broadcasts");
    for i in 0..20 {
        // Variables of other roles share a buffer; matmul results do not.
        let a = b.variable(&format!("a{i}"), TensorType::f32([5, 3]), weights(i), Role::Other).expect("declares");
        let c = b.variable(&format!("c{i}"), TensorType::f32([3, 7]), weights(i), Role::Other).expect("declares");
        sum = (sum + a.matmul(c).expect("multiplies")).expect("adds");
    }
    let node = sum.id();
    let entry =
        Entry { name: "sum".to_owned(), fetches: vec![Fetch { name: "sum".to_owned(), node }], ..Entry::default() };
    let plan = lower(&Program { graph: b.into_graph(), entries: vec![entry] }, &target()).expect("lowers");
    for dispatch in &plan.entries[0].dispatches {
        assert!(dispatch.bindings().len() <= Limits::WEBGPU.dispatch_buffers_max, "{plan}");
    }
}

#[test]
fn deep_nets_lower_quickly_enough_to_be_planned_at_every_start() {
    let plan = lower(&mlp(&[16; 61], 8).expect("builds"), &target()).expect("lowers");
    assert_eq!(dispatches(&plan), 2 * 60 + 2);
}

fn entry(graph: &crate::Graph, feeds: &[&str], fetches: &[(&str, crate::NodeId)], updates: Vec<Update>) -> Entry {
    Entry {
        name: "run".to_owned(),
        feeds: feeds.iter().map(|n| graph.find_feed(n).expect("declared")).collect(),
        fetches: fetches.iter().map(|&(n, node)| Fetch { name: n.to_owned(), node }).collect(),
        updates,
    }
}

#[test]
fn no_walk_is_longer_than_the_device_may_loop() {
    for shape in [[1, 1_000_003], [70_000, 3], [3, 70_000], [200, 40_000]] {
        let b = Builder::new();
        let x = b.feed("x", TensorType::f32(shape)).expect("declares");
        let rows = x.logsumexp(&[1], false).expect("reduces").id();
        let columns = x.sum(&[0], false).expect("reduces").id();
        let graph = b.into_graph();
        let entry = entry(&graph, &["x"], &[("rows", rows), ("columns", columns)], vec![]);
        let plan = lower(&Program { graph, entries: vec![entry] }, &target()).expect("lowers");
        for kernel in plan.entries[0].dispatches.iter().flat_map(|d| &d.kernels).filter(|k| k.kind == Kind::Rows) {
            let walks = 1 + kernel.levels().iter().map(|l| l.pass).max().expect("has values");
            let steps = walks * kernel.space.last().expect("has rows");
            assert!(steps <= Limits::WEBGPU.loop_iterations_max, "{steps} steps\n{plan}");
        }
    }
}

#[test]
fn long_products_are_split_into_partial_sums() {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([100_000, 3])).expect("declares");
    let y = b.feed("y", TensorType::f32([100_000, 5])).expect("declares");
    let product = x.matmul_t(y, true, false).expect("multiplies").id();
    let graph = b.into_graph();
    let entry = entry(&graph, &["x", "y"], &[("product", product)], vec![]);
    let plan = lower(&Program { graph, entries: vec![entry] }, &target()).expect("lowers");
    let kernels: Vec<_> = plan.entries[0].dispatches.iter().flat_map(|d| &d.kernels).collect();
    let Kind::MatMul(matmul) = &kernels[0].kind else { panic!("{plan}") };
    assert_eq!((matmul.splits(), &kernels[0].space), (13, &vec![13, 3, 5]), "{plan}");
    assert_eq!((&kernels[1].kind, &kernels[1].space), (&Kind::Rows, &vec![3, 5, 13]), "{plan}");
}

#[test]
fn variables_that_trade_places_go_through_a_temporary() {
    let b = Builder::new();
    let a = b.variable("a", TensorType::f32([2, 3]), weights(0), Role::Other).expect("declares");
    let c = b.variable("c", TensorType::f32([3, 2]), weights(1), Role::Other).expect("declares");
    let updates = vec![
        Update::new(VarId::from_index(0), c.t().expect("transposes").id()),
        Update::new(VarId::from_index(1), a.t().expect("transposes").id()),
    ];
    let graph = b.into_graph();
    let entry = entry(&graph, &[], &[], updates);
    let plan = lower(&Program { graph, entries: vec![entry] }, &target()).expect("lowers");
    // One new value waits in a temporary until the other variable has read the old one.
    assert_eq!(dispatches(&plan), 3, "{plan}");
    assert!(plan.memory().rows.iter().any(|row| row.class == BufferClass::Temporaries), "{plan}");
}

#[test]
fn what_exceeds_a_limit_is_named() {
    let tiny = |bytes| {
        let limits = Limits { buffer_bytes_max: bytes, binding_bytes_max: bytes, ..Limits::WEBGPU };
        Target { limits, ..target() }
    };
    let program = mlp(&[20, 24, 10], 32).expect("builds");
    let text = |bytes| lower(&program, &tiny(bytes)).expect_err("exceeds").to_string();
    assert!(text(1000).contains("variable 'w0' f32[24,20] needs 1920 bytes but 'test' allows 1000"), "{}", text(1000));
    // Parameters are spread over several buffers, but all feeds of a run are one.
    let feeds = "all feeds of entry 'train', the largest of them 'x' f32[32,20], needs";
    assert!(text(2000).contains(feeds), "{}", text(2000));
    let few = Target { limits: Limits { dispatch_buffers_max: 2, ..Limits::WEBGPU }, ..target() };
    let error = lower(&program, &few).expect_err("exceeds").to_string();
    assert!(error.contains("storage buffers per dispatch") && error.contains("matmul"), "{error}");
}

#[test]
fn nothing_is_walked_where_there_is_nothing() {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([3, 0])).expect("declares");
    let index = b.feed("index", TensorType::u32([0])).expect("declares");
    let largest = x.max(&[1], false).expect("reduces").id();
    let sum = x.exp().and_then(|e| e.sum_all()).expect("reduces").id();
    let scattered = x.t().and_then(|t| t.scatter_add(index, 2)).expect("scatters").id();
    let graph = b.into_graph();
    let fetches = [("largest", largest), ("sum", sum), ("scattered", scattered)];
    let entry = entry(&graph, &["x", "index"], &fetches, vec![]);
    let plan = lower(&Program { graph, entries: vec![entry] }, &target()).expect("lowers");
    for kernel in plan.entries[0].dispatches.iter().flat_map(|d| &d.kernels) {
        assert!(kernel.kind == Kind::Map && kernel.reads().is_empty(), "{plan}");
    }
}

#[test]
fn no_dispatch_is_more_than_a_driver_can_compile() {
    let b = Builder::new();
    let fetches = (0..100).map(|i| {
        let v = b.variable(&format!("v{i}"), TensorType::f32([5]), weights(i), Role::Other).expect("declares");
        Fetch { name: format!("f{i}"), node: v.id() }
    });
    let entry = Entry { name: "all".to_owned(), fetches: fetches.collect(), ..Entry::default() };
    let plan = lower(&Program { graph: b.into_graph(), entries: vec![entry] }, &target()).expect("lowers");
    assert_eq!(dispatches(&plan), 7, "{plan}");
    assert!(plan.entries[0].dispatches.iter().all(|d| d.kernels.len() <= 16), "{plan}");
}

#[test]
fn a_long_chain_of_views_does_not_exhaust_the_stack() {
    let b = Builder::new();
    let mut x = b.feed("x", TensorType::f32([20_000])).expect("declares");
    for _ in 0..10_000 {
        x = x.slice(&[crate::SliceRange { start: 1, stop: x.shape()[0], step: 1 }]).expect("slices");
    }
    let node = x.id();
    let graph = b.into_graph();
    let entry = entry(&graph, &["x"], &[("x", node)], vec![]);
    lower(&Program { graph, entries: vec![entry] }, &target()).expect("lowers");
}

#[test]
fn many_tensors_can_be_joined_on_a_device_that_sees_few() {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([4, 4])).expect("declares");
    let mut parts = vec![x];
    for _ in 0..20 {
        parts.push(parts[parts.len() - 1].matmul(x).expect("multiplies"));
    }
    let node = b.concat(&parts, 0).expect("joins").id();
    let graph = b.into_graph();
    assert_eq!(graph.ty(node).shape, [84, 4].into());
    let entry = entry(&graph, &["x"], &[("all", node)], vec![]);
    lower(&Program { graph, entries: vec![entry] }, &target()).expect("lowers");
}

#[test]
fn few_points_ride_with_long_kernels_only_to_save_a_dispatch() {
    let kernels = |sums: usize| -> Vec<usize> {
        let b = Builder::new();
        let x = b.feed("x", TensorType::f32([128, 128])).expect("declares");
        let mut fetches = vec![("product".to_owned(), x.matmul(x).expect("multiplies").id())];
        for i in 0..sums {
            let y = b.feed(&format!("y{i}"), TensorType::f32([128, 100 + i])).expect("declares");
            fetches.push((format!("sum{i}"), y.sum(&[1], false).expect("adds").id()));
        }
        let feeds: Vec<String> = (0..sums).map(|i| format!("y{i}")).collect();
        let feeds: Vec<&str> = ["x"].into_iter().chain(feeds.iter().map(String::as_str)).collect();
        let fetches: Vec<_> = fetches.iter().map(|(name, node)| (name.as_str(), *node)).collect();
        let graph = b.into_graph();
        let entry = entry(&graph, &feeds, &fetches, vec![]);
        let target = Target { masked_kernels: true, ..target() };
        let plan = lower(&Program { graph, entries: vec![entry] }, &target).expect("lowers");
        plan.entries[0].dispatches.iter().map(|d| d.kernels.len()).collect()
    };
    // Two of three could ride, but the third one needs a dispatch anyway.
    assert_eq!([kernels(1), kernels(2), kernels(3)], [vec![2], vec![3], vec![1, 3]]);
}

#[test]
fn kernels_of_one_code_wait_for_each_other_where_others_cost_time() {
    let program = mlp(&[128; 8], 128).expect("builds");
    let buffers = Limits { dispatch_buffers_max: 32, ..Limits::WEBGPU };
    let target = Target { masked_kernels: true, limits: buffers, ..target() };
    let plan = lower(&program, &target).expect("lowers");
    let of = |k: &Kernel| match &k.kind {
        Kind::MatMul(m) if m.a.transposed => "tn",
        Kind::MatMul(m) if m.b.transposed => "nt",
        Kind::MatMul(_) => "nn",
        Kind::Rows => "rows",
        Kind::Map | Kind::Scatter(_) => "map",
    };
    let mut dispatches: Vec<Vec<&str>> =
        plan.entries[0].dispatches.iter().map(|d| d.kernels.iter().map(of).collect()).collect();
    // Seven layers, the loss, and six gradients of their inputs.
    assert!(dispatches.drain(..7).all(|d| d == ["nt"]), "{plan}");
    assert_eq!(dispatches.remove(0), ["rows"], "{plan}");
    assert!(dispatches.drain(..6).all(|d| d == ["nn"]), "{plan}");
    // All gradients of weights, all of biases, and the update with the mean of the losses beside it, which nobody waits for.
    assert_eq!(dispatches, [vec!["tn"; 7], vec!["rows"; 7], vec!["map", "rows"]], "{plan}");
}

#[test]
fn few_points_stay_with_short_kernels() {
    // Too small for dispatches of their own: the mean of the losses rides where it can first.
    let target = Target { masked_kernels: true, ..target() };
    let plan = lower(&mlp(&[32; 4], 300).expect("builds"), &target).expect("lowers");
    let with_mean = |d: &crate::plan::Dispatch| d.kernels.iter().any(|k| k.kind == Kind::Rows && k.space.len() == 1);
    let dispatches = &plan.entries[0].dispatches;
    let at = dispatches.iter().position(with_mean).expect("a mean");
    assert!(dispatches[at].kernels.len() > 1 && at + 1 < dispatches.len(), "{plan}");
}
