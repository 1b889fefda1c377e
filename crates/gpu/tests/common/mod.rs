//! Runs small programs on the GPU in every mode that the generator has, and compares them with the oracle.

#![expect(unreachable_pub, reason = "a module shared by test binaries")]

use std::sync::OnceLock;

use wgrad_core::plan::Backend;
use wgrad_core::{Builder, Entry, Fetch, GraphError, Program, Tensor, TensorType};
use wgrad_gpu::{GpuBackend, GpuOptions, Selector};

/// The modes: as it ships, with all checks, without subgroups, with the kernel shapes for real GPUs, and, where kernels read through a
/// texture, without that.
pub fn modes() -> &'static [(&'static str, GpuBackend)] {
    static MODES: OnceLock<Vec<(&str, GpuBackend)>> = OnceLock::new();
    MODES.get_or_init(|| {
        let options = [
            ("default", GpuOptions::default()),
            ("checked", GpuOptions { checked: true, ..GpuOptions::default() }),
            ("no subgroups", GpuOptions { no_subgroups: true, ..GpuOptions::default() }),
            ("hardware shapes", GpuOptions { hardware_shapes: true, webgpu_limits: true, ..GpuOptions::default() }),
            ("no texture", GpuOptions { no_texture: true, ..GpuOptions::default() }),
        ];
        let open = |(name, options)| match GpuBackend::open_with(&Selector::default(), options) {
            Ok(backend) => Some((name, backend)),
            Err(error) => {
                assert!(std::env::var_os("WGRAD_REQUIRE_GPU").is_none(), "WGRAD_REQUIRE_GPU is set, but {error}");
                eprintln!("SKIPPED, NO GPU: {error}");
                None
            }
        };
        let mut modes: Vec<_> = options.into_iter().filter_map(open).collect();
        if modes.first().is_some_and(|(_, as_it_ships)| as_it_ships.target().texture_bytes_max == 0) {
            eprintln!("skipped, no texture: this driver reads buffers as fast as textures");
            modes.retain(|(name, _)| *name != "no texture");
        }
        modes
    })
}

/// Numbers in [-2, 2) that look random.
pub fn floats(len: usize, seed: u32) -> Vec<f32> {
    integers(len, seed, 1 << 24).into_iter().map(|v| v as f32 / (1 << 22) as f32 - 2.0).collect()
}

/// Numbers below a bound that look random.
pub fn integers(len: usize, seed: u32, below: u32) -> Vec<u32> {
    (0..u32::try_from(len).expect("small"))
        .map(|i| {
            let mut h = i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(0x9E37_79B9));
            h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
            h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
            (h ^ (h >> 16)) % below
        })
        .collect()
}

/// A program of one entry that fetches what `build` gives.
pub fn program(
    types: &[TensorType],
    build: impl for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Result<Vec<Tensor<'g>>, GraphError>,
) -> Program {
    let builder = Builder::new();
    let fetches: Vec<Fetch> = {
        let feeds: Vec<Tensor<'_>> = types
            .iter()
            .enumerate()
            .map(|(i, ty)| builder.feed(&format!("x{i}"), ty.clone()).expect("a feed"))
            .collect();
        let made = build(&builder, &feeds).expect("a graph");
        made.iter().enumerate().map(|(i, t)| Fetch { name: format!("y{i}"), node: t.id() }).collect()
    };
    let graph = builder.into_graph();
    let feeds = (0..types.len()).map(wgrad_core::FeedId::from_index).collect();
    let entry = Entry { name: "main".to_owned(), feeds, fetches, updates: vec![] };
    Program { graph, entries: vec![entry] }
}
