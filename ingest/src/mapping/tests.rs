use super::*;

#[test]
fn mappings_that_ship_are_right_and_pass_their_tests() {
    let mappings = Mappings::with_files(&[]).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    });
    assert!(mappings.names().count() > 5);
    let failures: Vec<String> = mappings.run_tests().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
