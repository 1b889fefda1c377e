//! Replacing a file at once: whoever reads it, at any moment and after any crash, finds the old one or the new one whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checkpoint::CheckpointError;

/// Ending of files that are not finished.
pub(super) const TEMPORARY: &str = ".tmp";

/// Writes a file beside the one at `path`, makes sure that it is on the disk, and puts it in its place. If anything fails, the
/// old file stays as it was. A link at `path` is replaced, not followed.
pub(super) fn replace(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CheckpointError> {
    let error = |action| move |e: io::Error| CheckpointError::io(path, action, &e);
    if path.is_dir() {
        return Err(error("write")(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    // The folder has to be the same: only within one file system does a rename replace at once.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (temporary, file) = Temporary::create(folder, path).map_err(error("write"))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    content(&mut out).map_err(error("write"))?;
    let file = out.into_inner().map_err(|e| error("write")(e.into_error()))?;
    // Without this a crash of the machine could leave the new name on an empty file.
    file.sync_all().map_err(error("write"))?;
    drop(file);
    temporary.rename_to(path).map_err(error("replace"))?;
    sync_folder(folder).map_err(error("write the folder of"))
}

/// A file that is removed unless it gets its name.
struct Temporary {
    path: PathBuf,
    named: bool,
}

impl Temporary {
    /// A new file beside `target`, hidden, with a name that nobody else has.
    fn create(folder: &Path, target: &Path) -> io::Result<(Self, File)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = target.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{number}{TEMPORARY}", std::process::id()));
            let path = folder.join(hidden);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((Self { path, named: false }, file)),
                // Left by a process that had the same number.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named
            && let Err(e) = fs::remove_file(&self.path)
        {
            log::warn!("{}: cannot remove what is left of an interrupted save: {e}", self.path.display());
        }
    }
}

/// Whether a name is that of an unfinished file which was to become `target`.
pub(super) fn is_temporary_of(name: &str, target: &str) -> bool {
    let middle = name
        .strip_prefix('.')
        .and_then(|rest| rest.strip_prefix(target))
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(TEMPORARY));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    middle.and_then(|middle| middle.split_once('-')).is_some_and(|(process, number)| digits(process) && digits(number))
}

/// Makes sure that the names in a folder are on the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some network file systems cannot, and rename is all that they offer.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

/// Other systems have no such call.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use super::{is_temporary_of, replace};
    use crate::checkpoint::scratch::Scratch;

    #[test]
    fn files_are_replaced_and_nothing_else_is_left() {
        let folder = Scratch::new("replace");
        let path = folder.path("a.bin");
        for content in [&b"first"[..], b"the second"] {
            replace(&path, |out| out.write_all(content)).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(folder.names(), ["a.bin"]);
    }

    #[test]
    fn what_fails_leaves_the_old_file() {
        let folder = Scratch::new("fails");
        let path = folder.path("a.bin");
        replace(&path, |out| out.write_all(b"old")).unwrap();
        let failed = replace(&path, |out| {
            out.write_all(b"new, but only a pa")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        let message = failed.unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: cannot write it: ", path.display())), "{message}");
        assert_eq!((fs::read(&path).unwrap().as_slice(), folder.names()), (&b"old"[..], vec!["a.bin".to_owned()]));
    }

    #[test]
    fn impossible_places_are_errors() {
        let folder = Scratch::new("places");
        fs::create_dir(folder.path("inner")).unwrap();
        for path in [folder.path("inner"), folder.path("none/a.bin"), folder.path("inner/..")] {
            assert!(replace(&path, |out| out.write_all(b"x")).is_err(), "{}", path.display());
        }
        assert_eq!(folder.names(), ["inner"]);
    }

    #[test]
    fn unfinished_files_are_known_by_name() {
        assert!(is_temporary_of(".best.safetensors.12-0.tmp", "best.safetensors"));
        for name in [
            "best.safetensors.12-0.tmp",
            ".best.safetensors.12.tmp",
            ".best.safetensors.a-0.tmp",
            ".best.safetensors.12-0",
            ".other.safetensors.12-0.tmp",
            ".best.safetensors.-.tmp",
        ] {
            assert!(!is_temporary_of(name, "best.safetensors"), "{name}");
        }
    }
}
