//! Tables and traces of made-up times, and profiles of real steps.

use serde_json::Value;
use wgrad_core::plan::DispatchTime;

use super::*;
use crate::data::Dataset;
use crate::loss::Loss;
use crate::nn::{Activation, Mlp};
use crate::optim::Adam;
use crate::train::{TrainOptions, Trainer};
use crate::{BackendChoice, Device, DeviceSelector};

fn cpu() -> Device {
    Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).expect("the CPU backend opens")
}

fn data() -> Dataset {
    let features = (0..256).map(|i| (i % 13) as f32 / 13.0).collect();
    Dataset::classes(features, 8, (0..32).map(|row| row % 3).collect(), 3).expect("fits together")
}

fn trainer(device: &Device, data: &Dataset) -> Trainer {
    let options = TrainOptions { batch_rows: 16, ..TrainOptions::new(Loss::cross_entropy(), Adam::default()) };
    Trainer::new(device, &Mlp::new(&[8, 16, 3], Activation::Relu), data, options).expect("prepares")
}

/// A profile of two runs with times that are known.
fn made_up() -> Profile {
    let kernel = |label: &str, flops, bytes| KernelProfile {
        label: label.to_owned(),
        kind: "matmul",
        form: "matmul_small",
        cost: Cost { flops, read_bytes: bytes, written_bytes: bytes },
    };
    let time = |start, seconds| DispatchTime { start, seconds, forms: vec!["matmul_small"] };
    let run = |times: [f64; 2]| RunTimes {
        clock: Clock::Device,
        dispatches: vec![time(0.0, times[0]), time(times[0] + 1e-3, times[1])],
    };
    let dispatch = |position, seconds, kernels| DispatchProfile { position, seconds, kernels };
    Profile {
        device: "made up".to_owned(),
        entry: "train".to_owned(),
        clock: Clock::Device,
        ceilings: Some(Ceilings { flops: 4e9, bandwidth: 1e9 }),
        dispatches: vec![
            dispatch(0, 1e-3, vec![kernel("first", 2_000_000, 50_000)]),
            dispatch(1, 3e-3, vec![kernel("second \"quoted\"", 1000, 500_000), kernel("third", 1000, 250_000)]),
        ],
        step_seconds: 5e-3,
        runs: vec![run([1e-3, 3e-3]), run([2e-3, 4e-3])],
    }
}

#[test]
fn tables_show_the_slowest_dispatch_first() {
    let text = made_up().to_string();
    let lines: Vec<&str> = text.lines().collect();
    let of = |start: &str| {
        let line = lines.iter().find(|line| line.trim_start().starts_with(start)).expect("there is a line");
        line.split_whitespace().collect::<Vec<_>>()
    };
    // 3 of 4 ms; 1.5 MB in 3 ms; at best 1.5 ms.
    assert_eq!(of("1 ")[..8], ["1", "3.0000", "75.0%", "0.002", "1.500", "0.00", "0.50", "50%"], "{text}");
    assert_eq!(of("0 ")[..8], ["0", "1.0000", "25.0%", "2.000", "0.100", "2.00", "0.10", "50%"], "{text}");
    // At best 1.5 ms of the one and 0.5 ms of the other.
    assert_eq!(of("all ")[..8], ["all", "4.0000", "100.0%", "2.002", "1.600", "0.50", "0.40", "50%"], "{text}");
    assert!(of("1 ") > of("0 ") && text.find("  2 side by side") < text.find(": first"), "{text}");
    assert!(text.contains("matmul_small: third") && text.contains("4.0 GFLOP/s and 1.0 GB/s"), "{text}");
    assert!(text.ends_with("from the first to the last: 5.000 ms"), "{text}");
}

#[test]
fn traces_are_json_with_an_event_for_each_dispatch() {
    let profile = made_up();
    let trace: Value = serde_json::from_str(&profile.chrome_trace()).expect("is JSON");
    let events = trace.as_array().expect("is an array");
    let complete: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    let names: Vec<&str> = complete.iter().filter_map(|event| event["name"].as_str()).collect();
    let second = "second \"quoted\" | third";
    assert_eq!(names, ["step 0", "first", second, "step 1", "first", second]);
    for event in &complete {
        for key in ["ts", "dur", "pid", "tid"] {
            assert!(event[key].as_f64().is_some_and(|number| number >= 0.0), "{event}");
        }
    }
    // The second step begins where the first has ended: after 1 ms, a break of 1 ms and 3 ms.
    let at = |event: &Value, key: &str| event[key].as_f64().expect("a number").round();
    assert_eq!([at(complete[3], "ts"), at(complete[3], "dur")], [5000.0, 7000.0]);
    assert_eq!([at(complete[5], "ts"), at(complete[5], "dur")], [8000.0, 4000.0]);
    assert_eq!(complete[1]["args"]["kernels"][0]["flop"], 2_000_000);
    assert_eq!(complete[1]["args"]["roofline"], 0.5);
}

#[test]
fn profiled_steps_are_steps() {
    let (device, data) = (cpu(), data());
    let (mut profiled, mut plain) = (trainer(&device, &data), trainer(&device, &data));
    for _ in 0..2 {
        let batches: Vec<_> = plain.batches(&data).expect("there are some").collect();
        for batch in &batches {
            let profile = profiled.profile(batch, 2).expect("runs");
            assert_eq!(profile.steps(), 2);
            (0..2).for_each(|_| plain.step(batch).expect("runs"));
        }
    }
    assert_eq!(profiled.steps(), plain.steps());
    assert_eq!(profiled.last_loss(), plain.last_loss());
    let names: Vec<String> = plain.variables().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        assert_eq!(profiled.read(&name).expect("is there"), plain.read(&name).expect("is there"), "{name}");
    }
    assert_eq!(profiled.counters().dispatches, plain.counters().dispatches);
}

#[test]
fn a_profile_has_the_costs_of_the_plan() {
    let (device, data) = (cpu(), data());
    let mut trainer = trainer(&device, &data);
    let batch = trainer.batches(&data).expect("there are some").next().expect("there is one");
    let profile = trainer.profile(&batch, 3).expect("runs");
    let entry = trainer.plan().entries.iter().find(|entry| entry.name == profile.entry).expect("is an entry");
    assert_eq!(profile.dispatches.len(), entry.dispatches.len());
    for (row, dispatch) in profile.dispatches.iter().zip(&entry.dispatches) {
        assert_eq!(row.cost(), dispatch.cost());
        assert!(row.kernels.iter().all(|kernel| kernel.form == kernel.kind), "{row:?}");
    }
    // The products of both layers: forward, for the weights, and for the inputs of the second.
    let products = 2 * 16 * (8 * 16 + 16 * 3) * 2 + 2 * 16 * 16 * 3;
    assert!(profile.cost().flops > products && profile.cost().flops < 2 * products, "{profile}");
    assert_eq!(profile.clock, Clock::Host);
    assert!(profile.seconds() > 0.0 && profile.step_seconds >= 0.5 * profile.seconds(), "{profile}");
    assert!(matches!(trainer.profile(&batch, 0), Err(crate::Error::Debug { .. })));
}

#[test]
fn medians_are_in_the_middle() {
    assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    assert_eq!(median([4.0, 1.0].into_iter()), 4.0);
    assert_eq!(median([].into_iter()), 0.0);
}
