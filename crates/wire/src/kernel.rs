//! The kernel that machines boot and its arguments: what requests say of them, and how answers show them. Nodes, groups and images have them.

use perilune_model::effective::Effective;
use perilune_model::provisioning::{IpxeKernel, Request};
use perilune_model::{Patch, image};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;

/// What nodes and groups say of the kernel.
pub(crate) fn request(fields: &mut Fields<'_>, request: Request) -> Request {
    Request {
        kerneloptions: arguments(fields.help("Added to the kernel's command line")),
        ipxe_kernel: ipxe_kernel(fields),
        ..request
    }
}

/// What images say of the kernel.
pub(crate) fn image_request(fields: &mut Fields<'_>, request: image::Request) -> image::Request {
    image::Request {
        kernelversion: fields
            .help("The kernel to boot, as in lib/modules of the tree")
            .text("kernelversion"),
        kernelmodules: fields
            .help("Modules for the installer, separated by commas; =-NAME leaves one out")
            .text("kernelmodules"),
        kerneloptions: arguments(fields.help("The kernel's command line")),
        ..request
    }
}

/// Arguments that a boot script can have: else every boot would be refused.
fn arguments(fields: &mut Fields<'_>) -> Patch<String> {
    fields.encoded().checked("kerneloptions", |text| {
        let arguments = perilune_plan::kernel_arguments(text);
        perilune_plan::check_script_text(&arguments)
            .map_err(|reason| format!("it cannot be put into a boot script: {reason}"))?;
        perilune_plan::check_kernel_arguments(&arguments)
    })
}

fn ipxe_kernel(fields: &mut Fields<'_>) -> Patch<IpxeKernel> {
    fields.help("default or alternative").words(&["default", "alternative"]).converted(
        "ipxe_kernel",
        |text| match text.to_ascii_lowercase().as_str() {
            "default" => Ok(IpxeKernel::Default),
            "alternative" => Ok(IpxeKernel::Alternative),
            _ => Err("it must be 'default' or 'alternative'".to_owned()),
        },
    )
}

/// The kernel of an image, as all answers about images show it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KernelOfImage<'a> {
    #[serde(rename = "kernelmodules")]
    modules: Option<&'a str>,
    #[serde(rename = "kerneloptions")]
    arguments: Option<String>,
    #[serde(rename = "kernelversion")]
    version: Option<&'a str>,
}

impl<'a> KernelOfImage<'a> {
    pub(crate) fn of(image: &'a image::Image) -> Self {
        Self {
            modules: image.kernelmodules.as_deref(),
            arguments: image.kernel_arguments().map(str::to_owned),
            version: image.effective_kernelversion(),
        }
    }

    /// The same with the arguments as `encode` makes them.
    pub(crate) fn encoded(self, encode: impl FnOnce(String) -> String) -> Self {
        Self { arguments: self.arguments.map(encode), ..self }
    }
}

/// What machines boot, as all answers about nodes and groups show it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Kernel<'a> {
    #[serde(rename = "kerneloptions")]
    arguments: Option<&'a str>,
    ipxe_kernel: Option<&'static str>,
}

impl<'a> Kernel<'a> {
    pub(crate) fn in_effect(effective: &Effective<'a>) -> Self {
        let ipxe_kernel = Some(effective.ipxe_kernel().value.word());
        Self { arguments: effective.kernel_arguments().value, ipxe_kernel }
    }

    /// Of a group in a list, which shows the boot program that it names itself.
    pub(crate) fn said(effective: &Effective<'a>) -> Self {
        let ipxe_kernel = effective.said(|own| own.ipxe_kernel).map(IpxeKernel::word);
        Self { arguments: effective.kernel_arguments().value, ipxe_kernel }
    }
}

/// Where each of these comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KernelSources {
    #[serde(rename = "_kerneloptions_source")]
    arguments: &'static str,
    #[serde(rename = "_ipxe_kernel_source")]
    ipxe_kernel: &'static str,
}

impl KernelSources {
    pub(crate) fn of(effective: &Effective<'_>) -> Self {
        Self {
            arguments: effective.kernel_arguments().source.word(),
            ipxe_kernel: effective.ipxe_kernel().source.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_of_an_image_are_encoded_where_clients_decode_them() {
        let image =
            image::Image { kerneloptions: Some("quiet".to_owned()), ..image::Image::default() };
        let shown = |kernel: &KernelOfImage<'_>| serde_json::to_value(kernel).unwrap();
        let plain =
            json!({ "kernelmodules": null, "kerneloptions": "quiet", "kernelversion": null });
        assert_eq!(shown(&KernelOfImage::of(&image)), plain);
        let encoded = KernelOfImage::of(&image).encoded(|text| text.to_uppercase());
        assert_eq!(shown(&encoded)["kerneloptions"], "QUIET");
    }
}
