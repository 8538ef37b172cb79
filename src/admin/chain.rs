//! What `audit` and `ledger` say alike about their chains.

use serde_json::{Value, json};

use super::terminal::{self, Output, counted_as};
use crate::chain::{ChainFault, Head, NotAHead, Verification, Words};

/// What a walk over a chain found. Status 1 if anything is wrong.
pub(super) fn verified(verified: &Verification, as_json: bool) -> anyhow::Result<Output> {
    let Verification { sound, fault, words } = verified;
    let text = if as_json {
        let fault = fault.map(|fault| object(fault, words));
        terminal::json(&json!({ words.entries: sound.sequence, "head": sound.to_string(), "fault": fault }))?
    } else {
        let count = counted_as(sound.sequence.cast_unsigned(), words.entry, words.entries);
        match fault {
            None => format!("{count}, and nothing is wrong with them\nhead {sound}\n"),
            Some(fault) => {
                format!("WRONG: {}\nbefore that, nothing is wrong with {count}\n", fault.text(words))
            }
        }
    };
    Ok(if fault.is_none() { text.into() } else { Output::unwell(text) })
}

/// The head of a chain, to be kept elsewhere. `name` is what people call the chain.
///
/// # Errors
///
/// It is gone.
pub(super) fn head(head: Option<Head>, name: &str, as_json: bool) -> anyhow::Result<Output> {
    let head = head.ok_or_else(|| anyhow::anyhow!("{name}'s head is gone from the database"))?;
    if as_json {
        let head = json!({ "sequence": head.sequence, "digest": hex::encode(head.digest) });
        return Ok(terminal::json(&head)?.into());
    }
    Ok(format!("{head}\n").into())
}

/// A head that was kept elsewhere, as `command` printed it.
pub(super) fn kept(text: &str, command: &str) -> Result<Head, String> {
    text.parse().map_err(|error: NotAHead| format!("{error}, as `oubliette-admin {command}` prints it"))
}

fn object(fault: ChainFault, words: &Words) -> Value {
    json!({ "sequence": fault.sequence, "problem": fault.problem.as_str(), "text": fault.text(words) })
}
