//! Pages: how the definitions of optimizers and schedules are handed to what makes documents of them.

/// The source of one definition. The comment on its type says what it is, its formula and how others differ.
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
