//! OS images and their tags: as clients read them, and what they ask of them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perilune_model::image::{Image, Request, Tag, tag_users};
use perilune_model::{Cluster, Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::kernel::{self, KernelOfImage};
use crate::label;
use crate::requests::comment;

/// The longest name that a request may give to an image or a tag.
const LONGEST_NAME: usize = 127;
/// How clients are told that no tag is active.
const DEFAULT_TAG: &str = "default";

/// Where images and their files are, and which files are there.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The trees of images that do not say where theirs is.
    pub images: &'a Path,
    /// Whether a file of this name is served.
    pub is_served: &'a dyn Fn(&str) -> bool,
}

/// An OS image in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageEntry<'a> {
    name: &'a str,
    grab_filesystems: Option<String>,
    grab_exclude: Option<String>,
    initrdfile: Option<String>,
    kernelfile: Option<String>,
    #[serde(flatten)]
    kernel: KernelOfImage<'a>,
    path: String,
    imagefile: Option<String>,
    distribution: Option<&'a str>,
    osrelease: Option<&'a str>,
    comment: Option<&'a str>,
    /// `key=value`, separated by commas; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
    tag: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_tags: Option<String>,
}

impl<'a> ImageEntry<'a> {
    /// The entry of an image.
    pub fn new(image: &'a Image, site: Site<'_>) -> Self {
        Self {
            name: image.name.as_str(),
            grab_filesystems: image.grab_filesystems.clone(),
            grab_exclude: image.grab_exclude.clone(),
            initrdfile: marked(image.files.initrdfile.as_deref(), site),
            kernelfile: marked(image.files.kernelfile.as_deref(), site),
            kernel: KernelOfImage::of(image),
            path: path(image, site),
            imagefile: marked(image.files.imagefile.as_deref(), site),
            distribution: image.distribution.as_deref(),
            osrelease: image.osrelease.as_deref(),
            comment: image.comment.as_deref(),
            labels: label::shown(&image.labels),
            tag: image.tag.as_ref().map_or(DEFAULT_TAG, Name::as_str),
            assigned_tags: None,
        }
    }

    /// The image by itself: texts that clients decode are encoded, and all tags are named.
    pub fn detail(image: &'a Image, site: Site<'_>) -> Self {
        let names: Vec<&str> = image.tags.iter().map(|tag| tag.name.as_str()).collect();
        let entry = Self::new(image, site);
        Self {
            grab_filesystems: entry.grab_filesystems.map(encoded),
            grab_exclude: entry.grab_exclude.map(encoded),
            kernel: entry.kernel.encoded(encoded),
            assigned_tags: (!names.is_empty()).then(|| names.join(",")),
            ..entry
        }
    }
}

/// A tag of an OS image.
#[derive(Debug, Serialize, ToSchema)]
pub struct TagEntry<'a> {
    name: &'a str,
    osimage: &'a str,
    kernelfile: Option<String>,
    initrdfile: Option<String>,
    imagefile: Option<String>,
    path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    nodes: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    groups: String,
}

impl<'a> TagEntry<'a> {
    /// The entry of a tag of an image.
    pub fn new(cluster: &Cluster, image: &'a Image, tag: &'a Tag, site: Site<'_>) -> Self {
        let (nodes, groups) = tag_users(cluster, image.name.as_str(), tag.name.as_str());
        let list = |names: Vec<&str>| names.join(", ");
        Self {
            name: tag.name.as_str(),
            osimage: image.name.as_str(),
            kernelfile: marked(tag.files.kernelfile.as_deref(), site),
            initrdfile: marked(tag.files.initrdfile.as_deref(), site),
            imagefile: marked(tag.files.imagefile.as_deref(), site),
            path: path(image, site),
            nodes: list(nodes.iter().map(|node| node.name.as_str()).collect()),
            groups: list(groups.iter().map(|group| group.name.as_str()).collect()),
        }
    }
}

/// A file's name; between marks when there is no such file.
fn marked(file: Option<&str>, site: Site<'_>) -> Option<String> {
    let file = file?;
    Some(if (site.is_served)(file) { file.to_owned() } else { format!("!!{file}!!") })
}

/// With an active tag, clients are told the place that follows from the name.
fn path(image: &Image, site: Site<'_>) -> String {
    match &image.path {
        Some(path) if image.tag.is_none() => path.clone(),
        _ => site.images.join(image.name.as_str()).display().to_string(),
    }
}

fn encoded(text: String) -> String {
    if is_base64(&text) { text } else { STANDARD.encode(text) }
}

/// Whether a text looks as if somebody had encoded it.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    text.len() - digits.len() <= 2 && text.len().is_multiple_of(4) && digits.chars().all(is_digit)
}

/// The request of an image. `name` is the image's in the URL.
pub fn request(fields: &mut Fields<'_>, name: &Name) -> Request {
    let renamed = fields.new_name("newosimage", short_name);
    let named = fields.new_name("name", Name::general);
    let new_name = renamed.or_else(|| named.filter(|named| named != name));
    Request { new_name, tag: tag(fields), ..columns(fields) }
}

/// What a client asks of a copy of an image.
#[derive(Debug)]
pub struct CloneRequest {
    /// The copy's name.
    pub new_name: Name,
    /// The tag of the source that is copied.
    pub tag: Option<Name>,
    /// The tree is copied, and not packed.
    pub bare: bool,
    /// Nothing is copied but the description.
    pub nocopy: bool,
    /// What is different from the source.
    pub request: Request,
}

/// The request of a copy.
pub fn clone_request(fields: &mut Fields<'_>) -> CloneRequest {
    fields.require("newosimage", "say what the new image is called");
    fields.ignore(&["name"]);
    CloneRequest {
        new_name: fields.new_name("newosimage", short_name).unwrap_or_default(),
        tag: tag(fields).value().cloned(),
        bare: fields.flag("bare"),
        nocopy: fields.flag("nocopy"),
        request: columns(fields),
    }
}

/// What a client asks of the kernel of an image, and whether it is not packed now.
pub fn kernel_request(fields: &mut Fields<'_>) -> (Request, bool) {
    fields.ignore(&["name"]);
    let request = Request { tag: tag(fields), ..columns(fields) };
    if request == Request::default() {
        fields.refuse("kernelversion", "nothing is asked for; give the version of the kernel");
    }
    (request, fields.flag("bare"))
}

/// The tag that a client asks for; empty means none.
pub fn tag_request(fields: &mut Fields<'_>) -> Patch<Name> {
    fields.ignore(&["name"]);
    fields.require("tag", "say which tag; an empty one means none");
    tag(fields)
}

/// `default` is what clients are shown where no tag is active.
fn tag(fields: &mut Fields<'_>) -> Patch<Name> {
    let help = "Make this tag the active one; empty: none";
    let tag = fields.help(help).converted("tag", |text| match text {
        DEFAULT_TAG => Ok(None),
        text => short_name(text).map(Some).map_err(|error| error.to_string()),
    });
    match tag {
        Patch::Keep => Patch::Keep,
        Patch::Clear | Patch::Set(None) => Patch::Clear,
        Patch::Set(Some(tag)) => Patch::Set(tag),
    }
}

fn short_name(text: &str) -> Result<Name, perilune_model::NameError> {
    if text.len() > LONGEST_NAME {
        return Err(perilune_model::NameError::TooLong(LONGEST_NAME));
    }
    Name::general(text)
}

fn columns(fields: &mut Fields<'_>) -> Request {
    let described = described(fields);
    Request {
        kernelfile: file(fields.help("File of the packed kernel"), "kernelfile"),
        initrdfile: file(fields.help("File of the packed installer"), "initrdfile"),
        imagefile: file(fields.help("File of the packed tree"), "imagefile"),
        labels: label::request(fields),
        ..described
    }
}

/// What requests and documents say alike: all but the files, which packing makes, and labels.
pub(crate) fn described(fields: &mut Fields<'_>) -> Request {
    let request = Request {
        path: tree_path(fields.help("Directory with the tree of the operating system")),
        ..Request::default()
    };
    let request = kernel::image_request(fields, request);
    Request {
        distribution: fields.help("redhat, debian, ubuntu, …").text("distribution"),
        osrelease: fields.help("Release of the distribution").text("osrelease"),
        grab_filesystems: fields
            .help("What is taken from a node by a grab")
            .encoded()
            .text("grab_filesystems"),
        grab_exclude: fields.help("What is left out by a grab").encoded().text("grab_exclude"),
        comment: comment(fields),
        ..request
    }
}

/// A name of a file; clients that send back what they were shown send the marks of an absent one, too.
fn file(fields: &mut Fields<'_>, field: &'static str) -> Patch<String> {
    let file = fields.converted(field, |text| {
        let inner = text.strip_prefix("!!").and_then(|text| text.strip_suffix("!!"));
        let name = inner.unwrap_or(text);
        if name.contains(['/', '\0']) || name.starts_with('.') {
            return Err("it must be the name of a file, without a directory".to_owned());
        }
        Ok(name.to_owned())
    });
    match file {
        Patch::Set(name) if name.is_empty() => Patch::Clear,
        file => file,
    }
}

/// What leads out of where it says would have the wrong directory packed, or removed with the image.
fn tree_path(fields: &mut Fields<'_>) -> Patch<String> {
    fields.converted("path", |text| {
        let is_parent = |component| matches!(component, std::path::Component::ParentDir);
        if Path::new(text).components().any(is_parent) {
            return Err("it must not contain '..'".to_owned());
        }
        Ok(text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use perilune_model::image::ImageFiles;
    use serde_json::{Value, json};

    use super::*;

    fn image() -> Image {
        Image {
            name: Name::trusted("compute"),
            grab_exclude: Some("quiet".to_owned()),
            grab_filesystems: Some("LywgL2Jvb3Q=".to_owned()),
            files: ImageFiles {
                kernelfile: Some("compute-1-vmlinuz-6.1".to_owned()),
                imagefile: Some("kickstart".to_owned()),
                kernelversion: Some("6.1".to_owned()),
                ..ImageFiles::default()
            },
            ..Image::default()
        }
    }

    fn site() -> Site<'static> {
        Site {
            images: Path::new("/srv/images"),
            is_served: &|file| file == "compute-1-vmlinuz-6.1",
        }
    }

    fn read<T>(value: &Value, read: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, Vec<String>> {
        let mut fields = Fields::new(value.as_object().unwrap());
        let request = read(&mut fields);
        let violations = fields.finish();
        violations
            .map(|()| request)
            .map_err(|violations| violations.into_iter().map(|violation| violation.field).collect())
    }

    #[test]
    fn a_detail_is_encoded_where_it_was_not_and_marks_what_is_absent() {
        let image = image();
        let mut detail = serde_json::to_value(ImageEntry::detail(&image, site())).unwrap();
        // What is told of the kernel is tested with it.
        detail
            .as_object_mut()
            .unwrap()
            .retain(|field, _| field == "kernelfile" || !field.starts_with("kernel"));
        assert_eq!(
            detail,
            json!({
                "name": "compute", "grab_filesystems": "LywgL2Jvb3Q=", "grab_exclude": "cXVpZXQ=", "initrdfile": null,
                "kernelfile": "compute-1-vmlinuz-6.1", "path": "/srv/images/compute", "imagefile": "!!kickstart!!", "distribution": null,
                "osrelease": null, "comment": null, "tag": "default",
            })
        );
    }

    #[test]
    fn a_list_shows_texts_as_they_are_stored() {
        let image = Image { path: Some("/data/compute".to_owned()), ..image() };
        let entry = serde_json::to_value(ImageEntry::new(&image, site())).unwrap();
        assert_eq!(
            (&entry["grab_exclude"], &entry["path"]),
            (&json!("quiet"), &json!("/data/compute"))
        );
    }

    #[test]
    fn tags_are_named_in_a_detail_and_the_active_one_is_told() {
        let tag = |name| Tag { name: Name::trusted(name), ..Tag::default() };
        let image = Image {
            tags: vec![tag("stable"), tag("t1")],
            tag: Some(Name::trusted("t1")),
            ..image()
        };
        let detail = serde_json::to_value(ImageEntry::detail(&image, site())).unwrap();
        assert_eq!((&detail["assigned_tags"], &detail["tag"]), (&json!("stable,t1"), &json!("t1")));
        let entry = TagEntry::new(&Cluster::default(), &image, &image.tags[0], site());
        assert_eq!(
            serde_json::to_value(entry).unwrap(),
            json!({
                "name": "stable", "osimage": "compute", "kernelfile": null, "initrdfile": null, "imagefile": null,
                "path": "/srv/images/compute",
            })
        );
    }

    #[test]
    fn what_was_shown_can_be_sent_back() {
        let image = image();
        let shown = serde_json::to_value(ImageEntry::new(&image, site())).unwrap();
        let asked = read(&shown, |fields| request(fields, &image.name)).unwrap();
        assert_eq!(asked.imagefile, Patch::Set("kickstart".to_owned()));
        assert_eq!((asked.tag, asked.new_name), (Patch::Clear, None));
    }

    #[test]
    fn a_copy_needs_a_name_and_a_kernel_something_to_do() {
        assert_eq!(read(&json!({ "bare": true }), clone_request).unwrap_err(), ["newosimage"]);
        assert_eq!(read(&json!({ "bare": true }), kernel_request).unwrap_err(), ["kernelversion"]);
        assert_eq!(read(&json!({}), tag_request).unwrap_err(), ["tag"]);
        let copy = json!({ "newosimage": "copy", "tag": "", "nocopy": "yes", "osrelease": "9" });
        let copy = read(&copy, clone_request).unwrap();
        assert_eq!(
            (copy.new_name.as_str(), copy.tag, copy.nocopy, copy.bare),
            ("copy", None, true, false)
        );
        assert_eq!(copy.request.osrelease, Patch::Set("9".to_owned()));
    }

    #[test]
    fn what_could_leave_its_directory_is_refused() {
        for body in [
            json!({ "kernelfile": "../../etc/shadow" }),
            json!({ "imagefile": ".." }),
            json!({ "path": "/srv/images/../../etc" }),
            json!({ "tag": "a/b" }),
            json!({ "newosimage": "n".repeat(128) }),
        ] {
            let refused = read(&body, |fields| request(fields, &Name::trusted("compute")));
            assert_eq!(refused.unwrap_err().len(), 1, "{body}");
        }
    }

    #[test]
    fn only_whole_groups_of_four_look_encoded() {
        for (text, expected) in [
            ("abcd", true),
            ("YQ==", true),
            ("", true),
            ("abc", false),
            ("a===", false),
            ("/, /boot", false),
        ] {
            assert_eq!(is_base64(text), expected, "{text}");
        }
    }
}
