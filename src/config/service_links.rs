//! Variables that Kubernetes sets in the pods of a namespace for each of its Services, as Docker once did for linked
//! containers. For a Service with our name, they begin as ours do.

/// The Service that a variable of this name and value tells of, if Kubernetes has set it.
pub(super) fn service(name: &str, text: &str) -> Option<String> {
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    let before = before_host_or_port(name)
        .or_else(|| before_port_and_protocol(name))
        .or_else(|| name.strip_suffix("_PORT").filter(|_| is_url))?;
    Some(before.to_lowercase().replace('_', "-"))
}

/// `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT`, and `NAME_SERVICE_PORT_HTTP` for a port that has a name.
fn before_host_or_port(name: &str) -> Option<&str> {
    let (before, _) = name.split_once("_SERVICE_PORT_").unzip();
    name.strip_suffix("_SERVICE_HOST").or_else(|| name.strip_suffix("_SERVICE_PORT")).or(before)
}

/// `NAME_PORT_8000_TCP`, and the same with one of three endings.
fn before_port_and_protocol(name: &str) -> Option<&str> {
    let whole = ["_PROTO", "_PORT", "_ADDR"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let address = ["_TCP", "_UDP", "_SCTP"].iter().find_map(|end| whole.strip_suffix(end))?;
    let (before, port) = address.rsplit_once("_PORT_")?;
    port.parse::<u16>().is_ok().then_some(before)
}

#[cfg(test)]
mod tests {
    use super::service;

    #[test]
    fn what_kubernetes_sets_is_known_and_nothing_else() {
        for (name, text, expected) in [
            ("OUBLIETTE_SERVICE_HOST", "10.0.0.1", Some("oubliette")),
            ("OUBLIETTE_SERVICE_PORT", "80", Some("oubliette")),
            ("OUBLIETTE_SERVICE_PORT_HTTP", "80", Some("oubliette")),
            ("OUBLIETTE_PORT", "tcp://10.0.0.1:80", Some("oubliette")),
            ("OUBLIETTE_PORT_80_TCP", "tcp://10.0.0.1:80", Some("oubliette")),
            ("OUBLIETTE_PORT_80_TCP_PROTO", "tcp", Some("oubliette")),
            ("OUBLIETTE_PORT_80_TCP_PORT", "80", Some("oubliette")),
            ("OUBLIETTE_PORT_53_UDP_ADDR", "10.0.0.1", Some("oubliette")),
            ("OUBLIETTE_EU_METRICS_SERVICE_HOST", "10.0.0.1", Some("oubliette-eu-metrics")),
            ("OUBLIETTE_EU_PORT_80_TCP", "tcp://10.0.0.1:80", Some("oubliette-eu")),
            // An operator's slips.
            ("OUBLIETTE_PORT", "8000", None),
            ("OUBLIETTE_PORT_MANY_TCP", "x", None),
            ("OUBLIETTE_HTTP__LISTEN", "tcp://10.0.0.1:80", None),
            ("OUBLIETTE_HOST", "10.0.0.1", None),
        ] {
            assert_eq!(service(name, text).as_deref(), expected, "{name}={text}");
        }
    }
}
