use std::{num::NonZeroU32, sync::Arc};

use serde_json::json;

use super::{AwsKmsConfig, arn::KeyArn};
use crate::{BackendKind, BackendSettings, Cost, KekId, RawSettings, SettingError, settings};

/// `kind = "aws-kms"`.
pub(crate) const KIND: AwsKms = AwsKms;

/// AWS Key Management Service, or LocalStack, which nobody can tell from it.
#[derive(Debug)]
pub(crate) struct AwsKms;

impl BackendKind for AwsKms {
    fn name(&self) -> &'static str {
        "aws-kms"
    }

    fn settings(&self, raw: &RawSettings) -> Result<Arc<dyn BackendSettings>, SettingError> {
        Ok(Arc::new(settings::read::<AwsKmsConfig>(raw)?))
    }

    fn specimen(&self) -> RawSettings {
        settings::specimen::<AwsKmsConfig>([("key_id", json!("")), ("context", json!({ "*": "" }))])
    }

    fn advice(&self, kek_id: &KekId) -> Option<Vec<String>> {
        let arn = KeyArn::parse(kek_id.as_str()).filter(KeyArn::is_key)?;
        Some(vec![format!("region = \"{}\"", arn.region()), format!("key_id = \"{kek_id}\"")])
    }

    fn cost(&self) -> Option<Cost> {
        Some(Cost {
            service: "AWS KMS",
            dollars_per_call: 0.03 / 10_000.0,
            calls_of_a_rewrap: 1,
            // A tenth of the smallest quota that AWS gives an account by default (10,000/s).
            polite_rate: const { NonZeroU32::new(1000).unwrap() },
        })
    }

    fn how_it_rewraps(&self) -> &'static str {
        "ReEncrypt: the data keys stay inside KMS"
    }
}
