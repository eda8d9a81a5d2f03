//! When packing fails, the reason is told, and the files of before are all there is.
#![expect(clippy::disallowed_methods, reason = "a test may wait for a program")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use perilune_image::{ArchiveFormat, CancelFlag, Error, Parts, Stage, clean_litter, pack};

use crate::trees::{Bench, VERSION, names_in};

fn failing(bench: &Bench) -> Error {
    let error = bench.pack().unwrap_err();
    assert_eq!(bench.names(), Vec::<String>::new());
    error
}

#[test]
fn an_image_that_is_not_there() {
    let mut bench = Bench::new();
    bench.request.tree = bench.image.path().join("none");
    assert!(matches!(failing(&bench), Error::NoTree { .. }));
}

#[test]
fn an_image_without_a_kernel_says_what_to_install() {
    let bench = Bench::new();
    fs::remove_dir_all(bench.image.path().join("usr/lib/modules")).unwrap();
    let error = failing(&bench);
    assert!(matches!(error, Error::NoKernel { .. }));
    assert!(
        error.to_string().contains("linux-image-amd64")
            && error.to_string().contains("kernel-core"),
        "{error}"
    );
}

#[test]
fn modules_without_their_kernel() {
    let bench = Bench::new();
    fs::remove_file(bench.image.path().join(format!("boot/vmlinuz-{VERSION}"))).unwrap();
    assert!(matches!(failing(&bench), Error::NoKernelFile { version } if version == VERSION));
}

#[test]
fn a_kernel_that_the_image_does_not_have() {
    let mut bench = Bench::new();
    bench.request.kernel_version = Some("5.0".to_owned());
    assert!(
        matches!(failing(&bench), Error::NoSuchKernel { available, .. } if available == [VERSION])
    );
}

#[test]
fn a_kernel_without_an_index_of_its_modules() {
    let bench = Bench::new();
    fs::remove_file(bench.image.path().join(format!("usr/lib/modules/{VERSION}/modules.dep")))
        .unwrap();
    assert!(failing(&bench).to_string().contains("depmod"));
}

#[test]
fn a_module_that_is_damaged_is_named() {
    let bench = Bench::new();
    let path = format!("usr/lib/modules/{VERSION}/kernel/drivers/net/ethernet/maker/card.ko.xz");
    let path = bench.image.path().join(path);
    let data = fs::read(&path).unwrap();
    fs::write(&path, &data[..data.len() / 2]).unwrap();
    assert!(
        matches!(failing(&bench), Error::Malformed { path, .. } if path.ends_with("card.ko.xz"))
    );
}

#[test]
fn an_agent_that_needs_libraries_is_refused() {
    let mut bench = Bench::new();
    bench.request.agent = PathBuf::from("/bin/sh");
    assert!(matches!(failing(&bench), Error::AgentNotStatic { .. }));
    bench.request.agent = bench.image.path().join("etc/hostname");
    assert!(matches!(failing(&bench), Error::AgentNotStatic { .. }));
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    for name in ["", "../up", "a/b", ".hidden", "a b"] {
        let mut bench = Bench::new();
        name.clone_into(&mut bench.request.name);
        assert!(matches!(failing(&bench), Error::InvalidName { .. }), "{name}");
    }
}

#[test]
fn a_cancelled_packing_leaves_nothing() {
    let bench = Bench::new();
    for stage in [Stage::Kernel, Stage::Initramfs, Stage::Archive] {
        let cancel = CancelFlag::default();
        let mut report = |progress: perilune_image::Progress| {
            if progress.stage == stage {
                cancel.cancel();
            }
        };
        assert!(matches!(pack(&bench.request, &mut report, &cancel), Err(Error::Cancelled)));
        assert_eq!(bench.names(), Vec::<String>::new());
    }
}

/// Bytes that no compressor makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 88_172_645_463_325_252;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(next).collect()
}

#[test]
fn a_full_disk_is_told_and_the_files_of_before_stay() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: a small file system cannot be mounted, so a full disk is not tried");
        return;
    }
    for format in [ArchiveFormat::TarZstd, ArchiveFormat::TarGzip, ArchiveFormat::TarBzip2] {
        let mut bench = Bench::new();
        fs::write(bench.image.path().join("noise"), noise(8 << 20)).unwrap();
        let disk = SmallDisk::mount();
        fs::write(disk.0.path().join("compute-1.tar.zst"), "before").unwrap();
        bench.request.files_dir = disk.0.path().to_owned();
        bench.request.archive_format = format;
        bench.request.parts = Parts::Archive;
        let error = bench.pack().unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{format:?} {error:?}");
        assert_eq!(names_in(disk.0.path()), ["compute-1.tar.zst"]);
    }
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs"], directory.path());
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &[], self.0.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    assert!(Command::new(program).args(arguments).arg(path).status().unwrap().success());
}

const CHILD: &str = "PERILUNE_TEST_FILES";

/// The test starts itself as the process that is killed.
#[test]
fn a_kill_in_the_middle_leaves_the_files_of_before_in_service() {
    if let Some(files) = std::env::var_os(CHILD) {
        return pack_and_hang(PathBuf::from(files));
    }
    let bench = Bench::new();
    bench.pack().unwrap();
    let before = bench.names();
    let checksums = || {
        before
            .iter()
            .map(|name| fs::read(bench.files.path().join(name)).unwrap())
            .collect::<Vec<_>>()
    };
    let contents = checksums();

    let name = "failures::a_kill_in_the_middle_leaves_the_files_of_before_in_service";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, bench.files.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let is_packing = output.lines().any(|line| line.unwrap().contains("in the middle"));
    child.kill().unwrap();
    child.wait().unwrap();

    assert!(is_packing);
    assert!(contents == checksums());
    let visible: Vec<String> =
        bench.names().into_iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(visible, before);
    assert_eq!(clean_litter(bench.files.path()).unwrap().len(), 3);
    assert_eq!(bench.names(), before);
}

fn pack_and_hang(files: PathBuf) {
    let mut bench = Bench::new();
    bench.request.files_dir = files;
    bench.request.epoch += 1;
    let mut report = |progress: perilune_image::Progress| {
        if progress.stage == Stage::Archive {
            println!("in the middle");
            loop {
                std::thread::park();
            }
        }
    };
    pack(&bench.request, &mut report, &CancelFlag::default()).unwrap();
}
