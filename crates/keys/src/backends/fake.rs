//! A kind of backend for tests, and an example of one: all of it is this file, and its line in [`KINDS`](super::KINDS).

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use oubliette_platform::ServiceUrl;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::json;

use super::{
    Allowances, BackendError, BackendKind, BackendSettings, Cost, ErrorClass, KeyBackend, OpenBackendError,
    Ownership, RawSettings, SettingError, settings,
};
use crate::{
    KekId, KeyContext, SharedObserver, WrappedKey, envelope::KeyMaterial, open_wrapping_key::OpenWrappingKey,
};

/// `kind = "fake"`.
pub(crate) const KIND: Fake = Fake;

const PREFIX: &str = "fake:";

#[derive(Debug)]
pub(crate) struct Fake;

impl BackendKind for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn settings(&self, raw: &RawSettings) -> Result<Arc<dyn BackendSettings>, SettingError> {
        Ok(Arc::new(settings::read::<FakeSettings>(raw)?))
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["token"]
    }

    fn specimen(&self) -> RawSettings {
        settings::specimen::<FakeSettings>([("vault", json!(""))])
    }

    fn advice(&self, kek_id: &KekId) -> Option<Vec<String>> {
        let (vault, _) = kek_id.as_str().strip_prefix(PREFIX)?.split_once('/')?;
        Some(vec![format!("vault = \"{vault}\"")])
    }

    fn cost(&self) -> Option<Cost> {
        Some(Cost {
            service: "the fake",
            dollars_per_call: 0.5,
            calls_of_a_rewrap: 2,
            polite_rate: const { NonZeroU32::new(7).unwrap() },
        })
    }
}

/// `[keys.backends.NAME]` with `kind = "fake"`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FakeSettings {
    /// The keys of one vault are the same in every backend.
    pub(super) vault: String,
    #[serde(default = "one")]
    pub(super) shards: NonZeroU32,
    #[serde(default, skip_serializing)]
    pub(super) address: Option<ServiceUrl>,
    #[expect(dead_code, reason = "nobody is asked for it")]
    #[serde(default, skip_serializing)]
    token: Option<IgnoredAny>,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

#[async_trait]
impl BackendSettings for FakeSettings {
    fn check(&self, allowances: Allowances) -> Result<(), SettingError> {
        match &self.address {
            Some(url) if url.expose().scheme() != "https" && !allowances.plain_http => {
                Err(SettingError::of("address", format!("{url} is not encrypted")))
            }
            _ => Ok(()),
        }
    }

    async fn open(&self, name: &str, _: &SharedObserver) -> Result<Arc<dyn KeyBackend>, OpenBackendError> {
        Ok(Arc::new(FakeBackend::new(name, &self.vault, self.shards)))
    }
}

/// Wraps under keys that anybody can compute from their ids. Each group of subjects has its own.
#[derive(Debug)]
pub(super) struct FakeBackend {
    name: String,
    vault: String,
    shards: NonZeroU32,
    pub(super) calls: AtomicUsize,
    in_flight: AtomicUsize,
    pub(super) most_in_flight: AtomicUsize,
}

impl FakeBackend {
    pub(super) fn new(name: &str, vault: &str, shards: NonZeroU32) -> Self {
        let (name, vault) = (name.to_owned(), vault.to_owned());
        let (calls, in_flight, most_in_flight) = Default::default();
        Self { name, vault, shards, calls, in_flight, most_in_flight }
    }

    /// The wrapping keys in use: `fake:VAULT/0` and so on.
    pub(super) fn kek_id(&self, shard: u32) -> KekId {
        KekId::new(format!("{PREFIX}{}/{shard}", self.vault))
    }

    fn key(&self, kek_id: &KekId) -> Result<OpenWrappingKey, BackendError> {
        if self.owns(kek_id) == Ownership::No {
            return Err(self.error(ErrorClass::KeyNotFound));
        }
        let mut material = [0; 32];
        for (byte, of_id) in material.iter_mut().zip(kek_id.as_str().bytes().rev()) {
            *byte = of_id;
        }
        let material = KeyMaterial::from_slice(&material).ok_or_else(|| self.error(ErrorClass::Malformed))?;
        Ok(OpenWrappingKey::new(kek_id.clone(), &material))
    }

    pub(super) async fn called(&self) {
        self.calls.fetch_add(1, SeqCst);
        self.most_in_flight.fetch_max(self.in_flight.fetch_add(1, SeqCst) + 1, SeqCst);
        tokio::task::yield_now().await;
        self.in_flight.fetch_sub(1, SeqCst);
    }

    pub(super) fn open(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<KeyMaterial, BackendError> {
        self.key(&wrapped.kek_id)?.unwrap(&wrapped.bytes, context).map_err(|class| self.error(class))
    }

    fn error(&self, class: ErrorClass) -> BackendError {
        BackendError { backend: self.name.clone(), class, source: None }
    }
}

#[async_trait]
impl KeyBackend for FakeBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn owns(&self, kek_id: &KekId) -> Ownership {
        match kek_id.as_str().strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')) {
            Some((vault, _)) if vault == self.vault => Ownership::Certain,
            Some((vault, _)) if vault.starts_with(&self.vault) => Ownership::Likely,
            _ => Ownership::No,
        }
    }

    async fn current(&self, context: &KeyContext) -> Result<KekId, BackendError> {
        let digits = context.pairs().flat_map(|(_, value)| value.bytes()).map(u32::from);
        Ok(self.kek_id(digits.sum::<u32>() % self.shards))
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        self.called().await;
        self.key(to)?.wrap(material, context).map_err(|class| self.error(class))
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        self.called().await;
        self.open(wrapped, context)
    }

    async fn all_current(&self) -> Result<Vec<KekId>, BackendError> {
        Ok((0..self.shards.get()).map(|shard| self.kek_id(shard)).collect())
    }
}
