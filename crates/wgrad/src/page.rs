//! Pages: how the definitions of optimizers and schedules are handed to what makes documents of them.

/// The source of one definition. The comment on its type says what it is, its formula and how others differ.
///
/// ```
/// use wgrad::optim::Optimizer;
/// use wgrad::schedule::Schedule;
///
/// let adam = Optimizer::PAGES.iter().find(|page| page.name == "Adam").expect("it is on the list");
/// assert_eq!((adam.family, adam.file), ("Adam and its kin", "crates/wgrad/src/optim/adam.rs"));
/// assert!(adam.text.contains("Kingma & Ba 2015"));
/// assert!(Schedule::PAGES.iter().all(|page| page.text.starts_with("//! ")));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// What it belongs to.
    pub family: &'static str,
    /// Name of the type.
    pub name: &'static str,
    /// Path of the file, from the root of the repository.
    pub file: &'static str,
    /// The file as it is written.
    pub text: &'static str,
}
