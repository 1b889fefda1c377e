//! Measures.
use std::time::Instant;
use wgrad_core::plan::*;
use wgrad_core::*;
use wgrad_gpu::*;

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
    for _ in 0..15 {
        let t = Instant::now();
        for _ in 0..reps { s.run(e, feeds).unwrap(); }
        let _ = s.read(Source::Fetch(e, 0)).unwrap();
        best = best.min(t.elapsed().as_secs_f64() / reps as f64);
    }
    println!("{name}: prepare {prep:?} first {first:?} best {:.3} ms  {:.2} G/s", best * 1e3, work / best / 1e9);
}
fn var<'g>(b: &'g Builder, n: &str, shape: &[usize]) -> Tensor<'g> {
    b.variable(n, TensorType::f32(shape.to_vec()), Init::Uniform { low: -1.0, high: 1.0, seed: 1, stream: 1 }, Role::Other).unwrap()
}
fn main() {
    let which: Vec<String> = std::env::args().skip(1).collect();
    let on = |n: &str| which.is_empty() || which.iter().any(|w| n.starts_with(w));
    let options = GpuOptions { no_subgroups: std::env::var_os("NOSG").is_some(), hardware_shapes: std::env::var_os("HW").is_some(), ..Default::default() };
    let backend = GpuBackend::open_with(&Selector::default(), options).unwrap();
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
}
