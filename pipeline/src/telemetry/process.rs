//! The process's own figures.

/// User and system CPU seconds of the process so far, from `/proc/self/stat`; 0 where there is none.
pub(crate) fn cpu_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    // The command name stands in brackets and may hold spaces; fields 14 and 15 are utime and stime in ticks of 1/100 s.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Resident memory of the process; 0 where it cannot be read.
pub(crate) fn resident_bytes() -> u64 {
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|f| f.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Memory that the machine, or the container, could still give to somebody; 0 where it cannot be read.
pub(crate) fn available_bytes() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok());
    let machine = kib.unwrap_or(0u64) * 1024;
    let container = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    container.map_or(machine, |(max, current)| machine.min(max.saturating_sub(current)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_process_has_used_time_and_memory() {
        assert!(super::resident_bytes() > 1 << 20);
        assert!(super::available_bytes() > 1 << 20);
        assert!(super::cpu_seconds() >= 0.0);
    }
}
