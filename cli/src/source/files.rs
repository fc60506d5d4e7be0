//! The files that `--manifests` names: names and texts, and nothing of what they mean.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{LoadError, Problem};

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Its path as given or found; `standard input`.
    pub(crate) name: String,
    /// Nobody named it: it lies in a folder that was named.
    pub(crate) found_in_folder: bool,
    /// What it says.
    pub(crate) text: String,
}

impl File {
    /// A text that somebody named.
    pub(crate) fn named(name: &str, text: String) -> Self {
        Self {
            name: name.to_owned(),
            found_in_folder: false,
            text,
        }
    }
}

/// Reads files, folders with all their folders (in the order of the names), and standard input.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<File>, LoadError> {
    let mut reader = Reader::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let text = io::read_to_string(io::stdin().lock());
            reader.take(Path::new("standard input"), false, text);
        } else if path.is_dir() {
            let before = reader.files.len() + reader.problems.len();
            reader.folder(path);
            if reader.files.len() + reader.problems.len() == before {
                let why = "a folder without a *.yaml, *.yml or *.json";
                let why = io::Error::new(io::ErrorKind::NotFound, why);
                reader.problem(path, why);
            }
        } else {
            reader.take(path, false, text_of(path));
        }
    }
    if reader.problems.is_empty() {
        Ok(reader.files)
    } else {
        Err(LoadError {
            problems: reader.problems,
        })
    }
}

#[derive(Default)]
struct Reader {
    files: Vec<File>,
    problems: Vec<Problem>,
}

impl Reader {
    fn folder(&mut self, folder: &Path) {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(why) => return self.problem(folder, why),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // `.git`, and the `..data` of a mounted ConfigMap, whose files are linked beside it.
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if hidden {
                continue;
            }
            // A link to a folder could lead back to this one.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder {
                self.folder(&path);
            } else if is_manifest(&path) {
                self.take(&path, true, text_of(&path));
            }
        }
    }

    fn take(&mut self, path: &Path, found_in_folder: bool, text: io::Result<String>) {
        match text {
            Ok(text) => self.files.push(File {
                name: path.display().to_string(),
                found_in_folder,
                text,
            }),
            Err(why) => self.problem(path, why),
        }
    }

    fn problem(&mut self, path: &Path, why: io::Error) {
        self.problems.push(Problem::Unreadable {
            path: path.to_owned(),
            why,
        });
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    matches!(extension, Some("yaml" | "yml" | "json")) && path.is_file()
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}
