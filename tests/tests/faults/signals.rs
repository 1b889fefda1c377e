//! Processes that are asked to end, and processes that are asked twice.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wgrad::checkpoint::Checkpoints;
use wgrad::data::Dataset;
use wgrad::train::{Control, Fit, Monitor, Stopped};

use crate::{Scratch, bits, child, cpu, data, timeless, trainer};

const INTERRUPTED_EPOCHS: u32 = 30;

fn interrupted_fit<'a>(data: &'a Dataset, checkpoints: &Checkpoints) -> Fit<'a> {
    Fit::until_epoch(INTERRUPTED_EPOCHS)
        .validation(data)
        .keep_best(Monitor::ValidationLoss)
        .checkpoints(checkpoints, Monitor::ValidationLoss)
}

fn run_folder(folder: &Path) -> Checkpoints {
    Checkpoints::new(folder.join("run"))
}

/// Trains slowly, and says when it is under way.
pub(crate) fn train_until_interrupted(folder: &Path) {
    let data = data(43);
    let mut trainer = trainer(&cpu(), &data);
    let fit = interrupted_fit(&data, &run_folder(folder)).stop_on_signals().on_step(|trainer| {
        if trainer.steps() == 20 {
            fs::write(folder.join("started"), "").unwrap();
        }
        std::thread::sleep(Duration::from_millis(if trainer.steps() < 20 { 0 } else { 20 }));
        Ok(Control::Continue)
    });
    let history = trainer.fit(&data, fit).unwrap();
    assert_eq!(history.stopped, Some(Stopped::Interrupted));
    println!("ended after step {}", trainer.steps());
}

/// Is busy with something that no signal ends.
pub(crate) fn ignore_one_signal(folder: &Path) {
    let data = data(43);
    let mut trainer = trainer(&cpu(), &data);
    let fit = Fit::epochs(5).stop_on_signals().on_step(|_| {
        fs::write(folder.join("started"), "").unwrap();
        std::thread::sleep(Duration::from_secs(120));
        Ok(Control::Continue)
    });
    let _ = trainer.fit(&data, fit);
    panic!("two signals did not end the process");
}

/// Does something else after a fit that listened to signals.
pub(crate) fn go_on_after_a_fit(folder: &Path) {
    let data = data(43);
    let history = trainer(&cpu(), &data).fit(&data, Fit::epochs(1).stop_on_signals()).unwrap();
    assert_eq!(history.stopped, None);
    fs::write(folder.join("started"), "").unwrap();
    std::thread::sleep(Duration::from_secs(120));
    panic!("a signal did not end the process");
}

fn start(task: &str, folder: &Path) -> Child {
    let mut child = child(task, folder).spawn().unwrap();
    let since = Instant::now();
    while !folder.join("started").exists() {
        assert!(since.elapsed() < Duration::from_secs(60), "the child does not start");
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status().unwrap();
    assert!(sent.success(), "kill {signal}");
}

/// The process ends by itself, its last step saved, and what goes on from there ends as if nothing had been.
#[test]
fn an_interrupted_fit_saves_and_goes_on_to_the_same_end() {
    let data = data(43);
    let unharmed = Scratch::new("uninterrupted");
    let mut whole = trainer(&cpu(), &data);
    let wanted = whole.fit(&data, interrupted_fit(&data, &run_folder(&unharmed.0))).unwrap();
    let wanted_bits = bits(&mut whole);
    for signal in ["-TERM", "-INT"] {
        let folder = Scratch::new(&format!("signal{signal}"));
        let child = start("interrupted", &folder.0);
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{signal}: {:?}\n{out}\n{err}", output.status);
        let checkpoints = run_folder(&folder.0);
        let latest = checkpoints.latest().unwrap().unwrap();
        let line = err.lines().find(|line| line.contains("interrupted after step")).unwrap_or_default();
        assert!(line.contains(&*latest.to_string_lossy()), "{signal}: {err}");
        let mut resumed = trainer(&cpu(), &data);
        let report = resumed.resume(latest).unwrap();
        assert!(out.contains(&format!("ended after step {}\n", report.step)), "{out}");
        assert!(report.step < u64::from(INTERRUPTED_EPOCHS) * 6, "the signal came too late");
        let history = resumed.fit(&data, interrupted_fit(&data, &checkpoints)).unwrap();
        assert_eq!(timeless(&history), timeless(&wanted), "{signal}");
        assert_eq!((history.best(), history.stopped), (wanted.best(), wanted.stopped), "{signal}");
        assert_eq!(bits(&mut resumed), wanted_bits, "{signal}");
    }
}

/// The number of the signal that ends a child, which is sent so many times.
fn ended_by(mut child: Child, times: usize) -> Option<i32> {
    let since = Instant::now();
    for _ in 0..times {
        send("-INT", &child);
        // Two that come at once are one.
        std::thread::sleep(Duration::from_millis(200));
    }
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.signal();
        }
        if since.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it goes on");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_second_signal_ends_the_process() {
    let folder = Scratch::new("stubborn");
    assert_eq!(ended_by(start("stubborn", &folder.0), 2), Some(2));
}

/// Outside of fits nothing is different from what it was.
#[test]
fn after_a_fit_one_signal_ends_the_process() {
    let folder = Scratch::new("afterwards");
    assert_eq!(ended_by(start("afterwards", &folder.0), 1), Some(2));
}
