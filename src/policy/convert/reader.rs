//! Reading a JSON value field by field, with the path of every field at hand for its mistakes.
//!
//! A field that is null counts as missing, as it does for the API server; a null inside a list does
//! not, because there it would stand for an empty rule, which allows everything.

use serde_json::{Map, Value};

use super::mistake::{Mistake, Problem};
use crate::spelling::nearest;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(&mut self, path: &str, problem: Problem) {
        self.0.push(Mistake {
            path: path.to_owned(),
            problem,
        });
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_vec(self) -> Vec<Mistake> {
        self.0
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub value: &'a Value,
    pub path: String,
}

/// The fields of an object; none if the value was no object.
#[derive(Debug)]
pub(super) struct Object<'a> {
    fields: Option<&'a Map<String, Value>>,
    path: String,
}

impl<'a> Place<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    /// As an object with no fields but these.
    pub(super) fn object(&self, known: &[&str], mistakes: &mut Mistakes) -> Object<'a> {
        let object = self.map(mistakes);
        for name in object.fields.into_iter().flat_map(Map::keys) {
            if !known.contains(&name.as_str()) {
                let meant = nearest(name, known.iter().copied());
                mistakes.add(&object.path_of(name), Problem::UnknownField { meant });
            }
        }
        object
    }

    /// As an object with any fields.
    pub(super) fn map(&self, mistakes: &mut Mistakes) -> Object<'a> {
        let fields = self.value.as_object();
        if fields.is_none() {
            mistakes.add(&self.path, Problem::wrong_type(self.value, "an object"));
        }
        Object {
            fields,
            path: self.path.clone(),
        }
    }

    /// As a list.
    pub(super) fn items(&self, mistakes: &mut Mistakes) -> Option<Vec<Place<'a>>> {
        let Some(items) = self.value.as_array() else {
            mistakes.add(&self.path, Problem::wrong_type(self.value, "a list"));
            return None;
        };
        let place = |(index, value)| Place {
            value,
            path: format!("{}[{index}]", self.path),
        };
        Some(items.iter().enumerate().map(place).collect())
    }

    /// As a string.
    pub(super) fn string(&self, mistakes: &mut Mistakes) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            mistakes.add(&self.path, Problem::wrong_type(self.value, "a string"));
        }
        text
    }
}

impl<'a> Object<'a> {
    /// Whether there is such a field and it is not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A field; missing and null are the same.
    pub(super) fn get(&self, name: &str) -> Option<Place<'a>> {
        let value = self.fields?.get(name).filter(|value| !value.is_null())?;
        Some(Place {
            value,
            path: self.path_of(name),
        })
    }

    /// Every field, in the order of the names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Place<'a>)> + '_ {
        let fields = self.fields.into_iter().flatten();
        fields.map(|(name, value)| {
            (
                name.as_str(),
                Place {
                    value,
                    path: format!("{}[{name}]", self.path),
                },
            )
        })
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}
