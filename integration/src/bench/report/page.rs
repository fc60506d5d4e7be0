//! A page of which parts are made by machine: between `<!-- begin NAME -->` and `<!-- end NAME -->`.

use anyhow::{Result, ensure};

/// The page with that part replaced.
///
/// # Errors
/// When the page has no such part.
pub fn replace(page: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- begin {name} -->"),
        format!("<!-- end {name} -->"),
    );
    let parts = page
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    ensure!(
        parts.is_some(),
        "the page has no part between {begin} and {end}"
    );
    let (before, after) = parts.unwrap_or_default();
    Ok(format!(
        "{before}{begin}\n{}\n{end}{after}",
        text.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_part_changes() {
        let page =
            "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n";
        let new = replace(page, "x", "new\n").unwrap();
        assert_eq!(
            new,
            "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n"
        );
        assert_eq!(replace(&new, "x", "new").unwrap(), new);
        assert!(replace(page, "z", "").is_err());
    }
}
