//! Learns the exclusive or, which no linear model can.

use anyhow::Result;
use wgrad::Device;
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{Fit, TrainOptions, Trainer};

const INPUTS: [[f32; 2]; 4] = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
const OUTPUTS: [f32; 4] = [0.0, 1.0, 1.0, 0.0];

fn main() -> Result<()> {
    env_logger::init();
    let device = Device::from_env()?;
    println!("device: {}", device.info());
    for (input, output) in INPUTS.iter().zip(learn(&device)?) {
        println!("{} xor {} = {output:.3}", input[0], input[1]);
    }
    Ok(())
}

/// Trains a 2-8-1 network with tanh and gives its outputs on the four inputs.
fn learn(device: &Device) -> Result<Vec<f32>> {
    let data = Dataset::values(INPUTS.concat(), 2, OUTPUTS.to_vec(), 1)?;
    let model = Mlp::new(&[2, 8, 1], Activation::Tanh);
    let optimizer = Adam { learning_rate: 0.05, ..Adam::default() };
    let options = TrainOptions { batch_rows: 4, eval_rows: 4, ..TrainOptions::new(Loss::Mse, optimizer) };
    let mut trainer = Trainer::new(device, &model, &data, options)?;
    for epoch in trainer.fit(&data, Fit::epochs(300))?.epochs.iter().skip(49).step_by(50) {
        println!("step {:>3}: loss {:.6}", epoch.epoch, epoch.loss);
    }
    Ok(trainer.predict(&INPUTS.concat())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_cases_are_learned() {
        let learned = learn(&Device::from_env().unwrap()).unwrap();
        assert_eq!(learned.len(), 4);
        for (learned, wanted) in learned.iter().zip(OUTPUTS) {
            assert!((learned - wanted).abs() < 0.1, "{learned} is not {wanted}");
        }
    }
}
