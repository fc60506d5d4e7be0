//! The answer for people: what decides, both ends, what was probably meant, and what would allow it.

use sidewall::policy::hints::{Hint, HintKind};

use super::columns::{self, mark};
use super::groups::Group;
use super::{Told, headline, side, told};
use crate::ends::ask::{Answer, QuestionArgs};
use crate::source::Source;
use crate::ui;

/// Groups that get a line.
const MOST_LINES: usize = 20;
/// Columns of a page that is not on a terminal, and the most that lines are stretched to.
const WIDEST: usize = 160;

/// Prints the groups: one in full; of several a line each, and the first that is blocked in full.
pub(super) fn print(
    groups: &[Group<'_>],
    left_out: &[String],
    question: &QuestionArgs,
    source: &Source,
) -> anyhow::Result<()> {
    for why in left_out {
        ui::note(format!("not asked: {why}"));
    }
    let [first, others @ ..] = groups else {
        return Ok(());
    };
    if !others.is_empty() {
        let pairs = |allowed: bool| {
            let such = groups
                .iter()
                .filter(|group| group.first().allowed() == allowed);
            such.map(Group::pairs).sum::<usize>()
        };
        ui::line(format!("{} blocked, {} allowed", pairs(false), pairs(true)));
        for group in groups.iter().take(MOST_LINES) {
            ui::line(format!(
                "  {} {}",
                mark(group.first().allowed()),
                headline(group)
            ));
        }
        if let Some(more) = groups
            .len()
            .checked_sub(MOST_LINES)
            .filter(|more| *more > 0)
        {
            ui::line(format!("  … and {more} more (all of them: -o json)"));
        }
        ui::line("");
        if first.first().allowed() {
            return Ok(());
        }
        ui::line(ui::paint(ui::FAINT, "The first of them in full:"));
    }
    in_full(first, question, source)
}

fn in_full(group: &Group<'_>, question: &QuestionArgs, source: &Source) -> anyhow::Result<()> {
    let answer = group.first();
    let told = told(answer, source)?;
    let (word, style) = if answer.allowed() {
        ("ALLOWED", ui::GOOD)
    } else {
        ("BLOCKED", ui::BAD)
    };
    ui::line(format!(
        "{} {}  {}",
        mark(answer.allowed()),
        ui::paint(ui::COMMAND, headline(group)),
        ui::paint(style.bold(), word)
    ));
    if answer.reach.loopback {
        ui::line("  A pod's connection to itself never leaves it: no policy sees it.");
        return Ok(());
    }
    for sentence in sentences(answer) {
        ui::sentence(&sentence, "  ");
    }
    ui::line("");
    let width = ui::width().min(WIDEST);
    columns::print(&side::egress(answer), &side::ingress(answer), width);
    // What this answer is about first; DNS is another question.
    let about_it = |hint: &&Hint| hint.kind != HintKind::Dns;
    hints(told.hints.iter().filter(about_it));
    suggestions(&told, question);
    hints(told.hints.iter().filter(|hint| !about_it(hint)));
    Ok(())
}

/// The summary of each end that blocks; of an allowed connection nothing, the marks say it.
fn sentences(answer: &Answer) -> Vec<String> {
    let all = answer.reach.egress.iter().chain(&answer.reach.ingress);
    let blocked = all.filter(|explanation| !explanation.allowed());
    let mut sentences: Vec<String> = Vec::new();
    for explanation in blocked {
        let summary = explanation.summary.trim_start_matches("Blocked: ");
        let direction = explanation.question.direction.to_string();
        let sentence = format!("By {direction}: {summary}");
        // The endpoints of a Service are mostly alike.
        if sentences
            .iter()
            .filter(|other| other.starts_with(&format!("By {direction}")))
            .count()
            == 0
        {
            sentences.push(sentence);
        }
    }
    sentences
}

fn hints<'a>(hints: impl Iterator<Item = &'a Hint>) {
    for hint in hints {
        ui::line("");
        let label = ui::paint(ui::WARN, "HINT");
        ui::sentence(&format!("{label} {}", hint.text), "");
        ui::sentence(&format!("{}:", hint.remedy), "  ");
        ui::yaml(&hint.fix);
    }
}

fn suggestions(told: &Told<'_>, question: &QuestionArgs) {
    if told.suggestions.is_empty() {
        return;
    }
    ui::line("");
    let what = match told.suggestions.as_slice() {
        [_] => "TO ALLOW IT, if it should be, and nothing else:",
        _ => "TO ALLOW IT, if it should be, and nothing else, each end needs a policy:",
    };
    ui::line(ui::paint(ui::TITLE, what));
    for (index, suggestion) in told.suggestions.iter().enumerate() {
        if index > 0 {
            ui::yaml("---");
        }
        ui::yaml(&suggestion.yaml);
    }
    let port = question.port.as_ref();
    let port = port.map_or_else(String::new, |port| {
        let port = port.to_string();
        format!(" --port {}", port.trim_end_matches("/TCP"))
    });
    let namespace = match question.namespace.as_str() {
        "default" => String::new(),
        namespace => format!(" --namespace {namespace}"),
    };
    let source = question.source.as_typed();
    let source = if source.is_empty() {
        String::new()
    } else {
        format!(" {source}")
    };
    let command = format!(
        "sidewall why {} {}{port}{namespace}{source} -o policy",
        question.from, question.to
    );
    ui::line(ui::paint(
        ui::FAINT,
        "Only this YAML, for kubectl apply -f -:",
    ));
    ui::line(format!("  {}", ui::paint(ui::COMMAND, command)));
}
