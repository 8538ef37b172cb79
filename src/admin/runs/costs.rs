//! What a run asks of key backends and what that costs, as the kinds of the backends say.

use crate::{
    admin::context::AdminContext,
    config::KeysConfig,
    keys::{self, BackendKind, Cost, KINDS},
};

/// The kind of a configured backend.
pub(in crate::admin) fn kind_of(config: &KeysConfig, backend: &str) -> Option<&'static dyn BackendKind> {
    keys::kind(&config.backends.get(backend)?.kind).ok()
}

/// What calls to a configured backend cost, if anything.
pub(in crate::admin) fn cost_of(config: &KeysConfig, backend: &str) -> Option<Cost> {
    kind_of(config, backend)?.cost()
}

/// What a run will ask of the backends.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Estimate {
    /// All calls.
    pub(in crate::admin) calls: u64,
    /// Those that are paid for, for each service.
    paid: Vec<(Cost, u64)>,
}

impl Estimate {
    /// Of so many calls, none of which is paid for yet.
    pub(in crate::admin) fn of(calls: u64) -> Self {
        Self { calls, paid: Vec::new() }
    }

    /// So many of them go to a service.
    pub(in crate::admin) fn pay(&mut self, cost: Cost, calls: u64) {
        match self.paid.iter_mut().find(|(known, _)| known.service == cost.service) {
            Some((_, known)) => *known += calls,
            None => self.paid.push((cost, calls)),
        }
    }

    /// Each service with its calls and their price in US dollars. `price_per_call` is what the operator says of it.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(in crate::admin) fn prices(
        &self,
        price_per_call: Option<f64>,
    ) -> impl Iterator<Item = (&'static str, u64, f64)> {
        let paid = self.paid.iter().filter(|(_, calls)| *calls > 0);
        paid.map(move |(cost, calls)| {
            (cost.service, *calls, *calls as f64 * price_per_call.unwrap_or(cost.dollars_per_call))
        })
    }
}

/// The kinds that cost something.
fn costs() -> impl Iterator<Item = Cost> {
    KINDS.iter().filter_map(|kind| kind.cost())
}

/// The help of `--max-rate`.
pub(in crate::admin) fn help_of_the_rate() -> String {
    let defaults = default_rates("one of them");
    format!("Most calls a second to key backends, all together; 0: no limit [default: {defaults}]")
}

/// The help of `--max-rate` where each person takes one call.
pub(in crate::admin) fn help_of_the_rate_of_people() -> String {
    format!("Most people a second; 0: no limit [default: {}]", default_rates("a key backend"))
}

/// The rates that are kept by themselves.
fn default_rates(which: &str) -> String {
    let rates: Vec<_> =
        costs().map(|cost| format!("{} if {which} is {}", cost.polite_rate, cost.service)).collect();
    rates.join(", ")
}

/// Most people a second, where each takes one call to any of the backends.
pub(in crate::admin) fn rate_of(max_rate: Option<u32>, context: &AdminContext) -> Option<u32> {
    let polite_rate = || {
        let costs = context.backends.iter().filter_map(|backend| cost_of(&context.config, backend.name()));
        costs.map(|cost| cost.polite_rate.get()).min()
    };
    max_rate.map_or_else(polite_rate, |rate| (rate > 0).then_some(rate))
}

/// The help of `--price-per-call`.
pub(in crate::admin) fn help_of_the_price() -> String {
    let (services, prices): (Vec<_>, Vec<_>) =
        costs().map(|cost| (cost.service, cost.dollars_per_call.to_string())).unzip();
    format!("What one call to {} costs [default: {}]", services.join(" or "), prices.join(" or "))
}
