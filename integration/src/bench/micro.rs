//! The medians that criterion has left in `target/criterion`, as a table.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// One benchmark, as criterion's `benchmark.json` names it.
#[derive(Debug, Deserialize)]
struct Benchmark {
    group_id: String,
    full_id: String,
}

/// What is taken of criterion's `estimates.json`; nanoseconds.
#[derive(Debug, Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Debug, Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// A Markdown table of every benchmark in criterion's folder, by group.
///
/// # Errors
/// When there are none, or they are not criterion's.
pub fn table(folder: &Path) -> Result<String> {
    let mut all = Vec::new();
    collect(folder, &mut all)?;
    ensure!(
        !all.is_empty(),
        "no results in {}: `make microbench` runs `cargo bench` first",
        folder.display()
    );
    all.sort_by_key(|(benchmark, _): &(Benchmark, _)| natural(&benchmark.full_id));
    let mut text = String::from("| | median | 95 % |\n|---|---|---|\n");
    let mut group = String::new();
    for (benchmark, estimates) in &all {
        if benchmark.group_id != group {
            group.clone_from(&benchmark.group_id);
            let _ = writeln!(text, "| **{group}** | | |");
        }
        let name = benchmark.full_id.strip_prefix(&group);
        let name = name.unwrap_or(&benchmark.full_id).trim_matches('/');
        let Estimate {
            point_estimate,
            confidence_interval: interval,
        } = &estimates.median;
        let (low, high) = (time(interval.lower_bound), time(interval.upper_bound));
        let _ = writeln!(
            text,
            "| {name} | {} | {low} – {high} |",
            time(*point_estimate)
        );
    }
    Ok(text)
}

fn collect(folder: &Path, all: &mut Vec<(Benchmark, Estimates)>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if !path.ends_with("new") {
            collect(&path, all)?;
            continue;
        }
        let read = |name: &str| {
            let path = path.join(name);
            fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        let benchmark = serde_json::from_str(&read("benchmark.json")?)?;
        all.push((benchmark, serde_json::from_str(&read("estimates.json")?)?));
    }
    Ok(())
}

/// Numbers within a name count as numbers.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(text);
        let digits = tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (number, tail) = tail.split_at(digits);
        parts.push((word.to_owned(), number.parse().unwrap_or(0)));
        rest = tail;
    }
    parts
}

/// Nanoseconds with the unit that suits them.
fn time(nanos: f64) -> String {
    match nanos {
        n if n < 1e3 => format!("{n:.1} ns"),
        n if n < 1e6 => format!("{:.2} µs", n / 1e3),
        n => format!("{:.2} ms", n / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_in_criterions_folders_and_sorted_by_number() {
        let folder = tempfile::tempdir().unwrap();
        for (id, nanos) in [("1000", 2_500.0), ("10", 12.34)] {
            let path = folder.path().join("group").join(id).join("new");
            fs::create_dir_all(&path).unwrap();
            let benchmark =
                format!(r#"{{"group_id": "look-up", "full_id": "look-up/peers/{id}"}}"#);
            fs::write(path.join("benchmark.json"), benchmark).unwrap();
            let interval = r#"{"confidence_level": 0.95, "lower_bound": 1.0, "upper_bound": 2e6}"#;
            let estimates = format!(
                r#"{{"median": {{"point_estimate": {nanos}, "confidence_interval": {interval}}}}}"#
            );
            fs::write(path.join("estimates.json"), estimates).unwrap();
        }
        assert_eq!(
            table(folder.path()).unwrap(),
            "| | median | 95 % |\n|---|---|---|\n| **look-up** | | |\n\
             | peers/10 | 12.3 ns | 1.0 ns – 2.00 ms |\n| peers/1000 | 2.50 µs | 1.0 ns – 2.00 ms |\n"
        );
    }

    #[test]
    fn a_folder_without_results_says_how_to_get_them() {
        let folder = tempfile::tempdir().unwrap();
        let problem = table(folder.path()).unwrap_err().to_string();
        assert!(problem.contains("cargo bench"), "{problem}");
    }
}
