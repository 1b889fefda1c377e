//! What the CPU cannot be better than: bare products, and copies.

use std::hint::black_box;
use std::time::Instant;

use wgrad_cpu_ref::bare_product;

/// The operands of bare products, `[rows, inner, columns]` each.
pub(super) struct Products {
    shapes: Vec<[usize; 3]>,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Products {
    pub(super) fn new(shapes: Vec<[usize; 3]>) -> Self {
        let most = |of: fn(&[usize; 3]) -> usize| shapes.iter().map(of).max().unwrap_or(0);
        let (a, b, c) = (most(|s| s[0] * s[1]), most(|s| s[1] * s[2]), most(|s| s[0] * s[2]));
        Self { a: vec![0.5; a], b: vec![0.25; b], c: vec![0.0; c], shapes }
    }

    /// Multiplications and additions of one round.
    pub(super) fn flops(&self) -> f64 {
        self.shapes.iter().map(|&[m, k, n]| 2.0 * m as f64 * k as f64 * n as f64).sum()
    }

    /// Computes all of them once, on all threads.
    pub(super) fn run(&mut self) {
        for &[m, k, n] in &self.shapes {
            bare_product([m, k, n], &self.a, &self.b, &mut self.c);
        }
        black_box(&mut self.c);
    }
}

/// Seconds per run of something, over about `seconds`; at least one run.
pub(super) fn time(seconds: f64, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut runs = 0_u32;
    loop {
        run();
        runs += 1;
        let passed = start.elapsed().as_secs_f64();
        if passed >= seconds {
            return passed / f64::from(runs);
        }
    }
}

/// Bytes per second that all threads move together, reading and writing counted.
pub(super) fn cpu_bandwidth(seconds: f64) -> f64 {
    use rayon::prelude::*;
    const LEN: usize = 1 << 24;
    let from = vec![1.0_f32; LEN];
    let mut to = vec![0.0_f32; LEN];
    let part = LEN / rayon::current_num_threads();
    let once = time(seconds, || {
        to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&mut to);
    });
    8.0 * LEN as f64 / once
}
