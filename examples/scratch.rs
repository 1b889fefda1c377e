//! scratch
use std::time::Instant;
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{TrainOptions, Trainer};
use wgrad::Device;
fn main() {
    let sizes: Vec<usize> = std::env::args().nth(1).unwrap().split(',').map(|s| s.parse().unwrap()).collect();
    let batch: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let t0 = Instant::now();
    let device = Device::from_env().unwrap();
    println!("{}", device.info());
    let d = sizes[0];
    let classes = *sizes.last().unwrap() as u32;
    let x: Vec<f32> = (0..batch * d).map(|i| ((i as u32).wrapping_mul(2654435761) >> 8) as f32 / 8388608.0 - 1.0).collect();
    let y: Vec<u32> = (0..batch as u32).map(|i| i.wrapping_mul(2654435761) >> 8).map(|v| v % classes).collect();
    let data = Dataset::classes(x, d, y, classes).unwrap();
    let options = TrainOptions { batch_rows: batch, eval_rows: batch, ..TrainOptions::new(Loss::CrossEntropy, Adam::default()) };
    let mut t = Trainer::new(&device, &Mlp::new(&sizes, Activation::Relu), &data, options).unwrap();
    println!("prepared {:?}", t0.elapsed());
    let b = t.batches(&data).next().unwrap();
    t.step(&b).unwrap();
    t.last_loss().unwrap();
    println!("first step {:?}", t0.elapsed());
    if std::env::args().nth(3).is_some() { println!("{}", t.plan()); }
    for _ in 0..5 {
        let s = Instant::now();
        let mut n = 0;
        while s.elapsed().as_secs_f64() < 0.5 { t.step(&b).unwrap(); n += 1; if n % 20 == 0 { t.last_loss().unwrap(); } }
        let l = t.last_loss().unwrap();
        println!("{:.3} ms/step loss {l}", s.elapsed().as_secs_f64() * 1e3 / n as f64);
    }
}
