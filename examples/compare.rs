//! Asks whether a device computes a model right: trains it for a little, then holds the next step against the oracle, and its
//! gradients against differences. Put your own model in.
//!
//! ```text
//! WGRAD_BACKEND=vulkan cargo run --release --example compare
//! ```

use anyhow::{Result, ensure};
use wgrad::Device;
use wgrad::debug::{Comparison, GradReport, compare_step, gradcheck_step};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{TrainOptions, Trainer};

fn main() -> Result<()> {
    env_logger::init();
    let device = Device::from_env()?;
    println!("device: {}", device.info());
    let (comparison, gradients) = check(&device)?;
    println!("{comparison}\n{gradients}");
    ensure!(comparison.agrees() && gradients.passes(), "see above");
    Ok(())
}

/// One epoch on handwritten digits; then the step after it.
fn check(device: &Device) -> Result<(Comparison, GradReport)> {
    let (train, _) = wgrad_examples::digits()?;
    let model = Mlp::new(&[64, 32, 10], Activation::Tanh);
    let options = TrainOptions { batch_rows: 32, ..TrainOptions::new(Loss::cross_entropy(), Adam::default()) };
    let mut trainer = Trainer::new(device, &model, &train, options)?;
    trainer.epoch(&train)?;
    let batch = trainer.batches(&train)?.next().expect("there are digits");
    Ok((compare_step(&mut trainer, &batch, device)?, gradcheck_step(&mut trainer, &batch)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_computes_the_model_right() {
        let (comparison, gradients) = check(&Device::from_env().unwrap()).unwrap();
        assert!(comparison.agrees(), "{comparison}");
        assert!(gradients.passes(), "{gradients}");
    }
}
