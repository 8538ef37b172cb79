//! How a program ends.

use std::process::ExitCode;

use crate::causes::line;

/// How a program ends: with its error as the last line on standard error, if there is one.
#[expect(clippy::print_stderr, reason = "the last word of a program that failed")]
#[must_use]
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", line(&*error));
            ExitCode::FAILURE
        }
    }
}
