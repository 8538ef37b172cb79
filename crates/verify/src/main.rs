//! Checks a receipt of an erasure. Needs two files, and nothing else: no database, no network, no clock, no configuration.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it says is for people")]

mod said;

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use oubliette_ledger::{Policy, Receipt};

/// The receipt proves nothing.
const REFUSED: u8 = 1;
/// It could not be looked at.
const UNUSABLE: u8 = 2;

/// Checks a receipt that says that somebody was forgotten, and says what it proves.
///
/// The policy has the public keys of the logs that you trust. Get it from whoever runs the service, in another way than the receipt.
///
/// Exit status: 0 if the receipt is good, 1 if it proves nothing, 2 if a file or the policy cannot be used.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:
  oubliette-verify receipt.tlog-proof --policy policy.txt"
)]
struct Arguments {
    /// The receipt: a file that ends in .tlog-proof
    receipt: PathBuf,
    /// Which logs are trusted (c2sp.org/tlog-policy)
    #[arg(long)]
    policy: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { receipt, policy } = Arguments::parse();
    let read =
        |file: &PathBuf| fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
    let unusable = |problem: String| {
        eprintln!("error: {problem}");
        ExitCode::from(UNUSABLE)
    };
    let policy =
        match read(&policy).and_then(|text| text.parse::<Policy>().map_err(|error| error.to_string())) {
            Ok(policy) => policy,
            Err(problem) => return unusable(problem),
        };
    let text = match read(&receipt) {
        Ok(text) => text,
        Err(problem) => return unusable(problem),
    };
    match text.parse::<Receipt>().and_then(|receipt| receipt.verify(&policy)) {
        Ok(proven) => {
            print!("{}", said::of(&proven));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("REFUSED: {error}\nThis receipt proves nothing.");
            ExitCode::from(REFUSED)
        }
    }
}
