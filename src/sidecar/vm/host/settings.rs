//! What `albatros vm` is told: `ALBATROS_VM_*`, each also a flag, and what Nomad says of the task.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::share::{self, Node};
use crate::domain::duration::Span;
use crate::sidecar::SettingsError;
use crate::sidecar::exec::{DEFAULT_PATH, ExecSettings};
use crate::sidecar::vars::Vars;

/// Where images and runs are, unless told otherwise.
const STORE: &str = "/var/lib/albatros/vm";
/// Disk of a machine, bytes.
const DISK: u64 = 4 << 30;
/// No disk is smaller: a file system would not fit on it.
const DISK_LEAST: u64 = 64 << 20;
const LIFE: Span = Span::seconds(6 * 3_600);
/// Less than Nomad's drivers wait before they kill (10 s in our builders), so that there is time to say how it ended.
const GRACE: Span = Span::seconds(8);
/// Addresses, networks and folders in one list at most.
const LIST_MOST: usize = 32;
/// What may not be `--mount`ed over: the machine's own.
const OWN: &[&str] = &["/", "/alloc", "/local", "/secrets", "/proc", "/sys", "/dev"];

/// What was typed as flags: each beats its variable, whose name begins with `ALBATROS_VM_`.
#[derive(Debug, Default)]
pub struct VmFlags(BTreeMap<&'static str, Vec<String>>);

impl FromIterator<(&'static str, Vec<String>)> for VmFlags {
    fn from_iter<I: IntoIterator<Item = (&'static str, Vec<String>)>>(flags: I) -> Self {
        Self(flags.into_iter().filter(|(_, values)| !values.is_empty()).collect())
    }
}

/// Why a run cannot be begun as it was told.
#[derive(Debug, thiserror::Error)]
pub enum VmSettingsError {
    /// The task's own.
    #[error(transparent)]
    Task(#[from] SettingsError),
    /// One of ours.
    #[error("ALBATROS_VM_{0}: {1}")]
    Wrong(&'static str, String),
    /// No image.
    #[error(
        "no image is named: type `albatros vm image list` to see which this node has, and set NOMAD_META_IMAGE, \
         ALBATROS_VM_IMAGE or --image"
    )]
    NoImage,
    /// Not enough of the task's memory is left.
    #[error(
        "the task's memory is too small for a machine: of {whole} MiB {left} are left beside the {} that the host's side \
         takes, and a machine needs {}; give the task {} or more", share::HOSTS_MEMORY, share::MEMORY_LEAST,
        share::HOSTS_MEMORY + share::MEMORY_LEAST
    )]
    Memory {
        /// The task's.
        whole: u64,
        /// The machine's.
        left: u64,
    },
}

/// What runs a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EngineChoice {
    Auto,
    Qemu,
    Krun,
}

/// What its instructions are run by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccelChoice {
    Auto,
    Kvm,
    Tcg,
}

/// The way out of a machine, where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserNetwork {
    pub(super) dns: Vec<IpAddr>,
    pub(super) deny: Vec<String>,
}

/// A folder of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) from: PathBuf,
    pub(super) to: String,
    pub(super) writable: bool,
}

/// One run.
#[derive(Debug)]
pub struct VmSettings {
    /// What `exec` is told of the build.
    pub(super) exec: ExecSettings,
    pub(super) image: String,
    pub(super) store: PathBuf,
    pub(super) engine: EngineChoice,
    pub(super) accel: AccelChoice,
    pub(super) cpus: u32,
    /// MiB
    pub(super) memory: u64,
    /// Bytes
    pub(super) disk: u64,
    pub(super) network: Option<UserNetwork>,
    pub(super) mounts: Vec<Folder>,
    pub(super) life: Duration,
    pub(super) grace: Duration,
    pub(super) kernel: Option<PathBuf>,
    pub(super) modules: Option<PathBuf>,
    pub(super) bin_from: Option<PathBuf>,
    /// An image that is not there is fetched.
    pub(super) pull: bool,
    /// The workspace comes back.
    pub(super) workspace_out: bool,
    pub(super) qemu_user: String,
    /// Where programs are looked for.
    pub(super) path: OsString,
    /// What `exec` in the machine is told: of the build, and nothing of this node.
    pub(super) told: BTreeMap<String, String>,
}

/// What of the task's environment goes into the machine. Never a token or an address of Nomad's.
const TOLD: &[&str] = &["NOMAD_JOB_ID", "ALBATROS_PATH"];
/// All of these: what is built, and what the builder says of its runners.
const TOLD_ALL: [&str; 2] = ["NOMAD_META_", "ALBATROS_RUNNER_"];

impl VmSettings {
    /// Reads flags, and the variables that Nomad (or the local engine) gives to a task.
    ///
    /// # Errors
    /// When one that is needed is missing or senseless.
    pub fn read(
        flags: &VmFlags,
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, VmSettingsError> {
        let mut it = Self::parse(&Told { flags, vars: vars.into_iter().collect() }, Node::this())?;
        it.ask_at(super::resolvers::of_this_node)?;
        Ok(it)
    }

    /// A machine with a way out and without a DNS server has those of the node. A container has its own way to them.
    fn ask_at(&mut self, of_node: impl FnOnce() -> Vec<IpAddr>) -> Result<(), VmSettingsError> {
        let Some(network) = self.network.as_mut().filter(|_| self.engine != EngineChoice::Krun) else { return Ok(()) };
        if network.dns.is_empty() {
            network.dns = of_node();
        }
        if network.dns.is_empty() {
            let why = "this node's own DNS servers cannot be reached from a machine; name one with --dns ADDRESS";
            return Err(VmSettingsError::Wrong("DNS", why.to_owned()));
        }
        Ok(())
    }

    fn parse(told: &Told<'_>, node: Node) -> Result<Self, VmSettingsError> {
        let exec = ExecSettings::read(told.vars.0.clone())?;
        let image = match told.one("IMAGE")? {
            Some(image) if told.flags.0.contains_key("IMAGE") => Some(image),
            of_variable => told.vars.text("NOMAD_META_IMAGE")?.or(of_variable),
        };
        let network = match told.word("NETWORK", &[("none", false), ("user", true)])? {
            Some(true) => Some(UserNetwork { dns: told.addresses()?, deny: told.networks()? }),
            Some(false) | None => None,
        };
        Ok(Self {
            exec,
            image: image.ok_or(VmSettingsError::NoImage)?,
            store: told.absolute("STORE")?.unwrap_or_else(|| PathBuf::from(STORE)),
            engine: told
                .word(
                    "ENGINE",
                    &[("auto", EngineChoice::Auto), ("qemu", EngineChoice::Qemu), ("krun", EngineChoice::Krun)],
                )?
                .unwrap_or(EngineChoice::Auto),
            accel: told
                .word("ACCEL", &[("auto", AccelChoice::Auto), ("kvm", AccelChoice::Kvm), ("tcg", AccelChoice::Tcg)])?
                .unwrap_or(AccelChoice::Auto),
            cpus: told.cpus(node)?,
            memory: told.memory()?,
            disk: told.disk()?,
            network,
            mounts: told.mounts()?,
            life: told.span("LIFE", LIFE)?,
            grace: told.span("GRACE", GRACE)?,
            kernel: told.absolute("KERNEL")?,
            modules: told.absolute("MODULES")?,
            bin_from: told.absolute("BIN_FROM")?,
            pull: told.word("PULL", &[("missing", true), ("never", false)])?.unwrap_or(true),
            workspace_out: told.word("WORKSPACE_OUT", &[("all", true), ("none", false)])?.unwrap_or(true),
            qemu_user: told.one("QEMU_USER")?.unwrap_or_else(|| "nobody".to_owned()),
            path: told.vars.get("PATH").unwrap_or_else(|| DEFAULT_PATH.into()),
            told: told.of_the_build(),
        })
    }
}

/// What was typed, and what the environment says.
struct Told<'a> {
    flags: &'a VmFlags,
    vars: Vars,
}

impl Told<'_> {
    fn one(&self, name: &'static str) -> Result<Option<String>, VmSettingsError> {
        if let Some(value) = self.flags.0.get(name).and_then(|values| values.last()) {
            return Ok(Some(value.clone()).filter(|value| !value.is_empty()));
        }
        Ok(self.vars.text(&format!("ALBATROS_VM_{name}"))?)
    }

    fn list(&self, name: &'static str) -> Result<Vec<String>, VmSettingsError> {
        let all = match self.flags.0.get(name) {
            Some(values) => values.clone(),
            None => self.one(name)?.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        };
        if all.len() > LIST_MOST {
            return Err(VmSettingsError::Wrong(name, format!("more than {LIST_MOST}")));
        }
        Ok(all)
    }

    fn word<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Result<Option<T>, VmSettingsError> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, means)| *means);
        let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        found.map(Some).ok_or_else(|| VmSettingsError::Wrong(name, format!("expected one of {}", expected())))
    }

    fn span(&self, name: &'static str, default: Span) -> Result<Duration, VmSettingsError> {
        let Some(text) = self.one(name)? else { return Ok(default.get()) };
        text.parse().map(Span::get).map_err(|error| VmSettingsError::Wrong(name, format!("{error}")))
    }

    fn absolute(&self, name: &'static str) -> Result<Option<PathBuf>, VmSettingsError> {
        let path = self.one(name)?.map(PathBuf::from);
        match path {
            Some(path) if !path.is_absolute() => {
                Err(VmSettingsError::Wrong(name, "expected a path that begins with /".to_owned()))
            }
            path => Ok(path),
        }
    }

    fn cpus(&self, node: Node) -> Result<u32, VmSettingsError> {
        if let Some(text) = self.one("CPUS")? {
            let number = text.parse().ok().filter(|number| (1..=share::CPUS_MOST).contains(number));
            let wrong = || VmSettingsError::Wrong("CPUS", format!("expected a number from 1 to {}", share::CPUS_MOST));
            return number.ok_or_else(wrong);
        }
        let cores = self.vars.text("NOMAD_CPU_CORES")?;
        let limit = self.vars.text("NOMAD_CPU_LIMIT")?.and_then(|text| text.parse().ok());
        Ok(share::cpus(cores.as_deref(), limit, node))
    }

    fn memory(&self) -> Result<u64, VmSettingsError> {
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

    fn disk(&self) -> Result<u64, VmSettingsError> {
        let Some(text) = self.one("DISK")? else { return Ok(DISK) };
        let bytes = share::bytes(&text).filter(|bytes| (DISK_LEAST..=16 << 40).contains(bytes));
        let wrong =
            || VmSettingsError::Wrong("DISK", "expected a size such as 4G or 512MiB, at least 64MiB".to_owned());
        // Whole blocks.
        bytes.map(|bytes| bytes & !0xfff).ok_or_else(wrong)
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, VmSettingsError> {
        let wrong = |text: &str| VmSettingsError::Wrong("DNS", format!("{text:?} is no address of a DNS server"));
        self.list("DNS")?.iter().map(|text| text.parse().map_err(|_no_address| wrong(text))).collect()
    }

    fn networks(&self) -> Result<Vec<String>, VmSettingsError> {
        let all = self.list("DENY")?;
        match all.iter().find(|text| !share::is_network(text)) {
            Some(text) => {
                Err(VmSettingsError::Wrong("DENY", format!("expected networks such as 10.0.0.0/8, not {text:?}")))
            }
            None => Ok(all),
        }
    }

    fn mounts(&self) -> Result<Vec<Folder>, VmSettingsError> {
        self.list("MOUNT")?.iter().map(|text| folder(text)).collect()
    }

    fn of_the_build(&self) -> BTreeMap<String, String> {
        let wanted = |name: &str| TOLD.contains(&name) || TOLD_ALL.iter().any(|prefix| name.starts_with(prefix));
        let text =
            |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        self.vars.0.iter().filter_map(text).filter(|(name, _)| wanted(name)).collect()
    }
}

/// `FROM:TO[:rw]`
fn folder(text: &str) -> Result<Folder, VmSettingsError> {
    let wrong = |why: &str| Err(VmSettingsError::Wrong("MOUNT", format!("{text:?}: {why}")));
    let parts: Vec<_> = text.split(':').collect();
    let (from, to, writable) = match parts.as_slice() {
        [from, to] | [from, to, "ro"] => (*from, *to, false),
        [from, to, "rw"] => (*from, *to, true),
        _ => return wrong("expected /from:/to or /from:/to:rw"),
    };
    let plain = |path: &str| path.starts_with('/') && !path.split('/').any(|part| matches!(part, ".." | "."));
    if !plain(from) || !plain(to) {
        return wrong("both are absolute paths, without . and ..");
    }
    let to = to.trim_end_matches('/');
    if to.is_empty() || OWN.contains(&to) || ["/proc/", "/sys/", "/dev/"].iter().any(|own| to.starts_with(own)) {
        return wrong("that place is the machine's own");
    }
    Ok(Folder { from: PathBuf::from(from), to: to.to_owned(), writable })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Node = Node { cpus: 8, mhz: 2_000 };

    fn read(flags: &[(&'static str, &str)], vars: &[(&str, &str)]) -> Result<VmSettings, VmSettingsError> {
        let base = [
            ("NOMAD_ALLOC_DIR", "/alloc"),
            ("NOMAD_META_REPO_URL", "https://git.example/o/r"),
            ("NOMAD_META_COMMIT", "0123456789012345678901234567890123456789"),
            ("NOMAD_META_BRANCH", "main"),
            ("NOMAD_META_FLAVOR", "default"),
            ("NOMAD_META_IMAGE", "debian:12"),
            ("NOMAD_TOKEN", "n0"),
            ("NOMAD_JOB_ID", "builder/dispatch-1-a"),
        ];
        let vars = base.iter().chain(vars).map(|(name, value)| (name.into(), value.into())).collect();
        let mut all: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for (name, value) in flags {
            all.entry(name).or_default().push((*value).to_owned());
        }
        VmSettings::parse(&Told { flags: &VmFlags(all), vars }, NODE)
    }

    #[test]
    fn the_defaults_are_a_machine_without_network() {
        let it = read(&[], &[]).unwrap();
        assert_eq!((it.engine, it.accel, it.network), (EngineChoice::Auto, AccelChoice::Auto, None));
        assert_eq!((it.image.as_str(), it.disk, it.cpus), ("debian:12", 4 << 30, 1));
        assert_eq!((it.life, it.grace), (Duration::from_secs(21_600), Duration::from_secs(8)));
        assert!(it.pull && it.workspace_out);
    }

    #[test]
    fn a_flag_beats_the_build_and_the_build_beats_the_builder() {
        assert_eq!(read(&[], &[("ALBATROS_VM_IMAGE", "b")]).unwrap().image, "debian:12");
        assert_eq!(read(&[("IMAGE", "c")], &[("ALBATROS_VM_IMAGE", "b")]).unwrap().image, "c");
        assert_eq!(read(&[], &[("NOMAD_META_IMAGE", ""), ("ALBATROS_VM_IMAGE", "b")]).unwrap().image, "b");
        let none = read(&[], &[("NOMAD_META_IMAGE", "")]).unwrap_err().to_string();
        assert!(none.contains("albatros vm image list"), "{none}");
    }

    #[test]
    fn memory_is_the_tasks_less_what_the_host_takes_and_too_little_is_said() {
        assert_eq!(read(&[], &[("NOMAD_MEMORY_LIMIT", "1024")]).unwrap().memory, 896);
        assert_eq!(read(&[("MEMORY", "2048")], &[("NOMAD_MEMORY_LIMIT", "64")]).unwrap().memory, 2048);
        let said = read(&[], &[("NOMAD_MEMORY_LIMIT", "200")]).unwrap_err().to_string();
        assert!(said.contains("of 200 MiB 72 are left"), "{said}");
    }

    #[test]
    fn only_what_is_the_builds_goes_into_the_machine() {
        let told =
            read(&[], &[("ALBATROS_PATH", "/x"), ("NOMAD_SECRETS_DIR", "/s"), ("CONSUL_TOKEN", "c")]).unwrap().told;
        assert_eq!(told.get("NOMAD_META_BRANCH").map(String::as_str), Some("main"));
        assert_eq!(told.get("NOMAD_JOB_ID").map(String::as_str), Some("builder/dispatch-1-a"));
        assert!(!told.keys().any(|name| name.contains("TOKEN") || name.contains("SECRET")), "{told:?}");
    }

    #[test]
    fn a_network_and_folders_are_read_from_flags_or_a_list() {
        let vars = [
            ("ALBATROS_VM_NETWORK", "user"),
            ("ALBATROS_VM_DNS", "9.9.9.9 2620:fe::fe"),
            ("ALBATROS_VM_DENY", "10.0.0.0/8 fc00::/7"),
            ("ALBATROS_VM_MOUNT", "/srv/a:/a /srv/b:/b:rw"),
        ];
        let it = read(&[], &vars).unwrap();
        let network = it.network.unwrap();
        assert_eq!(
            (network.dns.len(), network.deny.as_slice()),
            (2, &["10.0.0.0/8".to_owned(), "fc00::/7".to_owned()][..])
        );
        assert_eq!(it.mounts.iter().map(|folder| folder.writable).collect::<Vec<_>>(), [false, true]);
        assert_eq!(read(&[("MOUNT", "/srv/c:/c")], &vars).unwrap().mounts.len(), 1);
    }

    #[test]
    fn a_wrong_value_names_its_variable() {
        for (name, value) in [
            ("ENGINE", "xen"),
            ("ACCEL", "hvf"),
            ("CPUS", "0"),
            ("CPUS", "many"),
            ("MEMORY", "12"),
            ("DISK", "1K"),
            ("DISK", "big"),
            ("NETWORK", "host"),
            ("LIFE", "6"),
            ("STORE", "vm"),
            ("KERNEL", "bzImage"),
            ("PULL", "always"),
            ("WORKSPACE_OUT", "some"),
            ("MOUNT", "/a"),
            ("MOUNT", "a:/b"),
            ("MOUNT", "/a:/../b"),
            ("MOUNT", "/a:/alloc"),
            ("MOUNT", "/a:/proc/x"),
        ] {
            let variable = format!("ALBATROS_VM_{name}");
            let said = read(&[], &[(variable.as_str(), value)]).unwrap_err().to_string();
            assert!(said.starts_with(&format!("{variable}: ")), "{said}");
        }
        for (name, value) in [("DNS", "dns.example"), ("DENY", "10.0.0.0"), ("DENY", "10.0.0.0/33")] {
            let said = read(&[("NETWORK", "user"), (name, value)], &[]).unwrap_err().to_string();
            assert!(said.starts_with(&format!("ALBATROS_VM_{name}: ")), "{said}");
        }
    }
}
