//! Label and field selectors as the query string writes them: `app=a,tier in (x,y),!old` and
//! `status.phase!=Failed`. They select objects for list, watch and deletecollection; the selectors
//! inside policies are not read here, the server only stores those.

use serde_json::Value;
use sidewall::policy::allow_list::Requirement;
use sidewall::policy::selector;

use super::errors::ApiError;
use super::kinds::Kind;
use super::request::Query;

/// Both selectors of one request.
#[derive(Debug, Default, Clone)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

impl Selector {
    pub(crate) fn from_query(kind: &Kind, query: &Query) -> Result<Selector, ApiError> {
        let labels = match query.get("labelSelector") {
            Some(text) => parse_labels(text).map_err(|why| {
                ApiError::bad_request(format!("unable to parse requirement: {why}"))
            })?,
            None => Vec::new(),
        };
        let fields = match query.get("fieldSelector") {
            Some(text) => parse_fields(kind, text)?,
            None => Vec::new(),
        };
        Ok(Selector { labels, fields })
    }

    /// Selects by name too: how one object is watched.
    pub(crate) fn restrict_to(&mut self, name: &str) {
        self.fields
            .push(("metadata.name".to_owned(), true, name.to_owned()));
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|r| holds(r, object))
            && self
                .fields
                .iter()
                .all(|(path, equal, want)| (field(object, path) == *want) == *equal)
    }
}

fn holds(requirement: &Requirement, object: &Value) -> bool {
    let value = object["metadata"]["labels"].get(&requirement.key);
    requirement.holds(value.and_then(Value::as_str))
}

/// The field labels that every kind, and this kind, can be selected by.
fn supported(kind: &Kind) -> &'static [&'static str] {
    match kind.plural {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "namespaces" => &["status.phase"],
        "nodes" => &["spec.unschedulable"],
        "services" => &["spec.clusterIP", "spec.type"],
        _ => &[],
    }
}

fn parse_fields(kind: &Kind, text: &str) -> Result<Vec<(String, bool, String)>, ApiError> {
    text.split(',')
        .filter(|term| !term.is_empty())
        .map(|term| {
            let (key, equal, value) = if let Some((k, v)) = term.split_once("!=") {
                (k, false, v)
            } else if let Some((k, v)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (k, true, v)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid selector: '{term}'; can't understand '{term}'"
                )));
            };
            if !matches!(key, "metadata.name" | "metadata.namespace")
                && !supported(kind).contains(&key)
            {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {key}"
                )));
            }
            Ok((key.to_owned(), equal, value.to_owned()))
        })
        .collect()
}

fn field(object: &Value, path: &str) -> String {
    // An event's source is selected by its component.
    let path = if path == "source" {
        "source.component"
    } else {
        path
    };
    let mut value = object;
    for step in path.split('.') {
        value = &value[step];
    }
    match value {
        Value::String(s) => s.clone(),
        Value::Null if matches!(path, "spec.unschedulable" | "spec.hostNetwork") => {
            "false".to_owned()
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let requirements = selector::parse(text)?;
    for requirement in &requirements {
        let key = &requirement.key;
        if let Some(why) = super::validate::names::qualified_name(key)
            .into_iter()
            .next()
        {
            return Err(format!("key: Invalid value: {key:?}: {why}"));
        }
    }
    Ok(requirements)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(query: &str) -> bool {
        let pod = Kind::by_plural("", "v1", "pods").unwrap();
        let object = json!({
            "metadata": {"name": "a", "namespace": "n", "labels": {"app": "web", "tier": "front"}},
            "spec": {"nodeName": "node1"}, "status": {"phase": "Running"}
        });
        Selector::from_query(pod, &Query::parse(Some(query)))
            .unwrap()
            .matches(&object)
    }

    #[test]
    fn label_requirements_all_hold() {
        for (query, expected) in [
            ("labelSelector=app=web", true),
            ("labelSelector=app==web,tier!=back", true),
            ("labelSelector=app%20in%20(web,api),tier", true),
            ("labelSelector=app%20notin%20(web,api)", false),
            ("labelSelector=!missing", true),
            ("labelSelector=!app", false),
            ("labelSelector=missing!=x", true),
            ("labelSelector=missing%20notin%20(x)", true),
            ("labelSelector=missing", false),
        ] {
            assert_eq!(selects(query), expected, "{query}");
        }
    }

    #[test]
    fn fields_are_compared_by_value() {
        assert!(selects(
            "fieldSelector=spec.nodeName=node1,status.phase!=Failed"
        ));
        assert!(!selects("fieldSelector=metadata.namespace=other"));
        assert!(selects("fieldSelector=spec.hostNetwork=false"));
    }

    #[test]
    fn what_cannot_be_selected_by_is_refused() {
        let pod = Kind::by_plural("", "v1", "pods").unwrap();
        for query in [
            "fieldSelector=spec.foo=1",
            "labelSelector=a in (b",
            "labelSelector=a b",
        ] {
            assert_eq!(
                Selector::from_query(pod, &Query::parse(Some(query)))
                    .unwrap_err()
                    .code,
                400,
                "{query}"
            );
        }
    }
}
