use std::{io::Read, path::Path};

use anyhow::{Context, bail};
use oubliette_ledger::LocalSigner;

use crate::{
    config::{LedgerConfig, SignerConfig, SignerKind},
    secret_file,
};

/// Longest key file, in bytes: more than any.
const MAX_LENGTH: u64 = 4096;

/// The name of the ledger, and the file with its key.
pub(super) fn configured(config: &LedgerConfig) -> anyhow::Result<(&str, &Path)> {
    match &config.signer {
        Some(SignerConfig { kind: SignerKind::Local, file }) => Ok((&config.origin, file)),
        None => bail!(
            "this ledger has no key that signs: set ledger.origin, a name such as example.com/oubliette, and [ledger.signer] with kind = \"local\" and a \
             file; see docs/erasure.md#a-receipt-for-strangers"
        ),
    }
}

/// Opens the key.
pub(super) fn open(origin: &str, file: &Path) -> anyhow::Result<LocalSigner> {
    let named = || format!("the key file `{}`", file.display());
    let (opened, too_open) = match secret_file::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{} is not there: `oubliette-admin ledger policy --create` makes it", named())
        }
        opened => opened.with_context(named)?,
    };
    if let Some(too_open) = too_open {
        bail!("{} {too_open}", named());
    }
    let mut text = String::new();
    opened.take(MAX_LENGTH).read_to_string(&mut text).with_context(named)?;
    let signer = match LocalSigner::parse(&text) {
        Ok(signer) => signer,
        Err(error) => bail!("{} {error}", named()),
    };
    if signer.origin() != origin {
        bail!("{} is the key of `{}`, and ledger.origin is `{origin}`", named(), signer.origin());
    }
    Ok(signer)
}
