//! Which objects a request means: by name and namespace, and by label.

use sidewall::policy::allow_list::Requirement;
use sidewall::policy::selector::{self, Labels};

/// A field and label selector.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    fields: Vec<(Field, bool, String)>,
    labels: Vec<Requirement>,
}

/// What can be selected by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
}

impl Selector {
    /// Reads both.
    ///
    /// # Errors
    /// What cannot be read, and what cannot be selected by.
    pub fn read(fields: Option<&str>, labels: Option<&str>) -> Result<Self, String> {
        let fields = fields.unwrap_or_default().split(',').map(str::trim);
        let fields = fields.filter(|term| !term.is_empty()).map(field);
        let labels = selector::parse(labels.unwrap_or_default());
        Ok(Self {
            fields: fields.collect::<Result<_, _>>()?,
            labels: labels.map_err(|wrong| format!("labelSelector: {wrong}"))?,
        })
    }

    /// The one name that objects can have, if it says one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.exactly(Field::Name)
    }

    /// The one namespace that objects can have, if it says one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.exactly(Field::Namespace)
    }

    fn exactly(&self, field: Field) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(of, equal, _)| *of == field && *equal)?;
        Some(&found.2)
    }

    /// Whether an object of this namespace and name is meant.
    #[must_use]
    pub fn matches_fields(&self, namespace: &str, name: &str) -> bool {
        self.fields.iter().all(|(field, equal, value)| {
            let is = match field {
                Field::Name => name,
                Field::Namespace => namespace,
            };
            (is == value) == *equal
        })
    }

    /// Whether an object with these labels is meant.
    #[must_use]
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|one| one.matches(labels))
    }

    /// Whether it means everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.labels.is_empty()
    }
}

fn field(term: &str) -> Result<(Field, bool, String), String> {
    let (key, equal, value) = if let Some((key, value)) = term.split_once("!=") {
        (key, false, value)
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (key, true, value)
    } else {
        return Err(format!("fieldSelector: {term:?} has neither =, == nor !="));
    };
    let field = match key.trim() {
        "metadata.name" => Field::Name,
        "metadata.namespace" => Field::Namespace,
        other => {
            return Err(format!(
                "fieldSelector: {other:?} is not known: metadata.name and metadata.namespace are"
            ));
        }
    };
    Ok((field, equal, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_terms_must_hold() {
        let both = Selector::read(Some("metadata.namespace=shop,metadata.name!=db"), None).unwrap();
        assert!(both.matches_fields("shop", "web"));
        assert!(!both.matches_fields("shop", "db"));
        assert!(!both.matches_fields("open", "web"));
        assert_eq!((both.name(), both.namespace()), (None, Some("shop")));
    }

    #[test]
    fn labels_are_read_as_everywhere_in_kubernetes() {
        let set = Selector::read(None, Some("a in (b, c),!d")).unwrap();
        let labels = |all: &[(&str, &str)]| -> Labels {
            let all = all.iter();
            all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert!(set.matches_labels(&labels(&[("a", "c")])));
        assert!(!set.matches_labels(&labels(&[("a", "c"), ("d", "")])));
        assert!(!set.matches_labels(&labels(&[])));
        assert!(Selector::read(None, Some("a in (b")).is_err());
    }
}
