//! What a script is given, and what it is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Machine, REPO_URL, with_params};

fn variables(printed: &str) -> BTreeMap<&str, &str> {
    printed.lines().filter_map(|line| line.split_once('=')).collect()
}

#[tokio::test]
async fn the_environment_is_what_was_promised_and_nothing_else() {
    let machine = Machine::new();
    let order = machine.order(&machine.script("#!/bin/sh\nexec env\n"));
    let build = machine.engine().dispatch(&order).await.unwrap();
    let said = machine.end_of(&build).await;
    let vars = variables(&said.stdout);
    let names: Vec<_> =
        vars.keys().copied().filter(|name| !matches!(*name, "PWD" | "SHLVL" | "_" | "OLDPWD")).collect();
    let expected = [
        "ALBATROS",
        "ALBATROS_API",
        "ALBATROS_BUILD",
        "ALBATROS_SHARED_LOOPBACK",
        "ALBATROS_TOKEN",
        "ALBATROS_WORKSPACE",
        "BRANCH",
        "CI",
        "COMMIT",
        "EVENT",
        "FLAVOR",
        "HOME",
        "LANG",
        "PATH",
        "REF",
        "REPO_URL",
        "TMPDIR",
    ];
    assert_eq!(names, expected, "{}", said.stdout);
    assert_eq!(vars["ALBATROS_BUILD"], build.as_str());
    assert_eq!((vars["REPO_URL"], vars["BRANCH"], vars["FLAVOR"]), (REPO_URL, "main", "default"));
    assert_eq!((vars["REF"], vars["EVENT"], vars["LANG"]), ("refs/heads/main", "push", "C.UTF-8"));
    assert_eq!(vars["COMMIT"], order.meta["COMMIT"]);
    let alloc = machine.dir(&build).join("alloc");
    assert_eq!(
        vars["PATH"],
        format!("{}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", alloc.display())
    );
    assert_eq!(vars["ALBATROS_API"], format!("unix:{}/albatros.sock", alloc.display()));
}

#[tokio::test]
async fn secrets_arrive_byte_for_byte_and_are_gone_afterwards() {
    let machine = Machine::new();
    let order = machine.order(&machine.script("#!/bin/sh\ncat \"$SECRET_PATH\"; stat -c %a \"$SECRET_PATH\"\n"));
    let order = with_params(order, "A=1\nB=two\\n \t'x'\n\n");
    let build = machine.engine().dispatch(&order).await.unwrap();
    let said = machine.end_of(&build).await;
    assert_eq!(said.stdout, "A=1\nB=two\\n \t'x'\n\n600\n");
}

#[tokio::test]
async fn secrets_are_in_the_scripts_own_file_and_nowhere_else_and_then_not_even_there() {
    let machine = Machine::new();
    let script = machine.script("#!/bin/sh\nwc -c < \"$SECRET_PATH\"\nuntil [ -e go ]; do sleep 0.02; done\n");
    let order = with_params(machine.order(&script), "A=very-secret\n");
    let build = machine.engine().dispatch(&order).await.unwrap();
    machine.printed(&build, "14").await;
    let dir = machine.dir(&build);
    let found = files_with(&machine.data(), b"very-secret");
    assert!(!found.is_empty() && found.iter().all(|file| file.starts_with(dir.join("executor/secrets"))), "{found:?}");
    std::fs::write(dir.join("alloc/workspace/go"), "").unwrap();
    machine.outcome(&build).await;
    assert_eq!(files_with(&machine.data(), b"very-secret"), Vec::<PathBuf>::new());
}

/// The files below `dir` in which these bytes stand.
fn files_with(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // What vanishes meanwhile holds nothing.
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.extend(files_with(&entry.path(), bytes));
        } else if kind.is_file() {
            let file = std::fs::read(entry.path()).unwrap_or_default();
            found.extend(file.windows(bytes.len()).any(|part| part == bytes).then(|| entry.path()));
        }
    }
    found
}

#[tokio::test]
async fn an_odd_branch_arrives_unchanged() {
    let machine = Machine::new();
    let script = machine.script("#!/bin/sh\nprintf %s \"$BRANCH\"\n");
    for branch in ["-x", "a'b\"c", "$(touch /tmp/x)", "ä/ö/☃", "a;b&c|d", "%{x}", "~"] {
        let mut order = machine.order(&script);
        order.meta.insert("BRANCH".to_owned(), branch.to_owned());
        order.meta.insert("REF".to_owned(), format!("refs/heads/{branch}"));
        assert_eq!(machine.build_order(&order).await.stdout, branch);
    }
}

#[tokio::test]
async fn home_and_tmpdir_are_fresh_and_writable() {
    let machine = Machine::new();
    let script =
        "#!/bin/sh\nset -e\ntest -z \"$(ls $HOME)\"; test -z \"$(ls -A $TMPDIR)\"; touch $HOME/a $TMPDIR/b; mktemp\n";
    let said = machine.build(script).await;
    assert!(said.stdout.contains("/tmp/tmp."), "{} {}", said.stdout, said.stderr);
    assert_eq!(machine.build(script).await.outcome, albatros::domain::outcome::Outcome::Success);
}
