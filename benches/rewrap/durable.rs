use crate::postgres;

/// The throwaway PostgreSQL is made for tests: it does not wait for the disk. Here it does, as it does by default.
pub(crate) fn wait_for_the_disk() {
    for setting in ["fsync", "full_page_writes"] {
        postgres::server().psql("postgres", &format!("ALTER SYSTEM SET {setting} = on"));
    }
    postgres::server().psql("postgres", "SELECT pg_reload_conf()");
}
