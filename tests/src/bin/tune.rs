//! Measures matrix products on an adapter and writes the table that chooses among them, run by `cargo xtask tune`:
//! `tune --out FILE [--backend gpu|vulkan|metal|dx12|gl] [--adapter TEXT] [--quick]`.

use std::process::ExitCode;

use wgrad_gpu::{Interface, Selector};
use wgrad_tests::bench::{Grid, tune};

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tune: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut out, mut selector, mut grid) = (None, Selector::default(), Grid::full());
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => grid = Grid::quick(),
            "--out" => out = Some(value()?),
            "--backend" => selector.interface = interface(&value()?)?,
            "--adapter" => selector.adapter = Some(value()?),
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    let out = out.ok_or("--out is needed")?;
    let table = tune(&selector, &grid, &mut |line| println!("{line}"))?;
    std::fs::write(&out, table.to_string()).map_err(|error| format!("cannot write {out}: {error}"))?;
    println!("wrote {out}: {} rules; WGRAD_TUNING={out} uses them", table.rules.len());
    Ok(())
}

fn interface(name: &str) -> Result<Interface, String> {
    let all = [Interface::Any, Interface::Vulkan, Interface::Metal, Interface::Dx12, Interface::Gl];
    let found = all.into_iter().find(|interface| interface.name() == name);
    found.ok_or_else(|| format!("unknown backend '{name}'; known are {}", all.map(Interface::name).join(", ")))
}
