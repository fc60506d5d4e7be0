//! The short form: `allow: web -> db:5432/TCP`, `block: shop/deploy/web -> world:443`, one to a line,
//! or as entries of a YAML list, which may carry `name`, `timeoutSeconds` and `attempts`.

use std::time::Duration;

use sidewall::manifest::Located;

use super::{ATTEMPTS, Destination, Reader, TIMEOUT, Test};
use crate::ends::{self, EndName};
use crate::expect::Expect;
use crate::port::Port;

const WORDS: [(&str, Expect); 2] = [("allow", Expect::Allow), ("block", Expect::Block)];
const FORM: &str = "allow: FROM -> TO:PORT[/PROTOCOL], or block: …";

/// Whether a text is lines of this form: its first line that says something is.
pub(super) fn is_lines(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| {
        WORDS
            .iter()
            .any(|(word, _)| line.starts_with(&format!("{word}:")))
    })
}

/// Whether an entry of a list is of this form.
pub(super) fn is_short(item: &Located) -> bool {
    WORDS.iter().any(|(word, _)| item.get(word).is_some())
}

pub(super) fn lines(reader: &mut Reader<'_>, text: &str) {
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let word = WORDS.iter().find_map(|(word, expect)| {
            let rest = line.strip_prefix(word)?.trim_start().strip_prefix(':')?;
            Some((*expect, rest))
        });
        match word {
            Some((expect, rest)) => test(reader, number, "", expect, rest, Extra::default()),
            None => reader.mistake(number, "", format!("{line:?} is no test: {FORM}")),
        }
    }
}

pub(super) fn entry(reader: &mut Reader<'_>, item: &Located, path: &str) {
    let known = ["allow", "block", "name", "timeoutSeconds", "attempts"];
    let unknown: Vec<&str> = item.keys().filter(|key| !known.contains(key)).collect();
    for key in unknown {
        let field = format!("{path}.{key}");
        reader.mistake(item.line_of(key), &field, "unknown field".to_owned());
    }
    let mut extra = Extra {
        name: item.get("name").and_then(Located::text).map(str::to_owned),
        ..Extra::default()
    };
    for field in ["timeoutSeconds", "attempts"] {
        let Some(value) = item.get(field).map(Located::to_value) else {
            continue;
        };
        match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number @ 1..) if field == "attempts" => extra.attempts = number,
            Some(number @ 1..) => extra.timeout = Duration::from_secs(number.into()),
            _ => {
                let problem = format!("Invalid value: {value}: must be a number from 1 on");
                reader.mistake(item.line_of(field), &format!("{path}.{field}"), problem);
            }
        }
    }
    let both = WORDS
        .iter()
        .filter_map(|(word, expect)| Some((*word, *expect, item.get(word)?)));
    let both: Vec<_> = both.collect();
    match both.as_slice() {
        [(word, expect, value)] => {
            let field = format!("{path}.{word}");
            match value.text() {
                Some(text) => test(reader, item.line_of(word), &field, *expect, text, extra),
                None => reader.mistake(value.line, &field, format!("a test was expected: {FORM}")),
            }
        }
        _ => reader.mistake(item.line, path, "give either allow or block".to_owned()),
    }
}

/// What an entry may say beside the connection.
struct Extra {
    name: Option<String>,
    timeout: Duration,
    attempts: u32,
}

impl Default for Extra {
    fn default() -> Self {
        Self {
            name: None,
            timeout: TIMEOUT,
            attempts: ATTEMPTS,
        }
    }
}

fn test(reader: &mut Reader<'_>, line: u64, field: &str, expect: Expect, text: &str, extra: Extra) {
    match connection(text, reader.namespace) {
        Ok((from, to, port)) => {
            let told = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let name = extra.name.unwrap_or(format!("{}: {told}", expect.as_str()));
            reader.tests.push(Test {
                name,
                file: reader.file.to_owned(),
                line,
                from,
                to,
                port,
                expect,
                timeout: extra.timeout,
                attempts: extra.attempts,
            });
        }
        Err(problems) => {
            for problem in problems {
                reader.mistake(line, field, problem);
            }
        }
    }
}

/// `FROM -> TO:PORT/PROTOCOL`.
fn connection(text: &str, namespace: &str) -> Result<(EndName, Destination, Port), Vec<String>> {
    let parts = text.split_once("->").or_else(|| text.split_once('→'));
    let Some((from, to)) = parts else {
        return Err(vec![format!("there is no \"->\": {FORM}")]);
    };
    // The port is behind the last colon; an IPv6 address before it stands in brackets.
    let Some((to, port)) = to.trim().rsplit_once(':') else {
        return Err(vec![format!("there is no port: {FORM}")]);
    };
    let from = ends::parse(from.trim(), namespace).map_err(|why| why.to_string());
    let to = destination(to.trim(), namespace);
    let port = port.trim().parse::<Port>().map_err(|why| why.to_string());
    match (from, to, port) {
        (Ok(from), Ok(to), Ok(port)) => Ok((from, to, port)),
        (from, to, port) => {
            let problems = [from.err(), to.err(), port.err()];
            Err(problems.into_iter().flatten().collect())
        }
    }
}

/// A name with a dot that is no Service's is a host outside.
fn destination(text: &str, namespace: &str) -> Result<Destination, String> {
    match ends::parse(text, namespace) {
        Ok(EndName::PodOrWorkload(_)) if text.contains('.') && !text.contains('/') => {
            Ok(Destination::Host(text.to_owned()))
        }
        Ok(end) => Ok(Destination::End(end)),
        Err(why) => Err(why.to_string()),
    }
}
