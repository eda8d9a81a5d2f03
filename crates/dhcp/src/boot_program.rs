//! What a machine's firmware is to fetch and start.

use perilune_model::provisioning::IpxeKernel;

use crate::request::Request;

/// The program for a kind of firmware, and how it is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BootProgram {
    /// A file by TFTP.
    Tftp(&'static str),
    /// A file of the controller by HTTP, for firmware that speaks it.
    Http(&'static str),
    /// iPXE is there already: its script.
    Script,
}

/// The program for whoever asks; `None` for those who do not boot from the network.
pub(crate) fn of(request: &Request, kernel: IpxeKernel) -> Option<BootProgram> {
    if request.is_ipxe() {
        return Some(BootProgram::Script);
    }
    let class = request.vendor_class().unwrap_or_default();
    let (pxe, http) = (class.starts_with("PXEClient"), class.starts_with("HTTPClient"));
    let alternative = kernel == IpxeKernel::Alternative;
    let (x86, arm) = if alternative {
        ("luna_snponly.efi", "luna_snponly_arm64.efi")
    } else {
        ("luna_ipxe.efi", "luna_ipxe_arm64.efi")
    };
    // Processor architecture types of the IANA registry.
    match request.architecture() {
        Some(7 | 9) => Some(BootProgram::Tftp(x86)),
        Some(11) => Some(BootProgram::Tftp(arm)),
        // Their neighbours 15 and 18 are processors of 32 bits, for which there is no program.
        Some(16) if http => Some(BootProgram::Http(x86)),
        Some(19) if http => Some(BootProgram::Http(arm)),
        // OpenPOWER machines read a configuration of their own.
        Some(14) => None,
        Some(0) => Some(BootProgram::Tftp("luna_undionly.kpxe")),
        None | Some(_) if pxe => Some(BootProgram::Tftp("luna_undionly.kpxe")),
        None | Some(_) => None,
    }
}
