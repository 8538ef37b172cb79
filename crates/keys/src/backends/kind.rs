use std::{fmt, num::NonZeroU32, path::Path, sync::Arc};

use async_trait::async_trait;

use super::{KeyBackend, KeysInUse, OpenBackendError, RawSettings, SettingError};
use crate::{KekId, SharedObserver};

/// A kind of key backend: all that the program knows of it. Its line in [`KINDS`](super::KINDS) adds it.
pub trait BackendKind: fmt::Debug + Send + Sync {
    /// What `kind` is in the configuration.
    fn name(&self) -> &'static str;

    /// Reads its settings: all of `[keys.backends.NAME]` but `kind`. Refuses those that it does not know.
    ///
    /// # Errors
    ///
    /// [`SettingError`] names the setting.
    fn settings(&self, raw: &RawSettings) -> Result<Arc<dyn BackendSettings>, SettingError>;

    /// Settings with each of them that takes something else than a text, at any value. `*` stands for a name that an operator
    /// may choose. Tells what a text is meant to be that comes from a variable or a flag.
    fn specimen(&self) -> RawSettings;

    /// The settings that are secrets, such as a token. They are printed nowhere. A URL need not be among them: its password is
    /// found.
    fn secrets(&self) -> &'static [&'static str] {
        &[]
    }

    /// The settings of a backend that would own a wrapping key, for an operator, as far as the id tells them; without `kind`.
    /// `None` if this kind has no such ids.
    fn advice(&self, kek_id: &KekId) -> Option<Vec<String>>;

    /// What calls cost. `None` if nobody asks for money, and nobody's quota is used up.
    fn cost(&self) -> Option<Cost> {
        None
    }

    /// How a data key gets from one wrapping key of a backend to another one of it, for an operator.
    fn how_it_rewraps(&self) -> &'static str {
        "in this process: unwrapped, and wrapped again"
    }
}

/// The settings of one backend, read.
#[async_trait]
pub trait BackendSettings: fmt::Debug + Send + Sync {
    /// What no single value can be checked for.
    ///
    /// # Errors
    ///
    /// [`SettingError`] names the setting.
    fn check(&self, allowances: Allowances) -> Result<(), SettingError> {
        let _ = allowances;
        Ok(())
    }

    /// Makes what is missing, if the settings say so, and only if nothing in use is lost with it. Called before a server opens the
    /// backend; an operator's command makes nothing.
    ///
    /// # Errors
    ///
    /// [`OpenBackendError`] says what to do.
    async fn prepare(&self, in_use: &dyn KeysInUse) -> Result<(), OpenBackendError> {
        let _ = in_use;
        Ok(())
    }

    /// Opens the backend as it is. Makes nothing, and asks no wrapping key for anything.
    ///
    /// # Errors
    ///
    /// [`OpenBackendError`] says what to do.
    async fn open(
        &self,
        name: &str,
        observer: &SharedObserver,
    ) -> Result<Arc<dyn KeyBackend>, OpenBackendError>;

    /// What [`KeyBackend::mac_key`] will be.
    fn mac_key(&self) -> Option<&str> {
        None
    }

    /// The key file that an operator edits with `oubliette-admin keys local`, if the backend has one.
    fn key_file(&self) -> Option<&Path> {
        None
    }
}

/// What settings may ask for where the program runs. By default, nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowances {
    /// Services may be asked without encryption that are not on this machine.
    pub plain_http: bool,
    /// Key files that are missing may be made.
    pub create_key_files: bool,
}

/// What calls to a service cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Who is paid.
    pub service: &'static str,
    /// For one call, in US dollars.
    pub dollars_per_call: f64,
    /// Calls for one rewrap within the service.
    pub calls_of_a_rewrap: u64,
    /// Calls a second of a run over all data keys, if nothing else is said: such that the servers keep their share of the quota.
    pub polite_rate: NonZeroU32,
}
