use super::super::fake::Registry;
use super::super::source::Fetched;
use super::*;

/// A node with a kernel and a plain tree.
struct Node {
    dir: tempfile::TempDir,
    store: Store,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let modules = dir.path().join("modules");
        fs::create_dir(&modules).unwrap();
        fs::write(modules.join("modules.dep"), "").unwrap();
        let builtin = ["virtio_mmio", "virtio_blk", "virtio_console", "overlay", "squashfs", "ext4"];
        fs::write(modules.join("modules.builtin"), builtin.map(|name| format!("kernel/{name}.ko\n")).concat()).unwrap();
        fs::write(dir.path().join("vmlinuz-6.1"), "kernel").unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    fn tree(&self, name: &str, holds: &str) -> Source {
        let path = self.dir.path().join(format!("{name}.tar"));
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(holds.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, "file", holds.as_bytes()).unwrap();
        fs::write(&path, archive.into_inner().unwrap()).unwrap();
        Source::Tar(Some(path))
    }

    fn making(&self) -> Making {
        let kernel = Some(self.dir.path().join("vmlinuz-6.1"));
        Making { kernel: Sought { kernel, modules: Some(self.dir.path().join("modules")) }, ..Making::default() }
    }

    async fn build(&self, name: &str, holds: &str) -> Image {
        self.store.build(&self.tree(name, holds), &self.making()).await.unwrap()
    }

    fn count(&self, folder: &str) -> usize {
        fs::read_dir(self.dir.path().join("store").join(folder)).unwrap().count()
    }
}

#[tokio::test]
async fn an_image_is_found_by_its_name_its_digest_and_its_first_digits() {
    let node = Node::new();
    let digest = node.build("debian", "a").await.digest;
    let found = |reference: &str| node.store.find(reference).unwrap().map(|image| image.digest);
    for reference in ["debian", "docker:debian", &digest, &digest[..8], &format!("sha256:{digest}")] {
        assert_eq!(found(reference).as_deref(), Some(digest.as_str()), "{reference}");
    }
    for reference in ["", "debia", &digest[..4], "../../etc", &"0".repeat(64)] {
        assert_eq!(found(reference), None, "{reference}");
    }
    assert_eq!(node.count("tmp"), 0, "what was needed for the making is gone");
}

#[tokio::test]
async fn a_name_leads_to_the_image_that_was_made_last() {
    let node = Node::new();
    let first = node.build("debian", "a").await.digest;
    let second = node.build("debian", "b").await.digest;
    assert_ne!(first, second);
    assert_eq!(node.store.find("debian").unwrap().unwrap().digest, second);
    let listed = node.store.list().unwrap();
    let names: Vec<_> = listed.iter().map(|image| (image.digest.as_str(), image.names.len())).collect();
    assert_eq!(names, [(second.as_str(), 1), (first.as_str(), 0)]);
}

#[tokio::test]
async fn an_image_that_a_run_has_is_not_removed() {
    let node = Node::new();
    let image = node.build("debian", "a").await;
    assert!(matches!(node.store.remove("debian"), Err(ImageError::Used(_))));
    assert!(node.store.list().unwrap()[0].used);
    assert!(image.root.is_file() && image.kernel.is_file() && image.modules.is_file());
    drop(image);
    assert!(matches!(node.store.remove("debian"), Ok(Removed::Image(_))));
    assert!(matches!(node.store.remove("debian"), Err(ImageError::Unknown(_))));
    for folder in ["images", "names", "kernels", "tmp"] {
        assert_eq!(node.count(folder), 0, "{folder}");
    }
}

#[tokio::test]
async fn one_name_of_two_goes_alone() {
    let node = Node::new();
    let digest = node.build("one", "a").await.digest;
    assert_eq!(node.build("two", "a").await.digest, digest, "the same files are the same image");
    assert_eq!(node.store.remove("one").unwrap(), Removed::Name);
    assert_eq!(node.store.find("two").unwrap().unwrap().names, ["two"]);
    assert!(matches!(node.store.remove(&digest), Ok(Removed::Image(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_make_the_same_image_at_once_make_one() {
    let node = Node::new();
    let source = node.tree("debian", "a");
    let making = node.making();
    let makings = (0..8).map(|_| {
        // Each as a process of its own would have it.
        let (store, source, making) = (Store::open(&node.store.folder.dir).unwrap(), source.clone(), making.clone());
        tokio::spawn(async move { store.build(&source, &making).await.unwrap().digest })
    });
    let digests = futures_util::future::join_all(makings.collect::<Vec<_>>()).await;
    let first = digests[0].as_ref().unwrap();
    assert!(digests.iter().all(|digest| digest.as_ref().unwrap() == first));
    assert_eq!((node.count("images"), node.count("kernels"), node.count("tmp")), (1, 1, 0));
}

#[tokio::test]
async fn what_a_killed_process_left_half_made_goes_and_counts_for_nothing() {
    let node = Node::new();
    let dir = node.store.folder.dir.clone();
    let left = dir.join("tmp/0123456789abcdef/image");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("root.squashfs"), "half").unwrap();
    let working = node.store.draft().unwrap();
    fs::write(working.path().join("mine"), "half").unwrap();
    let again = Store::open(&dir).unwrap();
    assert!(!left.exists(), "nobody has it");
    assert!(working.path().join("mine").is_file(), "somebody works on it");
    assert_eq!(again.list().unwrap(), []);
    assert!(again.find("0123456789abcdef").unwrap().is_none());
}

#[tokio::test]
async fn an_image_that_lost_bytes_is_said_to_be_broken() {
    let node = Node::new();
    let image = node.build("debian", "a").await;
    fs::write(&image.root, "short").unwrap();
    let error = node.store.find("debian").unwrap_err().to_string();
    assert!(error.contains("build it again"), "{error}");
}

#[tokio::test]
async fn an_initrd_is_made_once_and_only_of_a_static_program() {
    let node = Node::new();
    let image = node.build("debian", "a").await;
    let program = node.dir.path().join("albatros");
    // 64 bytes of a file's header, and one program header that asks for no loader.
    let mut elf = vec![0; 120];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (elf[0x20], elf[0x36], elf[0x38], elf[64]) = (64, 56, 1, 1);
    fs::write(&program, &elf).unwrap();
    let path = image.initrd(&program, &node.store).unwrap();
    assert_eq!(image.initrd(&program, &node.store).unwrap(), path);
    assert_eq!(node.count("initrds"), 1);
    let bytes = fs::read(&path).unwrap();
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(has(b"init\0") && has(b"dev/console\0") && has(&elf) && has(b"modules\0"));
    elf[64] = 3;
    fs::write(&program, &elf).unwrap();
    let error = image.initrd(&program, &node.store).unwrap_err();
    assert!(error.to_string().contains("--bin-from"), "{error}");
}

#[tokio::test]
async fn files_are_not_read_for_a_name_that_a_build_has_brought() {
    let node = Node::new();
    let Source::Tar(Some(path)) = node.tree("debian", "a") else { panic!("no file") };
    let reference = format!("tar:{}", path.display());
    let error = node.store.pull(&reference, &node.making()).await.unwrap_err();
    assert!(error.to_string().contains("albatros vm image build"), "{error}");
}

#[tokio::test]
async fn what_is_there_is_not_pulled() {
    let node = Node::new();
    let digest = node.build("debian", "a").await.digest;
    // Nothing listens there: asking a registry would fail.
    assert_eq!(node.store.pull("debian", &node.making()).await.unwrap().digest, digest);
    assert_eq!(node.count("pulls"), 0);
}

#[tokio::test]
async fn another_kernel_for_one_run_leaves_the_images_own() {
    let node = Node::new();
    let own = node.build("debian", "a").await.kernel;
    let other = node.dir.path().join("vmlinuz-6.2");
    fs::write(&other, "another").unwrap();
    let sought = Sought { kernel: Some(other), modules: Some(node.dir.path().join("modules")) };
    let image = node.store.find("debian").unwrap().unwrap().with_kernel(&sought, &node.store).unwrap();
    assert_eq!(fs::read(&image.kernel).unwrap(), b"another");
    assert_eq!(image.kernel_version(), "6.2");
    assert_eq!(node.store.find("debian").unwrap().unwrap().kernel, own);
}

#[tokio::test]
async fn an_image_whose_layers_are_not_brought_again_stays_until_it_has_its_name() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let source: Source = registry.name.parse().unwrap();
    let making = node.making();
    let digest = node.store.build(&source, &making).await.unwrap().digest;
    let draft = std::sync::Arc::new(node.store.draft().unwrap());
    let known = |content: &str| node.store.made_from(content);
    let fetched = source.fetch(&draft, &making, &known).await.unwrap();
    assert!(matches!(fetched, Fetched::There(_)));
    // Without its layers, an image that goes now could not be made again.
    assert!(matches!(node.store.remove(&registry.name), Err(ImageError::Used(_))));
    let whole = node.store.assemble(fetched, &draft, &making.told).unwrap();
    assert_eq!(whole.digest(), digest);
    assert!(matches!(node.store.remove(&registry.name), Err(ImageError::Used(_))));
    drop(whole);
    assert!(matches!(node.store.remove(&registry.name), Ok(Removed::Image(_))));
    let fetched = source.fetch(&draft, &making, &known).await.unwrap();
    assert!(matches!(fetched, Fetched::Parts(parts) if parts.layers.len() == 1), "what is gone is brought again");
}

#[test]
fn what_goes_is_not_taken_up_meanwhile_and_what_is_taken_up_does_not_go() {
    let node = Node::new();
    let (folder, draft) = (&node.store.folder, node.store.draft().unwrap());
    let dir = folder.initrds().join("a".repeat(64));
    fs::create_dir(&dir).unwrap();
    let held = Held::shared(&dir).unwrap().unwrap();
    folder.take_unheld(&dir, &draft, || panic!("somebody has it")).unwrap();
    drop(held);
    folder.take_unheld(&dir, &draft, || Ok(false)).unwrap();
    assert!(dir.is_dir(), "it is wanted");
    let unwanted = || {
        let lock = rustix::fs::FlockOperation::NonBlockingLockShared;
        assert!(rustix::fs::flock(fs::File::open(&dir).unwrap(), lock).is_err(), "nobody can take it up now");
        Ok(true)
    };
    folder.take_unheld(&dir, &draft, unwanted).unwrap();
    assert!(!dir.exists());
}
