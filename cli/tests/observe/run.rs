//! The binary, run as a user would run it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run said.
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) notes: String,
    pub(crate) code: Option<i32>,
}

/// Runs a program with some text on its standard input.
pub(crate) fn run(program: &Path, arguments: &[&str], input: &str) -> Said {
    let mut child = Command::new(program)
        .args(arguments)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{}: {why}", program.display()));
    let mut stdin = child.stdin.take().expect("a standard input");
    let text = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A reader that has enough closes the pipe.
        let _ = stdin.write_all(text.as_bytes());
    });
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("an end");
    writer.join().expect("a writer");
    Said {
        out: String::from_utf8_lossy(&stdout).into_owned(),
        notes: String::from_utf8_lossy(&stderr).into_owned(),
        code: status.code(),
    }
}

/// `sidewall observe --input-file -` with more arguments.
pub(crate) fn observe(arguments: &[&str], input: &str) -> Said {
    let all = [&["observe", "--input-file", "-"], arguments].concat();
    run(Path::new(env!("CARGO_BIN_EXE_sidewall")), &all, input)
}
