//! The program that machines fetch before anything else: iPXE, as the distribution has it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The names under which machines ask by TFTP, and where distributions install the programs.
const IPXE: &[(&str, &[&str])] = &[
    (
        "luna_ipxe.efi",
        &["/usr/lib/ipxe/ipxe.efi", "/usr/share/ipxe/ipxe-x86_64.efi", "/usr/share/ipxe/ipxe.efi"],
    ),
    ("luna_undionly.kpxe", &["/usr/lib/ipxe/undionly.kpxe", "/usr/share/ipxe/undionly.kpxe"]),
];
/// Puts them where the daemon serves them from.
pub(crate) fn provide(tftp: &Path) -> Result<()> {
    fs::create_dir_all(tftp)?;
    for (name, places) in IPXE {
        let place = first_existing(places)?;
        fs::copy(place, tftp.join(name)).with_context(|| format!("cannot copy {place}"))?;
    }
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
