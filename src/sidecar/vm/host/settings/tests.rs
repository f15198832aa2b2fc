//! What is read of flags and variables.

use std::net::IpAddr;

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
    let told = read(&[], &[("ALBATROS_PATH", "/x"), ("NOMAD_SECRETS_DIR", "/s"), ("CONSUL_TOKEN", "c")]).unwrap().told;
    assert_eq!(told.get("NOMAD_META_BRANCH").map(String::as_str), Some("main"));
    assert_eq!(told.get("NOMAD_JOB_ID").map(String::as_str), Some("builder/dispatch-1-a"));
    assert!(!told.keys().any(|name| name.contains("TOKEN") || name.contains("SECRET")), "{told:?}");
}

#[test]
fn a_network_and_folders_are_read_from_flags_or_a_list() {
    let vars = [
        ("ALBATROS_VM_NETWORK", "user"),
        ("ALBATROS_VM_DNS", "9.9.9.9 9.9.9.10"),
        ("ALBATROS_VM_DENY", "10.0.0.0/8 fc00::/7"),
        ("ALBATROS_VM_MOUNT", "/srv/a:/a /srv/b:/b:rw"),
    ];
    let it = read(&[], &vars).unwrap();
    let network = it.network.unwrap();
    let denied: Vec<_> = network.deny.iter().map(Subnet::to_string).collect();
    assert_eq!((network.dns.len(), denied), (2, vec!["10.0.0.0/8".to_owned(), "fc00::/7".to_owned()]));
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
    for (name, value) in [
        ("DNS", "dns.example"),
        ("DENY", "10.0.0.0"),
        ("DENY", "10.0.0.0/33"),
        ("DENY", "10.0.0.1/8"),
        ("DENY", "0.0.0.0/0"),
    ] {
        let said = read(&[("NETWORK", "user"), (name, value)], &[]).unwrap_err().to_string();
        assert!(said.starts_with(&format!("ALBATROS_VM_{name}: ")), "{said}");
    }
}

/// What a machine asks where its node has these servers.
fn asks(vars: &[(&str, &str)], of_node: &[&str]) -> Result<Vec<String>, String> {
    let mut it = read(&[("NETWORK", "user")], vars).unwrap();
    let of_node: Vec<IpAddr> = of_node.iter().map(|text| text.parse().unwrap()).collect();
    let asked = it.ask_at(|reached| of_node.into_iter().filter(|server| reached(*server)).collect());
    asked.map_err(|error| error.to_string())?;
    Ok(it.network.unwrap().dns.iter().map(IpAddr::to_string).collect())
}

#[test]
fn a_resolver_is_one_that_a_machine_reaches() {
    let denied = ("ALBATROS_VM_DENY", "192.168.0.0/16");
    assert_eq!(asks(&[], &["192.168.1.1", "192.0.2.53"]).unwrap(), ["192.168.1.1", "192.0.2.53"]);
    assert_eq!(asks(&[denied], &["192.168.1.1", "192.0.2.53"]).unwrap(), ["192.0.2.53"]);
    let none = asks(&[denied], &["192.168.1.1", "127.0.0.53", "10.0.2.3", "2001:db8::1"]).unwrap_err();
    assert!(none.starts_with("ALBATROS_VM_DNS: ") && none.contains("--dns ADDRESS"), "{none}");
    assert_eq!(asks(&[("ALBATROS_VM_DNS", "192.168.1.1")], &[]).unwrap(), ["192.168.1.1"]);
    for told in ["192.168.1.1", "10.0.2.3", "169.254.169.254", "9.9.9.9 192.168.7.7"] {
        let said = asks(&[denied, ("ALBATROS_VM_DNS", told)], &["192.0.2.53"]).unwrap_err();
        assert!(said.starts_with("ALBATROS_VM_DNS: ") && said.contains("not reached from a machine"), "{said}");
    }
    let said = asks(&[("ALBATROS_VM_DNS", "2620:fe::fe")], &[]).unwrap_err();
    assert!(said.contains("IPv6"), "{said}");
}
