//! What a script is given, and what it is not.

use std::collections::BTreeMap;

use super::{Machine, REPO_URL, secret};

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
        "ALBATROS_BUILD",
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
    assert_eq!(vars["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

#[tokio::test]
async fn secrets_arrive_byte_for_byte_and_are_gone_afterwards() {
    let machine = Machine::new();
    let mut order = machine.order(&machine.script("#!/bin/sh\ncat \"$SECRET_PATH\"; stat -c %a \"$SECRET_PATH\"\n"));
    order.payload = secret("A=1\nB=two\\n \t'x'\n\n");
    let build = machine.engine().dispatch(&order).await.unwrap();
    let said = machine.end_of(&build).await;
    assert_eq!(said.stdout, "A=1\nB=two\\n \t'x'\n\n600\n");
    assert!(!machine.dir(&build).join("secrets").exists());
    let written = std::fs::read_to_string(machine.dir(&build).join("build.json")).unwrap();
    assert!(!written.contains("two"));
}

#[tokio::test]
async fn one_newline_is_no_secret() {
    let machine = Machine::new();
    let mut order = machine.order(&machine.script("#!/bin/sh\necho \"${SECRET_PATH-unset}\"\n"));
    order.payload = secret("\n");
    assert_eq!(machine.build_order(&order).await.stdout, "unset\n");
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
