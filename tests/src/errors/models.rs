//! Errors of layers, models, optimizers and schedules.

use wgrad::nn::{
    Activation, BatchNorm1d, Dropout, Embedding, Fan, Initializer, LayerNorm, Linear, Mlp, Module, Params, Residual,
};
use wgrad::optim::{self, Adam, Clip, Lookahead, Optimization, Optimizer, ParameterGroup, Schedules, Sgd, SparseAdam};
use wgrad::schedule::{Constant, Cosine, ReduceOnPlateau, Schedule};
use wgrad::{Builder, Error, Init, Role, Scalar, TensorType};

use super::{Doing, List};

pub(super) fn add(list: &mut List) -> Result<(), Error> {
    add_layers(list)?;
    add_optimizers(list)
}

fn add_layers(list: &mut List) -> Result<(), Error> {
    let doing = Doing::Models;
    let b = Builder::new();
    let params = Params::new(&b, 0);
    let x = b.feed("x", TensorType::f32([4, 3]))?;
    let at = |name: &str| params.child(name);
    list.add(doing, "A layer of another width", Linear::new(5, 2).forward(&at("a"), x));
    list.add(doing, "A network of one size", Mlp::new(&[3], Activation::Relu).forward(&at("b"), x));
    params.train();
    list.add(doing, "Dropout of everything", Dropout { p: 1.0 }.forward(&at("c"), x));
    let row = b.feed("row", TensorType::f32([1, 3]))?;
    list.add(doing, "Batch normalisation of a batch of one row", BatchNorm1d::new(3).forward(&at("d"), row));
    let norm = LayerNorm { eps: f64::NAN, ..LayerNorm::new(3) };
    list.add(doing, "A normalisation with a number that is none", norm.forward(&at("e"), x));
    list.add(
        doing,
        "An activation with a number out of range",
        Activation::Softplus { beta: 0.0 }.forward(&at("f"), x),
    );
    list.add(doing, "A residual block that changes the shape", Residual(Linear::new(3, 2)).forward(&at("g"), x));
    list.add(doing, "An embedding without rows", Embedding::new(0, 2).forward(&at("h"), x));
    list.add(doing, "An embedding that 32 bits do not count", Embedding::new(usize::MAX, 2).forward(&at("i"), x));
    params.get("weight", [2, 3], &Initializer::Zeros)?;
    list.add(doing, "Two layers with one parameter", params.get("weight", [2, 3], &Initializer::Zeros));
    params.next_pass();
    list.add(doing, "A parameter that changes its shape", params.get("weight", [3, 2], &Initializer::Zeros));
    let reversed = Initializer::Uniform { low: 1.0, high: 0.0 };
    list.add(doing, "A distribution that is none", params.get("u", [2], &reversed));
    let kaiming = Initializer::KaimingUniform { gain: 1.0, fan: Fan::In };
    list.add(doing, "An initial value for matrices given to a vector", params.get("v", [2], &kaiming));
    list.add(doing, "An initial value that f32 does not hold", params.get("w", [2], &Initializer::Constant(1e39)));
    list.add(doing, "An initial value that is NaN", params.get("n", [2], &Initializer::Values([0.0, f32::NAN].into())));
    Ok(())
}

fn add_optimizers(list: &mut List) -> Result<(), Error> {
    let doing = Doing::Optimizers;
    let validate = |optimizer: Optimizer| optimizer.validate();
    let rate = |learning_rate: f64| validate(Sgd { learning_rate, ..Sgd::default() }.into());
    list.add(doing, "A learning rate that is NaN", rate(f64::NAN));
    list.add(doing, "A learning rate below 0", rate(-0.1));
    list.add(doing, "A learning rate that f32 does not hold", rate(1e39));
    list.add(doing, "A learning rate that f32 rounds to 0", rate(1e-50));
    list.add(doing, "A running mean that keeps everything", validate(Adam { beta2: 1.0, ..Adam::default() }.into()));
    list.add(doing, "A number that f32 rounds to 1", validate(Adam { beta2: 1.0 - 1e-9, ..Adam::default() }.into()));
    list.add(
        doing,
        "Numbers that are too large together",
        validate(Adam { learning_rate: 1e38, ..Adam::default() }.into()),
    );
    let clip = Optimization { clip: Some(Clip::Value { max: 0.0 }), ..Sgd::default().into() };
    list.add(doing, "A bound of 0 on gradients", clip.validate());
    let lookahead = Optimization { lookahead: Some(Lookahead { k: 0, alpha: 0.5 }), ..Sgd::default().into() };
    list.add(doing, "A lookahead of no steps", lookahead.validate());
    let sparse = Optimization { clip: Some(Clip::Value { max: 1.0 }), ..SparseAdam::default().into() };
    list.add(doing, "Something that needs whole gradients with an optimizer of rows", sparse.validate());
    list.add(doing, "A schedule of no length", Schedule::from(Cosine::new(0.1, 0)).validate());
    let momentum = Schedules { momentum: Some(Constant { value: 0.5 }.into()), ..Schedules::default() };
    let without = Optimization { schedules: momentum, ..Sgd::default().into() };
    list.add(doing, "A schedule of what the optimizer does not have", without.validate());
    let above = Schedules { momentum: Some(Constant { value: 2.0 }.into()), ..Schedules::default() };
    let above = Optimization { schedules: above, ..Adam::default().into() };
    list.add(doing, "A schedule that leaves the range", above.validate());
    list.add(
        doing,
        "A plateau that raises the rate",
        ReduceOnPlateau { factor: 2.0, ..ReduceOnPlateau::default() }.validate(),
    );

    let b = Builder::new();
    let p = b.variable("p", TensorType::f32([2]), Init::Fill(Scalar::F32(1.0)), Role::Parameter)?;
    let x = b.feed("x", TensorType::f32([2]))?;
    let plain = Optimization::from(Sgd::default());
    list.add(doing, "Training what is no parameter", optim::apply(&b, &plain, &[(x, x)]));
    let b = Builder::new();
    let q = b.variable("p", TensorType::f32([2]), Init::Fill(Scalar::F32(1.0)), Role::Parameter)?;
    let g = b.feed("gradient", TensorType::f32([3]))?;
    list.add(doing, "A gradient of another shape", optim::apply(&b, &plain, &[(q, g)]));
    let b = Builder::new();
    let q = b.variable("layer.weight", p.ty(), Init::Fill(Scalar::F32(1.0)), Role::Parameter)?;
    let groups = vec![ParameterGroup::frozen("layers.*")];
    let misspelt = Optimization { groups, ..Sgd::default().into() };
    list.add(doing, "A group of parameters that do not exist", optim::apply(&b, &misspelt, &[(q, q)]));
    Ok(())
}
