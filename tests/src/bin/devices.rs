//! Lists the adapters that the GPU backend can open, one line each, starting with the interface; run by `cargo xtask test`.

use wgrad_gpu::DeviceInfo;

fn main() {
    for DeviceInfo { name, interface, kind, driver } in wgrad_gpu::devices() {
        println!("{interface}: {name}, {kind}, {driver}");
    }
}
