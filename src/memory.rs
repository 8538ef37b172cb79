//! Keeps what is in the process's memory there: keys, personal values.
//!
//! | way out | what closes it |
//! | --- | --- |
//! | core dumps | `RLIMIT_CORE` is 0 (setrlimit(2)) |
//! | debuggers and `/proc/<pid>/mem`, for processes of the same user | not dumpable (`PR_SET_DUMPABLE`, prctl(2)) |
//! | swap | the memory is locked (mlockall(2)), if the system permits it |
//! | freed memory | the programs' allocator wipes what is freed: see [`WipingAllocator`] |

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::config::{MemoryConfig, MemoryLock};

/// mimalloc, wiping every block that is freed: also the copies of keys and personal values that other
/// libraries make on their way, in buffers of HTTP, TLS, JSON and SQL. Why: docs/decisions/0014-memory.md.
pub type WipingAllocator = zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc>;

/// The allocator of both programs, to be declared as `#[global_allocator]`.
#[must_use]
pub const fn wiping_allocator() -> WipingAllocator {
    zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc)
}

/// Closes the ways out that the configuration closes. Call early, before secrets are read.
///
/// # Errors
///
/// [`MemoryError`] if something cannot be closed that must be.
pub fn harden(config: &MemoryConfig) -> Result<(), MemoryError> {
    if !config.core_dumps {
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
            .map_err(MemoryError::CoreDumps)?;
        system::forbid_looking_in().map_err(MemoryError::CoreDumps)?;
    }
    match config.lock {
        MemoryLock::Off => Ok(()),
        MemoryLock::Required if !system::may_lock() => Err(MemoryError::LockNotPermitted),
        MemoryLock::Auto if !system::may_lock() => {
            tracing::info!("memory may be swapped out: the system does not permit to lock it (memory.lock)");
            Ok(())
        }
        MemoryLock::Required | MemoryLock::Auto => {
            system::lock().map_err(MemoryError::Lock)?;
            tracing::debug!("memory is locked: nothing of it is swapped out");
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::{
        io,
        mm::{MlockAllFlags, mlockall},
        process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior},
        thread::{CapabilitySet, capabilities},
    };

    pub(super) fn forbid_looking_in() -> io::Result<()> {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
    }

    /// With a limit, an allocation beyond it would fail one day: so only without.
    pub(super) fn may_lock() -> bool {
        let permitted =
            |sets: rustix::thread::CapabilitySets| sets.effective.contains(CapabilitySet::IPC_LOCK);
        getrlimit(Resource::Memlock).current.is_none() || capabilities(None).is_ok_and(permitted)
    }

    /// Now and from now on; each page when it is first used.
    pub(super) fn lock() -> io::Result<()> {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use rustix::io;

    pub(super) fn forbid_looking_in() -> io::Result<()> {
        Ok(())
    }

    pub(super) fn may_lock() -> bool {
        false
    }

    pub(super) fn lock() -> io::Result<()> {
        Err(io::Errno::NOSYS)
    }
}

/// A way out of memory is open that must be closed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Core dumps.
    #[error("core dumps cannot be switched off (memory.core_dumps = true permits them)")]
    CoreDumps(#[source] rustix::io::Errno),
    /// The system does not permit to lock memory.
    #[error(
        "memory.lock = \"required\", and the system does not permit it: give the process CAP_IPC_LOCK or no limit on locked memory (systemd: LimitMEMLOCK=infinity; Docker: --ulimit memlock=-1)"
    )]
    LockNotPermitted,
    /// It could not be locked.
    #[error("the memory cannot be locked (memory.lock = \"off\" does not try)")]
    Lock(#[source] rustix::io::Errno),
}
