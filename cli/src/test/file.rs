//! Files of connectivity tests: netassert's list, our own short lines, or both in one list.
//!
//! All mistakes of all files are told at once. What the names in them mean is found later ([`super::plan`]).

mod netassert;
mod short;

use std::collections::BTreeMap;
use std::time::Duration;

use sidewall::manifest::{Mistake, parse_document};

use crate::ends::EndName;
use crate::expect::Expect;
use crate::port::Port;

/// A test as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// Its name, once among all files.
    pub(crate) name: String,
    pub(crate) file: String,
    /// Its first line, from 1.
    pub(crate) line: u64,
    pub(crate) from: EndName,
    pub(crate) to: Destination,
    pub(crate) port: Port,
    pub(crate) expect: Expect,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// How often a connection is tried before it counts as blocked.
    pub(crate) attempts: u32,
}

/// Where a test connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// An end that can be named.
    End(EndName),
    /// A host outside the cluster, by a DNS name.
    Host(String),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::End(end) => end.fmt(f),
            Self::Host(name) => f.write_str(name),
        }
    }
}

/// netassert's defaults.
const TIMEOUT: Duration = Duration::from_secs(15);
const ATTEMPTS: u32 = 3;

/// Reads files, given as name and text. `namespace` is that of names without one.
pub(crate) fn read(files: &[(String, String)], namespace: &str) -> Result<Vec<Test>, Vec<Mistake>> {
    let mut reader = Reader {
        file: "",
        namespace,
        tests: Vec::new(),
        mistakes: Vec::new(),
    };
    for (name, text) in files {
        reader.file = name;
        reader.file(text);
    }
    reader.check_names();
    if reader.mistakes.is_empty() {
        Ok(reader.tests)
    } else {
        Err(reader.mistakes)
    }
}

/// What was read so far.
struct Reader<'a> {
    file: &'a str,
    namespace: &'a str,
    tests: Vec<Test>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn file(&mut self, text: &str) {
        if short::is_lines(text) {
            return short::lines(self, text);
        }
        let root = match parse_document(text, 1) {
            Ok(Some(root)) => root,
            // A file without any test is fine, as it is for netassert.
            Ok(None) => return,
            Err((line, problem)) => return self.mistake(line, "", problem),
        };
        if !root.is_list() {
            let problem =
                "a list of tests, or lines such as \"allow: web -> db:5432\", was expected";
            return self.mistake(root.line, "", problem.to_owned());
        }
        for (index, item) in root.items().iter().enumerate() {
            let path = format!("[{index}]");
            if short::is_short(item) {
                short::entry(self, item, &path);
            } else {
                netassert::entry(self, item, &path);
            }
        }
    }

    fn mistake(&mut self, line: u64, field: &str, problem: String) {
        self.mistakes.push(Mistake {
            file: self.file.to_owned(),
            document: 1,
            line,
            field: field.to_owned(),
            problem,
        });
    }

    /// Reports are read by name.
    fn check_names(&mut self) {
        let mut seen: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
        for test in &self.tests {
            match seen.get(test.name.as_str()) {
                Some((file, line)) => self.mistakes.push(Mistake {
                    file: test.file.clone(),
                    document: 1,
                    line: test.line,
                    field: "name".to_owned(),
                    problem: format!(
                        "{:?} is the name of the test at {file}:{line} too",
                        test.name
                    ),
                }),
                None => {
                    seen.insert(&test.name, (&test.file, test.line));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
