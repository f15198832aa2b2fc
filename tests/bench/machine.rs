//! (j) From `albatros vm` to the first line of its script, against a bare boot of the same kernel; what a run takes.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use albatros::domain::elf;
use anyhow::{Context as _, ensure};

use crate::fake::controller::{Answers, FakeController};
use crate::image;
use crate::report::{Report, mb, median, ms};
use crate::server::PROGRAM;

/// Boots of each kind, by turns, so that a machine that slows down slows both.
const ROUNDS: usize = 7;
const RATIO_AIM: f64 = 1.3;
/// Longer than a boot takes on any machine.
const LONG: Duration = Duration::from_secs(300);
const WORD: &str = "the-first-line";
const MEMORY_MIB: &str = "512";

/// The smallest first process that there is: it says a word, and its end is the machine's.
const INIT: &str = "fn main() { println!(\"the-first-line\"); }";

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let Some(program) = static_program() else {
        report.note("skipped: machines (no static program: RUSTFLAGS=\"-C target-feature=+crt-static\" cargo bench --target …, or ALBATROS_STATIC)");
        return Ok(());
    };
    let room = tempfile::Builder::new().prefix("albatros-bench-vm-").tempdir()?;
    std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(0o755))?;
    let room = Room { path: room.path().to_owned(), program, accel: accel(), _kept: room };

    let tar = room.path.join("root.tar");
    image::write(&tar, &[]);
    let begun = Instant::now();
    let built =
        room.albatros(&["vm", "image", "build", "--name", "bench"]).arg(format!("tar:{}", tar.display())).output()?;
    ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    report.row("image of a tar of 3 MB, built once a node", ms(begun.elapsed()));

    let first = room.machine("first", "auto").await?;
    let bare = Bare::of(&room, &first.line)?;
    bare.boot()?;
    let (mut ours, mut theirs, mut booted) = (Vec::new(), Vec::new(), Vec::new());
    let (mut peaks, mut disks) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let run = room.machine(&format!("{round}"), "auto").await?;
        ours.push(run.took);
        peaks.push(run.peak);
        disks.push(run.disk);
        theirs.push(bare.boot()?);
        booted.push(room.machine(&format!("{round}-booted"), "never").await?.took);
    }
    let (mine, other) = (median(&ours), median(&theirs));
    let ratio = mine.as_secs_f64() / other.as_secs_f64();
    report
        .row(format!("`albatros vm` to the script's first line, {} (median of {ROUNDS})", room.accel), ms(mine))
        .against(format!("{} bare boot", ms(other)), ratio)
        .aim(format!("<= {RATIO_AIM}"), ratio <= RATIO_AIM);
    let (each, ratio) = (median(&booted), median(&booted).as_secs_f64() / other.as_secs_f64());
    report
        .row(format!("the same without snapshots, {} (median of {ROUNDS})", room.accel), ms(each))
        .against(format!("{} bare boot", ms(other)), ratio);
    let ratio = first.took.as_secs_f64() / mine.as_secs_f64();
    report
        .row("first run of an image, which takes the snapshot where one is taken", ms(first.took))
        .against(format!("{} cached", ms(mine)), ratio);
    report.row(format!("memory of a machine of {MEMORY_MIB} MiB (peak)"), mb(peaks.into_iter().max().unwrap_or(0)));
    report.row("disk of a run, when its script begins", mb(disks.into_iter().max().unwrap_or(0)));
    report.row("disk of the snapshot, once a node", mb(occupied(&room.path.join("store/snapshots"))));
    Ok(())
}

fn static_program() -> Option<PathBuf> {
    let given = std::env::var_os("ALBATROS_STATIC").map(PathBuf::from);
    given.into_iter().chain([PathBuf::from(PROGRAM)]).find(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.get(..elf::HEAD).is_some_and(elf::is_static)
    })
}

fn accel() -> String {
    std::env::var_os("ALBATROS_VM_ACCEL").and_then(|text| text.into_string().ok()).unwrap_or_else(|| "tcg".to_owned())
}

#[derive(Debug)]
struct Room {
    path: PathBuf,
    program: PathBuf,
    accel: String,
    _kept: tempfile::TempDir,
}

/// One build in a machine.
#[derive(Debug)]
struct Run {
    took: Duration,
    /// Of qemu, bytes.
    peak: u64,
    disk: u64,
    /// qemu's command line.
    line: Vec<String>,
}

impl Room {
    fn albatros(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env("ALBATROS_VM_STORE", self.path.join("store")).stdin(Stdio::null());
        command
    }

    async fn machine(&self, round: &str, snapshot: &str) -> anyhow::Result<Run> {
        let folder = self.path.join(format!("build-{round}"));
        for part in ["alloc/workspace", "alloc/bin", "local", "secrets"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        let script = folder.join("alloc/workspace/.albatros");
        std::fs::write(&script, format!("#!/bin/sh\necho {WORD}\nsleep 2\n"))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        let _controller = FakeController::start(&folder.join("alloc"), Answers::default());
        let mut command = self.albatros(&["vm"]);
        for (name, part) in [("ALLOC", "alloc"), ("TASK", "local"), ("SECRETS", "secrets")] {
            command.env(format!("NOMAD_{name}_DIR"), folder.join(part));
        }
        let told = [
            ("NOMAD_JOB_ID", "builder/dispatch-1"),
            ("NOMAD_META_REPO_URL", "https://git.example/o/r"),
            ("NOMAD_META_COMMIT", "0123456789012345678901234567890123456789"),
            ("NOMAD_META_BRANCH", "main"),
            ("NOMAD_META_FLAVOR", "default"),
            ("ALBATROS_VM_IMAGE", "bench"),
            ("ALBATROS_VM_ACCEL", &self.accel),
            ("ALBATROS_VM_SNAPSHOT", snapshot),
            ("ALBATROS_VM_MEMORY", MEMORY_MIB),
            ("ALBATROS_VM_CPUS", "1"),
        ];
        command.envs(told);
        let store = self.path.join("store");
        tokio::task::spawn_blocking(move || run(command, &store)).await?
    }
}

fn run(command: Command, store: &Path) -> anyhow::Result<Run> {
    let begun = Instant::now();
    let mut child = spawned(command)?;
    let word = first_line(&mut child)?;
    let took = word.duration_since(begun);
    let machine = machine_of(store).context("the machine's process")?;
    let disk = occupied(&store.join("runs"));
    // The kernel keeps the peak: it is read as long as there is one.
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = peak.max(high_water(machine.0));
        ensure!(begun.elapsed() < LONG, "the build does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = child.wait()?;
    ensure!(status.success(), "the build ended with {status}");
    Ok(Run { took, peak, disk, line: machine.1 })
}

fn spawned(mut command: Command) -> anyhow::Result<Child> {
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?)
}

/// When the word came.
fn first_line(child: &mut Child) -> anyhow::Result<Instant> {
    let out = child.stdout.take().context("its output")?;
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if line.contains(WORD) {
                let _ = tell.send(Instant::now());
            }
        }
    });
    let told = told.recv_timeout(LONG);
    if told.is_err() {
        let _ = child.kill();
    }
    told.context("no first line")
}

/// qemu, and its command line; what it was handed open goes by its name in there.
fn machine_of(store: &Path) -> Option<(u32, Vec<String>)> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        let mut words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let files = std::fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let mut files = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        let is_ours = words.first()?.contains("qemu-system") && files.any(|file| file.starts_with(store));
        for word in &mut words {
            let number = word.strip_prefix("/proc/self/fd/").map(|number| process.path().join("fd").join(number));
            if let Some(file) = number.and_then(|file| std::fs::read_link(file).ok()) {
                *word = file.display().to_string();
            }
        }
        is_ours.then_some((pid, words))
    })
}

fn high_water(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}

/// What files really take, holes left out.
fn occupied(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => occupied(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// qemu, the same kernel, and nothing else.
#[derive(Debug)]
struct Bare(Vec<String>);

impl Bare {
    /// With what our own machine is given of kernel, processor and memory.
    fn of(room: &Room, line: &[String]) -> anyhow::Result<Self> {
        let after = |flag: &str| {
            let at = line.iter().position(|word| word == flag).with_context(|| format!("no {flag} in {line:?}"))?;
            line.get(at + 1).cloned().with_context(|| format!("{flag} ends {line:?}"))
        };
        let initrd = initrd(&room.path)?;
        let mut words = vec![line.first().cloned().unwrap_or_default()];
        for flag in ["-M", "-accel", "-cpu", "-m", "-smp", "-kernel"] {
            if let Ok(value) = after(flag) {
                words.extend([flag.to_owned(), value]);
            }
        }
        ensure!(words.iter().any(|word| word == "-kernel"), "{line:?}");
        let mut append = after("-append")?.split(" -- ").next().unwrap_or_default().to_owned();
        if !append.contains("console=ttyS0") {
            append += " console=ttyS0";
        }
        let flags = "-nodefaults -no-user-config -display none -serial stdio -no-reboot -initrd";
        words.extend(flags.split(' ').map(str::to_owned));
        words.extend([initrd.display().to_string(), "-append".to_owned(), append]);
        Ok(Self(words))
    }

    /// How long it takes to the first process's word.
    fn boot(&self) -> anyhow::Result<Duration> {
        let (program, args) = self.0.split_first().context("qemu")?;
        let mut command = Command::new(program);
        command.args(args);
        let begun = Instant::now();
        let mut child = spawned(command)?;
        let word = first_line(&mut child);
        // It has said what it had to.
        let _ = child.kill();
        child.wait()?;
        Ok(word?.duration_since(begun))
    }
}

/// An archive with one file in it, `/init`, as the kernel unpacks it.
fn initrd(room: &Path) -> anyhow::Result<PathBuf> {
    let (source, program, archive) = (room.join("init.rs"), room.join("init"), room.join("bare.cpio"));
    std::fs::write(&source, INIT)?;
    let mut rustc = Command::new("rustc");
    rustc.args(["-C", "target-feature=+crt-static", "-C", "opt-level=s", "-C", "strip=symbols", "-C", "panic=abort"]);
    ensure!(rustc.arg("-o").arg(&program).arg(&source).status()?.success(), "rustc makes no /init");
    let mut all = Vec::new();
    record(&mut all, "init", 0o100_755, &std::fs::read(&program)?);
    record(&mut all, "TRAILER!!!", 0, &[]);
    std::fs::write(&archive, all)?;
    Ok(archive)
}

/// One entry of a "newc" archive: name and content each end at a multiple of four.
fn record(all: &mut Vec<u8>, name: &str, mode: u32, bytes: &[u8]) {
    let links = 1;
    let (size, length) = (bytes.len(), name.len() + 1);
    let head = format!(
        "070701{:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{length:08x}{:08x}",
        1, 0, 0, 0, 0, 0, 0, 0, 0
    );
    all.extend_from_slice(head.as_bytes());
    all.extend_from_slice(name.as_bytes());
    all.push(0);
    pad(all);
    all.extend_from_slice(bytes);
    pad(all);
}

fn pad(all: &mut Vec<u8>) {
    all.resize(all.len().next_multiple_of(4), 0);
}
