//! Errors that name a field, with the message texts of the API's own field package, and the `Invalid`
//! Status that they add up to.

use serde_json::{Value, json};

use crate::api::errors::ApiError;
use crate::api::kinds::Kind;

/// The errors found so far; validation goes on to the end and reports all.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<FieldError>);

#[derive(Debug)]
struct FieldError {
    reason: &'static str,
    message: String,
    field: String,
}

impl Errors {
    pub(crate) fn invalid(&mut self, field: impl Into<String>, value: impl Into<Value>, why: &str) {
        let value = value.into();
        self.push(
            "FieldValueInvalid",
            field,
            format!("Invalid value: {value}: {why}"),
        );
    }

    pub(crate) fn required(&mut self, field: impl Into<String>, why: &str) {
        self.push(
            "FieldValueRequired",
            field,
            with_detail("Required value", why),
        );
    }

    pub(crate) fn forbidden(&mut self, field: impl Into<String>, why: &str) {
        self.push("FieldValueForbidden", field, with_detail("Forbidden", why));
    }

    pub(crate) fn duplicate(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        let value = value.into();
        self.push(
            "FieldValueDuplicate",
            field,
            format!("Duplicate value: {value}"),
        );
    }

    pub(crate) fn not_found(&mut self, field: impl Into<String>, value: &str) {
        self.push("FieldValueNotFound", field, format!("Not found: {value:?}"));
    }

    /// `allowed` is told in the order given.
    pub(crate) fn not_supported(
        &mut self,
        field: impl Into<String>,
        value: &str,
        allowed: &[&str],
    ) {
        let allowed: Vec<String> = allowed.iter().map(|a| format!("{a:?}")).collect();
        let message = format!(
            "Unsupported value: {value:?}: supported values: {}",
            allowed.join(", ")
        );
        self.push("FieldValueNotSupported", field, message);
    }

    pub(crate) fn too_long(&mut self, field: impl Into<String>, max: usize) {
        let message = format!("Too long: may not be more than {max} bytes");
        self.push("FieldValueTooLong", field, message);
    }

    pub(crate) fn too_many(&mut self, field: impl Into<String>, count: usize, max: usize) {
        let message = format!("Too many: {count}: must have at most {max} items");
        self.push("FieldValueTooMany", field, message);
    }

    /// One `invalid` for each reason.
    pub(crate) fn each(&mut self, field: &str, value: &str, reasons: Vec<String>) {
        for why in reasons {
            self.invalid(field, value, &why);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors as sentences, for tests.
    #[cfg(test)]
    pub(crate) fn sentences(&self) -> Vec<String> {
        self.0.iter().map(FieldError::sentence).collect()
    }

    /// `Ok` when nothing was found, else the one Status that tells all of it.
    pub(crate) fn into_result(self, kind: &Kind, name: &str) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let sentences: Vec<String> = self.0.iter().map(FieldError::sentence).collect();
        let told = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {told}", kind.qualified_kind());
        let mut error = ApiError::new(422, "Invalid", message);
        let causes: Vec<Value> = self
            .0
            .iter()
            .map(|e| json!({"reason": e.reason, "message": e.message, "field": e.field}))
            .collect();
        let mut details = json!({"name": name, "kind": kind.kind, "causes": causes});
        if !kind.group.is_empty() {
            details["group"] = kind.group.into();
        }
        error.details = Some(Box::new(details));
        Err(error)
    }

    fn push(&mut self, reason: &'static str, field: impl Into<String>, message: String) {
        self.0.push(FieldError {
            reason,
            message,
            field: field.into(),
        });
    }
}

impl FieldError {
    fn sentence(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

fn with_detail(what: &str, why: &str) -> String {
    if why.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {why}")
    }
}
