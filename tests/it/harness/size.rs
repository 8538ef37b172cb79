//! How much of something a test does.

/// Less in the plain run, all of it with `tests/run --long`: the same test in both, so that the plain run finds the same
/// faults, only less often.
pub(crate) fn sized<T>(plain: T, long: T) -> T {
    if is_long() { long } else { plain }
}

/// Whether this is `tests/run --long`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("OUBLIETTE_TEST_LONG").is_some()
}
