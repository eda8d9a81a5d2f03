//! Images and their tags, and BMC setups.

use perilune_model::Name;
use perilune_model::bmc_setup::{BmcSetup, Certificate, Driver, check_credentials};
use perilune_model::image::{Image, ImageFiles, TEXTS, Tag};
use perilune_model::provisioning::{KERNEL_ARGUMENTS, UnmanagedUsers};

use super::planner::Planner;
use crate::reading::Reading;
use crate::source::Row;

/// Rows of tags that belong to no image.
pub(super) fn report_orphans(planner: &mut Planner<'_>) {
    for row in planner.source.rows("osimagetag") {
        let mut reading = Reading::new("osimagetag", row, &mut planner.report);
        reading.owner(&planner.names, "osimage", "osimageid");
    }
}

impl Planner<'_> {
    pub(super) fn images(&mut self) {
        let tags = super::planner::grouped(self.source, "osimagetag", "osimageid");
        for row in self.source.rows("osimage") {
            let mut reading = Reading::new("osimage", row, &mut self.report);
            let Some(image) = image(&mut reading) else {
                self.names.refused("osimage", row.id);
                continue;
            };
            let active = reading.number_of_row("tagid");
            let rows = tags.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            let image = self.with_tags(row, image, rows, active);
            self.take("osimage", row, image);
        }
    }

    fn with_tags(
        &mut self,
        row: &Row,
        mut image: Image,
        tags: &[&Row],
        active: Option<i64>,
    ) -> Image {
        for tag in tags {
            let mut reading = Reading::new("osimagetag", tag, &mut self.report);
            let Some(name) = reading.own_name("name", Name::general) else {
                self.names.refused("osimagetag", tag.id);
                continue;
            };
            if image.tag_named(name.as_str()).is_some() {
                reading.refuse(
                    "name",
                    format!("the image '{}' has another tag of this name", image.name),
                );
                self.names.refused("osimagetag", tag.id);
                continue;
            }
            let files = files(&mut reading);
            let mut kept = Tag { name: name.clone(), files, ..Tag::default() };
            *kept.kernel_arguments_mut() = reading.kernel_arguments();
            if active == Some(tag.id) {
                image.tag = Some(name.clone());
            }
            self.names.taken("osimagetag", tag.id, name);
            image.tags.push(kept);
        }
        image.tags.sort_by(|one, other| one.name.cmp(&other.name));
        if let Some(active) = active.filter(|_| image.tag.is_none()) {
            let mut reading = Reading::of("osimage", row, &image.name, &mut self.report);
            reading.odd("tagid", format!("the image has no tag in row {active}; read as unset"));
        }
        image
    }

    pub(super) fn bmc_setups(&mut self) {
        for row in self.source.rows("bmcsetup") {
            let mut reading = Reading::new("bmcsetup", row, &mut self.report);
            let Some(name) = reading.own_name("name", Name::general) else {
                self.names.refused("bmcsetup", row.id);
                continue;
            };
            let usual = BmcSetup::default();
            let password = reading.confidential("password");
            if password.is_none() {
                reading.odd("password", "it is empty; BMCs are not reached without one");
            }
            let setup = BmcSetup {
                name,
                userid: reading.number("userid").unwrap_or(usual.userid),
                username: reading.text("username").unwrap_or(usual.username),
                password: password.unwrap_or_default(),
                netchannel: reading.number("netchannel").unwrap_or(usual.netchannel),
                mgmtchannel: reading.number("mgmtchannel").unwrap_or(usual.mgmtchannel),
                unmanaged_bmc_users: unmanaged_users(&mut reading),
                driver: reading.word("driver", Driver::from_word),
                port: reading.number("port"),
                certificate: reading.word("certificate", Certificate::from_word),
                system: reading.text("system"),
                comment: reading.text("comment"),
            };
            if let Err(perilune_model::Error::Invalid(violations)) = check_credentials(&setup, None)
            {
                for violation in violations {
                    reading.odd(&violation.field, violation.reason);
                }
            }
            self.take("bmcsetup", row, setup);
        }
    }
}

/// What happens to users of BMCs that the setup does not name.
fn unmanaged_users(reading: &mut Reading<'_>) -> Option<UnmanagedUsers> {
    let column = "unmanaged_bmc_users";
    let word = reading.word(column, |word| match word {
        "disable" => Some(Some(UnmanagedUsers::Disable)),
        "delete" => Some(Some(UnmanagedUsers::Delete)),
        "none" | "skip" => Some(None),
        _ => None,
    });
    word.flatten()
}

fn image(reading: &mut Reading<'_>) -> Option<Image> {
    let name = reading.own_name("name", Name::general)?;
    let mut files = files(reading);
    let mut image = Image { name, labels: reading.labels(), ..Image::default() };
    for text in TEXTS {
        *(text.place)(&mut image) = match text.name {
            KERNEL_ARGUMENTS => reading.kernel_arguments(),
            column => reading.text(column),
        };
    }
    // The old daemon keeps one version, that of the kernel it packed last.
    if files.kernelfile.is_some() && !reading.row.has("files_kernelversion") {
        files.kernelversion.clone_from(&image.kernelversion);
    }
    Some(Image { files, ..image })
}

fn files(reading: &mut Reading<'_>) -> ImageFiles {
    let mut file = |column: &str| {
        let name = reading.file(column)?;
        if name.contains('/') || name.starts_with('.') {
            reading.odd(column, "it is no plain file name; read as unset");
            return None;
        }
        Some(name)
    };
    ImageFiles {
        kernelfile: file("kernelfile"),
        initrdfile: file("initrdfile"),
        imagefile: file("imagefile"),
        kernelversion: reading.text("files_kernelversion"),
        checksum: reading.text("files_checksum"),
        size: reading.number("files_size"),
        unpacked_size: reading.number("files_unpacked_size"),
    }
}
