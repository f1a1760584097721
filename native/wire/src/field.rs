//! Keyframes and diffs of the field.
