//! How deep JSON nests, which `serde_json` does not limit where it passes over a value.

/// Whether the brackets of JSON text, outside of its strings, nest no deeper than `most`.
pub(super) fn is_shallow(json: &str, most: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in json.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brackets_outside_of_strings_count() {
        assert!(is_shallow(r#"{"[[[[":[1,"\"[[[["]}"#, 2));
        assert!(!is_shallow("[[[]]]", 2));
        assert!(is_shallow("[[],[],[[]]]", 3));
    }
}
