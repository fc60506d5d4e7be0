//! Every probe of every story of `examples/` is answered as the story says, and every block is undone
//! by what the answer says.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use super::{examples, sidewall, stderr, stdout};

/// The cluster of a story at one of its steps.
#[derive(Default)]
struct Stage {
    files: Vec<PathBuf>,
}

impl Stage {
    fn flags(&self) -> Vec<String> {
        let flag = |file: &PathBuf| ["--manifests".to_owned(), file.display().to_string()];
        self.files.iter().flat_map(flag).collect()
    }

    /// The answer to `why` or `can`.
    fn ask(&self, command: &str, (from, to, port): &Question, more: &[&str]) -> Output {
        let mut arguments = vec![command, from, to, "--port", port];
        arguments.extend(more);
        let flags = self.flags();
        arguments.extend(flags.iter().map(String::as_str));
        sidewall(100, &arguments)
    }

    fn can(&self, question: &Question) -> bool {
        let output = self.ask("can", question, &[]);
        match (output.status.code(), stdout(&output).trim()) {
            (Some(0), "yes") => true,
            (Some(1), "no") => false,
            other => panic!("{question:?}: {other:?} {}", stderr(&output)),
        }
    }

    fn with(&self, file: &Path) -> Self {
        let mut files = self.files.clone();
        files.push(file.to_owned());
        Self { files }
    }
}

/// From, to, port.
type Question = (String, String, String);

/// The connections that a probe makes: one by name asks DNS first.
fn questions(probe: &Value) -> Vec<Question> {
    let from = probe["from"].as_str().expect("from").to_owned();
    let dns = (
        from.clone(),
        "kube-system/svc/kube-dns".to_owned(),
        "53/UDP".to_owned(),
    );
    let Some(to) = probe["to"].as_str() else {
        return vec![dns];
    };
    let protocol = probe["protocol"].as_str().unwrap_or("TCP");
    let port = format!("{}/{protocol}", probe["port"]);
    let (kind, name) = to.split_once('/').expect("kind/name");
    match kind {
        "pod" => vec![(from, name.to_owned(), port)],
        "svc" => {
            let (namespace, name) = name.split_once('/').expect("namespace/name");
            vec![(from, format!("{namespace}/svc/{name}"), port)]
        }
        "name" => vec![dns, (from, name.to_owned(), port)],
        other => panic!("{other}"),
    }
}

/// Walks a story; what is blocked goes to `blocked`, with the step's number.
fn walk(story: &str, mut blocked: impl FnMut(usize, &Stage, &Question)) {
    let folder = examples().join(story);
    let text = std::fs::read_to_string(folder.join("story.yaml")).expect("a story");
    let story: Value = serde_saphyr::from_str(&text).expect("YAML");
    let names = |value: &Value| -> Vec<PathBuf> {
        let names = value.as_array().into_iter().flatten();
        names
            .map(|name| folder.join(name.as_str().expect("a name")))
            .collect()
    };
    let mut stage = Stage {
        files: names(&story["cluster"]),
    };
    for (number, step) in (1..).zip(story["steps"].as_array().expect("steps")) {
        let gone = names(&step["delete"]);
        stage.files.retain(|file| !gone.contains(file));
        stage.files.extend(names(&step["apply"]));
        for probe in step["probes"].as_array().expect("probes") {
            let questions = questions(probe);
            let answers: Vec<bool> = questions.iter().map(|one| stage.can(one)).collect();
            let expected = probe["expect"] == "allow";
            assert_eq!(
                answers.iter().all(|one| *one),
                expected,
                "step {number}: {probe}"
            );
            for (question, _) in questions.iter().zip(answers).filter(|(_, answer)| !answer) {
                blocked(number, &stage, question);
            }
        }
    }
}

/// Undoes a block with nothing but what `why` prints.
fn undo(stage: &Stage, question: &Question) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = stage.ask("why", question, &["-o", "policy"]);
    assert_eq!(output.status.code(), Some(1), "{question:?}");
    let file = folder.path().join("suggested.yaml");
    std::fs::write(&file, &output.stdout).expect("written");
    assert!(
        stage.with(&file).can(question),
        "{question:?}: still blocked with\n{}",
        stdout(&output)
    );
    let output = stage.ask("why", question, &["-o", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let hints = answer["connections"][0]["hints"].as_array().expect("hints");
    for hint in hints
        .iter()
        .filter(|hint| hint["kind"] == "namespace-label")
    {
        let fix = hint["fix"].as_str().expect("a fix");
        let words: Vec<&str> = fix.split(' ').collect();
        let ["kubectl", "label", "namespace", namespace, label] = words.as_slice() else {
            panic!("{fix}")
        };
        let (key, value) = label.split_once('=').expect("key=value");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {key: value}}});
        let file = folder.path().join("label.json");
        std::fs::write(&file, namespace.to_string()).expect("written");
        assert!(
            stage.with(&file).can(question),
            "{question:?}: still blocked after {fix}"
        );
    }
}

fn every_block_is_undone(story: &str, expected: usize) {
    let mut blocks = 0;
    walk(story, |_, stage, question| {
        undo(stage, question);
        blocks += 1;
    });
    assert_eq!(blocks, expected, "{story}");
}

#[test]
fn every_block_of_np_demo_is_undone_by_what_is_printed() {
    every_block_is_undone("np-demo", 7);
}

#[test]
fn every_block_of_mysql_is_undone_by_what_is_printed() {
    every_block_is_undone("mysql", 3);
}

#[test]
fn every_block_of_three_tier_is_undone_by_what_is_printed() {
    every_block_is_undone("three-tier", 5);
}

#[test]
fn every_block_of_the_other_stories_is_undone_by_what_is_printed() {
    // Not default-policies: it tells of a pod without a sidecar, to which no policy is done. `why` says
    // what the policies say.
    for story in ["ip-block", "sctp"] {
        walk(story, |_, stage, question| undo(stage, question));
    }
}
