//! Patterns of names.

use super::matches_pattern;

#[test]
fn patterns() {
    for (pattern, name) in
        [("*", "a.b"), ("a.b", "a.b"), ("a.*", "a.b"), ("*.b", "a.b"), ("a*b*c", "aXbbXc"), ("*a*", "a"), ("", "")]
    {
        assert!(matches_pattern(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [("a", "ab"), ("a.*", "b.a."), ("*.b", "a.bc"), ("a*a", "a"), ("", "a"), ("a*b*c", "acb")] {
        assert!(!matches_pattern(pattern, name), "{pattern} {name}");
    }
}
