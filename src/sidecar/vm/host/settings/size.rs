//! How large a machine is.

use super::VmSettingsError;
use super::told::Told;
use crate::sidecar::vm::host::share::{self, Node};

/// Disk of a machine, bytes.
const DISK: u64 = 4 << 30;
/// No disk is smaller: a file system would not fit on it.
const DISK_LEAST: u64 = 64 << 20;

impl Told<'_> {
    pub(super) fn cpus(&self, node: Node) -> Result<u32, VmSettingsError> {
        if let Some(text) = self.one("CPUS")? {
            let number = text.parse().ok().filter(|number| (1..=share::CPUS_MOST).contains(number));
            let wrong = || VmSettingsError::Wrong("CPUS", format!("expected a number from 1 to {}", share::CPUS_MOST));
            return number.ok_or_else(wrong);
        }
        let cores = self.vars.text("NOMAD_CPU_CORES")?;
        let limit = self.vars.text("NOMAD_CPU_LIMIT")?.and_then(|text| text.parse().ok());
        Ok(share::cpus(cores.as_deref(), limit, node))
    }

    pub(super) fn memory(&self) -> Result<u64, VmSettingsError> {
        let wrong = |least| VmSettingsError::Wrong("MEMORY", format!("expected a number of MiB, at least {least}"));
        if let Some(text) = self.one("MEMORY")? {
            let number = text.parse().ok().filter(|number| (share::MEMORY_LEAST..=1 << 20).contains(number));
            return number.ok_or_else(|| wrong(share::MEMORY_LEAST));
        }
        let Some(whole) = self.vars.text("NOMAD_MEMORY_LIMIT")? else { return Ok(share::MEMORY) };
        let whole: u64 = whole.parse().map_err(|_no_number| wrong(share::MEMORY_LEAST))?;
        let left = whole.saturating_sub(share::HOSTS_MEMORY);
        if left < share::MEMORY_LEAST { Err(VmSettingsError::Memory { whole, left }) } else { Ok(left) }
    }

    pub(super) fn disk(&self) -> Result<u64, VmSettingsError> {
        let Some(text) = self.one("DISK")? else { return Ok(DISK) };
        let bytes = share::bytes(&text).filter(|bytes| (DISK_LEAST..=16 << 40).contains(bytes));
        let wrong =
            || VmSettingsError::Wrong("DISK", "expected a size such as 4G or 512MiB, at least 64MiB".to_owned());
        // Whole blocks.
        bytes.map(|bytes| bytes & !0xfff).ok_or_else(wrong)
    }
}
