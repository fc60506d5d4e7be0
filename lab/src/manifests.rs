//! Manifests as text: split into documents, `List`s opened, each with `apiVersion` and `kind`. What
//! the objects mean is up to the API server.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Every object in the text (YAML or JSON, several documents, `List`s).
pub(crate) fn documents(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("not YAML")?;
    let mut objects = Vec::new();
    for document in documents {
        if document.is_null() {
            continue;
        }
        open(document, &mut objects)?;
    }
    Ok(objects)
}

/// Takes an object, or the items of a list.
fn open(document: Value, objects: &mut Vec<Value>) -> Result<()> {
    let kind = document["kind"].as_str().unwrap_or_default();
    ensure!(
        !kind.is_empty() && document["apiVersion"].is_string(),
        "an object needs apiVersion and kind: {document}"
    );
    if kind.ends_with("List")
        && let Some(items) = document["items"].as_array()
    {
        for item in items {
            open(item.clone(), objects)?;
        }
        return Ok(());
    }
    objects.push(document);
    Ok(())
}

/// `namespace/name` of an object in a namespace.
pub(crate) fn full_name(object: &Value) -> String {
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    let name = metadata["name"].as_str().unwrap_or_default();
    format!("{namespace}/{name}")
}

#[cfg(test)]
mod tests {
    use super::documents;

    #[test]
    fn several_documents_and_a_list_are_all_taken_and_empty_ones_left_out() {
        let text = "---\n# only a comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- {apiVersion: v1, kind: Service}\n";
        let kinds: Vec<String> = documents(text)
            .unwrap()
            .iter()
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, ["Namespace", "Pod", "Service"]);
    }

    #[test]
    fn text_that_is_no_object_is_refused() {
        assert!(documents("just: text").is_err());
    }
}
