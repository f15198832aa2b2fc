//! Commands as an operator types them, and the README's.

use std::process::Command;

/// The README, whose commands must work typed as they stand.
const README: &str = include_str!("../../README.md");

/// How long a block of commands may take, seconds: `nomad job run` waits ten minutes for a job that does not come up.
const WITHIN: &str = "100";

/// Runs lines of shell in the project's folder, with this in the environment; gives what they print.
pub(crate) async fn shell(lines: &str, environment: &[(String, String)]) -> String {
    let (lines, environment) = (lines.to_owned(), environment.to_vec());
    let run = move || {
        let mut command = Command::new("timeout");
        command.args([WITHIN, "sh", "-euc", &lines]).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
        for name in ["PATH", "HOME"] {
            command.env(name, std::env::var_os(name).unwrap_or_default());
        }
        let output = command.envs(environment).output().unwrap();
        let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{lines}\n{said}\n{wrong}");
        said.into_owned()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The blocks of shell in a section of the README that hold these words.
pub(crate) fn of_readme(section: &str, words: &str) -> String {
    let rest = README.split_once(section).unwrap_or_else(|| panic!("the README has no {section:?}")).1;
    let section = rest.split("\n#").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let fitting: Vec<&str> = blocks.filter(|block| block.contains(words)).collect();
    assert!(!fitting.is_empty(), "the README's {section:?} has no command with {words:?}");
    fitting.concat()
}
