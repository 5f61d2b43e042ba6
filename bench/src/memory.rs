//! Memory of this process, from Linux's `/proc/self/status`; elsewhere unknown.

/// Bytes that lie in memory now.
pub fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

/// The most bytes that ever lay in memory.
pub fn peak_bytes() -> Option<u64> {
    status("VmHWM:")
}

fn status(field: &str) -> Option<u64> {
    bytes_of(&std::fs::read_to_string("/proc/self/status").ok()?, field)
}

fn bytes_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kibibytes)
}

#[cfg(test)]
mod tests {
    use super::bytes_of;

    #[test]
    fn the_field_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t  1 kB\n";
        assert_eq!(bytes_of(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(bytes_of(status, "VmRSS:"), Some(1024));
        assert_eq!(bytes_of(status, "VmSwap:"), None);
    }
}
