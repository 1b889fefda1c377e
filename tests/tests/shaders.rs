//! Every shader file as it stands, and every kernel that the corpus can produce, is valid and translates for every interface.

use wgrad_tests::shaders::{check, check_shaders};

#[test]
fn every_shader_is_valid_and_translates() {
    match check_shaders() {
        Ok(summary) => {
            println!("{summary}");
            assert!(summary.files > 0 && summary.modules > summary.files, "{summary}");
            assert!(summary.with_subgroups > 0, "{summary}");
        }
        Err(errors) => panic!("{} shaders are wrong:\n{}", errors.len(), errors.join("\n")),
    }
}

/// The check itself refuses what is wrong.
#[test]
fn wrong_shaders_are_refused() {
    assert!(check("fn f() -> f32 { return 1u; }", false).is_err(), "a type error");
    assert!(check("fn f( {", false).is_err(), "a syntax error");
    let subgroup = "@compute @workgroup_size(8) fn main() { let x = subgroupAdd(1.0); }";
    assert!(check(subgroup, false).is_err(), "subgroups that are not declared");
    assert_eq!(check(subgroup, true), Ok(()));
}
