//! Tags of images, by the rule of the old daemon: which a node or a group chooses, and which files a node boots there and here.

use std::collections::BTreeMap;

use perilune_model::Name;
use perilune_model::effective::Effective;
use perilune_model::image::ImageFiles;
use perilune_model::provisioning::TagChoice;

use super::planner::Planner;
use crate::cell::{Cell, shown};
use crate::names::{Names, Referent};
use crate::reading::Reading;
use crate::source::{Row, Source};

/// The column in which nodes and groups choose a tag.
const COLUMN: &str = "osimagetagid";

/// The rows that decide which files a node boots, by their ids.
pub(super) struct Tags<'a> {
    by_id: BTreeMap<i64, &'a Row>,
    images: BTreeMap<i64, &'a Row>,
    groups: BTreeMap<i64, &'a Row>,
}

/// The names of the files that a row of an image or of a tag has.
type Files = [Option<String>; 3];

impl<'a> Tags<'a> {
    pub(super) fn of(source: &'a Source) -> Self {
        let rows = |table| source.rows(table).iter().map(|row| (row.id, row)).collect();
        Self { by_id: rows("osimagetag"), images: rows("osimage"), groups: rows("group") }
    }

    /// What a row says about the tag. Whatever it says, if it is no tag of the image, stands for the image's files of now.
    pub(super) fn choice(
        &self,
        reading: &mut Reading<'_>,
        names: &Names,
        image: Option<&Name>,
    ) -> Option<TagChoice> {
        let text = said(reading.row)?;
        if text == TagChoice::Current.word() {
            return Some(TagChoice::Current);
        }
        let row = text.parse().ok().and_then(|id| self.by_id.get(&id));
        let of = row.and_then(|row| number(row.cell("osimageid")));
        let is_of_image = of.is_some_and(|id| match names.find("osimage", id) {
            Referent::Taken(name) => Some(&name) == image,
            Referent::Refused | Referent::Missing => false,
        });
        match row.map(|row| names.find("osimagetag", row.id)) {
            Some(Referent::Taken(tag)) if is_of_image => Some(TagChoice::Named(tag)),
            _ => {
                let message = format!(
                    "row {} of osimagetag is no tag of its image; the image's own files are used",
                    shown(&text)
                );
                reading.odd(COLUMN, message);
                Some(TagChoice::Current)
            }
        }
    }

    /// The files that the old daemon boots a node with; nothing where it has no image.
    fn files(&self, node: &Row) -> Option<Files> {
        let group = number(node.cell("groupid")).and_then(|id| self.groups.get(&id).copied());
        let own = number(node.cell("osimageid"));
        let id = own.or_else(|| number(group?.cell("osimageid")))?;
        let image = self.images.get(&id)?;
        let inherits = said(node).is_none() && own.is_none();
        let tag = if inherits { group.and_then(said) } else { said(node) };
        let tag = tag.and_then(|tag| self.by_id.get(&tag.parse().ok()?));
        let tag = tag.filter(|tag| number(tag.cell("osimageid")) == Some(id));
        Some(files(tag.unwrap_or(image)))
    }
}

impl Planner<'_> {
    /// Tells of a node that would boot other files than in the old site.
    pub(super) fn compare_files(&mut self, row: &Row, name: &Name) {
        let Some(old) = self.tags.files(row) else { return };
        let Some(node) = self.draft.nodes().get(name) else { return };
        let new = Effective::of_node(&self.draft, node).files().map(names).unwrap_or_default();
        if old != new {
            let message =
                format!("the node boots {} in the old site, and {} here", list(&old), list(&new));
            Reading::of("node", row, name, &mut self.report).odd("osimageid", message);
        }
    }
}

/// A number that refers to a row; zero is none.
fn number(cell: &Cell) -> Option<i64> {
    cell.text()?.trim().parse().ok().filter(|id| *id != 0)
}

/// What a row says about the tag, be it a tag or not.
fn said(row: &Row) -> Option<String> {
    row.cell(COLUMN).text().filter(|text| !text.is_empty() && text != "0")
}

fn files(row: &Row) -> Files {
    ["kernelfile", "initrdfile", "imagefile"].map(|column| {
        let text = row.cell(column).text()?;
        let name = text.strip_prefix("!!").and_then(|rest| rest.strip_suffix("!!"));
        let name = name.unwrap_or(&text);
        Some(name.to_owned()).filter(|name| !name.trim().is_empty() && name != "None")
    })
}

fn names(files: &ImageFiles) -> Files {
    [files.kernelfile.clone(), files.initrdfile.clone(), files.imagefile.clone()]
}

fn list(files: &Files) -> String {
    let named: Vec<String> = files.iter().flatten().map(|name| shown(name)).collect();
    if named.is_empty() { "no files".to_owned() } else { named.join(", ") }
}
