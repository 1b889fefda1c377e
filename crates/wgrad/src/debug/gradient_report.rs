//! What a check of gradients found.

use std::fmt::{self, Display, Formatter};

use wgrad_core::{NodeId, Shape};

pub use super::difference::GradVerdict;
use super::text::{coordinates, number, plural};

/// Gradients of a loss held against differences. Printed, it is a report for people.
///
/// ```
/// use wgrad::debug::gradcheck;
/// # use wgrad::{Builder, Entry, Fetch, Init, Program, Role, TensorType};
///
/// # let builder = Builder::new();
/// # let w = builder.variable("w", TensorType::f32([2]), Init::F32([3.0, 4.0].into()), Role::Parameter)?;
/// # let fetches = vec![Fetch { name: "loss".to_owned(), node: w.square()?.sum_all()?.id() }];
/// # let entry = Entry { name: "loss".to_owned(), feeds: vec![], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// // The sum of w² at [3, 4].
/// let report = gradcheck(&program, &[])?;
/// assert_eq!((report.value, report.rows.len(), report.passes()), (25.0, 1, true));
/// println!("{report}");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GradReport {
    /// The loss as a node.
    pub loss: String,
    /// Its value, in double precision.
    pub value: f64,
    /// A row for each parameter.
    pub rows: Vec<GradRow>,
    /// Operations that stand exactly at a kink: where the derivative is a matter of convention, and differences see another.
    pub kinks: Vec<Kink>,
}

/// The gradient of one parameter.
///
/// ```
/// use wgrad::debug::{GradVerdict, gradcheck};
/// # use wgrad::{Builder, Entry, Fetch, Init, Program, Role, TensorType};
///
/// # let builder = Builder::new();
/// # let w = builder.variable("w", TensorType::f32([2]), Init::F32([3.0, 4.0].into()), Role::Parameter)?;
/// # let fetches = vec![Fetch { name: "loss".to_owned(), node: w.detach()?.square()?.sum_all()?.id() }];
/// # let entry = Entry { name: "loss".to_owned(), feeds: vec![], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// // The sum of w², in which w counts as a constant by mistake.
/// let report = gradcheck(&program, &[])?;
/// let row = &report.rows[0];
/// assert_eq!((row.name.as_str(), row.verdict, row.reached), ("w", GradVerdict::Wrong, false));
/// // Two random directions and both elements.
/// assert_eq!((row.measured, row.wrong), (4, 4));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GradRow {
    /// Its name.
    pub name: String,
    /// The node that reads it.
    pub node: NodeId,
    /// Its shape.
    pub shape: Shape,
    /// The worst that was found.
    pub verdict: GradVerdict,
    /// Whether a gradient reaches it. If not, it counts as 0.
    pub reached: bool,
    /// Derivatives measured: along random directions, and by single elements.
    pub measured: usize,
    /// Those where the loss is not smooth.
    pub not_smooth: usize,
    /// Those that are wrong.
    pub wrong: usize,
    /// Of the worst verdict, the one that deviates most.
    pub worst: Option<Measured>,
}

/// A derivative with what differences make of it.
///
/// ```
/// use wgrad::debug::gradcheck;
/// # use wgrad::{Builder, Entry, Fetch, Init, Program, Role, TensorType};
///
/// # let builder = Builder::new();
/// # let w = builder.variable("w", TensorType::f32([2]), Init::F32([3.0, 4.0].into()), Role::Parameter)?;
/// # let fetches = vec![Fetch { name: "loss".to_owned(), node: w.mul(w.detach()?)?.sum_all()?.id() }];
/// # let entry = Entry { name: "loss".to_owned(), feeds: vec![], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// // The sum of w·w, of which one factor counts as a constant by mistake: half of the derivative is missing.
/// let worst = gradcheck(&program, &[])?.rows[0].worst.expect("derivatives were measured");
/// assert_eq!((worst.element, worst.analytic), (Some(1), 4.0));
/// assert!((worst.numeric - 8.0).abs() < 1e-8 && worst.jump.abs() < 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The element by which it was differentiated; `None` for a random direction.
    pub element: Option<usize>,
    /// What the graph says.
    pub analytic: f64,
    /// What differences say.
    pub numeric: f64,
    /// How far differences of other steps are from that.
    pub uncertainty: f64,
    /// How far the derivatives from both sides differ: not 0 at a kink.
    pub jump: f64,
    /// How they compare.
    pub verdict: GradVerdict,
}

/// An operation at a kink.
///
/// ```
/// use wgrad::debug::gradcheck;
/// # use wgrad::{Builder, Entry, Fetch, Init, Program, Role, TensorType};
///
/// # let builder = Builder::new();
/// # let w = builder.variable("w", TensorType::f32([3]), Init::F32([0.0, 0.0, 1.0].into()), Role::Parameter)?;
/// # let fetches = vec![Fetch { name: "loss".to_owned(), node: w.abs()?.sum_all()?.id() }];
/// # let entry = Entry { name: "loss".to_owned(), feeds: vec![], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// // The sum of |w| at [0, 0, 1].
/// let report = gradcheck(&program, &[])?;
/// assert_eq!(report.kinks.len(), 1);
/// assert!(report.kinks[0].text.contains("abs") && report.kinks[0].elements == 2);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Kink {
    /// The node, with its operation.
    pub text: String,
    /// Elements that stand exactly there.
    pub elements: usize,
}

impl GradReport {
    /// Whether no derivative is wrong. Those where the loss is not smooth do not count as wrong.
    pub fn passes(&self) -> bool {
        self.rows.iter().all(|row| row.verdict != GradVerdict::Wrong)
    }
}

impl Display for GradVerdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Correct => "correct",
            Self::NotSmooth => "not smooth here",
            Self::Wrong => "WRONG",
        })
    }
}

impl Display for GradReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { loss, value, rows, kinks } = self;
        writeln!(f, "gradients of {loss}, which is {}, against differences in double precision:", number(*value))?;
        rows.iter().try_for_each(|row| writeln!(f, "  {row}"))?;
        if !kinks.is_empty() {
            writeln!(f, "exactly at a kink, where derivatives are a matter of convention:")?;
        }
        for Kink { text, elements } in kinks {
            writeln!(f, "  {text}: {elements} element{}", plural(*elements))?;
        }
        Ok(())
    }
}

impl Display for GradRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, node: _, shape, verdict, reached, measured, not_smooth, wrong, worst } = self;
        write!(f, "'{name}' {shape}: {verdict}, {measured} derivatives measured")?;
        if *wrong > 0 {
            write!(f, ", {wrong} wrong")?;
        }
        if *not_smooth > 0 {
            write!(f, ", {not_smooth} where the loss is not smooth")?;
        }
        if !*reached {
            f.write_str("; no gradient reaches it, which counts as 0")?;
        }
        if let Some(Measured { element, analytic, numeric, uncertainty, jump, verdict }) = worst {
            let at = element.map_or_else(|| "a random direction".to_owned(), |at| coordinates(at, shape));
            write!(
                f,
                "; worst at {at}: {}, differences give {} ± {uncertainty:.1e}",
                number(*analytic),
                number(*numeric)
            )?;
            if *verdict == GradVerdict::NotSmooth {
                write!(f, ", the derivatives from both sides are {} apart", number(jump.abs()))?;
            }
        }
        Ok(())
    }
}
