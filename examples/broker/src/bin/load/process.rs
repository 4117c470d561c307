//! What the system tells of a process and of the machine. Linux has it in `/proc`; elsewhere it is not known.

use std::fs;
use std::time::Duration;

/// The unit of times in `/proc`, the same on all architectures that this runs on (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// The memory of a process that is resident, in bytes.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// The time that a process has spent on processors, in its own code and in the system's.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in parentheses, and may have blanks.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut times = after_name.split(' ').skip(11).take(2);
    let mut ticks = || times.next()?.parse::<u64>().ok();
    let all = ticks()? + ticks()?;
    Some(Duration::from_millis(all * 1_000 / TICKS_PER_SECOND))
}

/// The processors, by name and number.
pub fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("processor of unknown name", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} logical cores, {}", std::env::consts::OS)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_uses_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        let before = cpu_time(pid).unwrap();
        let mut spun = 0_u64;
        while cpu_time(pid).unwrap() == before {
            spun = std::hint::black_box(spun + 1);
        }
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
