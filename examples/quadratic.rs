//! Gradient descent on x² + 2y² from (-3, -3), the first example of many textbooks, written with the engine's own parts: a
//! graph, its gradient, an optimizer, a program of two entries, a plan, a session.

use anyhow::{Context, Result};
use wgrad::optim::{self, Optimization, Sgd};
use wgrad::plan::{PrepareOptions, Session, Source};
use wgrad::{Builder, Device, Entry, EntryId, Fetch, HostSlice, Init, Program, Role, Scalar, TensorType, lower};

const LIMIT: f32 = 0.005;

fn main() -> Result<()> {
    env_logger::init();
    let device = Device::from_env()?;
    println!("device: {}", device.info());
    let iterates = descend(&device)?;
    for (update, [x, y, value]) in iterates.iter().enumerate() {
        println!("{update:>2}: x {x:>10.6}, y {y:>10.6}, value {value:>10.6}");
    }
    println!("below {LIMIT} after {} updates", iterates.len() - 1);
    Ok(())
}

/// Every iterate as x, y and the function's value, the start included.
fn descend(device: &Device) -> Result<Vec<[f32; 3]>> {
    let optimizer = Optimization::from(Sgd { learning_rate: 0.1, ..Sgd::default() });
    let program = program(&optimizer)?;
    let (look, step) = (EntryId::from_index(0), EntryId::from_index(1));
    let plan = lower(&program, device.backend().target())?;
    let mut session = device.backend().prepare(plan, PrepareOptions::default())?;
    let mut iterates = Vec::new();
    loop {
        session.run(look, &[])?;
        let iterate = [fetch(&mut *session, 0)?, fetch(&mut *session, 1)?, fetch(&mut *session, 2)?];
        iterates.push(iterate);
        // A value that is not a number would never fall below the limit.
        if iterate[2] < LIMIT || iterate[2].is_nan() {
            return Ok(iterates);
        }
        session.run(step, &[HostSlice::F32(&optimizer.scalars_f32((iterates.len() as u64).into()))])?;
    }
}

/// The entry `look` fetches x, y and the value; the entry `step` makes one update.
fn program(optimizer: &Optimization) -> Result<Program> {
    let builder = Builder::new();
    let start = Init::Fill(Scalar::F32(-3.0));
    let x = builder.variable("x", TensorType::f32([]), start.clone(), Role::Parameter)?;
    let y = builder.variable("y", TensorType::f32([]), start, Role::Parameter)?;
    let value = (x.square()? + (y.square()? * 2.0)?)?;
    let gradients = builder.grad(value, &[x, y])?;
    let applied = optim::apply(&builder, optimizer, &[(x, gradients[0]), (y, gradients[1])])?;
    let fetches = [("x", x), ("y", y), ("value", value)]
        .map(|(name, node)| Fetch { name: name.to_owned(), node: node.id() })
        .to_vec();
    let entries = vec![
        Entry { name: "look".to_owned(), fetches, ..Entry::default() },
        Entry { name: "step".to_owned(), feeds: applied.feeds, updates: applied.updates, ..Entry::default() },
    ];
    Ok(Program { graph: builder.into_graph(), entries })
}

fn fetch(session: &mut dyn Session, position: usize) -> Result<f32> {
    let values = session.read(Source::Fetch(EntryId::from_index(0), position))?.into_f32().context("a float")?;
    values.first().copied().context("a scalar has one element")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventeen_updates_suffice() {
        let iterates = descend(&Device::from_env().unwrap()).unwrap();
        assert_eq!(iterates.len() - 1, 17);
        assert_eq!(iterates[0], [-3.0, -3.0, 27.0]);
        let last = [-0.067_553_994_410_557_46, -0.000_507_799_783_342_079_6, 0.004_564_057_882_061_552];
        for (found, wanted) in iterates[17].iter().zip(last) {
            assert!((f64::from(*found) - wanted).abs() <= 1e-5 * wanted.abs(), "{found} is not {wanted}");
        }
    }
}
