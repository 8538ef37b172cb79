//! What Linux knows about a process: the processor time it took, the memory it holds.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// `/proc/<pid>/stat` counts in hundredths of a second on every architecture that Rust servers run on.
const TICK: Duration = Duration::from_millis(10);

/// The memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Resident now, in KiB.
    pub(crate) resident: u32,
    /// The most that was ever resident, in KiB.
    pub(crate) peak: u32,
}

/// Reads how much memory a process holds.
pub(crate) fn memory(process: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        number.with_context(|| format!("no {name} in /proc/{process}/status"))
    };
    Ok(Memory { resident: kibibytes("VmRSS")?, peak: kibibytes("VmHWM")? })
}

/// The processor time a process has taken, in user mode and in the kernel.
pub(crate) fn cpu_time(process: u32) -> anyhow::Result<Duration> {
    Ok(Stat::read(process)?.own)
}

/// The processor time of a process and all its children, living and dead.
pub(crate) fn cpu_time_with_children(process: u32) -> anyhow::Result<Duration> {
    let parent = Stat::read(process)?;
    let processes = fs::read_dir("/proc")?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process that ends meanwhile cannot be read, and is none of these.
    let living = numbers.filter_map(|number| Stat::read(number).ok());
    let children: Duration = living.filter(|stat| stat.parent == process).map(|stat| stat.own).sum();
    Ok(parent.own + parent.dead_children + children)
}

/// The part of `/proc/<pid>/stat` that is needed here; see proc_pid_stat(5).
#[derive(Debug)]
struct Stat {
    parent: u32,
    own: Duration,
    dead_children: Duration,
}

impl Stat {
    fn read(process: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The program's name, in parentheses, may contain anything; the third field follows it.
        let (_, rest) = stat.rsplit_once(')').context("no name in /proc/<pid>/stat")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| -> anyhow::Result<u32> {
            Ok(fields.get(number - 3).context("/proc/<pid>/stat is short")?.parse()?)
        };
        Ok(Self {
            parent: field(4)?,
            own: TICK * (field(14)? + field(15)?),
            dead_children: TICK * (field(16)? + field(17)?),
        })
    }
}
