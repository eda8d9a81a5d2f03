//! Small images with all that matters, and ways to look into what was made of them.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use perilune_image::{
    ArchiveFormat, CancelFlag, Error, Mounts, Packed, Parts, Readers, Request, pack,
};

pub(crate) const VERSION: &str = "6.1.0-9-test";

/// A merged-usr image with a kernel, five modules (one of each compression), firmware, and the shell and `true` of
/// this machine in the place of tools.
pub(crate) fn image() -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    let at = |path: &str| image.path().join(path);
    for directory in
        ["boot", "etc/ld.so.conf.d", "usr/bin", "usr/sbin", "usr/lib/firmware/net", "proc", "var"]
    {
        fs::create_dir_all(at(directory)).unwrap();
    }
    for directory in ["bin", "sbin", "lib"] {
        symlink(format!("usr/{directory}"), at(directory)).unwrap();
    }
    fs::write(at(&format!("boot/vmlinuz-{VERSION}")), "kernel").unwrap();
    fs::write(at(&format!("boot/config-{VERSION}")), "CONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n")
        .unwrap();
    fs::write(at("usr/lib/firmware/net/card.bin.xz"), "firmware").unwrap();
    fs::write(at("etc/hostname"), "image").unwrap();
    add_modules(image.path());
    add_tools(image.path());
    image
}

fn add_modules(image: &Path) {
    let base = image.join("usr/lib/modules").join(VERSION);
    let write = |path: &str, data: Vec<u8>| {
        let file = base.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, data).unwrap();
    };
    write(
        "kernel/drivers/net/ethernet/maker/card.ko.xz",
        xz(&module("card", &["net/card.bin", "net/none.bin"])),
    );
    write("kernel/lib/card-helper.ko.gz", gzip(&module("card_helper", &[])));
    write("kernel/fs/ext4/ext4.ko.zst", zstd::encode_all(&module("ext4", &[])[..], 3).unwrap());
    write("kernel/crypto/crc-thing.ko", module("crc_thing", &[]));
    write("kernel/sound/noise.ko", module("noise", &[]));
    let lists = [
        (
            "modules.dep",
            "kernel/drivers/net/ethernet/maker/card.ko.xz: kernel/lib/card-helper.ko.gz\nkernel/lib/card-helper.ko.gz:\n\
             kernel/fs/ext4/ext4.ko.zst:\nkernel/crypto/crc-thing.ko:\nkernel/sound/noise.ko:\n",
        ),
        (
            "modules.alias",
            "# Aliases\nalias pci:v00008086d* card\nalias pci:v0000dead-* noise\nalias crypto-crc crc_thing\n",
        ),
        ("modules.softdep", "# Soft\nsoftdep ext4 pre: crypto-crc post: nothing\n"),
        ("modules.order", "kernel/fs/ext4/ext4.ko\nkernel/sound/noise.ko\n"),
        ("modules.builtin", "kernel/drivers/char/built-in.ko\n"),
    ];
    for (list, text) in lists {
        write(list, text.as_bytes().to_vec());
    }
}

fn add_tools(image: &Path) {
    let bash = fs::canonicalize("/bin/bash").unwrap();
    let listed = loaded_by(&bash);
    for library in &listed {
        let place = image.join(library.strip_prefix("/").unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(library, place).unwrap();
    }
    fs::copy(&bash, image.join("usr/bin/bash")).unwrap();
    symlink("bash", image.join("usr/bin/sh")).unwrap();
    fs::write(image.join("usr/bin/which"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(image.join("usr/bin/which"), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(image.join("etc/alternatives")).unwrap();
    fs::write(image.join("usr/bin/gawk"), "#!/usr/bin/bash\n").unwrap();
    symlink("/etc/alternatives/awk", image.join("usr/bin/awk")).unwrap();
    symlink("/usr/bin/gawk", image.join("etc/alternatives/awk")).unwrap();
}

/// What the loader of this machine says that a program loads: the independent opinion that ours is compared with.
#[expect(clippy::disallowed_methods, reason = "a test may wait for a program")]
pub(crate) fn loaded_by(program: &Path) -> Vec<PathBuf> {
    let output = std::process::Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

/// A 64-bit ELF file with nothing but a `.modinfo` section.
pub(crate) fn module(name: &str, firmware: &[&str]) -> Vec<u8> {
    let mut information = format!("name={name}\0license=GPL\0").into_bytes();
    for file in firmware {
        information.extend_from_slice(format!("firmware={file}\0").as_bytes());
    }
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut data = elf_header(1, 0, 3);
    let section = |name: u32, kind: u32, offset: u64, size: u64| {
        let mut header = [name.to_le_bytes(), kind.to_le_bytes()].concat();
        header.extend([0, 0, offset, size, 0, 1, 0].map(u64::to_le_bytes).concat());
        header
    };
    let start = 64 + 3 * 64;
    let behind = start + information.len() as u64;
    data.extend([0; 64]);
    data.extend(section(1, 1, start, information.len() as u64));
    data.extend(section(10, 3, behind, names.len() as u64));
    data.extend(information);
    data.extend(names);
    data
}

fn elf_header(kind: u16, segments: u16, sections: u16) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    header.extend([kind, 62].map(u16::to_le_bytes).concat());
    header.extend(1u32.to_le_bytes());
    let (segment_start, section_start) =
        (if segments > 0 { 64 } else { 0 }, if sections > 0 { 64 } else { 0 });
    header.extend([0u64, segment_start, section_start].map(u64::to_le_bytes).concat());
    header.extend(0u32.to_le_bytes());
    let names = sections.saturating_sub(1);
    header.extend([64, 56, segments, 64, sections, names].map(u16::to_le_bytes).concat());
    header
}

/// The smallest static program.
pub(crate) fn agent(directory: &Path) -> PathBuf {
    let path = directory.join("agent");
    fs::write(&path, elf_header(2, 0, 0)).unwrap();
    path
}

fn xz(data: &[u8]) -> Vec<u8> {
    let mut writer =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

/// An image, an agent, and an empty directory for files.
pub(crate) struct Bench {
    pub(crate) image: tempfile::TempDir,
    pub(crate) files: tempfile::TempDir,
    _agent: tempfile::TempDir,
    pub(crate) request: Request,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (image, files, agent_directory) =
            (image(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let request = Request {
            name: "compute".to_owned(),
            tree: image.path().to_owned(),
            kernel_version: None,
            kernel_modules: Vec::new(),
            agent: agent(agent_directory.path()),
            files_dir: files.path().to_owned(),
            epoch: 1_700_000_000,
            archive_format: ArchiveFormat::TarZstd,
            parts: Parts::All,
            mounts: Mounts::Refuse,
            archive_readers: Readers::default(),
            owner: None,
        };
        Self { image, files, _agent: agent_directory, request }
    }

    pub(crate) fn pack(&self) -> Result<Packed, Error> {
        pack(&self.request, &mut |_| (), &CancelFlag::default())
    }

    /// The names of all files that were made, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        names_in(self.files.path())
    }

    pub(crate) fn initramfs(&self, packed: &Packed) -> BTreeMap<String, Entry> {
        let name = &packed.boot.as_ref().unwrap().initrd_file;
        let data = fs::read(self.files.path().join(name)).unwrap();
        let mut plain = Vec::new();
        if data.starts_with(&[0x1f, 0x8b]) {
            flate2::read::MultiGzDecoder::new(&data[..]).read_to_end(&mut plain).unwrap();
        } else {
            zstd::Decoder::new(&data[..]).unwrap().read_to_end(&mut plain).unwrap();
        }
        entries_of(&plain)
    }
}

pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) device: (u32, u32),
    pub(crate) data: Vec<u8>,
}

impl Entry {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.data).unwrap()
    }
}

/// Reads a newc archive as its documentation describes it; parents must stand before what is in them.
fn entries_of(mut archive: &[u8]) -> BTreeMap<String, Entry> {
    let whole = archive.len();
    let mut entries = BTreeMap::new();
    loop {
        let (header, rest) = archive.split_at(110);
        assert_eq!(&header[..6], b"070701");
        let fields: Vec<u32> = header[6..]
            .chunks(8)
            .map(|field| u32::from_str_radix(std::str::from_utf8(field).unwrap(), 16).unwrap())
            .collect();
        let (size, name_size) = (fields[6] as usize, fields[11] as usize);
        let name = String::from_utf8(rest[..name_size - 1].to_vec()).unwrap();
        let aligned = |rest: &[u8], used: usize| {
            (whole - rest.len() + used).next_multiple_of(4) - (whole - rest.len())
        };
        let rest = &rest[aligned(rest, name_size)..];
        if name == "TRAILER!!!" {
            return entries;
        }
        if let Some((parent, _)) = name.rsplit_once('/') {
            let parent: &Entry = entries.get(parent).expect("the parent comes first");
            assert_eq!(parent.mode & 0o170_000, 0o040_000, "{name}");
        }
        let entry =
            Entry { mode: fields[1], device: (fields[9], fields[10]), data: rest[..size].to_vec() };
        assert!(entries.insert(name.clone(), entry).is_none(), "{name} is there twice");
        archive = &rest[aligned(rest, size)..];
    }
}
