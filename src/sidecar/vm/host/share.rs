//! How much of a node a machine gets, from what Nomad gave to its task.

/// Of a task's memory, MiB: this process, the machine's own process with its devices, translated code.
pub(super) const HOSTS_MEMORY: u64 = 128;
/// The smallest machine, MiB: kernel, init and an unpacked beginning.
pub(super) const MEMORY_LEAST: u64 = 128;
/// Where nobody says how much, MiB.
pub(super) const MEMORY: u64 = 1024;
/// More is no machine of ours.
pub(super) const CPUS_MOST: u32 = 64;

/// What a node has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) cpus: u32,
    /// Of one of them; what Nomad counts in.
    pub(super) mhz: u64,
}

impl Node {
    /// This one.
    pub(super) fn this() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, |number| u32::try_from(number.get()).unwrap_or(1));
        Self { cpus, mhz: mhz().unwrap_or(2_000).max(100) }
    }
}

/// How fast its processors count time, kHz; none where the system does not tell.
pub(super) fn khz() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let told =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.split_once(':')).map(|(_, told)| told);
    // What a processor is named by does not change with how fast it runs now.
    let named =
        told("model name").and_then(|name| name.rsplit_once("@ ")?.1.trim().strip_suffix("GHz")?.parse::<f64>().ok());
    let now = told("cpu MHz").and_then(|mhz| mhz.trim().parse::<f64>().ok());
    let khz = named.map(|ghz| ghz * 1e6).or(now.map(|mhz| mhz * 1e3))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the range")]
    (1e5..1e8).contains(&khz).then_some(khz as u64)
}

fn mhz() -> Option<u64> {
    const HIGHEST: &str = "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq";
    if let Some(khz) = std::fs::read_to_string(HIGHEST).ok().and_then(|text| text.trim().parse::<u64>().ok()) {
        return Some(khz / 1_000);
    }
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split_once(':'))?.1;
    line.trim().split('.').next()?.parse().ok()
}

/// Processors for a task with these cores (`0-1,4`), or with so many MHz.
pub(super) fn cpus(cores: Option<&str>, limit: Option<u64>, node: Node) -> u32 {
    let most = node.cpus.clamp(1, CPUS_MOST);
    let number = match (cores.and_then(count), limit) {
        (Some(cores), _) => cores,
        (None, Some(mhz)) => u32::try_from(mhz.div_ceil(node.mhz)).unwrap_or(most),
        (None, None) => 1,
    };
    number.clamp(1, most)
}

/// How many a list such as `0-1,4` names.
fn count(list: &str) -> Option<u32> {
    let mut all = 0_u32;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        all = all.saturating_add(last.checked_sub(first)?.saturating_add(1));
    }
    Some(all)
}

/// `4G`, `512MiB`, `4000000000`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let long = match text.chars().last()? {
        unit @ ('K' | 'M' | 'G' | 'T') => format!("{}{unit}iB", text.trim_end_matches(unit)),
        _ => text.to_owned(),
    };
    long.parse::<crate::domain::size::Bytes>().ok().map(crate::domain::size::Bytes::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Node = Node { cpus: 4, mhz: 2_500 };

    #[test]
    fn processors_are_those_of_the_task() {
        for (cores, limit, means) in [
            (Some("0-1,3"), Some(100), 3),
            (Some("7"), None, 1),
            (None, Some(500), 1),
            (None, Some(2_501), 2),
            (None, Some(1_000_000), 4),
            (None, None, 1),
            (Some("x"), Some(5_000), 2),
            (Some("3-1"), None, 1),
        ] {
            assert_eq!(cpus(cores, limit, NODE), means, "{cores:?} {limit:?}");
        }
    }

    #[test]
    fn sizes_are_read_with_long_and_short_units() {
        assert_eq!((bytes("4G"), bytes("4GiB")), (Some(4 << 30), Some(4 << 30)));
        assert_eq!((bytes("1048576"), bytes("1M")), (Some(1 << 20), Some(1 << 20)));
        assert_eq!((bytes(""), bytes("G"), bytes("4X")), (None, None, None));
    }
}
