//! The list of errors: every kind that a user can meet, provoked by a small program, with what it says. `docs/errors.md` is made of it.
//!
//! Each file provokes the errors of one part of the library. Only what takes a broken device is made by hand, and marked. A kind of
//! error that nothing provokes is a defect of the list; a new one does not compile before [`kinds`] names it.

mod arrays;
mod checkpoints;
mod debugging;
mod devices;
mod graphs;
pub mod kinds;
mod models;
mod page;
mod scratch;
mod tables;
mod training;

pub use page::page;
pub use scratch::Scratch;

use std::rc::Rc;

use wgrad::Error;
use wgrad::checkpoint::CheckpointError;
use wgrad::data::DataError;
use wgrad::{BackendChoice, Device, DeviceSelector};

/// What a user was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// Reading tables and encoding them.
    Tables,
    /// Reading and writing files of arrays.
    Arrays,
    /// Making, splitting and scaling data sets.
    Datasets,
    /// Writing graphs.
    Graphs,
    /// Defining layers and models.
    Models,
    /// Choosing optimizers and schedules.
    Optimizers,
    /// Training, evaluating, predicting.
    Training,
    /// Saving and loading.
    Checkpoints,
    /// Opening devices and running on them.
    Devices,
    /// Debugging.
    Debugging,
}

impl Doing {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 10] = [
        Self::Tables,
        Self::Arrays,
        Self::Datasets,
        Self::Graphs,
        Self::Models,
        Self::Optimizers,
        Self::Training,
        Self::Checkpoints,
        Self::Devices,
        Self::Debugging,
    ];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tables => "Reading and encoding tables",
            Self::Arrays => "Reading and writing arrays",
            Self::Datasets => "Making data sets",
            Self::Graphs => "Writing graphs",
            Self::Models => "Defining layers and models",
            Self::Optimizers => "Choosing optimizers and schedules",
            Self::Training => "Training, evaluating and predicting",
            Self::Checkpoints => "Saving and loading",
            Self::Devices => "Opening devices and running on them",
            Self::Debugging => "Debugging",
        }
    }
}

/// An error and how it is met.
#[derive(Debug, Clone)]
pub struct Case {
    /// What the user was doing.
    pub doing: Doing,
    /// What was wrong.
    pub mistake: &'static str,
    /// The error.
    pub error: Error,
    /// Whether it was made by hand, because only a broken device gives it.
    pub by_hand: bool,
    /// What it says, without what differs from machine to machine.
    pub text: String,
}

/// The list while it is made.
#[derive(Debug)]
pub(crate) struct List {
    /// Where files are made.
    pub(crate) scratch: Scratch,
    /// The processor.
    pub(crate) cpu: Rc<Device>,
    cases: Vec<Case>,
    /// Mistakes that were no errors.
    accepted: Vec<String>,
}

impl List {
    /// Adds a mistake, which has to have ended with an error.
    pub(crate) fn add<T>(&mut self, doing: Doing, mistake: &'static str, made: Result<T, impl Into<Error>>) {
        match made {
            Ok(_) => self.accepted.push(format!("{}: {mistake}: there is no error", doing.title())),
            Err(error) => self.push(doing, mistake, error.into(), false),
        }
    }

    /// Adds what only a broken device would give.
    pub(crate) fn add_by_hand(&mut self, doing: Doing, mistake: &'static str, error: impl Into<Error>) {
        self.push(doing, mistake, error.into(), true);
    }

    fn push(&mut self, doing: Doing, mistake: &'static str, error: Error, by_hand: bool) {
        let folder = format!("{}{}", self.scratch.folder().display(), std::path::MAIN_SEPARATOR);
        let mut text = error.to_string().replace(&folder, "");
        if let Error::Data(DataError::Io { reason, .. }) | Error::Checkpoint(CheckpointError::Io { reason, .. }) =
            &error
        {
            text = text.replace(reason, "<the system's words>");
        }
        // Sums over initial values, of which the last bits are the mathematics library's.
        if let Error::Checkpoint(CheckpointError::Checksum { expected, found, .. }) = &error {
            text = text.replace(expected, "<the sum that was stored>").replace(found, "<the sum of what is there>");
        }
        self.cases.push(Case { doing, mistake, error, by_hand, text });
    }
}

/// Every case, in the order of the page.
///
/// # Errors
/// The mistakes that were accepted, and the kinds of errors that none provokes.
pub fn cases() -> Result<Vec<Case>, Vec<String>> {
    let cpu = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None });
    let cpu = cpu.map_err(|error| vec![error.to_string()])?;
    let scratch = Scratch::new("errors").map_err(|error| vec![error.to_string()])?;
    let mut list = List { scratch, cpu: Rc::new(cpu), cases: vec![], accepted: vec![] };
    let made: Result<(), Error> = (|| {
        tables::add(&mut list);
        arrays::add(&mut list)?;
        graphs::add(&mut list)?;
        models::add(&mut list)?;
        training::add(&mut list)?;
        checkpoints::add(&mut list)?;
        devices::add(&mut list)?;
        debugging::add(&mut list)
    })();
    let List { scratch: _, cpu: _, mut cases, accepted: mut defects } = list;
    defects.extend(made.err().map(|error| format!("the list of errors itself fails: {error}")));
    for kind in kinds::ALL {
        if !cases.iter().any(|case| kinds::kind(&case.error) == *kind) {
            defects.push(format!("the list of errors has no {kind}"));
        }
    }
    cases.sort_by_key(|case| case.doing);
    if defects.is_empty() { Ok(cases) } else { Err(defects) }
}
