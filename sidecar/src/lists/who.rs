//! Whose is an address that no list holds? Asked of the controller, for the flow log alone.
//!
//! A pod's list holds the peers that its rules admit. To say of a blocked one which label it lacks,
//! the sidecar has to ask who it is. No verdict waits for the answer, and no line of the log for
//! longer than [`PATIENCE`]; a scan of many addresses costs `MOST_A_SECOND` questions and no more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures::StreamExt;
use kube::Client;
use rand::Rng;
use sidewall::lists::lines::Lines;
use sidewall::lists::stream::{PeerIdentity, StreamError, peer_identity};
use sidewall::lists::wire::PeerMember;
use sidewall::policy::allow_list::ObjectRef;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};

use super::problem::End;
use super::request;
use crate::watch::Outlets;

/// A line of the log waits so long for an answer. Through the API server one takes some milliseconds.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// Questions in a second at most. The controller allows a pod 20.
const MOST_A_SECOND: u32 = 10;

/// An answer is taken for true so long; addresses are given to other pods within minutes.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// A question that failed is not asked again for so long.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// For an answer that comes too late for its line and in time for the next.
const ANSWER: Duration = Duration::from_secs(2);

/// Questions under way at once.
const AT_ONCE: usize = 4;

/// Addresses that are remembered: more than can be asked about in [`GOOD_FOR`], so that none is
/// forgotten early.
const MOST: usize = 512;

/// Who the own pod is, is asked again when its list has changed, but not more often than this.
const OWN_AGAIN: Duration = Duration::from_secs(60);

/// Answers, and the way to more of them.
#[derive(Debug)]
pub struct Who {
    state: Mutex<State>,
    questions: mpsc::Sender<IpAddr>,
    /// Told with each answer.
    pub answered: Notify,
}

/// The other end of [`Who`].
pub struct Questions {
    who: Arc<Who>,
    questions: mpsc::Receiver<IpAddr>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<IpAddr, (Instant, Known), RandomState>,
    second: Option<Instant>,
    asked: u32,
}

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The controller's answer.
    Answer(Arc<PeerIdentity>),
    /// The question is under way.
    Asked,
    /// Why there is no answer.
    Not(Arc<str>),
}

impl Who {
    /// Nothing is known yet, and nothing is asked before [`Questions::run`].
    #[must_use]
    pub fn new() -> (Arc<Self>, Questions) {
        let (sender, questions) = mpsc::channel(AT_ONCE * 8);
        let who = Arc::new(Self {
            state: Mutex::default(),
            questions: sender,
            answered: Notify::new(),
        });
        let other = Questions {
            who: Arc::clone(&who),
            questions,
        };
        (who, other)
    }

    /// What is known of an address; if nothing is, it is asked about.
    pub fn ask(&self, address: IpAddr) -> Known {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(known) = state.known(address, now) {
            return known;
        }
        if state.may_ask(now) && self.questions.try_send(address).is_ok() {
            state.remember(address, now, Known::Asked);
            return Known::Asked;
        }
        Known::Not(format!("more than {MOST_A_SECOND} addresses a second to ask about").into())
    }

    /// What is known of an address.
    #[must_use]
    pub fn look(&self, address: IpAddr) -> Option<Known> {
        self.state().known(address, Instant::now())
    }

    pub(crate) fn answer(&self, address: IpAddr, known: Known) {
        self.state().remember(address, Instant::now(), known);
        self.answered.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn known(&self, address: IpAddr, now: Instant) -> Option<Known> {
        let (at, known) = self.known.get(&address)?;
        (now.duration_since(*at) < good_for(known)).then(|| known.clone())
    }

    fn may_ask(&mut self, now: Instant) -> bool {
        let over = |second: Instant| now.duration_since(second) >= Duration::from_secs(1);
        if self.second.is_none_or(over) {
            (self.second, self.asked) = (Some(now), 0);
        }
        self.asked += 1;
        self.asked <= MOST_A_SECOND
    }

    fn remember(&mut self, address: IpAddr, now: Instant, known: Known) {
        if self.known.len() >= MOST {
            self.known
                .retain(|_, (at, known)| now.duration_since(*at) < good_for(known));
        }
        if self.known.len() < MOST || self.known.contains_key(&address) {
            self.known.insert(address, (now, known));
        }
    }
}

fn good_for(known: &Known) -> Duration {
    match known {
        Known::Answer(_) => GOOD_FOR,
        Known::Asked => ANSWER + Duration::from_secs(1),
        Known::Not(_) => FAILED_FOR,
    }
}

impl Questions {
    /// Asks, until nobody has questions any more.
    pub async fn run(self, client: Client, pod: ObjectRef) {
        let Self { who, mut questions } = self;
        let questions = futures::stream::poll_fn(move |context| questions.poll_recv(context));
        let ask = |address| {
            let (who, client, pod) = (&who, &client, &pod);
            async move {
                let known = match ask(client, pod, address).await {
                    Ok(answer) => Known::Answer(Arc::new(answer)),
                    Err(end) => Known::Not(end.told(pod).to_string().into()),
                };
                who.answer(address, known);
            }
        };
        questions.for_each_concurrent(AT_ONCE, ask).await;
    }
}

/// Asks once.
async fn ask(client: &Client, pod: &ObjectRef, address: IpAddr) -> Result<PeerIdentity, End> {
    let question = async {
        let mut pieces = request::ask(client, &request::peer(pod, address), ANSWER).await?;
        let (mut lines, mut answer) = (Lines::default(), None);
        while let Some(piece) = pieces.next().await {
            lines.feed(&piece?, |line| {
                answer = Some(peer_identity(line)?);
                Ok::<_, StreamError>(())
            })?;
            if answer.is_some() {
                break;
            }
        }
        answer.ok_or(End::Cut)?.map_err(End::Ended)
    };
    timeout(ANSWER, question)
        .await
        .unwrap_or(Err(End::Stalled(ANSWER)))
}

/// Finds out who the own pod is, each time that it may be somebody else: its list does not say.
pub(super) async fn follow_own(client: Client, outlets: &Outlets, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        // Lists of one policy change together.
        let spread = Duration::from_millis(rand::rng().random_range(0..2_000));
        sleep(spread).await;
        let Some(in_force) = outlets.published.in_force() else {
            continue;
        };
        let Some(&address) = in_force.list.addresses.first() else {
            continue;
        };
        match ask(&client, &outlets.pod, address).await {
            Ok(PeerIdentity {
                identity: Some(own),
                ..
            }) if own.namespace == outlets.pod.namespace && own.name == outlets.pod.name => {
                outlets.directory.set_own(PeerMember {
                    id: outlets.pod.clone(),
                    addresses: in_force.list.addresses.clone(),
                    labels: Arc::new(own.labels),
                    workload: own.workload,
                    node: None,
                });
            }
            Ok(_) => {}
            Err(end) => tracing::debug!("the own labels: {}", end.told(&outlets.pod)),
        }
        sleep(OWN_AGAIN).await;
    }
}
