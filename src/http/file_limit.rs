//! Every connection is an open file, and the system limits those: often to 1024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are no clients' connections: those of the database and of key backends among them.
const OTHER_FILES: u64 = 512;

/// How many connections may be open. Raises the process's limit as far as needed and permitted.
pub(super) fn permitted(connections: u32) -> u32 {
    let wanted = u64::from(connections) + OTHER_FILES;
    let limit = raised_to(wanted);
    if limit >= wanted {
        return connections;
    }
    let permitted = u32::try_from(limit - OTHER_FILES.min(limit / 2)).unwrap_or(connections);
    tracing::warn!(
        limit,
        "http.max_connections = {connections} needs a limit of {wanted} open files (ulimit -n); at most {permitted} connections will be open"
    );
    permitted
}

/// The limit on open files, raised if it was lower than `wanted`.
fn raised_to(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current else { return u64::MAX };
    let raised = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if raised > current && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
        raised
    } else {
        current
    }
}
