//! What is started for a build and not typed by anybody, read without clap: where a machine's instructions are translated,
//! putting all verbs together takes longer than what these do until their work begins (0.12 s were measured).

use std::ffi::OsString;

use super::Verb;
use super::exec::ExecArgs;
use super::vm::VmArgs;

/// The verb of these words, behind the program's name, if it is one of those. clap reads all others.
pub(super) fn verb(words: &[OsString]) -> Option<Verb> {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    match words?.as_slice() {
        ["exec"] => Some(Verb::Exec(ExecArgs {})),
        ["vm", "guest"] => Some(Verb::Vm(Box::new(VmArgs::guest(false)))),
        ["vm", "guest", "--pause"] => Some(Verb::Vm(Box::new(VmArgs::guest(true)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Cli;
    use super::*;

    #[test]
    fn what_is_read_here_is_what_clap_reads() {
        for line in ["exec", "vm guest", "vm guest --pause"] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let all = std::iter::once(OsString::from("albatros")).chain(words.iter().cloned());
            let read = Cli::try_parse_from(all).unwrap().verb;
            assert_eq!(format!("{:?}", verb(&words)), format!("{read:?}"));
        }
    }

    #[test]
    fn everything_else_is_claps() {
        for line in ["", "exec --help", "vm", "vm guest --inside krun", "vm guest --pause x", "serve"] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert!(verb(&words).is_none(), "{line}");
        }
    }
}
