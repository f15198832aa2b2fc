//! Benchmarks: ratios, measured in one run. `cargo bench` runs them all, `cargo bench -- hooks` only those named.
//!
//! With `NOMAD_ADDR` and `CONSUL_HTTP_ADDR` (and what belongs to them) the comparisons with Nomad itself run too; they
//! register jobs of their own in namespace `ALBATROS_NAMESPACE` (default `ci`, driver `raw_exec`) and purge them again.
#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a benchmark prints, and its figures are rough")]

mod archive;
mod artifact;
mod cluster;
mod controller;
mod delivery;
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::result_large_err,
    reason = "the stand-ins of the tests: they fail by panicking, and not all of them is needed here"
)]
#[path = "../it/fake/mod.rs"]
mod fake;
mod hooks;
#[expect(clippy::unwrap_used, reason = "of the tests: it fails by panicking")]
#[path = "../live/vm/image.rs"]
mod image;
mod lists;
mod load;
mod local;
mod logs;
mod machine;
mod peak;
mod prepare;
mod report;
mod script;
mod server;
mod stage;
mod start;

use std::process::ExitCode;

use report::Report;

const SECTIONS: [&str; 10] =
    ["start", "hooks", "script", "logs", "controller", "prepare", "archive", "artifact", "lists", "machine"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs this too, without the flag and without optimization.
        println!("the benchmarks run with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let named = |section: &&str| arguments.iter().any(|argument| argument == section);
    let any = SECTIONS.iter().any(named);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            println!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::default();
    let mut whole = true;
    for section in SECTIONS.iter().filter(|section| !any || named(section)) {
        println!("\n{section}");
        if let Err(error) = runtime.block_on(run(section, &mut report)) {
            report.note(format!("{section} FAILED: {error:#}"));
            whole = false;
        }
    }
    report.print();
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(section: &str, report: &mut Report) -> anyhow::Result<()> {
    match section {
        "start" => start::measure(report).await,
        "hooks" => hooks::measure(report).await,
        "script" => script::measure(report).await,
        "logs" => logs::measure(report).await,
        "controller" => controller::measure(report).await,
        "prepare" => prepare::measure(report).await,
        "archive" => archive::measure(report).await,
        "artifact" => artifact::measure(report).await,
        "lists" => lists::measure(report).await,
        "machine" => machine::measure(report).await,
        _ => Ok(()),
    }
}
