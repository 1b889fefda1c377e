//! The file that keeps compiled pipelines between processes: where it is, and how damage is noticed.
//!
//! The driver trusts what it is given back, so nothing reaches it that is not, by length and checksum, what was written here. A file that
//! cannot be read or written costs the time that it would have saved, and is never an error.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that says where compiled pipelines are kept between processes: a folder, or `off` for nowhere. By default they are in the
/// folder `wgrad` of the user's caches: `$XDG_CACHE_HOME` or `~/.cache`, on Windows `%LOCALAPPDATA%`, on macOS `~/Library/Caches`.
///
/// ```
/// // `WGRAD_CACHE=off program` compiles everything anew.
/// assert_eq!(wgrad_gpu::CACHE_VARIABLE, "WGRAD_CACHE");
/// ```
pub const CACHE_VARIABLE: &str = "WGRAD_CACHE";

/// How a file begins: what it is, and the version of this format.
const MAGIC: [u8; 8] = *b"wgradpc1";
/// Magic, length and checksum.
const HEADER_BYTES: usize = 24;
/// A file larger than this is left alone: no driver needs as much.
const BYTES_MAX: u64 = 256 << 20;
/// What has grown beyond this, with every program that ran, is begun anew.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// The folder for compiled pipelines, if they are to be kept.
pub(crate) fn folder() -> Option<PathBuf> {
    let family = if cfg!(windows) {
        Family::Windows
    } else if cfg!(target_os = "macos") {
        Family::Apple
    } else {
        Family::Unix
    };
    folder_in(family, |name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

/// Where systems keep caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Windows,
    Apple,
    Unix,
}

fn folder_in(family: Family, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(wanted) = variable(CACHE_VARIABLE) {
        let off = wanted.to_string_lossy().trim().eq_ignore_ascii_case("off");
        return (!off).then(|| PathBuf::from(wanted));
    }
    let home = || variable("HOME").map(PathBuf::from);
    let caches = match family {
        Family::Windows => variable("LOCALAPPDATA").map(PathBuf::from),
        Family::Apple => home().map(|home| home.join("Library/Caches")),
        // A path that is not absolute does not count.
        Family::Unix => variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| home().map(|home| home.join(".cache"))),
    };
    caches.map(|caches| caches.join("wgrad"))
}

/// What a file holds, if there is one and it is whole.
pub(crate) fn load(path: &Path) -> Option<Vec<u8>> {
    match read(path) {
        Ok(data) if data.len() > KEPT_BYTES_MAX => {
            log::info!("compiled pipelines in {} have become too many and are replaced", path.display());
            None
        }
        Ok(data) => Some(data),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            log::warn!("compiled pipelines in {} are left alone: {error}", path.display());
            None
        }
    }
}

/// Replaces what a file holds.
pub(crate) fn save(path: &Path, data: &[u8]) {
    if let Err(error) = write(path, data) {
        log::warn!("compiled pipelines cannot be kept in {}: {error}", path.display());
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match opened(&bytes) {
        Ok(data) => Ok(data.to_vec()),
        Err(reason) => Err(io::Error::new(io::ErrorKind::InvalidData, reason)),
    }
}

/// Writes beside and then renames, so that no reader ever sees half of it.
fn write(path: &Path, data: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if data.len() as u64 > BYTES_MAX - HEADER_BYTES as u64 {
        return Err(io::Error::other(format!("they are {} bytes large", data.len())));
    }
    if let Some(folder) = path.parent() {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        // What is given to a driver is nobody else's to write.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("{}-{number}.temporary", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(&header(data))?;
        file.write_all(data)
    });
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        // What cannot be removed either is a small file in a folder of caches.
        let _ = fs::remove_file(&beside);
    }
    renamed
}

fn header(data: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&(data.len() as u64).to_le_bytes());
    header[16..].copy_from_slice(&checksum(data).to_le_bytes());
    header
}

/// The data of a file, or what is wrong with it.
fn opened(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let Some((header, data)) = bytes.split_at_checked(HEADER_BYTES) else { return Err("the file is too short") };
    let word = |at: usize| header[at..at + 8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    if header[..8] != MAGIC {
        return Err("it is another kind of file, or of another version");
    }
    if word(8) != data.len() as u64 {
        return Err("its length is not what it says");
    }
    if word(16) != checksum(data) {
        return Err("its checksum is not what it says");
    }
    Ok(data)
}

/// FNV-1a of 64 bits: finds accidents; who may write to the folder may do worse without it.
pub(crate) fn checksum(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(family: Family, variables: &[(&str, &str)]) -> Option<PathBuf> {
        folder_in(family, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn folders_are_where_systems_keep_caches() {
        let home = ("HOME", "/home/ada");
        let of =
            |family, variables: &[(&str, &str)]| folder_of(family, variables).map(|path| path.display().to_string());
        assert_eq!(of(Family::Unix, &[home]).as_deref(), Some("/home/ada/.cache/wgrad"));
        assert_eq!(of(Family::Unix, &[home, ("XDG_CACHE_HOME", "/var/c")]).as_deref(), Some("/var/c/wgrad"));
        assert_eq!(of(Family::Unix, &[home, ("XDG_CACHE_HOME", "c")]).as_deref(), Some("/home/ada/.cache/wgrad"));
        assert_eq!(of(Family::Apple, &[home]).as_deref(), Some("/home/ada/Library/Caches/wgrad"));
        assert_eq!(folder_of(Family::Windows, &[("LOCALAPPDATA", "C:")]), Some(Path::new("C:").join("wgrad")));
        assert_eq!(of(Family::Windows, &[home]), None);
        assert_eq!(of(Family::Unix, &[]), None);
        assert_eq!(of(Family::Unix, &[home, (CACHE_VARIABLE, "/elsewhere")]).as_deref(), Some("/elsewhere"));
        for off in ["off", "OFF", " Off "] {
            assert_eq!(of(Family::Unix, &[home, (CACHE_VARIABLE, off)]), None);
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_what_is_damaged_is_not() {
        let folder = std::env::temp_dir().join(format!("wgrad-pipelines-{}", std::process::id()));
        let path = folder.join("deeper").join("device");
        assert_eq!(load(&path), None);
        let data: Vec<u8> = (0..=255).cycle().take(1000).collect();
        save(&path, b"older");
        save(&path, &data);
        assert_eq!(load(&path).as_deref(), Some(&data[..]));
        assert_eq!(fs::read_dir(folder.join("deeper")).unwrap().count(), 1, "nothing is left beside it");

        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(load(&path), None, "byte {at} was changed");
        }
        for len in [0, 7, HEADER_BYTES - 1, HEADER_BYTES, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(load(&path), None, "cut after {len} bytes");
        }
        fs::write(&path, [whole.as_slice(), b"more"].concat()).unwrap();
        assert_eq!(load(&path), None);

        // A folder that is a file: nothing is kept, and nobody is bothered.
        save(&path.join("below"), &data);
        fs::remove_dir_all(folder).unwrap();
    }
}
