//! What is typed before anything is asked of anybody: verbs, options, completions.

use std::process::{Command, Output, Stdio};

fn albatros(typed: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.args(typed).env_clear().stdin(Stdio::null());
    command
}

fn said(typed: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = albatros(typed).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_misspelt_verb_or_option_is_told_the_one_that_was_meant() {
    for (typed, meant) in [
        (&["triger"][..], "'trigger'"),
        (&["cancell", "x"], "'cancel'"),
        (&["trigger", "--flavour", "big", "x"], "'--flavor'"),
        (&["list", "--branc", "main"], "'--branch'"),
    ] {
        let (code, out, err) = said(typed);
        assert_eq!((code, out.as_str()), (2, ""), "{typed:?}");
        let tip = err.lines().find(|line| line.trim_start().starts_with("tip: "));
        assert!(tip.is_some_and(|tip| tip.contains("similar") && tip.contains(meant)), "{typed:?}: {err}");
    }
}

#[test]
fn every_shell_gets_completions_that_know_every_verb_for_people() {
    let (_, help, _) = said(&["--help"]);
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<&str> =
        verbs.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|verb| !verb.is_empty())).collect();
    assert!(verbs.len() > 10 && verbs.contains(&"trigger") && verbs.contains(&"completions"), "{help}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = said(&["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for verb in &verbs {
            assert!(out.contains(verb), "{shell} does not know {verb}");
        }
        assert!(!out.contains("supervise"), "{shell}: a verb that nobody is to type");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_not_complained_to() {
    let mut child = albatros(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Far more than a pipe holds is to come.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn bash_completes_verbs_and_options_with_them() {
    let (_, script, _) = said(&["completions", "bash"]);
    let completed = |words: &str, at: usize| {
        let lines = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={at}; _albatros albatros \"${{COMP_WORDS[$COMP_CWORD]}}\" albatros; echo \"${{COMPREPLY[@]}}\""
        );
        let Ok(output) = Command::new("bash").args(["-c", &lines]).env_clear().output() else { return None };
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let Some(verb) = completed("albatros tri", 1) else { return };
    assert_eq!(verb, "trigger");
    assert_eq!(completed("albatros list --bran", 2).unwrap(), "--branch");
}
