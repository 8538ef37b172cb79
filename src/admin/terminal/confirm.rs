use std::io::{IsTerminal, Write};

/// Asks, and takes everything but a yes for a no. `yes` answers beforehand.
///
/// # Errors
///
/// If there is nobody to ask.
#[expect(clippy::print_stderr, reason = "a question for people")]
pub(in crate::admin) fn confirm(question: &str, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("nothing was done: there is no terminal to ask at. Pass --yes to go ahead");
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
