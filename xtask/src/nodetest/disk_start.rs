//! Two disks, of which the first starts another system by BIOS and by UEFI, and the second is the node's.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use perilune_testkit::machine::Firmware;
use perilune_testkit::process::{command, run};
use perilune_testkit::{Limit, Machine};

use super::node::Node;
use crate::follow::{Boot, Follower};
use crate::scenario;

/// What the other system says, and nothing of ours.
const OTHER: &str = "THE-OTHER-SYSTEM";

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    let firmwares = [Firmware::Bios, Firmware::UefiWithoutRom, Firmware::BiosUndi];
    for (number, firmware) in (11..).zip(firmwares) {
        let member = scenario::on_disk(number, firmware);
        let other = other_disk(&bench.perilune.site.path(&format!("{}.other", member.name)))?;
        let node = Node { bench, member };
        node.describe()?;
        let description = perilune_testkit::machine::Description {
            other_disks: vec![other],
            ..bench.description(&node.member, None)
        };
        let site = bench.perilune.site;
        bench.event(
            &node.member,
            &format!("switched on: {firmware:?}, another system on its first disk"),
        );
        let machine = Machine::start(&site.lab, &description, site.directory.path())?;
        node.explained(&machine, see_through(&node, &machine))?;
        machine.power_off();
    }
    Ok(())
}

fn see_through(node: &Node<'_>, machine: &Machine) -> Result<()> {
    let Node { bench, member } = node;
    let first = node.installed(None)?;
    // What the daemon knows of the disk must outlive it.
    bench.perilune.daemon.crash(bench.perilune.site, bench.perilune.stop)?;
    let second = node.reset(machine, &first, Boot::Disk)?;
    bench.event(member, "runs from the disk that was installed, the second");
    let third = node.reset(machine, &second, Boot::Disk)?;
    ensure!(!machine.console().contains(OTHER), "the other system was started");

    bench.perilune.perilune(&["node", "reinstall", &member.name])?;
    bench.ssh(&member.address(), "touch /root/of-the-former-installation; sync")?;
    machine.reset()?;
    let fourth = node.installed(Some(&third))?;
    let gone = bench.ssh(&member.address(), "test ! -e /root/of-the-former-installation");
    gone.context("it was not installed anew")?;
    let fifth = node.reset(machine, &fourth, Boot::Disk)?;
    // Before any policy, as older clients say it.
    bench.perilune.perilune(&["node", "change", &member.name, "--install-policy", "always"])?;
    bench.perilune.boot_from_disk(member)?;
    node.reset(machine, &fifth, Boot::Disk)?;
    ensure!(!machine.console().contains(OTHER), "the other system was started");
    bench.event(member, "installed anew, and runs from its disk again");
    Ok(())
}

/// A disk whose first sector, and whose EFI system partition, say that they were started.
fn other_disk(file: &Path) -> Result<PathBuf> {
    let limit = Limit::seconds(30);
    fs::File::create(file)?.set_len(128 << 20)?;
    let table = file.with_extension("table");
    fs::write(&table, "label: gpt\nstart=2048,size=100M,type=uefi\n")?;
    let script = format!("sfdisk --quiet {} < {}", file.display(), table.display());
    run(command("sh").args(["-c", &script]), &limit)?;
    let esp = file.with_extension("esp");
    fs::File::create(&esp)?.set_len(100 << 20)?;
    run(command("mkfs.vfat").args(["-F", "32"]).arg(&esp), &limit)?;
    let (program, words) = (file.with_extension("efi"), file.with_extension("words"));
    fs::write(&words, format!("echo {OTHER}\nsleep 600\n"))?;
    let mut make = command(if Path::new("/usr/bin/grub-mkimage").exists() {
        "grub-mkimage"
    } else {
        "grub2-mkimage"
    });
    make.args(["--format=x86_64-efi", "--prefix=/", "--config"])
        .arg(&words)
        .arg("--output")
        .arg(&program);
    run(make.args(["echo", "sleep"]), &limit)?;
    for words in [["mmd", "::EFI"], ["mmd", "::EFI/BOOT"]] {
        run(command(words[0]).arg("-i").arg(&esp).arg(words[1]), &limit)?;
    }
    run(command("mcopy").arg("-i").arg(&esp).arg(&program).arg("::EFI/BOOT/BOOTX64.EFI"), &limit)?;
    let write = |from: &Path, at: u64| -> Result<()> {
        let disk = fs::OpenOptions::new().write(true).open(file)?;
        Ok(disk.write_all_at(&fs::read(from)?, at)?)
    };
    write(&esp, 1 << 20)?;
    let sector = file.with_extension("sector");
    fs::write(&sector, boot_sector())?;
    write(&sector, 0)?;
    Ok(file.to_owned())
}

/// Machine code that writes the text to the first serial port, and stays. It ends where the table of partitions begins.
fn boot_sector() -> Vec<u8> {
    const START: u16 = 0x7c00;
    let mut code = vec![
        0xfa, // cli
        0x31, 0xc0, 0x8e, 0xd8, // xor ax,ax; mov ds,ax
        0xbe, 0, 0,    // mov si,text
        0xac, // next: lodsb
        0x84, 0xc0, 0x74, 0x0b, // test al,al; jz end
        0xba, 0xf8, 0x03, 0xee, // mov dx,0x3f8; out dx,al
        0xb9, 0x00, 0x20, 0xe2, 0xfe, // mov cx,0x2000; loop $: the port is slow
        0xeb, 0xf0, // jmp next
        0xf4, 0xeb, 0xfd, // end: hlt; jmp end
    ];
    let text = START + u16::try_from(code.len()).unwrap_or_default();
    code.splice(6..8, text.to_le_bytes());
    code.extend(OTHER.bytes().chain(*b"\r\n\0"));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_sector_leaves_the_table_of_partitions_alone() {
        let sector = boot_sector();
        assert!(sector.len() < 440 && sector.starts_with(&[0xfa]), "{sector:x?}");
        // Jumps are relative to what follows them.
        assert_eq!(sector[12], 0x0b, "over eleven bytes, to the end");
        assert_eq!(usize::from(sector[23].wrapping_neg()), 24 - 8, "back to the next letter");
    }
}
