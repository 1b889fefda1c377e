//! The weights of a fit's best epoch in a file beside its checkpoints, so that they outlive an interruption.
//!
//! `kept-epoch-000012.safetensors` has the variables that predictions depend on after epoch 12. Checkpoints of later epochs need it
//! until there is a better epoch; as many are kept as there are checkpoints, because each of these may need another one. A checkpoint of
//! the best epoch itself needs none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wgrad_core::plan::check_write;
use wgrad_core::{HostVec, VarId};

use crate::Error;
use crate::checkpoint::{self, CheckpointError, Checkpoints, SavedTensor, TensorFile};
use crate::train::Trainer;

fn path(folder: &Path, epoch: u32) -> PathBuf {
    folder.join(format!("kept-epoch-{epoch:06}.safetensors"))
}

/// The epoch in a name that [`path`] gives.
fn epoch_of(name: &Path) -> Option<u32> {
    let text = name.file_name()?.to_str()?;
    let epoch = text.strip_prefix("kept-epoch-")?.strip_suffix(".safetensors")?.parse().ok()?;
    (path(Path::new(""), epoch) == Path::new(text)).then_some(epoch)
}

fn io(path: &Path, action: &'static str, error: &std::io::Error) -> Error {
    CheckpointError::Io { file: path.display().to_string(), action, reason: error.to_string() }.into()
}

impl Trainer {
    /// Writes the weights of the epoch that was just completed.
    pub(super) fn write_kept(&self, checkpoints: &Checkpoints, variables: &[(VarId, HostVec)]) -> Result<(), Error> {
        let folder = &checkpoints.folder;
        fs::create_dir_all(folder).map_err(|e| io(folder, "make", &e))?;
        let declared = &self.session.plan().variables;
        let tensor = |(id, data): &(VarId, HostVec)| {
            let variable = &declared[id.index()];
            (variable.name.clone(), SavedTensor { shape: variable.ty.shape.clone(), data: data.clone() })
        };
        let tensors: BTreeMap<_, _> = variables.iter().map(tensor).collect();
        Ok(checkpoint::write_weights(&path(folder, self.epoch), &tensors)?)
    }

    /// The weights of an epoch before the trainer was resumed.
    pub(super) fn read_kept(
        &self,
        checkpoints: Option<&Checkpoints>,
        epoch: u32,
    ) -> Result<Vec<(VarId, HostVec)>, Error> {
        let Some(checkpoints) = checkpoints else {
            return Err(Error::Model {
                what: "Fit::keep_best".to_owned(),
                reason: format!(
                    "epoch {epoch} was the best, but its weights lie beside the checkpoints of the interrupted fit, and \
                     Fit::checkpoints is not given"
                ),
            });
        };
        let file = TensorFile::open(path(&checkpoints.folder, epoch))?;
        let plan = self.session.plan();
        let mut variables = vec![];
        for id in self.wanted_for_prediction() {
            let tensor = file.tensor(&plan.variables[id.index()].name)?;
            check_write(plan, id, tensor.data.as_slice())?;
            variables.push((id, tensor.data));
        }
        Ok(variables)
    }
}

/// Removes weights of older epochs than those that checkpoints may need.
pub(super) fn clean(checkpoints: &Checkpoints, completed: u32) -> Result<(), Error> {
    let folder = &checkpoints.folder;
    let entries = fs::read_dir(folder).map_err(|e| io(folder, "list", &e))?;
    let mut found = vec![];
    for entry in entries {
        let path = entry.map_err(|e| io(folder, "list", &e))?.path();
        found.extend(epoch_of(&path).filter(|epoch| *epoch <= completed).map(|epoch| (epoch, path)));
    }
    found.sort_unstable();
    let many = found.len().saturating_sub(checkpoints.keep_last.max(1));
    found.iter().take(many).try_for_each(|(_, path)| fs::remove_file(path).map_err(|e| io(path, "remove", &e)))
}
