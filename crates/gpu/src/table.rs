//! Which form and tile a matrix product takes: a table of rules by adapter, layout and sizes, as plain data.
//!
//! The first rule that holds, and whose choice the product allows, decides. Nothing is measured or guessed while programs run: the
//! built-in table is below, and `cargo xtask tune` measures another one on a given adapter, as text (`table_text.rs`).

use wgrad_core::plan::MatMul;

use crate::adapter::DeviceKind;
use crate::choice::{Choice, ProductForm};
use crate::module::Capabilities;

/// What kernels are written for.
///
/// ```
/// use wgrad_gpu::{AdapterClass, DeviceKind};
///
/// assert_eq!(AdapterClass::from(DeviceKind::Virtual), AdapterClass::Other);
/// assert!(AdapterClass::Discrete.is_hardware() && !AdapterClass::Software.is_hardware());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdapterClass {
    /// A processor in disguise: workgroups are costly, workgroup memory and barriers more so.
    Software,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU of its own.
    Discrete,
    /// A GPU that does not say, or a share of one.
    Other,
}

impl AdapterClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Software, Self::Integrated, Self::Discrete, Self::Other];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Integrated => "integrated",
            Self::Discrete => "discrete",
            Self::Other => "other",
        }
    }

    /// Whether it is a real GPU.
    pub const fn is_hardware(self) -> bool {
        match self {
            Self::Software => false,
            Self::Integrated | Self::Discrete | Self::Other => true,
        }
    }
}

impl From<DeviceKind> for AdapterClass {
    fn from(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Software => Self::Software,
            DeviceKind::Integrated => Self::Integrated,
            DeviceKind::Discrete => Self::Discrete,
            DeviceKind::Virtual | DeviceKind::Other => Self::Other,
        }
    }
}

/// The classes that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classes {
    /// All: `*`.
    All,
    /// Real GPUs: `hardware`.
    Hardware,
    /// One class.
    One(AdapterClass),
}

impl Classes {
    const fn include(self, class: AdapterClass) -> bool {
        match self {
            Self::All => true,
            Self::Hardware => class.is_hardware(),
            Self::One(one) => one as u8 == class as u8,
        }
    }
}

/// For both operands, whether the rule is for those stored transposed, for the others, or for all: `NT`, `*N`, `**`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layouts(pub [Option<bool>; 2]);

impl Layouts {
    fn include(self, matmul: &MatMul) -> bool {
        let stored = [matmul.a.transposed, matmul.b.transposed];
        self.0.iter().zip(stored).all(|(wanted, transposed)| wanted.is_none_or(|wanted| wanted == transposed))
    }
}

/// What a rule asks of a product, in the order of a rule's ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Rows of the result.
    M,
    /// Columns of the result.
    N,
    /// Terms of a sum.
    K,
    /// Products side by side.
    Batch,
    /// Results of one of them, `m · n`.
    Results,
    /// Multiplications, `batch · m · n · k`.
    Work,
    /// Tiles of the rule's choice, those of partial sums included.
    Tiles,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::M, Self::N, Self::K, Self::Batch, Self::Results, Self::Work, Self::Tiles];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::M => "m",
            Self::N => "n",
            Self::K => "k",
            Self::Batch => "batch",
            Self::Results => "results",
            Self::Work => "work",
            Self::Tiles => "tiles",
        }
    }

    /// Its value.
    pub fn of(self, matmul: &MatMul, choice: Choice) -> usize {
        let MatMul { batch, m, n, k, k_chunk: _, a: _, b: _ } = matmul;
        let batch = batch.iter().product::<usize>();
        match self {
            Self::M => *m,
            Self::N => *n,
            Self::K => *k,
            Self::Batch => batch,
            Self::Results => m.saturating_mul(*n),
            Self::Work => batch.saturating_mul(*m).saturating_mul(*n).saturating_mul(*k),
            Self::Tiles => choice.tiles(matmul),
        }
    }
}

/// From the least through the greatest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub least: usize,
    /// The greatest.
    pub most: usize,
}

impl Range {
    /// Every number.
    pub const ALL: Self = from(0);
}

const fn from(least: usize) -> Range {
    Range { least, most: usize::MAX }
}

const fn to(most: usize) -> Range {
    Range { least: 0, most }
}

/// A line of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// For which adapters.
    pub classes: Classes,
    /// For operands that are stored how.
    pub layouts: Layouts,
    /// For what sizes: a range for each [`Quantity`].
    pub ranges: [Range; 7],
    /// What it gives.
    pub choice: Choice,
}

impl Rule {
    fn holds(&self, matmul: &MatMul, class: AdapterClass) -> bool {
        let Self { classes, layouts, ranges, choice } = self;
        let within =
            |(quantity, range): (&Quantity, &Range)| (range.least..=range.most).contains(&quantity.of(matmul, *choice));
        classes.include(class) && layouts.include(matmul) && Quantity::ALL.iter().zip(ranges).all(within)
    }
}

/// Rules, in the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The only adapter that it is for, by its full name.
    pub adapter: Option<String>,
    /// The only class that it is for.
    pub class: Option<AdapterClass>,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Table {
    /// The rules of this source, for all adapters.
    ///
    /// ```
    /// let table = wgrad_gpu::Table::built_in();
    /// assert!(table.adapter.is_none() && !table.rules.is_empty());
    /// ```
    pub fn built_in() -> Self {
        Self { adapter: None, class: None, rules: BUILT_IN.to_vec() }
    }
}

/// What a product is computed by: the choice of the first rule that holds and is possible, in workgroups of a given size if there is one.
pub(crate) fn choose(matmul: &MatMul, capabilities: &Capabilities, size: Option<usize>) -> Choice {
    let rules = capabilities.table.as_ref().map_or(BUILT_IN, |table| &table.rules);
    let fits = |choice: Choice| match (size, choice.workgroup_size(capabilities)) {
        (Some(size), Some(wanted)) => size == wanted,
        (None, _) | (_, None) => true,
    };
    rules
        .iter()
        .find(|rule| {
            fits(rule.choice) && rule.choice.is_possible(matmul, capabilities) && rule.holds(matmul, capabilities.class)
        })
        .map_or(Choice::LAST_RESORT, |rule| rule.choice)
}

const SOFTWARE: Classes = Classes::One(AdapterClass::Software);
const HARDWARE: Classes = Classes::Hardware;
const ANY: Classes = Classes::All;
const ALL: Range = Range::ALL;
/// Layouts: any, and by the right operand.
const XX: Layouts = Layouts([None, None]);
const XN: Layouts = Layouts([None, Some(false)]);
const XT: Layouts = Layouts([None, Some(true)]);

const fn rule(classes: Classes, layouts: Layouts, ranges: [Range; 7], choice: (ProductForm, usize, usize)) -> Rule {
    Rule { classes, layouts, ranges, choice: Choice { form: choice.0, rows: choice.1, columns: choice.2 } }
}

/// The built-in table. On software drivers a subgroup's tile takes long to compile, which small products are not worth; there, the tile
/// for subgroups of 8 is not possible for those of 16, which take the one behind it.
#[rustfmt::skip]
const BUILT_IN: &[Rule] = &{
    use ProductForm::{Small, Subgroup, Tiled};
    [
        //                   m         n         k        batch results     work           tiles
        rule(SOFTWARE, XX, [from(12), from(16), ALL,     ALL,  ALL,        from(1 << 17), ALL     ], (Subgroup, 32, 32)),
        rule(SOFTWARE, XX, [from(12), from(16), ALL,     ALL,  ALL,        from(1 << 17), ALL     ], (Subgroup, 32, 64)),
        rule(HARDWARE, XX, [from(16), from(16), from(8), ALL,  ALL,        ALL,           from(64)], (Tiled, 64, 64)),
        rule(HARDWARE, XX, [from(16), from(16), from(8), ALL,  ALL,        ALL,           ALL     ], (Tiled, 32, 32)),
        rule(ANY,      XX, [from(64), to(3),    ALL,     ALL,  ALL,        ALL,           ALL     ], (Small, 4, 1)),
        rule(ANY,      XX, [ALL,      to(3),    ALL,     ALL,  ALL,        ALL,           ALL     ], (Small, 1, 1)),
        rule(SOFTWARE, XN, [from(8),  from(16), ALL,     ALL,  from(4096), ALL,           ALL     ], (Small, 8, 16)),
        rule(SOFTWARE, XT, [from(8),  from(16), ALL,     ALL,  from(4096), ALL,           ALL     ], (Small, 8, 8)),
        rule(SOFTWARE, XX, [from(4),  ALL,      ALL,     ALL,  ALL,        ALL,           ALL     ], (Small, 4, 4)),
        rule(HARDWARE, XX, [from(4),  ALL,      ALL,     ALL,  from(4096), ALL,           ALL     ], (Small, 4, 4)),
        rule(ANY,      XX, [ALL,      ALL,      ALL,     ALL,  ALL,        ALL,           ALL     ], (Small, 1, 4)),
    ]
};

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
