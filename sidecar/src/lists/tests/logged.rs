//! "Logged": who a blocked peer is comes from the controller, and nothing waits for it for long.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::who::{Known, Who};
use super::server::{Instead, Server};
use super::{address, admits, named};

fn server() -> Server {
    let server = Server::new(admits(&[]));
    server.identity(
        "10.0.0.9",
        json!({"namespace": "shop", "name": "attacker", "labels": {"app": "x"}, "namespaceLabels": {"team": "b"}}),
    );
    server
}

fn asking(server: &Server) -> std::sync::Arc<Who> {
    let (who, questions) = Who::new();
    tokio::spawn(questions.run(server.client(), named("db")));
    who
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_taken_for_true_for_thirty_seconds_and_one_question_serves_all() {
    let server = server();
    let who = asking(&server);
    let asked = address("10.0.0.9");
    assert_eq!(who.look(asked), None);
    assert_eq!(who.ask(asked), Known::Asked);
    assert_eq!(who.ask(asked), Known::Asked);
    who.answered.notified().await;
    let Known::Answer(answer) = who.ask(asked) else {
        panic!("answered");
    };
    let identity = answer.identity.as_ref().expect("a pod");
    assert_eq!(
        (
            identity.name.as_str(),
            identity.namespace_labels["team"].as_str()
        ),
        ("attacker", "b")
    );
    sleep(Duration::from_secs(29)).await;
    assert!(matches!(who.ask(asked), Known::Answer(_)));
    assert_eq!(server.peers_asked(), ["10.0.0.9"]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(who.ask(asked), Known::Asked);
}

#[tokio::test(start_paused = true)]
async fn a_scan_costs_ten_questions_a_second_and_no_more() {
    let server = server();
    let who = asking(&server);
    let began = Instant::now();
    let mut refused = 0;
    for number in 0..30_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let known = who.ask(std::net::IpAddr::from([10, a, b, c]));
        refused += usize::from(matches!(known, Known::Not(_)));
        if number % 10_000 == 9_999 {
            sleep(Duration::from_secs(1)).await;
        }
    }
    let asked = server.peers_asked().len();
    assert_eq!((asked, refused), (30, 29_970), "in {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_fails_says_why_and_is_not_repeated_at_once() {
    let server = server();
    server.instead(Some(Instead::Code(429, "slower".into(), None)));
    let who = asking(&server);
    let asked = address("10.0.0.9");
    who.ask(asked);
    who.answered.notified().await;
    let Known::Not(why) = who.ask(asked) else {
        panic!("refused");
    };
    assert!(why.contains("slower"), "{why}");
    server.instead(None);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(who.ask(asked), Known::Asked);
    who.answered.notified().await;
    assert!(matches!(who.ask(asked), Known::Answer(_)));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_says_nothing_is_given_up() {
    let server = server();
    server.instead(Some(Instead::Silence));
    let who = asking(&server);
    who.ask(address("10.0.0.9"));
    let began = Instant::now();
    who.answered.notified().await;
    assert!(began.elapsed() <= Duration::from_secs(3));
    assert!(matches!(who.look(address("10.0.0.9")), Some(Known::Not(_))));
}
