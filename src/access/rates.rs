use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use crate::config::LimitsConfig;

/// How often those who have been quiet are dropped from memory.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(1);

/// How many requests each address and each caller sends, by the generic cell rate algorithm. In this process:
/// each server counts for itself. All clones count together.
#[derive(Clone, Debug)]
pub struct RequestRates {
    addresses: Option<Arc<DefaultKeyedRateLimiter<IpAddr>>>,
    actors: Option<Arc<DefaultKeyedRateLimiter<String>>>,
}

/// Too many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct TooMany {
    /// When the next one is let through.
    pub retry_after: Duration,
}

impl RequestRates {
    /// With the configured limits.
    #[must_use]
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            addresses: limiter(config.requests_per_second_per_address),
            actors: limiter(config.requests_per_second_per_token),
        }
    }

    /// Counts a request from an address. An IPv6 address counts as its /64, which is what one customer has.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub fn charge_address(&self, address: IpAddr) -> Result<(), TooMany> {
        let network = match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 @ IpAddr::V4(_) => v4,
        };
        charge(self.addresses.as_deref(), &network)
    }

    /// Counts a request of a caller.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub fn charge_actor(&self, actor: &String) -> Result<(), TooMany> {
        charge(self.actors.as_deref(), actor)
    }

    /// Drops those who have been quiet, for as long as the future is polled.
    pub async fn maintain(self) {
        loop {
            tokio::time::sleep(HOUSEKEEPING_INTERVAL).await;
            if let Some(addresses) = &self.addresses {
                addresses.retain_recent();
                addresses.shrink_to_fit();
            }
            if let Some(actors) = &self.actors {
                actors.retain_recent();
                actors.shrink_to_fit();
            }
        }
    }
}

fn limiter<K: Clone + Eq + Hash>(per_second: u32) -> Option<Arc<DefaultKeyedRateLimiter<K>>> {
    Some(Arc::new(RateLimiter::keyed(quota(per_second)?)))
}

/// So many within a second, on average; at once, as many as come within two seconds. 0 is no limit.
pub(super) fn quota(per_second: u32) -> Option<Quota> {
    let per_second = NonZeroU32::new(per_second)?;
    Some(Quota::per_second(per_second).allow_burst(per_second.saturating_add(per_second.get())))
}

fn charge<K: Clone + Eq + Hash>(
    limiter: Option<&DefaultKeyedRateLimiter<K>>,
    key: &K,
) -> Result<(), TooMany> {
    let Some(limiter) = limiter else { return Ok(()) };
    limiter
        .check_key(key)
        .map_err(|until| TooMany { retry_after: until.wait_time_from(DefaultClock::default().now()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(per_address: u32) -> RequestRates {
        RequestRates::new(&LimitsConfig {
            requests_per_second_per_address: per_address,
            requests_per_second_per_token: 0,
            ..LimitsConfig::default()
        })
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let rates = rates(1);
        let address = "192.0.2.1".parse().unwrap();
        assert!(rates.charge_address(address).is_ok());
        assert!(rates.charge_address(address).is_ok());
        let refused = rates.charge_address(address).unwrap_err();
        assert!(refused.retry_after <= Duration::from_secs(1));
        assert!(rates.charge_address("192.0.2.2".parse().unwrap()).is_ok());
        assert!((0..1000).all(|_| rates.charge_actor(&"token:x".to_owned()).is_ok()), "0 is no limit");
    }

    #[test]
    fn a_network_counts_as_one_and_a_mapped_address_as_itself() {
        let rates = rates(1);
        for address in ["2001:db8::1", "2001:db8::2"] {
            assert!(rates.charge_address(address.parse().unwrap()).is_ok());
        }
        assert!(rates.charge_address("2001:db8::3".parse().unwrap()).is_err());
        assert!(rates.charge_address("2001:db8:0:1::1".parse().unwrap()).is_ok());
        for address in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert!(rates.charge_address(address.parse().unwrap()).is_ok());
        }
        assert!(rates.charge_address("192.0.2.1".parse().unwrap()).is_err());
    }
}
