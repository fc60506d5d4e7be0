//! What is meant as it is: `# sidewall:ignore SW016` in a file, or the annotation
//! `sidewall.dev/lint-ignore` on an object.
//!
//! A comment counts for the line that it ends, or for the next line that is none; above an object's
//! first line it counts for the whole object. Rules are named by id or name, several with commas or
//! blanks between them; after `--` a reason may follow.

use super::{Finding, Given, Input, rule};

const MARK: &str = "sidewall:ignore";
const ANNOTATION: &str = "sidewall.dev/lint-ignore";

/// Whether somebody says that this is meant.
pub(super) fn is_ignored(input: Input<'_>, finding: &Finding) -> bool {
    let object = object_of(input, finding);
    if object.is_some_and(|object| annotation(object).is_some_and(|names| lists(names, finding))) {
        return true;
    }
    let (Some(file), Some(line)) = (&finding.file, finding.line) else {
        return false;
    };
    let Some(text) = input.texts.get(file) else {
        return false;
    };
    let lines: Vec<&str> = text.lines().collect();
    let begins = object.and_then(|object| object.place.as_ref());
    let mut places = vec![line];
    places.extend(begins.map(|place| place.line));
    comment(&lines, line).is_some_and(|names| lists(names, finding))
        || places
            .into_iter()
            .any(|line| above(&lines, line).any(|names| lists(names, finding)))
}

fn object_of<'a>(input: Input<'a>, finding: &Finding) -> Option<&'a Given> {
    let id = finding.object.as_ref()?;
    // Two files may each have an object of this name.
    let same = |object: &&Given| {
        object.id == *id && object.place.as_ref().map(|place| &place.file) == finding.file.as_ref()
    };
    input.objects.iter().find(same)
}

fn annotation(object: &Given) -> Option<&str> {
    let annotations = object.value.get("metadata")?.get("annotations")?;
    annotations.get(ANNOTATION)?.as_str()
}

/// What a line's comment says behind the mark.
fn comment<'a>(lines: &[&'a str], line: u64) -> Option<&'a str> {
    let index = usize::try_from(line).ok()?.checked_sub(1)?;
    let (_, comment) = lines.get(index)?.split_once('#')?;
    comment.trim_start().strip_prefix(MARK)
}

/// What the comments directly above a line say. A document's marker with a comment is one too.
fn above<'a>(lines: &'a [&'a str], line: u64) -> impl Iterator<Item = &'a str> {
    let only_comment = |line: &u64| {
        let index = usize::try_from(*line)
            .ok()
            .and_then(|line| line.checked_sub(1));
        let text = index.and_then(|index| lines.get(index)).copied();
        text.is_some_and(|text| {
            let text = text.trim_start();
            text.starts_with('#') || text.starts_with("---")
        })
    };
    (1..line)
        .rev()
        .take_while(only_comment)
        .filter_map(|line| comment(lines, line))
}

/// Whether the finding's rule is among the names.
fn lists(names: &str, finding: &Finding) -> bool {
    let names = names.split("--").next().unwrap_or_default();
    let mut names = names.split([',', ' ', '\t']);
    names.any(|name| rule(name).is_some_and(|rule| rule.id == finding.rule))
}
