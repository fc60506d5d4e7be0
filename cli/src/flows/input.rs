//! Lines from files and standard input, in the order in which they stand there.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::{Item, Lines, Sender, channel};

/// Longest line that is read: the sidecars' stay below 64 KB (`sidecar/src/flowlog/hubble.rs`), Cilium's
/// have no bound. What is longer is no line of a flow log.
const LONGEST: u64 = 4 << 20;

/// Reads files one after the other; `-` is standard input.
pub(crate) fn read(files: Vec<PathBuf>) -> Lines {
    let (sender, lines) = channel();
    tokio::spawn(async move {
        for file in files {
            let is_stdin = file == Path::new("-");
            let place = if is_stdin {
                "standard input".to_owned()
            } else {
                file.display().to_string()
            };
            let open = if is_stdin {
                let stdin = std::io::stdin().as_fd().try_clone_to_owned();
                stdin.map(|stdin| File::from_std(stdin.into()))
            } else {
                File::open(&file).await
            };
            let read = match open {
                Ok(open) => each(BufReader::new(open), &place, &sender).await,
                Err(why) => Err(why),
            };
            if let Err(why) = read {
                let why = why.to_string();
                if sender.send(Item::Broken { place, why }).await.is_err() {
                    return;
                }
            }
        }
    });
    lines
}

async fn each(
    mut from: impl AsyncBufRead + Unpin,
    place: &str,
    sender: &Sender,
) -> std::io::Result<()> {
    for number in 1_u64.. {
        let mut bytes = Vec::new();
        let read = (&mut from)
            .take(LONGEST)
            .read_until(b'\n', &mut bytes)
            .await?;
        if read == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            continue;
        }
        let item = Item::of_file(text.to_owned(), || format!("{place}:{number}"));
        if sender.send(item).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
