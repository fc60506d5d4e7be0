//! What was measured, as it is kept: one JSON value a line, written as soon as it is known. A run that
//! was cut short is taken up from there, and tables and plots can be made from it again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::axis::{Column, Point, Probe, Row};
use super::change;
use super::known_pods::Idle;
use super::machine::Machine;
use super::settings::Settings;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// The first: what the run is, and where.
    Run {
        settings: Settings,
        machine: Machine,
    },
    /// A measurement.
    Measured(Measured),
    /// A row that did not come up at a point.
    Absent { point: Point, row: Row, why: String },
    /// Policy changes with kubectl.
    Changes(change::Samples),
    /// Sidecars without traffic.
    Idle(Vec<Idle>),
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// The figures, or why there are none.
    pub outcome: std::result::Result<Vec<(Column, f64)>, String>,
}

/// What is measured, once a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct What {
    /// The size of the cluster.
    pub point: Point,
    /// Who guards.
    pub row: Row,
    /// What is done.
    pub probe: Probe,
    /// IPv6, or IPv4.
    pub v6: bool,
    /// From 0.
    pub round: usize,
}

/// Everything that a run has found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// What the run is.
    pub settings: Settings,
    /// Where.
    pub machine: Machine,
    /// The measurements.
    pub measured: Vec<Measured>,
    /// Rows that did not come up at a point, and why.
    pub absent: BTreeMap<(Point, Row), String>,
    /// Policy changes, when they were timed.
    pub changes: Option<change::Samples>,
    /// Sidecars without traffic, when they were looked at.
    pub idle: Option<Vec<Idle>>,
}

impl Records {
    /// Reads a file of a run.
    ///
    /// # Errors
    /// When it is none. A last line that was cut short is left out.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut lines = text.lines().enumerate().peekable();
        let mut records: Option<Self> = None;
        while let Some((number, line)) = lines.next() {
            let line = match serde_json::from_str(line) {
                Ok(line) => line,
                Err(_) if lines.peek().is_none() && !text.ends_with('\n') => break,
                Err(error) => bail!("{}:{}: {error}", path.display(), number + 1),
            };
            match (&mut records, line) {
                (None, Line::Run { settings, machine }) => {
                    records = Some(Self::new(settings, machine));
                }
                (Some(records), line) => records.take(line),
                (None, _) => bail!("{} does not begin as a benchmark's", path.display()),
            }
        }
        records.with_context(|| format!("{} is empty", path.display()))
    }

    fn new(settings: Settings, machine: Machine) -> Self {
        Self {
            settings,
            machine,
            measured: Vec::new(),
            absent: BTreeMap::new(),
            changes: None,
            idle: None,
        }
    }

    fn take(&mut self, line: Line) {
        match line {
            // Taken up again: the file's beginning counts.
            Line::Run { .. } => {}
            Line::Measured(measured) => self.measured.push(measured),
            Line::Absent { point, row, why } => {
                self.absent.insert((point, row), why);
            }
            Line::Changes(samples) => self.changes = Some(samples),
            Line::Idle(idle) => self.idle = Some(idle),
        }
    }

    /// Whether a measurement was made, however it ended.
    #[must_use]
    pub fn has(&self, what: &What) -> bool {
        self.measured.iter().any(|measured| measured.what == *what)
    }

    /// The figures of all rounds.
    #[must_use]
    pub fn samples(&self, point: Point, row: Row, v6: bool, column: Column) -> Vec<f64> {
        let mine = self.measured.iter().filter(|measured| {
            let what = measured.what;
            (what.point, what.row, what.v6) == (point, row, v6)
        });
        let figures = mine.filter_map(|measured| measured.outcome.as_ref().ok());
        figures
            .flatten()
            .filter(|(which, _)| *which == column)
            .map(|(_, value)| *value)
            .collect()
    }

    /// Measurements that came to nothing, with their reasons.
    pub fn failures(&self) -> impl Iterator<Item = (&What, &str)> {
        self.measured.iter().filter_map(|measured| {
            let why = measured.outcome.as_ref().err()?;
            Some((&measured.what, why.as_str()))
        })
    }
}

/// Records that are written to a file as they come.
#[derive(Debug)]
pub struct Journal {
    /// What is known so far.
    pub records: Records,
    file: Option<File>,
}

impl Journal {
    /// Begins one; in a file, if there is to be one.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(path: Option<&Path>, settings: Settings, machine: Machine) -> Result<Self> {
        let create = |path: &Path| {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            File::create(path)
        };
        let file = path
            .map(|path| create(path).with_context(|| format!("cannot make {}", path.display())))
            .transpose()?;
        let mut journal = Self {
            records: Records::new(settings.clone(), machine.clone()),
            file,
        };
        journal.write(&Line::Run { settings, machine })?;
        Ok(journal)
    }

    /// Takes one up that was cut short, if the file holds one with these settings of this machine.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn resume(path: &Path, settings: &Settings, machine: &Machine) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let records = Records::read(path)?;
        let same = records.settings == *settings
            && (&records.machine.kernel, records.machine.cores) == (&machine.kernel, machine.cores);
        if !same || records.idle.is_some() {
            // The last thing a run does is to look at idle sidecars: that one is complete.
            return Ok(None);
        }
        let text = std::fs::read_to_string(path)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(whole as u64)?;
        let mut file = file;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        Ok(Some(Self {
            records,
            file: Some(file),
        }))
    }

    /// Takes note of a measurement.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn measured(&mut self, measured: Measured) -> Result<()> {
        self.note(Line::Measured(measured))
    }

    /// Takes note of a row that is not there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn absent(&mut self, point: Point, row: Row, why: String) -> Result<()> {
        self.note(Line::Absent { point, row, why })
    }

    /// Takes note of the policy changes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn changes(&mut self, samples: change::Samples) -> Result<()> {
        self.note(Line::Changes(samples))
    }

    /// Takes note of the idle sidecars.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn idle(&mut self, idle: Vec<Idle>) -> Result<()> {
        self.note(Line::Idle(idle))
    }

    fn note(&mut self, line: Line) -> Result<()> {
        self.write(&line)?;
        self.records.take(line);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        if let Some(file) = &mut self.file {
            let mut text = serde_json::to_string(line)?;
            text.push('\n');
            file.write_all(text.as_bytes()).context("the results")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::settings::Effort;

    fn machine() -> Machine {
        Machine {
            model: "a processor".to_owned(),
            cores: 2,
            kernel: "6.18".to_owned(),
            memory: 8,
            congestion_control: "cubic".to_owned(),
            day: "2026-11-21".to_owned(),
        }
    }

    fn measured(round: usize, value: f64) -> Measured {
        let what = What {
            point: Point::BASE,
            row: Row::Tc,
            probe: Probe::Ping,
            v6: false,
            round,
        };
        let outcome = Ok(vec![(Column::LatencyP50, value)]);
        Measured { what, outcome }
    }

    #[test]
    fn a_run_that_was_cut_short_in_the_middle_of_a_line_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let settings = Settings::new(Effort::Quick, &[]);
        let mut journal = Journal::begin(Some(&path), settings.clone(), machine()).unwrap();
        journal.measured(measured(0, 5.0)).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"measured\": {\"poi");
        std::fs::write(&path, text).unwrap();

        let resumed = Journal::resume(&path, &settings, &machine()).unwrap();
        let mut resumed = resumed.expect("the same settings");
        assert!(resumed.records.has(&measured(0, 0.0).what));
        assert!(!resumed.records.has(&measured(1, 0.0).what));
        resumed.measured(measured(1, 7.0)).unwrap();
        let records = Records::read(&path).unwrap();
        assert_eq!(records, resumed.records);
        let samples = records.samples(Point::BASE, Row::Tc, false, Column::LatencyP50);
        assert_eq!(samples, [5.0, 7.0]);
    }

    #[test]
    fn another_run_and_one_that_is_complete_are_not_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let settings = Settings::new(Effort::Quick, &[]);
        let mut journal = Journal::begin(Some(&path), settings.clone(), machine()).unwrap();
        let other = Settings::new(Effort::Full, &[]);
        assert!(
            Journal::resume(&path, &other, &machine())
                .unwrap()
                .is_none()
        );
        journal.idle(Vec::new()).unwrap();
        assert!(
            Journal::resume(&path, &settings, &machine())
                .unwrap()
                .is_none()
        );
    }
}
