//! Processes that end in the middle of saving, and disks that are full.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wgrad::checkpoint::{Checkpoint, Checkpoints};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Linear, Sequential};
use wgrad::optim::Adam;
use wgrad::train::{TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};
use wgrad_core::philox4x32;

use crate::{FOLDER, Scratch, TASK, child, data};

fn killed_trainer() -> Trainer {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let model = Sequential::new().then(Linear::new(3, 4096)).then(Activation::Relu).then(Linear::new(4096, 2));
    let options = TrainOptions { batch_rows: 23, ..TrainOptions::new(Loss::cross_entropy(), Adam::default()) };
    Trainer::new(&device, &model, &data(), options).unwrap()
}

fn rotation(folder: &Path) -> Checkpoints {
    Checkpoints { keep_last: 2, ..Checkpoints::new(folder.join("run")) }
}

/// Goes on from the last checkpoint and saves after every step until it is killed.
pub(crate) fn save_forever(folder: &Path) {
    let mut trainer = killed_trainer();
    let (fixed, checkpoints, data) = (folder.join("fixed.safetensors"), rotation(folder), data());
    if fixed.exists() {
        trainer.resume(&fixed).unwrap();
    }
    fs::write(folder.join("started"), "").unwrap();
    loop {
        trainer.epoch(&data).unwrap();
        trainer.save(&fixed).unwrap();
        let metric = 1.0 / trainer.steps() as f64;
        checkpoints.save(&mut trainer, Some(metric)).unwrap();
    }
}

/// A child process that is killed at the latest when the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whatever the moment, there is a whole file, and it is never older than the one before.
#[test]
fn a_kill_leaves_the_old_file_or_the_new_one() {
    const KILLS: u32 = 100;
    let folder = Scratch::new("kill");
    let (fixed, started) = (folder.0.join("fixed.safetensors"), folder.0.join("started"));
    let checkpoints = rotation(&folder.0);
    let (mut step, mut rotated, mut leftovers, mut bests) = (0, 0, 0, 0);
    for kill in 0..KILLS {
        let _ = fs::remove_file(&started);
        let mut child = Killed(child("save", &folder.0).spawn().unwrap());
        let since = Instant::now();
        while !started.exists() {
            assert!(since.elapsed() < Duration::from_secs(60), "the child does not start");
            assert!(child.0.try_wait().unwrap().is_none(), "kill {kill}: the child ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros((philox4x32([kill, 0, 0, 0], [9, 9])[0] % 25_000).into()));
        drop(child);
        if fixed.exists() {
            let present = Checkpoint::open(&fixed).unwrap_or_else(|e| panic!("kill {kill}: {e}")).step();
            assert!(present >= step, "kill {kill}: step {present} after step {step}");
            step = present;
        }
        if let Some(latest) = checkpoints.latest().unwrap() {
            let present = Checkpoint::open(latest).unwrap().step();
            assert!(present >= rotated, "kill {kill}: step {present} after step {rotated}");
            rotated = present;
        }
        if let Some(best) = checkpoints.best().unwrap() {
            bests += 1;
            Checkpoint::open(best).unwrap();
        }
        let names =
            |folder: &Path| fs::read_dir(folder).map(|e| e.map(|e| e.unwrap().path()).collect()).unwrap_or(vec![]);
        for path in [names(&folder.0), names(&checkpoints.folder)].concat() {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("safetensors") => drop(Checkpoint::open(&path).unwrap()),
                Some("tmp") => leftovers += 1,
                _ => {}
            }
        }
    }
    assert!(rotated > 20 && leftovers > 0 && bests > 0, "{rotated} steps, {leftovers} leftovers: no kill met a save");

    // The next save cleans up.
    let mut trainer = killed_trainer();
    trainer.resume(&fixed).unwrap();
    trainer.epoch(&data()).unwrap();
    checkpoints.save(&mut trainer, None).unwrap();
    let left = fs::read_dir(&checkpoints.folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = left.filter(|name| name.ends_with(".tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Tries to replace a checkpoint where there is no space for it. Whether that was refused with a message and nothing was left.
pub(crate) fn save_on_full_disk(folder: &Path) -> bool {
    let path = folder.join("full.safetensors");
    let mut trainer = killed_trainer();
    trainer.resume(&path).unwrap();
    trainer.epoch(&data()).unwrap();
    let Err(error) = trainer.save(&path) else { return false };
    assert!(error.to_string().contains("cannot write it"), "{error}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    true
}

/// A limit on the size of files stands for the end of a disk. Where the signal for it is ignored, writing fails as on a full disk;
/// where it is not, it ends the process in the middle of a save.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = Scratch::new("full");
    let path = folder.0.join("full.safetensors");
    let mut trainer = killed_trainer();
    trainer.epoch(&data()).unwrap();
    trainer.save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(before.len() > 200_000, "{} bytes fit under the limit", before.len());
    for (trap, wanted) in [("trap '' XFSZ; ", true), ("", false)] {
        let command = child("fill", &folder.0);
        let mut limited = Command::new("sh");
        limited.arg("-c").arg(format!("{trap}ulimit -f 64; exec \"$0\" \"$@\"")).arg(command.get_program());
        limited.args(command.get_args()).env(TASK, "fill").env(FOLDER, &folder.0);
        let output = limited.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let text = [&output.stdout[..], &output.stderr].concat();
        assert_eq!(output.status.success(), wanted, "{}", String::from_utf8_lossy(&text));
        assert!(fs::read(&path).unwrap() == before, "the old file was touched");
    }
}

/// A file system in memory of a few bytes, for as long as this lives.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// None where this process may not mount, which it says.
    fn new(at: &'a Path, bytes: usize) -> Option<Self> {
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            other => {
                wgrad_tests::say!("SKIPPED a_small_file_system_keeps_the_old_file: cannot mount a tmpfs: {other:?}");
                None
            }
        }
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

/// A disk with room for one checkpoint and a half.
#[test]
fn a_small_file_system_keeps_the_old_file() {
    let folder = Scratch::new("small");
    let mut trainer = killed_trainer();
    let elsewhere = folder.0.join("elsewhere.safetensors");
    trainer.save(&elsewhere).unwrap();
    let bytes = fs::read(&elsewhere).unwrap().len();
    let disk = folder.0.join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(_mounted) = Mounted::new(&disk, bytes + bytes / 2) else { return };
    let path = disk.join("small.safetensors");
    trainer.save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    trainer.epoch(&data()).unwrap();
    let full = trainer.save(&path).unwrap_err().to_string();
    assert!(full.contains("small.safetensors") && full.contains("space"), "{full}");
    assert!(fs::read(&path).unwrap() == before, "the old file was touched");
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 1, "something is left of the new one");
    assert_eq!(Checkpoint::open(&path).unwrap().step(), 0);
    // The trainer goes on, and saves where there is room.
    trainer.save(&elsewhere).unwrap();
    assert_eq!(Checkpoint::open(&elsewhere).unwrap().step(), trainer.steps());
}
