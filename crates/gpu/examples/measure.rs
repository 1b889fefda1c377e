//! Measures.
use std::time::Instant;
use wgrad_core::plan::*;
use wgrad_core::*;
use wgrad_gpu::*;

fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}

fn time(name: &str, work: f64, backend: &GpuBackend, program: &Program, feeds: &[HostSlice<'_>]) {
    let plan = lower(program, backend.target()).unwrap();
    if std::env::var_os("SHOW").is_some() { println!("{plan}"); }
    if std::env::var_os("WGSL").is_some() { for e in modules(&plan, backend.capabilities()).unwrap() { for m in e { println!("// {} {:?}\n{}", m.label, m.grid, m.wgsl); } } }
    let e = EntryId::from_index(0);
    let t = Instant::now();
    let mut s = backend.session(plan, PrepareOptions::default()).unwrap();
    let prep = t.elapsed();
    let t = Instant::now();
    s.run(e, feeds).unwrap();
    let _ = s.read(Source::Fetch(e, 0)).unwrap();
    let first = t.elapsed();
    let mut best = f64::MAX;
    let reps = if first.as_millis() > 500 { 2 } else { 20 };
    let c = cpu();
    for _ in 0..15 {
        let t = Instant::now();
        for _ in 0..reps { s.run(e, feeds).unwrap(); }
        let _ = s.read(Source::Fetch(e, 0)).unwrap();
        best = best.min(t.elapsed().as_secs_f64() / reps as f64);
    }
    let c = (cpu() - c) / (15 * reps) as f64 / 2.0;
    println!("{name}: prepare {prep:?} first {first:?} best {:.3} ms  {:.2} G/s; cpu/2 {:.3} ms {:.2} G/s", best * 1e3, work / best / 1e9, c * 1e3, work / c / 1e9);
}
fn var<'g>(b: &'g Builder, n: &str, shape: &[usize]) -> Tensor<'g> {
    b.variable(n, TensorType::f32(shape.to_vec()), Init::Uniform { low: -1.0, high: 1.0, seed: 1, stream: 1 }, Role::Other).unwrap()
}
fn main() {
    let which: Vec<String> = std::env::args().skip(1).collect();
    let on = |n: &str| which.is_empty() || which.iter().any(|w| n.starts_with(w));
    let options = GpuOptions { no_subgroups: std::env::var_os("NOSG").is_some(), hardware_shapes: std::env::var_os("HW").is_some(), ..Default::default() };
    let backend = GpuBackend::open_with(&Selector { interface: if std::env::var_os("GL").is_some() { Interface::Gl } else { Interface::Any }, adapter: None }, options).unwrap();
    println!("{}", backend.info());
    for (m, k, n) in [(128, 784, 512), (512, 512, 512), (128, 512, 10), (512,128,10), (128,10,512), (1024,256,4096)] {
        for (ta, tb) in [(false, false), (false, true), (true, false)] {
            let name = format!("mm{m}x{k}x{n} {ta} {tb}");
            if !on(&name) { continue; }
            let b = Builder::new();
            let a = var(&b, "a", &if ta { [k, m] } else { [m, k] });
            let w = var(&b, "w", &if tb { [n, k] } else { [k, n] });
            let y = a.matmul_t(w, ta, tb).unwrap();
            let fetch = vec![Fetch { name: "y".into(), node: y.id() }];
            let p = Program { graph: b.into_graph(), entries: vec![Entry { name: "e".into(), feeds: vec![], fetches: fetch, updates: vec![] }] };
            time(&name, 2.0 * (m * n * k) as f64, &backend, &p, &[]);
        }
    }
    for n in [1 << 20, (1 << 20) + 2] {
        if !on("adam") { continue; }
        let b = Builder::new();
        let p = var(&b, "p", &[n]); let g = var(&b, "g", &[n]); let m = var(&b, "m", &[n]); let v = var(&b, "v", &[n]);
        let lr = b.feed("lr", TensorType::f32([2])).unwrap();
        let s = |i: usize| lr.slice(&[SliceRange { start: i, stop: i + 1, step: 1 }]).unwrap();
        let m2 = m.mul(0.9).unwrap().add(g.mul(0.1).unwrap()).unwrap();
        let v2 = v.mul(0.999).unwrap().add(g.mul(g).unwrap().mul(0.001).unwrap()).unwrap();
        let p2 = p.sub(m2.mul(s(0)).unwrap().div(v2.sqrt().unwrap().mul(s(1)).unwrap().add(1e-8).unwrap()).unwrap()).unwrap();
        let fetch = vec![Fetch { name: "y".into(), node: b.scalar(1.0).id() }];
        let up = [(p, p2), (m, m2), (v, v2)].iter().enumerate().map(|(i, (_, y))| Update { variable: VarId::from_index([0, 2, 3][i]), node: y.id() }).collect();
        let pr = Program { graph: b.into_graph(), entries: vec![Entry { name: "e".into(), feeds: vec![FeedId::from_index(0)], fetches: fetch, updates: up }] };
        time(&format!("adam {n} (B/s)"), 28.0 * n as f64, &backend, &pr, &[HostSlice::F32(&[1e-3, 1.0])]);
    }
    for (r, c, ax) in [(1024, 1024, 1), (1024, 1024, 0), (128, 10, 1), (128, 512, 0), (1, 1<<20, 1)] {
        let name = format!("sum{r}x{c} axis {ax}");
        if !on(&name) { continue; }
        let b = Builder::new();
        let x = var(&b, "x", &[r, c]);
        let y = x.sum(&[ax], false).unwrap();
        let fetch = vec![Fetch { name: "y".into(), node: y.id() }];
        let p = Program { graph: b.into_graph(), entries: vec![Entry { name: "e".into(), feeds: vec![], fetches: fetch, updates: vec![] }] };
        time(&name, (r * c) as f64, &backend, &p, &[]);
    }

    if on("w2") {
        let sizes = [784usize, 512, 512, 10];
        let batch = 128;
        let b = Builder::new();
        let x = b.feed("x", TensorType::f32([batch, 784])).unwrap();
        let y = b.feed("y", TensorType::u32([batch])).unwrap();
        let c = b.feed("c", TensorType::f32([2])).unwrap();
        let s = |i: usize| c.slice(&[SliceRange { start: i, stop: i + 1, step: 1 }]).unwrap();
        let mut params = vec![];
        let mut h = x;
        for l in 0..3 {
            let init = Init::Uniform { low: -0.05, high: 0.05, seed: 1, stream: l as u32 };
            let w = b.variable(&format!("w{l}"), TensorType::f32([sizes[l], sizes[l + 1]]), init, Role::Parameter).unwrap();
            let bias = b.variable(&format!("b{l}"), TensorType::f32([sizes[l + 1]]), Init::Fill(Scalar::F32(0.0)), Role::Parameter).unwrap();
            params.push(w); params.push(bias);
            h = h.matmul(w).unwrap().add(bias).unwrap();
            if l < 2 { h = h.relu().unwrap(); }
        }
        let loss = h.log_softmax(1).unwrap().pick_per_row(y).unwrap().neg().unwrap().mean_all().unwrap();
        let g = b.grad(loss, &params).unwrap();
        let mut updates = vec![];
        for (i, (p, g)) in params.iter().zip(g).enumerate() {
            let st = |slot: &str| b.variable(&format!("{slot}{i}"), p.ty(), Init::Fill(Scalar::F32(0.0)), Role::State { slot: slot.into(), of: VarId::from_index(i) }).unwrap();
            let _ = st;
            let vid = |t: Tensor<'_>| b.with(|g| match g[t.id()].op { Op::Variable(v) => v, _ => panic!() });
            let of = vid(*p);
            let st = |slot: &str| b.variable(&format!("{slot}_{i}"), p.ty(), Init::Fill(Scalar::F32(0.0)), Role::State { slot: slot.into(), of }).unwrap();
            let (m, v) = (st("m"), st("v"));
            let m2 = m.mul(0.9).unwrap().add(g.mul(0.1).unwrap()).unwrap();
            let v2 = v.mul(0.999).unwrap().add(g.mul(g).unwrap().mul(0.001).unwrap()).unwrap();
            let p2 = p.sub(m2.mul(s(0)).unwrap().div(v2.sqrt().unwrap().mul(s(1)).unwrap().add(1e-8).unwrap()).unwrap()).unwrap();
            for (a, n) in [(*p, p2), (m, m2), (v, v2)] { updates.push(Update { variable: vid(a), node: n.id() }); }
        }
        let fetch = vec![Fetch { name: "loss".into(), node: loss.id() }];
        let pr = Program { graph: b.into_graph(), entries: vec![Entry { name: "e".into(), feeds: (0..3).map(FeedId::from_index).collect(), fetches: fetch, updates }] };
        let xs: Vec<f32> = (0..batch * 784).map(|i| ((i * 7919 % 1000) as f32) / 1000.0).collect();
        let ys: Vec<u32> = (0..batch as u32).map(|i| i % 10).collect();
        if std::env::var_os("PARTS").is_some() {
            let plan = lower(&pr, backend.target()).unwrap();
            for (i, d) in plan.entries[0].dispatches.iter().enumerate() {
                let mut p = plan.clone();
                p.entries[0].dispatches = vec![d.clone()];
                let mut s = backend.session(p.clone(), PrepareOptions::default()).unwrap();
                let f = [HostSlice::F32(&xs), HostSlice::U32(&ys), HostSlice::F32(&[1e-3, 1.0])];
                let t = Instant::now();
                s.run(EntryId::from_index(0), &f).unwrap();
                s.read(Source::Fetch(EntryId::from_index(0), 0)).unwrap();
                let first = t.elapsed();
                let mut best = f64::MAX;
                let c = cpu();
                for _ in 0..10 {
                    let t = Instant::now();
                    for _ in 0..4 { s.run(EntryId::from_index(0), &f).unwrap(); }
                    s.read(Source::Fetch(EntryId::from_index(0), 0)).unwrap();
                    best = best.min(t.elapsed().as_secs_f64() / 4.0);
                }
                let best = { let _ = best; (cpu() - c) / 80.0 };
                let m = &modules(&p, backend.capabilities()).unwrap()[0][0];
                println!("{i} first {first:?} best {:.3} ms, {} bytes, {}", best * 1e3, m.wgsl.len(), m.label);
            }
        }
        time("w2 step (flop/s)", 2.0 * 128.0 * (784.0 * 512.0 * 2.0 + 512.0 * 512.0 * 3.0 + 5120.0 * 3.0), &backend, &pr, &[HostSlice::F32(&xs), HostSlice::U32(&ys), HostSlice::F32(&[1e-3, 1.0])]);
    }
}
