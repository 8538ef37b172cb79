use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AttributeKind, Mask, Normalisation};
use crate::attributes::{Search, Second};

/// `[attributes]`: what is kept of a person, beside the e-mail address and the phone number. By name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct AttributesConfig(pub BTreeMap<String, AttributeConfig>);

/// `[attributes.<name>]`: one attribute.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeConfig {
    /// What its values are. Of one that is built in, that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AttributeKind>,
    /// Most characters of a text, after it was normalised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// What a whole text must match, after it was normalised: a regular expression of the crate `regex`, which takes time in
    /// proportion to the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What is done to a text before it is checked. Without: it is trimmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Vec<Normalisation>>,
    /// How it is shown to whoever may not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// Whether people are found by it. Without: not, by one that is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// Whether one person alone may have a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<bool>,
    /// What tags need beside the index key. Without: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Second>,
}
