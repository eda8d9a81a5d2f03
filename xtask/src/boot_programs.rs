//! Programs that machines fetch before any kernel: iPXE, as the distribution has it, and a small GRUB that starts
//! whatever loader a node has on its own disk. A UEFI machine that booted from the network cannot simply go on to
//! its disk: some firmware stops at its menu, and some of iPXE's releases do not return to it at all.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use perilune_testkit::Limit;
use perilune_testkit::process::{command, run};

/// The names under which machines ask by TFTP, and where distributions install the programs.
const IPXE: &[(&str, &[&str])] = &[
    (
        "luna_ipxe.efi",
        &["/usr/lib/ipxe/ipxe.efi", "/usr/share/ipxe/ipxe-x86_64.efi", "/usr/share/ipxe/ipxe.efi"],
    ),
    ("luna_undionly.kpxe", &["/usr/lib/ipxe/undionly.kpxe", "/usr/share/ipxe/undionly.kpxe"]),
];
/// The name under which a boot script asks for it by HTTP.
const FIND_DISK: &str = "grub2_efi_autofind.img";
const FIND_DISK_SCRIPT: &str = "search --no-floppy --set=root --file /EFI/BOOT/BOOTX64.EFI\n\
                                chainloader /EFI/BOOT/BOOTX64.EFI\n\
                                boot\n";
const FIND_DISK_MODULES: &[&str] =
    &["part_gpt", "part_msdos", "fat", "search", "search_fs_file", "chain", "normal", "configfile"];
const MAKERS: &[&str] = &["/usr/bin/grub-mkimage", "/usr/bin/grub2-mkimage"];

/// Puts them where the daemon serves them from: its directories for TFTP and for files.
pub(crate) fn provide(tftp: &Path, files: &Path) -> Result<()> {
    fs::create_dir_all(tftp)?;
    for (name, places) in IPXE {
        let place = first_existing(places)?;
        fs::copy(place, tftp.join(name)).with_context(|| format!("cannot copy {place}"))?;
    }
    fs::create_dir_all(files)?;
    let script = files.join(format!("{FIND_DISK}.cfg"));
    fs::write(&script, FIND_DISK_SCRIPT)?;
    let mut maker = command(first_existing(MAKERS)?);
    maker.args(["--format=x86_64-efi", "--prefix=", "--config"]).arg(&script);
    maker.arg("--output").arg(files.join(FIND_DISK)).args(FIND_DISK_MODULES);
    run(&mut maker, &Limit::seconds(30))?;
    fs::remove_file(script)?;
    Ok(())
}

fn first_existing<'a>(places: &[&'a str]) -> Result<&'a str> {
    match places.iter().copied().find(|place| Path::new(place).exists()) {
        Some(place) => Ok(place),
        None => bail!("none of {} is here: `./run` installs what is needed", places.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_places() {
        let error = first_existing(&["/no/such/a", "/no/such/b"]).unwrap_err().to_string();
        assert!(error.contains("/no/such/a, /no/such/b"), "{error}");
    }
}
