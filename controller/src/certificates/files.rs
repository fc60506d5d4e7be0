//! A certificate made by someone else, in files: cert-manager's Secret mounted as a volume, or
//! one's own. Read again when they change, without a restart.
//!
//! kubelet replaces a mounted Secret by exchanging a symbolic link, within about a minute; reading
//! two small files every ten seconds needs no notification to go wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::served::Served;

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Serves `tls.crt` and `tls.key` of a folder for as long as it is polled.
pub async fn follow(directory: &Path, served: Arc<Served>, look_every: Duration) {
    let mut last = None;
    loop {
        let now = read(directory).await;
        if last.as_ref() != Some(&now) {
            take(&now, &served, directory);
            last = Some(now);
        }
        tokio::time::sleep(look_every).await;
    }
}

type Files = Result<(Vec<u8>, Vec<u8>), String>;

async fn read(directory: &Path) -> Files {
    let file = async |name: &str| {
        let path = directory.join(name);
        let bytes = tokio::fs::read(&path).await;
        bytes.map_err(|error| format!("{}: {error}", path.display()))
    };
    Ok((file("tls.crt").await?, file("tls.key").await?))
}

fn take(files: &Files, served: &Served, directory: &Path) {
    let result = match files {
        Ok((certificate, key)) => served
            .serve(certificate, key)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.clone()),
    };
    match result {
        Ok(()) => tracing::info!(directory = %directory.display(), "serving this certificate"),
        Err(error) => tracing::error!(
            directory = %directory.display(),
            error,
            "certificate not taken; the one before stays, if there was one"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::make::{LIFETIME, make};

    #[tokio::test]
    async fn files_are_taken_when_they_come_and_again_when_they_change() {
        let directory = tempfile::tempdir().unwrap();
        let served = Arc::new(Served::default());
        let tick = Duration::from_millis(2);
        let following = tokio::spawn({
            let (path, served) = (directory.path().to_owned(), Arc::clone(&served));
            async move { follow(&path, served, tick).await }
        });
        let mut last = None;
        for _ in 0..2 {
            let made = make(&["a.svc".to_owned()], jiff::Timestamp::now(), LIFETIME).unwrap();
            // As half-written files look for a moment: key and certificate do not fit.
            std::fs::write(directory.path().join("tls.key"), &made.key).unwrap();
            tokio::time::sleep(tick * 5).await;
            assert_eq!(served.fingerprint(), last, "the one before stays");
            std::fs::write(directory.path().join("tls.crt"), &made.certificate).unwrap();
            let changed = async {
                while served.fingerprint() == last {
                    tokio::time::sleep(tick).await;
                }
            };
            let patience = Duration::from_secs(10);
            tokio::time::timeout(patience, changed).await.unwrap();
            last = served.fingerprint();
        }
        following.abort();
    }
}
