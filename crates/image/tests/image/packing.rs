//! The files that packing makes.

use std::{fs, ops::ControlFlow, path::Path};

use perilune_archive::{checksum_of_file, unpack_verified};
use perilune_image::{
    ArchiveFormat, CancelFlag, Parts, Progress, Stage, clean_litter, kernel_versions, pack,
};

use crate::trees::{Bench, VERSION};

#[test]
fn all_files_bear_the_name_and_the_time() {
    let bench = Bench::new();
    let packed = bench.pack().unwrap();
    let boot = packed.boot.unwrap();
    let expected = [
        format!("compute-1700000000-initramfs-{VERSION}"),
        format!("compute-1700000000-vmlinuz-{VERSION}"),
        "compute-1700000000.tar.zst".to_owned(),
    ];
    assert_eq!(bench.names(), expected);
    assert_eq!(
        [boot.initrd_file, boot.kernel_file.clone(), packed.archive.unwrap().image_file],
        expected
    );
    assert_eq!(fs::read(bench.files.path().join(boot.kernel_file)).unwrap(), b"kernel");
}

#[test]
fn the_archive_is_the_image_and_its_checksum_is_recorded() {
    let bench = Bench::new();
    let archive = bench.pack().unwrap().archive.unwrap();
    let path = bench.files.path().join(&archive.image_file);
    assert_eq!(archive.size, fs::metadata(&path).unwrap().len());
    assert_eq!(archive.checksum, checksum_of_file(&path).unwrap());
    let target = tempfile::tempdir().unwrap();
    let mut file = fs::File::open(&path).unwrap();
    let summary = unpack_verified(&mut file, &archive.checksum, target.path(), &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(summary.bytes, archive.unpacked_size);
    let hostname = Path::new("etc/hostname");
    assert_eq!(fs::read(target.path().join(hostname)).unwrap(), b"image");
    assert_eq!(fs::read_link(target.path().join("bin")).unwrap(), Path::new("usr/bin"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may wait for a program")]
fn older_installers_can_read_their_formats() {
    for (format, name) in [(ArchiveFormat::TarGzip, "tar.gz"), (ArchiveFormat::TarBzip2, "tar.bz2")]
    {
        let mut bench = Bench::new();
        bench.request.archive_format = format;
        bench.request.parts = Parts::Archive;
        fs::write(bench.image.path().join("large"), vec![42; 5 << 20]).unwrap();
        let archive = bench.pack().unwrap().archive.unwrap();
        assert_eq!(bench.names(), [format!("compute-1700000000.{name}")]);
        let path = bench.files.path().join(&archive.image_file);
        assert_eq!(archive.checksum, checksum_of_file(&path).unwrap());
        let target = tempfile::tempdir().unwrap();
        let filter = if format == ArchiveFormat::TarGzip { "-xzf" } else { "-xjf" };
        let status = std::process::Command::new("tar")
            .arg(filter)
            .arg(&path)
            .current_dir(target.path())
            .status();
        assert!(status.unwrap().success());
        assert!(fs::read(target.path().join("large")).unwrap() == vec![42; 5 << 20]);
    }
}

#[test]
fn parts_are_made_alone() {
    let mut bench = Bench::new();
    bench.request.parts = Parts::Boot;
    let packed = bench.pack().unwrap();
    assert!(packed.archive.is_none() && bench.names().len() == 2);

    let mut bench = Bench::new();
    bench.request.parts = Parts::Archive;
    let packed = bench.pack().unwrap();
    assert!(packed.boot.is_none() && bench.names().len() == 1);
}

#[test]
fn progress_tells_each_stage_from_its_start_to_its_end() {
    let bench = Bench::new();
    let mut told: Vec<Progress> = Vec::new();
    pack(&bench.request, &mut |progress| told.push(progress), &CancelFlag::default()).unwrap();
    for stage in [Stage::Kernel, Stage::Initramfs, Stage::Archive] {
        let of_stage: Vec<_> = told.iter().filter(|progress| progress.stage == stage).collect();
        let (first, last) = (of_stage.first().unwrap(), of_stage.last().unwrap());
        assert_eq!(first.bytes_done, 0);
        assert!(last.bytes_done > 0 && last.bytes_done == last.bytes_total, "{last:?}");
        assert!(
            first.bytes_total.abs_diff(last.bytes_total) <= last.bytes_total / 2 + 4096,
            "{first:?} {last:?}"
        );
    }
}

#[test]
fn the_newest_kernel_is_taken_and_any_other_on_request() {
    let mut bench = Bench::new();
    let modules = bench.image.path().join("usr/lib/modules");
    fs::create_dir_all(modules.join("6.1.0-10-test/kernel")).unwrap();
    fs::create_dir_all(modules.join("9.9.9-removed")).unwrap();
    fs::write(modules.join("6.1.0-10-test/vmlinuz"), "newer").unwrap();
    fs::write(modules.join("6.1.0-10-test/modules.dep"), "").unwrap();
    assert_eq!(kernel_versions(bench.image.path()).unwrap(), ["6.1.0-10-test", VERSION]);
    let boot = bench.pack().unwrap().boot.unwrap();
    assert_eq!(boot.kernel_version, "6.1.0-10-test");
    assert_eq!(fs::read(bench.files.path().join(boot.kernel_file)).unwrap(), b"newer");
    bench.request.kernel_version = Some(VERSION.to_owned());
    assert_eq!(bench.pack().unwrap().boot.unwrap().kernel_version, VERSION);
}

#[test]
fn litter_is_removed_and_nothing_else() {
    let files = tempfile::tempdir().unwrap();
    for name in [".perilune-compute-1.tar.zst.part", "compute-1.tar.zst", ".hidden", "other.part"] {
        fs::write(files.path().join(name), "").unwrap();
    }
    let removed = clean_litter(files.path()).unwrap();
    assert_eq!(removed, [files.path().join(".perilune-compute-1.tar.zst.part")]);
    assert_eq!(
        crate::trees::names_in(files.path()),
        [".hidden", "compute-1.tar.zst", "other.part"]
    );
}
