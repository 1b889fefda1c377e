//! What may happen to a training from outside: the device goes away, memory runs out, the process is asked to end, and it goes on for
//! very long.

#[cfg(unix)]
mod signals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wgrad::checkpoint::{CheckpointError, Checkpoints};
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, BatchNorm1d, Dropout, Linear, Sequential};
use wgrad::optim::Adam;
use wgrad::plan::{Backend, BackendError, PlanError, PrepareOptions, Source};
use wgrad::train::{Control, EpochReport, Fit, History, Monitor, TrainOptions, Trainer};
use wgrad::{
    BackendChoice, Builder, Device, DeviceKind, DeviceSelector, Entry, Error, Init, Program, Role, Scalar, TensorType,
    VarId, lower, philox4x32,
};
use wgrad_gpu::{GpuBackend, destroy_devices_of_this_thread};
use wgrad_tests::engine::{REQUIRE_GPU, selector};

/// What a child process is to do, in which folder, and on which device.
const TASK: &str = "WGRAD_FAULTS_TASK";
const FOLDER: &str = "WGRAD_FAULTS_FOLDER";

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("wgrad-faults-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// This test binary again, for one task.
fn child(task: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_process", "--nocapture", "--test-threads=1"]);
    command.env(TASK, task).env(FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What child processes do; nothing in the parent.
#[test]
fn child_process() {
    let (Ok(task), Some(folder)) = (std::env::var(TASK), std::env::var_os(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    match task.as_str() {
        #[cfg(unix)]
        "interrupted" => signals::train_until_interrupted(&folder),
        #[cfg(unix)]
        "stubborn" => signals::ignore_one_signal(&folder),
        #[cfg(unix)]
        "afterwards" => signals::go_on_after_a_fit(&folder),
        "exhaust" => exhaust_memory(),
        "grow cpu" => train_for_long(&cpu(), &folder),
        "grow gpu" => train_for_long(&gpu().expect("the parent has one"), &folder),
        other => panic!("there is no task '{other}'"),
    }
}

fn cpu() -> Device {
    Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap()
}

/// The GPU that the environment asks for, if there is one.
fn gpu() -> Option<Device> {
    let mut selector = DeviceSelector::from_env().unwrap();
    match selector.backend {
        BackendChoice::Cpu => return None,
        BackendChoice::Auto => selector.backend = BackendChoice::Gpu,
        BackendChoice::Gpu | BackendChoice::Vulkan | BackendChoice::Metal | BackendChoice::Dx12 | BackendChoice::Gl => {
        }
    }
    let demanded = std::env::var_os(REQUIRE_GPU).is_some_and(|v| v == "1");
    match Device::open(&selector) {
        Ok(device) => Some(device),
        Err(error @ BackendError::NoDevice { .. }) if !demanded => {
            wgrad_tests::say!("SKIPPED: no GPU adapter: {error}");
            None
        }
        Err(error) => panic!("no GPU adapter: {error}"),
    }
}

/// Rows of three numbers with a class. The last batch is shorter than the others.
fn data(rows: u32) -> Dataset {
    let features = (0..rows * 3).map(|i| (philox4x32([i, 0, 0, 0], [5, 0])[0] % 7) as f32 - 3.0).collect();
    let class = |i| philox4x32([i, 1, 0, 0], [5, 0])[0] % 2;
    Dataset::classes(features, 3, (0..rows).map(class).collect(), 2).unwrap()
}

/// With random masks and statistics of batches, which have to go on as they were.
fn trainer(device: &Device, data: &Dataset) -> Trainer {
    trainer_sending(device, data, None)
}

/// The same with so many batches in a submission.
fn trainer_sending(device: &Device, data: &Dataset, runs_per_submission: Option<usize>) -> Trainer {
    let model = Sequential::new()
        .then(Linear::new(3, 6))
        .then(BatchNorm1d::new(6))
        .then(Activation::Tanh)
        .then(Dropout { p: 0.25 })
        .then(Linear::new(6, 2));
    let options = TrainOptions {
        batch_rows: 8,
        seed: 7,
        runs_per_submission,
        ..TrainOptions::new(Loss::cross_entropy(), Adam::default())
    };
    Trainer::new(device, &model, data, options).unwrap()
}

/// Bits of all variables but the data.
fn bits(trainer: &mut Trainer) -> Vec<(String, Vec<u32>)> {
    let names: Vec<String> = trainer.variables().map(|(name, _)| name.to_owned()).collect();
    let kept = names.into_iter().filter(|name| !name.starts_with("data."));
    kept.map(|name| (name.clone(), trainer.read(&name).unwrap().as_slice().words().collect())).collect()
}

/// What of a history does not depend on the clock.
fn timeless(history: &History) -> Vec<EpochReport> {
    history.epochs.iter().map(|report| EpochReport { seconds: 0.0, ..report.clone() }).collect()
}

fn lost(what: &str, result: Result<(), Error>) {
    let lost = matches!(
        result,
        Err(Error::Backend(BackendError::DeviceLost { .. })
            | Error::Checkpoint(CheckpointError::Device(BackendError::DeviceLost { .. })))
    );
    assert!(lost, "{what}: {result:?}");
}

/// A fit whose device goes away in the middle of an epoch fails at the next step, as does everything after it, at once. On a new device
/// it goes on from its last checkpoint and ends as one that nothing happened to.
#[test]
fn a_lost_device_is_an_error_and_training_goes_on_elsewhere() {
    lose_a_device(Some(1), 20);
}

/// The same where batches are collected: it fails at the next step that is sent, in the same epoch.
#[test]
fn a_lost_device_is_noticed_when_batches_are_sent() {
    lose_a_device(Some(4), 24);
    lose_a_device(None, 24);
}

/// Takes the device away after 20 steps of six an epoch; no more than `steps_max` may be made.
fn lose_a_device(runs_per_submission: Option<usize>, steps_max: u64) {
    let Some(device) = gpu() else { return };
    let (data, folder) = (data(43), Scratch::new(&format!("lost{runs_per_submission:?}")));
    let checkpoints = Checkpoints::new(folder.0.join("run"));
    let fit = || Fit::until_epoch(5).validation(&data).keep_best(Monitor::ValidationLoss);
    let mut unharmed = trainer(&device, &data);
    let wanted = unharmed.fit(&data, fit()).unwrap();
    let wanted_bits = bits(&mut unharmed);
    drop(unharmed);

    let mut victim = trainer_sending(&device, &data, runs_per_submission);
    let mut steps = 0;
    let failed = victim.fit(
        &data,
        fit().checkpoints(&checkpoints, Monitor::ValidationLoss).on_step(|trainer| {
            steps = trainer.steps();
            if steps == 20 {
                assert_eq!(destroy_devices_of_this_thread(), 1);
            }
            Ok(Control::Continue)
        }),
    );
    lost("fit", failed.map(drop));
    assert!((20..=steps_max).contains(&steps) && victim.steps() == steps, "steps were made without a device: {steps}");
    let file = folder.0.join("after.safetensors");
    let started = Instant::now();
    for _ in 0..2 {
        lost("an epoch", victim.epoch(&data).map(drop));
        lost("reading", victim.read("0.weight").map(drop));
        lost("the loss", victim.last_loss().map(drop));
        lost("evaluating", victim.evaluate(&data).map(drop));
        lost("predicting", victim.predict(data.features()).map(drop));
        lost("saving", victim.save(&file).map_err(Error::from));
        lost("saving weights", victim.save_weights(&file).map_err(Error::from));
        lost("fitting", victim.fit(&data, fit()).map(drop));
    }
    assert!(!file.exists(), "something was saved of a device that is gone");
    assert!(started.elapsed() < Duration::from_secs(60), "errors take {:?}", started.elapsed());
    drop(victim);

    let fresh = gpu().expect("there was one before");
    let mut resumed = trainer(&fresh, &data);
    resumed.resume(checkpoints.latest().unwrap().unwrap()).unwrap();
    let history = resumed.fit(&data, fit().checkpoints(&checkpoints, Monitor::ValidationLoss)).unwrap();
    assert_eq!((timeless(&history), history.best()), (timeless(&wanted), wanted.best()));
    assert_eq!(bits(&mut resumed), wanted_bits);
}

/// What no buffer of the device can hold is refused before anything is allocated, with the numbers.
#[test]
fn a_model_that_is_too_large_is_an_error() {
    let Some(device) = gpu() else { return };
    let width = 1 << 15;
    let data = Dataset::values(vec![0.0; width], width, vec![0.0], 1).unwrap();
    let model = Sequential::new().then(Linear::new(width, width)).then(Linear::new(width, 1));
    let refused = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, Adam::default()));
    match refused.map(drop) {
        Err(Error::Plan(PlanError::Limit(limit))) => assert!(limit.needed.contains("byte"), "{limit}"),
        other => panic!("{other:?}"),
    }
}

/// A program with one variable of zeros, and no more.
fn variable(len: usize) -> Program {
    let b = Builder::new();
    b.variable("x", TensorType::f32([len]), Init::Fill(Scalar::F32(0.0)), Role::Other).unwrap();
    Program { graph: b.into_graph(), entries: vec![Entry { name: "none".to_owned(), ..Entry::default() }] }
}

/// Takes memory of the device until there is none left, and looks whether what was taken is still of use.
fn exhaust_memory() {
    let backend = GpuBackend::open(&selector().unwrap()).unwrap();
    let prepare = |len| {
        let plan = lower(&variable(len), backend.target()).unwrap();
        backend.prepare(plan, PrepareOptions::default())
    };
    let (mut first, mut taken) = (prepare(5).unwrap(), vec![]);
    let error = loop {
        match prepare(31 << 20) {
            Ok(session) => taken.push(session),
            Err(error) => break error,
        }
        assert!(taken.len() < 256, "31 GiB were given");
    };
    assert!(matches!(error, BackendError::OutOfMemory { .. }), "{error:?}");
    assert!(error.to_string().contains("allocating"), "{error}");
    drop(taken);
    assert_eq!(first.read(Source::Variable(VarId::from_index(0))).unwrap().as_slice().len(), 5);
    prepare(31 << 20).unwrap();
    println!("memory ran out: {error}");
}

/// A limit on the address space stands for the end of the device's memory, where the device is the processor.
#[cfg(target_os = "linux")]
#[test]
fn memory_that_runs_out_is_an_error() {
    let Some(device) = gpu() else { return };
    if device.info().kind != DeviceKind::Software {
        wgrad_tests::say!("SKIPPED: the memory of {} cannot be limited", device.info());
        return;
    }
    let folder = Scratch::new("exhaust");
    let command = child("exhaust", &folder.0);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("ulimit -v 12000000; exec \"$0\" \"$@\"").arg(command.get_program());
    let output = limited.args(command.get_args()).env(TASK, "exhaust").env(FOLDER, &folder.0).output().unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("memory ran out"), "{text}");
}

/// Bytes of this process in memory.
fn resident_bytes() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<u64>().ok()?;
    Some(pages * 4096)
}

const LONG_STEPS: u64 = 10_000;
/// Epochs of 51 steps after which memory is looked at for the first time.
const WARM_EPOCHS: u32 = 1;
/// Reports of epochs, and what allocators keep.
const GROWTH_MAX: u64 = 3 << 20;

fn train_for_long(device: &Device, folder: &Path) {
    let (data, checkpoints) = (data(403), Checkpoints::new(folder.join(device.info().backend.as_str())));
    let mut trainer = trainer(device, &data);
    let mut resident = vec![];
    let before = trainer.counters();
    let fit = Fit::epochs(u32::MAX).validation(&data).on_epoch(|trainer, report| {
        resident.extend(resident_bytes());
        if report.epoch % 10 == 0 {
            checkpoints.save(trainer, Some(report.loss))?;
        }
        Ok(if trainer.steps() < LONG_STEPS { Control::Continue } else { Control::Stop })
    });
    trainer.fit(&data, fit).unwrap();
    assert!(trainer.steps() >= LONG_STEPS);
    let after = trainer.counters();
    assert_eq!((after.allocations, after.allocated_bytes), (before.allocations, before.allocated_bytes));
    let (Some(&warm), Some(&end)) = (resident.get(WARM_EPOCHS as usize), resident.last()) else {
        wgrad_tests::say!("SKIPPED: the system does not say how much memory a process has");
        return;
    };
    println!("resident after {WARM_EPOCHS} epochs {warm}, at the end {end}: growth {}", end as i64 - warm as i64);
    assert!(end < warm + GROWTH_MAX, "memory grew from {warm} to {end}: {resident:?}");
}

/// In a process of its own, because other tests would count, too.
#[test]
fn memory_does_not_grow_with_the_number_of_steps() {
    let folder = Scratch::new("grow");
    let tasks = ["grow cpu"].into_iter().chain(gpu().map(|_| "grow gpu"));
    for task in tasks {
        let output = child(task, &folder.0).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{task}: {out}\n{err}");
        out.lines().filter(|line| line.contains("resident")).for_each(|line| println!("{task}: {line}"));
        err.lines().filter(|line| line.contains("SKIPPED")).for_each(|line| wgrad_tests::say!("{task}: {line}"));
    }
}
