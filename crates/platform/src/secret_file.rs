//! Files that hold a secret: who on this machine can read them, and what to do if it is the wrong ones.
//!
//! The rule is PostgreSQL's for its server's private key: a file is its owner's alone, or root's and readable for a group of
//! ours. The second is how Kubernetes gives a secret to a container that is not root (`fsGroup`).

use std::{
    fmt,
    fs::{self, File, Metadata},
    io,
    path::Path,
};

/// Opens a file that holds a secret, and tells whether it is open to others, too.
///
/// # Errors
///
/// [`Unreadable`]: as the system says, or whom the file is for.
pub fn open(path: &Path) -> Result<(File, Option<TooOpen>), Unreadable> {
    let file = File::open(path).map_err(|error| explain(path, error))?;
    let too_open = too_open(&file)?;
    Ok((file, too_open))
}

/// Why a file could not be opened.
#[must_use]
pub fn explain(path: &Path, error: io::Error) -> Unreadable {
    match fs::metadata(path) {
        Ok(metadata) if error.kind() == io::ErrorKind::PermissionDenied => denied(&metadata, error),
        _ => Unreadable::Io(error),
    }
}

/// For files whose mode was not looked at before, so that it would be wrong to refuse them: the log tells.
pub fn warn_if_open(config_key: &str, path: &Path) {
    if let Ok((_, Some(too_open))) = open(path) {
        tracing::warn!("{config_key} `{}` {too_open}", path.display());
    }
}

/// Others than whom the file is for can read it. The end of a sentence that begins with the file.
#[derive(Debug)]
pub struct TooOpen {
    mode: u32,
    remedy: Remedy,
}

impl fmt::Display for TooOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is open to others (mode {:04o}): {}", self.mode, self.remedy)
    }
}

/// A file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// As the system says.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is for others.
    #[error("{error}; it belongs to user {}, group {} (mode {mode:04o}): {remedy}", owner.0, owner.1)]
    Denied {
        /// What the system says.
        error: io::Error,
        /// User and group.
        owner: (u32, u32),
        /// The mode.
        mode: u32,
        /// What to do.
        remedy: Remedy,
    },
}

impl Unreadable {
    /// What the system says.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io(error) | Self::Denied { error, .. } => error.kind(),
        }
    }
}

/// What makes a file its user's alone.
#[derive(Clone, Copy, Debug)]
pub enum Remedy {
    /// The user who runs this can do it.
    Mode,
    /// Somebody else can, for this user and group: the platform that mounts the file, if there is one.
    Platform {
        /// As whom this runs.
        uid: u32,
        /// And in which group.
        gid: u32,
    },
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode => f.write_str("run `chmod 600` on it"),
            Self::Platform { uid, gid } => write!(
                f,
                "it must be readable for user {uid}, or group {gid}, alone. In Kubernetes: `defaultMode: 0400` in the \
                 secret's volume, and `fsGroup: {gid}` in the pod's securityContext. In Docker Swarm: `uid: \"{uid}\"`, \
                 `gid: \"{gid}\"`, `mode: 0400` where the service names the secret. In Docker Compose, and elsewhere: run \
                 `chown {uid}:{gid}` and `chmod 400` on the file, on the host"
            ),
        }
    }
}

#[cfg(unix)]
fn too_open(file: &File) -> io::Result<Option<TooOpen>> {
    use std::os::unix::fs::MetadataExt;

    use rustix::{
        fs::{StatVfsMountFlags, fstatvfs},
        process::{Gid, getegid, geteuid, getgroups},
    };

    let metadata = file.metadata()?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(None);
    }
    let own = geteuid();
    let read_only = fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    let changeable = !read_only && (own.is_root() || own.as_raw() == metadata.uid());
    let is_ours = |gid: u32| {
        let is = |group: &Gid| group.as_raw() == gid;
        is(&getegid()) || getgroups().is_ok_and(|groups| groups.iter().any(is))
    };
    if mode & 0o077 == 0o040 && metadata.uid() == 0 && is_ours(metadata.gid()) && !changeable {
        return Ok(None);
    }
    let remedy = if changeable { Remedy::Mode } else { platform() };
    Ok(Some(TooOpen { mode, remedy }))
}

#[cfg(unix)]
fn platform() -> Remedy {
    Remedy::Platform { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

#[cfg(unix)]
fn denied(metadata: &Metadata, error: io::Error) -> Unreadable {
    use std::os::unix::fs::MetadataExt;
    Unreadable::Denied {
        error,
        owner: (metadata.uid(), metadata.gid()),
        mode: metadata.mode() & 0o777,
        remedy: platform(),
    }
}

/// Who may read a file cannot be told here, so nobody is trusted with one.
#[cfg(not(unix))]
fn too_open(_: &File) -> io::Result<Option<TooOpen>> {
    Ok(Some(TooOpen { mode: 0o777, remedy: Remedy::Mode }))
}

#[cfg(not(unix))]
fn denied(_: &Metadata, error: io::Error) -> Unreadable {
    Unreadable::Io(error)
}
