//! Running one program on the oracle and on backends, with the same data.

use std::rc::Rc;

use wgrad::{BackendChoice, DeviceSelector};
use wgrad_core::plan::{Backend, BackendError, Plan, PrepareOptions, Session, Source};
use wgrad_core::{EntryId, HostVec, LowerOptions, Program, lower_with};
use wgrad_cpu_ref::{CpuBackend, Oracle, OracleFeed};
use wgrad_gpu::{Capabilities, DeviceInfo, GpuBackend, GpuOptions, Interface, Selector};

/// The data of one feed, floats in double precision.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Floats.
    Float(Vec<f64>),
    /// Integers.
    Int(Vec<u32>),
}

impl Data {
    /// As a backend takes it: floats rounded to single precision.
    pub fn to_host(&self) -> HostVec {
        match self {
            Self::Float(v) => HostVec::F32(v.iter().map(|&x| x as f32).collect()),
            Self::Int(v) => HostVec::U32(v.clone()),
        }
    }

    /// As the oracle takes it.
    pub fn oracle(&self) -> OracleFeed<'_> {
        match self {
            Self::Float(v) => OracleFeed::F64(v),
            Self::Int(v) => OracleFeed::U32(v),
        }
    }

    /// The same with floats rounded to single precision.
    pub fn rounded(&self) -> Self {
        match self {
            Self::Float(v) => Self::Float(round(v)),
            Self::Int(v) => Self::Int(v.clone()),
        }
    }
}

/// Whether a difference is within a bound. One that is not a number is not.
pub fn within(difference: f64, bound: f64) -> bool {
    difference <= bound
}

/// Numbers rounded to single precision.
pub fn round(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x as f32)).collect()
}

/// A backend's result in double precision, integers included.
pub fn widen(values: HostVec) -> Vec<f64> {
    match values {
        HostVec::F32(v) => v.into_iter().map(f64::from).collect(),
        HostVec::U32(v) => v.into_iter().map(f64::from).collect(),
    }
}

/// The fetches of a program's first entry, computed by the oracle.
///
/// # Errors
/// What the oracle says.
pub fn run_oracle(program: &Program, feeds: &[Data]) -> Result<Vec<Vec<f64>>, String> {
    let entry = EntryId::from_index(0);
    let mut oracle = Oracle::new(program).map_err(|e| e.to_string())?;
    let feeds: Vec<_> = feeds.iter().map(Data::oracle).collect();
    oracle.run(entry, &feeds).map_err(|e| e.to_string())?;
    Ok((0..program.entries[0].fetches.len()).map(|i| oracle.fetch(entry, i).to_vec()).collect())
}

/// Runs an entry and reads all its fetches.
///
/// # Errors
/// What the backend says.
pub fn run_session(session: &mut dyn Session, entry: EntryId, feeds: &[Data]) -> Result<Vec<Vec<f64>>, String> {
    let feeds: Vec<_> = feeds.iter().map(Data::to_host).collect();
    let slices: Vec<_> = feeds.iter().map(HostVec::as_slice).collect();
    session.run(entry, &slices).map_err(|e| e.to_string())?;
    let fetches = session.plan().entries[entry.index()].fetches.len();
    (0..fetches).map(|i| session.read(Source::Fetch(entry, i)).map(widen).map_err(|e| e.to_string())).collect()
}

/// A way to run programs that is under test: a backend, and how plans are made for it.
#[derive(Debug, Clone)]
pub struct Engine {
    /// See [`engines`].
    pub name: &'static str,
    /// The backend.
    pub backend: Rc<dyn Backend>,
    /// How programs are lowered for it.
    pub lowering: LowerOptions,
    /// What code for it depends on, if it is a GPU.
    pub capabilities: Option<Capabilities>,
    /// Its adapter, if it is a GPU.
    pub device: Option<DeviceInfo>,
    /// Optional features that the adapter offers.
    pub features: Vec<String>,
    /// Whether every access and every loop is guarded.
    pub guarded: bool,
}

impl Engine {
    /// A backend that is no GPU, used as it is by default.
    pub fn new(name: &'static str, backend: impl Backend + 'static) -> Self {
        Self {
            name,
            backend: Rc::new(backend),
            lowering: LowerOptions::default(),
            capabilities: None,
            device: None,
            features: vec![],
            guarded: false,
        }
    }

    /// A GPU, opened in a given way.
    pub fn gpu(name: &'static str, backend: GpuBackend, options: GpuOptions) -> Self {
        Self {
            capabilities: Some(backend.capabilities().clone()),
            device: Some(backend.info().clone()),
            features: backend.features().to_vec(),
            guarded: options.checked,
            ..Self::new(name, backend)
        }
    }

    /// The same with every node of a program in a kernel of its own.
    fn unfused(&self, name: &'static str) -> Self {
        Self { name, lowering: LowerOptions { optimize: false }, ..self.clone() }
    }

    /// The plan of a program.
    ///
    /// # Errors
    /// What the planner says.
    pub fn plan(&self, program: &Program) -> Result<Plan, String> {
        lower_with(program, self.backend.target(), self.lowering).map_err(|e| e.to_string())
    }

    /// A program made ready, transient memory poisoned before every run.
    ///
    /// # Errors
    /// What the planner or the backend says.
    pub fn prepare(&self, program: &Program) -> Result<Box<dyn Session>, String> {
        self.prepare_plan(self.plan(program)?)
    }

    /// A plan made ready, transient memory poisoned before every run.
    ///
    /// # Errors
    /// What the backend says.
    pub fn prepare_plan(&self, plan: Plan) -> Result<Box<dyn Session>, String> {
        let options = PrepareOptions { poison: true, ..PrepareOptions::default() };
        self.backend.prepare(plan, options).map_err(|e| e.to_string())
    }

    /// The fetches of a program's first entry.
    ///
    /// # Errors
    /// What the planner or the backend says.
    pub fn run(&self, program: &Program, feeds: &[Data]) -> Result<Vec<Vec<f64>>, String> {
        run_session(self.prepare(program)?.as_mut(), EntryId::from_index(0), feeds)
    }
}

/// Whether tests run on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gpu {
    /// If an adapter is found. If not, a note says so, unless `WGRAD_REQUIRE_GPU=1` demands one.
    #[default]
    Auto,
    /// No.
    Off,
    /// Yes: without an adapter this is an error.
    Required,
}

impl Gpu {
    /// Its name, as commands take it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Required => "required",
        }
    }
}

/// The CPU backend; a GPU where one is wanted and found; and notes about what is left out. Each in several ways:
///
/// ```text
/// cpu          as it is used
/// cpu-unfused  every node in a kernel of its own
/// gpu          as it is used
/// gpu-unfused  every node in a kernel of its own
/// gpu-browser  no optional feature, and the limits that every WebGPU implementation has
/// gpu-guarded  the kernel shapes for real hardware even on a software driver, every access and every loop guarded
/// ```
///
/// # Errors
/// If a GPU is demanded, by the argument or by `WGRAD_REQUIRE_GPU=1`, and there is none, or if it cannot be opened.
pub fn engines(gpu: Gpu) -> Result<(Vec<Engine>, Vec<String>), String> {
    let cpu = Engine::new("cpu", CpuBackend::new());
    let mut engines = vec![cpu.clone(), cpu.unfused("cpu-unfused")];
    if gpu == Gpu::Off {
        return Ok((engines, vec!["SKIPPED: no GPU was wanted".to_owned()]));
    }
    let demanded = gpu == Gpu::Required || std::env::var_os(REQUIRE_GPU).is_some_and(|v| v == "1");
    let opened = selector().and_then(|selector| {
        let open = |name, options| match GpuBackend::open_with(&selector, options) {
            Ok(backend) => Ok(Engine::gpu(name, backend, options)),
            Err(error @ BackendError::NoDevice { .. }) => Err(error.to_string()),
            // A device that is there and does not open is a failure, not a reason to skip.
            Err(error) => Err(format!("{BROKEN}{error}")),
        };
        let gpu = open("gpu", GpuOptions::default())?;
        let unfused = gpu.unfused("gpu-unfused");
        Ok([gpu, unfused, open("gpu-browser", BROWSER)?, open("gpu-guarded", GUARDED)?])
    });
    match opened {
        Ok(opened) => {
            engines.extend(opened);
            Ok((engines, vec![]))
        }
        Err(reason) if demanded || reason.starts_with(BROKEN) => Err(format!("no GPU adapter: {reason}")),
        Err(reason) => Ok((engines, vec![format!("SKIPPED: no GPU adapter: {reason}")])),
    }
}

/// [`engines`] for a test: prints the notes, and fails where a GPU is demanded that is not there.
///
/// # Panics
/// If a GPU is demanded and there is none, or if it cannot be opened.
pub fn all_engines() -> Vec<Engine> {
    let (engines, notes) = engines(Gpu::Auto).unwrap_or_else(|message| panic!("{message}"));
    for note in notes {
        println!("{note}");
    }
    engines
}

/// Each kind of device once, as it is used.
///
/// # Panics
/// As [`all_engines`].
pub fn main_engines() -> Vec<Engine> {
    all_engines().into_iter().filter(|engine| !engine.name.contains('-')).collect()
}

/// Set to 1, it makes every test fail that finds no GPU.
pub const REQUIRE_GPU: &str = "WGRAD_REQUIRE_GPU";

const BROKEN: &str = "it cannot be opened: ";

const BROWSER: GpuOptions = GpuOptions {
    no_subgroups: true,
    webgpu_limits: true,
    no_timestamps: true,
    no_cache: true,
    checked: false,
    hardware_shapes: false,
    no_texture: true,
    compiling_devices: None,
    rewrite: None,
};

const GUARDED: GpuOptions = GpuOptions {
    checked: true,
    hardware_shapes: true,
    no_subgroups: false,
    webgpu_limits: false,
    no_timestamps: true,
    no_cache: true,
    no_texture: false,
    compiling_devices: None,
    rewrite: None,
};

/// The adapter that the environment asks for, a software driver being as good as any.
///
/// # Errors
/// If the environment is not understood, or asks for the CPU.
pub fn selector() -> Result<Selector, String> {
    let DeviceSelector { backend, adapter } = DeviceSelector::from_env().map_err(|e| e.to_string())?;
    let interface = match backend {
        BackendChoice::Auto | BackendChoice::Gpu => Interface::Any,
        BackendChoice::Vulkan => Interface::Vulkan,
        BackendChoice::Metal => Interface::Metal,
        BackendChoice::Dx12 => Interface::Dx12,
        BackendChoice::Gl => Interface::Gl,
        BackendChoice::Cpu => return Err("WGRAD_BACKEND asks for the CPU backend".to_owned()),
    };
    Ok(Selector { interface, adapter })
}
