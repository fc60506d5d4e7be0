//! Label selectors inside objects.

use serde_json::Value;

use super::field::Errors;
use super::{items, names, text};

pub(super) fn validate(selector: &Value, path: &str, errors: &mut Errors) {
    let labels = format!("{path}.matchLabels");
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        errors.each(&labels, key, names::qualified_name(key));
        errors.each(&labels, text(value), names::label_value(text(value)));
    }
    for (i, requirement) in items(&selector["matchExpressions"]) {
        let at = format!("{path}.matchExpressions[{i}]");
        let values = requirement["values"].as_array().map_or(0, Vec::len);
        match text(&requirement["operator"]) {
            "In" | "NotIn" if values == 0 => errors.required(
                format!("{at}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            ),
            "Exists" | "DoesNotExist" if values > 0 => errors.forbidden(
                format!("{at}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(
                format!("{at}.operator"),
                other,
                "not a valid selector operator",
            ),
        }
        let key = text(&requirement["key"]);
        errors.each(&format!("{at}.key"), key, names::qualified_name(key));
        for (j, value) in items(&requirement["values"]) {
            let value = text(value);
            errors.each(
                &format!("{at}.values[{j}]"),
                value,
                names::label_value(value),
            );
        }
    }
}
