/// A KMS ARN: `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`, or `…:alias/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyArn(String);

impl KeyArn {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.split(':').collect();
        let is_arn = matches!(parts[..], ["arn", _, "kms", _, _, _]) && !parts.contains(&"");
        is_arn.then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a key, and not an alias.
    pub(super) fn is_key(&self) -> bool {
        self.resource().starts_with("key/")
    }

    /// Whether it may be a key of this region, whatever its account.
    pub(super) fn may_be_in(&self, region: &str) -> bool {
        self.region() == region || self.is_multi_region()
    }

    /// This key as the KMS of `own`'s account and region knows it: itself, or the replica of a multi-Region
    /// key. `None` if it is elsewhere.
    ///
    /// AWS KMS Developer Guide, "Multi-Region keys": what one of them wrapped, each related one unwraps.
    pub(super) fn reachable_from(&self, own: &Self) -> Option<Self> {
        let same_account = self.part(1) == own.part(1) && self.part(4) == own.part(4);
        if !same_account || !self.is_key() {
            return None;
        }
        if self.region() == own.region() {
            return Some(self.clone());
        }
        let replica =
            || Self(["arn", self.part(1), "kms", own.region(), self.part(4), self.resource()].join(":"));
        self.is_multi_region().then(replica)
    }

    pub(super) fn region(&self) -> &str {
        self.part(3)
    }

    fn resource(&self) -> &str {
        self.part(5)
    }

    fn is_multi_region(&self) -> bool {
        self.resource().starts_with("key/mrk-")
    }

    fn part(&self, index: usize) -> &str {
        self.0.split(':').nth(index).unwrap_or_default()
    }
}

impl From<KeyArn> for String {
    fn from(arn: KeyArn) -> Self {
        arn.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const REPLICATED: &str = "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef12345678990ab";

    fn arn(text: &str) -> KeyArn {
        KeyArn::parse(text).unwrap()
    }

    #[test]
    fn what_is_no_kms_arn_is_refused() {
        for text in [
            "",
            "alias/oubliette",
            "local:2026",
            "arn:aws:s3:eu-central-1:111122223333:key/x",
            "arn:aws:kms::111122223333:key/x",
            "arn:aws:kms:eu-central-1:111122223333",
            "arn:aws:kms:eu-central-1:111122223333:key/x:y",
        ] {
            assert_eq!(KeyArn::parse(text), None, "{text}");
        }
        assert!(arn(KEY).is_key());
        assert!(!arn("arn:aws:kms:eu-central-1:111122223333:alias/oubliette").is_key());
    }

    #[test]
    fn keys_of_the_same_account_and_region_are_reachable() {
        let own = arn(KEY);
        let other = KEY.replace("1234abcd", "ffffffff");
        assert_eq!(arn(&other).reachable_from(&own), Some(arn(&other)));
        for elsewhere in [
            KEY.replace("eu-central-1", "eu-west-1"),
            KEY.replace("111122223333", "999999999999"),
            KEY.replace("arn:aws:", "arn:aws-cn:"),
            REPLICATED.replace("111122223333", "999999999999"),
            KEY.replace("key/1234abcd-12ab-34cd-56ef-1234567890ab", "alias/oubliette"),
        ] {
            assert_eq!(arn(&elsewhere).reachable_from(&own), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_multi_region_key_is_reached_through_its_replica_here() {
        let here = REPLICATED.replace("us-east-1", "eu-central-1");
        assert_eq!(arn(REPLICATED).reachable_from(&arn(KEY)), Some(arn(&here)));
        assert_eq!(arn(&here).reachable_from(&arn(KEY)), Some(arn(&here)));
    }
}
