//! The most memory that processes of the program take, each kind by itself, while something goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::server::PROGRAM;

/// Between two looks: the kernel keeps the peak, so only what is taken within a process's last moment is missed.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until it is asked what it saw.
#[derive(Debug)]
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    looking: JoinHandle<BTreeMap<String, u64>>,
}

impl Watch {
    /// Begins to look at every process that runs the program with one of these verbs first.
    pub(crate) fn begin(verbs: &'static [&'static str]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let looking = std::thread::spawn(move || {
            let mut peaks = BTreeMap::new();
            while !told.load(Ordering::Relaxed) {
                look(verbs, &mut peaks);
                std::thread::sleep(LOOK);
            }
            peaks
        });
        Self { over, looking }
    }

    /// The peaks by verb, bytes; of several processes of one verb, the largest.
    pub(crate) fn end(self) -> BTreeMap<String, u64> {
        self.over.store(true, Ordering::Relaxed);
        self.looking.join().unwrap_or_default()
    }
}

fn look(verbs: &[&str], peaks: &mut BTreeMap<String, u64>) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let path = process.path();
        let Ok(line) = std::fs::read(path.join("cmdline")) else { continue };
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).take(2).collect();
        let [_, verb] = words.as_slice() else { continue };
        let Some(verb) = verbs.iter().find(|known| known.as_bytes() == *verb) else { continue };
        if is_ours(&path) {
            let peak = peaks.entry((*verb).to_owned()).or_default();
            *peak = (*peak).max(high_water(&path));
        }
    }
}

/// The program, or the copy of it that `prepare` makes for a build.
fn is_ours(process: &Path) -> bool {
    let Ok(runs) = std::fs::read_link(process.join("exe")) else { return false };
    runs.file_name() == Path::new(PROGRAM).file_name()
}

fn high_water(process: &Path) -> u64 {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}
