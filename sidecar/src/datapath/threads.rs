//! The threads of the data path: started together, stopped together, and none may end alone.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The running data path.
#[derive(Debug)]
pub struct Handle {
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
    ended: mpsc::UnboundedReceiver<anyhow::Error>,
    report: mpsc::UnboundedSender<anyhow::Error>,
}

impl Default for Handle {
    fn default() -> Self {
        let (report, ended) = mpsc::unbounded_channel();
        Self {
            stop: CancellationToken::new(),
            threads: Vec::new(),
            ended,
            report,
        }
    }
}

impl Handle {
    /// Waits until a thread ends without having been asked to. The process should end then: what is
    /// not judged does not pass, but nobody judges either.
    pub async fn failed(&mut self) -> anyhow::Error {
        // `report` keeps the channel open.
        self.ended
            .recv()
            .await
            .unwrap_or_else(|| anyhow::anyhow!("the data path is gone"))
    }

    /// Stops the threads and waits for them. The devices vanish with them: the pod is closed.
    pub fn stop(self) {
        self.stop.cancel();
        for thread in self.threads {
            // Panics were caught and reported.
            let _ = thread.join();
        }
    }

    /// Starts a thread that drives one future on its own runtime.
    pub(super) fn spawn<F>(
        &mut self,
        name: String,
        runtime: Runtime,
        work: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let (stop, report, of) = (self.stop.clone(), self.report.clone(), name.clone());
        let body = move || {
            let run = || runtime.block_on(work(stop.clone()));
            let error = match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ok(())) if stop.is_cancelled() => return,
                Ok(Ok(())) => anyhow::anyhow!("it ended"),
                Ok(Err(error)) => error,
                Err(panic) => anyhow::anyhow!("panic: {}", text_of(&*panic)),
            };
            // Nobody listens when the handle is gone.
            let _ = report.send(error.context(format!("thread {of} of the data path")));
        };
        let thread = std::thread::Builder::new().name(name.clone()).spawn(body);
        self.threads
            .push(thread.with_context(|| format!("starting thread {name}"))?);
        Ok(())
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    #[tokio::test]
    async fn a_thread_that_panics_is_reported_by_name() {
        let mut handle = Handle::default();
        handle
            .spawn("sw-x".to_owned(), runtime(), |_| async {
                panic!("of {}", 7)
            })
            .unwrap();
        assert_eq!(
            format!("{:#}", handle.failed().await),
            "thread sw-x of the data path: panic: of 7"
        );
    }

    #[test]
    fn threads_that_were_asked_to_stop_end_without_a_word() {
        let mut handle = Handle::default();
        let waits = |stopped: CancellationToken| async move {
            stopped.cancelled().await;
            Ok(())
        };
        handle.spawn("sw-x".to_owned(), runtime(), waits).unwrap();
        let mut ended = std::mem::replace(&mut handle.ended, mpsc::unbounded_channel().1);
        handle.stop();
        assert!(ended.try_recv().is_err());
    }
}
