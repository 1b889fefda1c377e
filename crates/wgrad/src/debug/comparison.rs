//! What a comparison found, as data.

use wgrad_core::{NodeId, Shape};

use super::history::History;
use super::tally::{Element, Tally};
use super::trace::KernelAt;

/// A backend compared with the oracle on one entry of a program. Printed, it is a report for people.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([3]))?.tanh()?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let comparison = compare(&program, &[HostSlice::F32(&[-1.0, 0.5, 2.0])], device.backend())?;
/// assert_eq!((comparison.entry.as_str(), comparison.runs), ("run", 1));
/// assert!(comparison.divergence.is_none() && comparison.non_finite.is_none() && comparison.notes.is_empty());
/// println!("{comparison}");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The device.
    pub device: String,
    /// The entry.
    pub entry: String,
    /// Runs made: fewer than asked for if one diverged.
    pub runs: usize,
    /// Fetches and updated variables of each run, in one go as a trainer runs them, against the oracle; before the first run the
    /// variables as they started.
    pub results: Vec<ResultRow>,
    /// The program operation by operation, each judged on the operands that the backend gave it. Empty if it was not traced.
    pub operations: Vec<OperationRow>,
    /// Kernels of the plan that a trainer runs, each judged on what it read: values stored, and the worst share among them.
    pub kernels: Option<KernelsRow>,
    /// The first node that is computed wrongly, and why.
    pub divergence: Option<Divergence>,
    /// Where NaN or an infinity in the results comes from, if the program itself makes it.
    pub non_finite: Option<NonFinite>,
    /// What could not be done.
    pub notes: Vec<String>,
}

/// The outcome in a word.
///
/// ```
/// use wgrad::debug::{Verdict, compare};
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([2]))?.log()?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // A program that takes the logarithm of its feed.
/// let verdict = |x: [f32; 2]| compare(&program, &[HostSlice::F32(&x)], device.backend()).map(|c| c.verdict());
/// assert_eq!(verdict([1.0, 2.0])?, Verdict::Agrees);
/// // The device does what it was told; what it was told makes NaN.
/// assert_eq!(verdict([1.0, -2.0])?, Verdict::NotFinite);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything lies within the oracle's bounds.
    Agrees,
    /// Everything lies within the oracle's bounds, but NaN or an infinity is among the results, and the program makes it.
    NotFinite,
    /// The oracle promises nothing about any result, so nothing was compared.
    Unchecked,
    /// Something is computed wrongly.
    Diverges,
}

/// A fetch or variable.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([3]))?.exp()?.sum_all()?;
/// # let fetches = vec![Fetch { name: "total".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let comparison = compare(&program, &[HostSlice::F32(&[0.0, 1.0, 2.0])], device.backend())?;
/// let total = &comparison.results[0];
/// assert_eq!((total.run, total.name.as_str(), total.shape.rank()), (1, "fetch 'total'", 0));
/// // How much of what f32 may be off it is.
/// assert!(total.tally.share() <= 1.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    /// The run, counted from 1; 0 for variables before the first.
    pub run: usize,
    /// `fetch 'loss'`, `variable 'w'`.
    pub name: String,
    /// The node that it is.
    pub node: NodeId,
    /// Its shape.
    pub shape: Shape,
    /// How it compares.
    pub tally: Tally,
}

/// All nodes of one operation.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let x = builder.feed("x", TensorType::f32([3]))?;
/// # let y = x.tanh()?.add(x.tanh()?.tanh()?)?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // tanh(x) + tanh(tanh(x)) has two of them: equal nodes are one.
/// let comparison = compare(&program, &[HostSlice::F32(&[-1.0, 0.5, 2.0])], device.backend())?;
/// let tanh = comparison.operations.iter().find(|row| row.op == "tanh").expect("the program has it");
/// assert_eq!((tanh.nodes, tanh.elements, tanh.wrong), (2, 6, 0));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct OperationRow {
    /// The operation.
    pub op: &'static str,
    /// Nodes of it.
    pub nodes: usize,
    /// Nodes of it that are wrong.
    pub wrong: usize,
    /// Elements of those nodes.
    pub elements: usize,
    /// Elements about which the oracle promises nothing.
    pub unchecked: usize,
    /// The largest share that an element used of its bound; more than 1 is wrong.
    pub share: f64,
    /// The node that it belongs to.
    pub worst: String,
}

/// All kernels of a plan.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([3]))?.exp()?.add(1.0)?.log()?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // log(exp(x) + 1) is three operations, and one kernel that stores three elements.
/// let comparison = compare(&program, &[HostSlice::F32(&[-1.0, 0.5, 2.0])], device.backend())?;
/// let kernels = comparison.kernels.expect("it was traced");
/// assert_eq!((kernels.kernels, kernels.wrong), (1, 0));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KernelsRow {
    /// Kernels whose stores were read.
    pub kernels: usize,
    /// Elements that they stored.
    pub elements: usize,
    /// Elements about which the oracle promises nothing.
    pub unchecked: usize,
    /// Stored nodes that are wrong.
    pub wrong: usize,
    /// The largest share that an element used of its bound.
    pub share: f64,
}

/// Why a result is wrong.
///
/// ```
/// use wgrad::debug::{Cause, compare};
/// # use wgrad::plan::{Backend, BackendError, Plan, PrepareOptions, Session, Target};
/// # use wgrad::{Builder, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
/// # use wgrad_cpu_ref::CpuBackend;
///
/// # #[derive(Debug)]
/// # struct Reversed(CpuBackend);
/// # impl Backend for Reversed {
/// #     fn target(&self) -> &Target { self.0.target() }
/// #     fn prepare(&self, mut plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
/// #         plan.entries.iter_mut().for_each(|entry| entry.dispatches.reverse());
/// #         self.0.prepare(plan, options)
/// #     }
/// # }
/// # let builder = Builder::new();
/// # let x = builder.feed("x", TensorType::f32([4, 4]))?;
/// # let y = x.matmul(x)?.matmul(x)?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// // On a device that runs the two products of x·x·x in the wrong order.
/// let comparison = compare(&program, &[HostSlice::F32(&[0.5; 16])], &Reversed(CpuBackend::new()))?;
/// assert_eq!(comparison.divergence.map(|found| found.cause), Some(Cause::Sequence));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The device does not have the data that it was given.
    Transfer,
    /// The operation is computed wrongly, in a kernel of its own and on the operands that this kernel read.
    Operation,
    /// Every operation is right in a kernel of its own; a kernel that computes several is wrong.
    Fusion,
    /// A kernel is wrong. Whether its operations are right by themselves is not known: see [`Comparison::notes`].
    Kernel,
    /// Every kernel is right, but the program that was planned is not what the simplifier was given.
    Simplification,
    /// Every kernel is right when it runs by itself; run in one go, they give something else.
    Sequence,
    /// The result is wrong; nothing more is known: see [`Comparison::notes`].
    Unknown,
}

/// A node that is computed wrongly.
///
/// ```
/// use wgrad::debug::{Cause, compare};
/// # use wgrad::plan::{Backend, BackendError, Inst, Plan, PrepareOptions, Session, Target};
/// # use wgrad::{Builder, Entry, FeedId, Fetch, HostSlice, Program, TensorType, Unary};
/// # use wgrad_cpu_ref::CpuBackend;
///
/// # #[derive(Debug)]
/// # struct WrongTanh(CpuBackend);
/// # impl Backend for WrongTanh {
/// #     fn target(&self) -> &Target { self.0.target() }
/// #     fn prepare(&self, mut plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
/// #         let kernels = plan.entries.iter_mut().flat_map(|e| &mut e.dispatches).flat_map(|d| &mut d.kernels);
/// #         for inst in kernels.flat_map(|kernel| &mut kernel.body) {
/// #             if let Inst::Unary(op @ Unary::Tanh, _) = inst { *op = Unary::Sin; }
/// #         }
/// #         self.0.prepare(plan, options)
/// #     }
/// # }
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([3]))?.tanh()?.named("hidden").sum_all()?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// // On a device whose tanh is a sine. The sum of it is fetched, and wrong; that is not the sum's fault.
/// let comparison = compare(&program, &[HostSlice::F32(&[-1.0, 0.5, 2.0])], &WrongTanh(CpuBackend::new()))?;
/// let found = comparison.divergence.expect("it is wrong");
/// assert_eq!((found.cause, found.op), (Cause::Operation, "tanh"));
/// assert_eq!(found.text, "%1 'hidden' f32[3] = tanh(%0)");
/// assert_eq!(found.tally.outside, 3);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Why.
    pub cause: Cause,
    /// The node: of the program or, where the cause is a kernel that computes several operations, of the program as
    /// [`simplify`](crate::simplify) makes it.
    pub node: NodeId,
    /// It, its name and its type, its operation and the operands of that.
    pub text: String,
    /// Its operation.
    pub op: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// How it compares.
    pub tally: Tally,
    /// The kernel that computed it, if one did.
    pub kernel: Option<KernelAt>,
    /// Where its worst element comes from.
    pub history: History,
}

/// Where NaN or infinity comes from.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([2]))?.exp()?.named("power").sum_all()?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // The sum of exp(x) is infinite, because exp(100) is beyond f32.
/// let comparison = compare(&program, &[HostSlice::F32(&[1.0, 100.0])], device.backend())?;
/// let found = comparison.non_finite.expect("an infinity is among the results");
/// assert_eq!(found.text, "%1 'power' f32[2] = exp(%0)");
/// assert_eq!((found.element.position, found.element.got), (1, f64::INFINITY));
/// assert!(found.element.value.is_finite(), "the number exists");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NonFinite {
    /// The first node that has one while its operands have none.
    pub node: NodeId,
    /// It, its name and its type, its operation and the operands of that.
    pub text: String,
    /// Its shape.
    pub shape: Shape,
    /// The element, with the oracle's value for it. Where that is finite, the number exists and f32 does not reach it.
    pub element: Element,
    /// Where the element comes from.
    pub history: History,
}

impl Comparison {
    /// The outcome.
    pub fn verdict(&self) -> Verdict {
        let checked = |row: &ResultRow| row.run > 0 && (row.tally.checked() > 0 || row.tally.elements == 0);
        let nothing = self.operations.iter().all(|row| row.unchecked == row.elements);
        if self.divergence.is_some() {
            Verdict::Diverges
        } else if self.non_finite.is_some() {
            Verdict::NotFinite
        } else if nothing && !self.results.iter().any(checked) {
            Verdict::Unchecked
        } else {
            Verdict::Agrees
        }
    }

    /// Whether everything lies within the oracle's bounds and is finite.
    pub fn agrees(&self) -> bool {
        self.verdict() == Verdict::Agrees
    }
}
