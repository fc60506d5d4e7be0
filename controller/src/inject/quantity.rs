//! Kubernetes quantities: `10m`, `64Mi`, `1.5`, `2e3`.
//!
//! Read in order to refuse what the API server would refuse, and to compare a request with its
//! limit. Nothing is converted: a quantity is handed on as it was typed.

/// Suffixes and what they multiply by (apimachinery pkg/api/resource/quantity.go).
const SUFFIXES: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// The value of a quantity above zero, good enough for comparing; `None` when it is not one.
#[must_use]
pub fn read(text: &str) -> Option<f64> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    // Rust reads ".5", "5." and "5" as Kubernetes does; an empty number and two dots it refuses.
    let number: f64 = number.parse().ok()?;
    let value = number * factor(suffix)?;
    (value > 0.0 && value.is_finite()).then_some(value)
}

fn factor(suffix: &str) -> Option<f64> {
    let named = SUFFIXES.iter().find(|(name, _)| *name == suffix);
    if let Some((_, factor)) = named {
        return Some(*factor);
    }
    // A decimal exponent: "e3", "E-2".
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some(10f64.powi(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_does() {
        for (text, value) in [
            ("10m", 0.01),
            ("64Mi", 67_108_864.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("2e3", 2000.0),
            ("2E-1", 0.2),
            ("1E", 1e18),
            ("1k", 1000.0),
        ] {
            let read = read(text).unwrap();
            assert!((read - value).abs() <= value * 1e-12, "{text}: {read}");
        }
    }

    #[test]
    fn what_is_no_quantity_above_zero_is_not_read() {
        for text in [
            "", "m", "10mm", "64 Mi", "-1", "0", "1.2.3", "64mi", "1K", "e3", "NaN", "inf", "1e",
            "1e999", ".",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
