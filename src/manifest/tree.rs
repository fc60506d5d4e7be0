//! A document as a tree of values that know their line.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A value and the line on which it begins, from 1.
#[derive(Debug, Clone)]
pub struct Located {
    /// The line.
    pub line: u64,
    node: Node,
}

/// Where the fields of an object are written.
#[derive(Debug, Clone)]
pub struct Lines(Arc<Located>);

impl Lines {
    /// The line, from 1, of a field such as `spec.ingress[0].from`; of a field that is not there, the
    /// line of what should hold it. An empty path is the object itself.
    #[must_use]
    pub fn of(&self, field: &str) -> u64 {
        self.0.line_of(field)
    }
}

impl Default for Lines {
    /// Of an object that is in no file: every field is on line 0.
    fn default() -> Self {
        let node = Node::Leaf(Value::Null);
        Self(Arc::new(Located { line: 0, node }))
    }
}

impl From<&Located> for Lines {
    fn from(object: &Located) -> Self {
        Self(Arc::new(object.clone()))
    }
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(Value),
    List(Vec<Located>),
    /// Keys with their own line.
    Map(Vec<(String, u64, Located)>),
}

/// Parses one YAML (or JSON) document that begins on `first_line`; `None` if it says nothing. A mistake
/// comes with its line.
pub fn parse_document(text: &str, first_line: u64) -> Result<Option<Located>, (u64, String)> {
    let before = first_line.saturating_sub(1);
    match serde_saphyr::from_str::<Spanned<Raw>>(text) {
        Ok(root) => {
            let root = locate(root, before);
            Ok((!matches!(root.node, Node::Leaf(Value::Null))).then_some(root))
        }
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line());
            let text = error.without_snippet().to_string();
            // The line is told beside the message, counted from the file's beginning.
            let text = text
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned();
            Err((before + line, text))
        }
    }
}

impl Located {
    /// Whether it is an object.
    #[must_use]
    pub fn is_map(&self) -> bool {
        matches!(self.node, Node::Map(_))
    }

    /// Whether it is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.node, Node::List(_))
    }

    /// The names of an object's fields, as they are written; none if it is no object.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let fields = match &self.node {
            Node::Map(fields) => fields.as_slice(),
            Node::Leaf(_) | Node::List(_) => &[],
        };
        fields.iter().map(|(name, ..)| name.as_str())
    }

    /// A field of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, value)| value)
    }

    /// The items of a list; none if it is no list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.node {
            Node::List(items) => items,
            Node::Leaf(_) | Node::Map(_) => &[],
        }
    }

    /// A string's text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.node {
            Node::Leaf(value) => value.as_str(),
            Node::List(_) | Node::Map(_) => None,
        }
    }

    /// The value without its lines.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.node {
            Node::Leaf(value) => value.clone(),
            Node::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Node::Map(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, _, value)| (name.clone(), value.to_value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// The line of a field such as `spec.ingress[0].from`; of a field that is not there, the line of
    /// what should hold it.
    #[must_use]
    pub fn line_of(&self, path: &str) -> u64 {
        let (mut line, mut here) = (self.line, self);
        for segment in segments(path) {
            let next = match (&here.node, segment.parse::<usize>()) {
                (Node::List(items), Ok(index)) => items.get(index).map(|item| (item.line, item)),
                _ => here.entry(segment),
            };
            match next {
                Some((its_line, value)) => (line, here) = (its_line, value),
                None => break,
            }
        }
        line
    }

    fn entry(&self, name: &str) -> Option<(u64, &Self)> {
        let Node::Map(fields) = &self.node else {
            return None;
        };
        let found = fields.iter().find(|(key, ..)| key == name);
        found.map(|(_, line, value)| (*line, value))
    }
}

/// `spec.ports[0]` as `spec`, `ports`, `0`; what stands in brackets may hold dots.
fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (segment, after) = inside.split_once(']').unwrap_or((inside, ""));
            segments.push(segment);
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (segment, after) = rest.split_at(end);
            if !segment.is_empty() {
                segments.push(segment);
            }
            rest = after.strip_prefix('.').unwrap_or(after);
        }
    }
    segments
}

/// A value as the parser hands it over.
enum Raw {
    Leaf(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn locate(raw: Spanned<Raw>, before: u64) -> Located {
    let line = before + raw.referenced.line();
    let node = match raw.value {
        Raw::Leaf(value) => Node::Leaf(value),
        Raw::List(items) => {
            Node::List(items.into_iter().map(|item| locate(item, before)).collect())
        }
        Raw::Map(fields) => Node::Map(
            fields
                .into_iter()
                .map(|(key, value)| {
                    (
                        key.value,
                        before + key.referenced.line(),
                        locate(value, before),
                    )
                })
                .collect(),
        ),
    };
    Located { line, node }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Number(value.into())))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Raw::Leaf(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::String(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::String(value)))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Raw::Map(fields))
    }
}
