use super::*;

#[test]
fn a_run_too_short_to_measure_is_refused() {
    let error = crate::block_on(measure(1, Duration::from_millis(100))).expect_err("too short").to_string();
    assert!(error.contains("--duration") && error.contains("at least 2s"), "{error}");
}

#[test]
fn the_machine_has_cores_and_memory() {
    let machine = machine();
    assert!(machine.cores >= 1 && machine.memory_bytes > 1 << 20 && !machine.cpu.is_empty(), "{machine:?}");
}
