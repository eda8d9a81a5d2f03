//! Changes of what a node or a group says about provisioning.

use crate::provisioning::{Provisioning, Request, TagChoice};
use crate::{Cluster, Name, Patch, Violation};

impl Request {
    /// Changes the settings; tells what cannot be. `inherited` is the image of whoever says nothing about it.
    pub(crate) fn apply(
        &self,
        cluster: &Cluster,
        provisioning: &mut Provisioning,
        inherited: Option<&Name>,
    ) -> Vec<Violation> {
        self.write(provisioning);
        self.unknown_tag(cluster, provisioning, inherited).into_iter().collect()
    }

    /// The settings of whoever said this and nothing else. The tag is looked for with the image.
    pub fn alone(&self) -> Provisioning {
        let mut provisioning = Provisioning::default();
        self.write(&mut provisioning);
        provisioning
    }

    /// The request of a copy that is given an image: the tag stays that of the source, which beside another image is none. `image`
    /// is what the source boots, `inherited` what the copy boots when it names none.
    pub(crate) fn of_copy(
        &self,
        source: &Provisioning,
        image: Option<&Name>,
        inherited: Option<&Name>,
    ) -> Self {
        let mut request = self.clone();
        let says_something = source.osimagetag.is_some() || source.osimage.is_some();
        if self.osimage.is_given() && !self.osimagetag.is_given() && says_something {
            let stays = self.osimage.value().or(inherited) == image;
            let tag = source.osimagetag.clone().filter(|_| stays);
            request.osimagetag = Patch::Set(tag.unwrap_or(TagChoice::Current));
        }
        request
    }

    fn write(&self, provisioning: &mut Provisioning) {
        if self.osimage.is_given() {
            provisioning.osimagetag = None;
        }
        self.apply_each(provisioning);
        // Beside an image, nothing said is the same; one way to say it makes equal nodes equal.
        if provisioning.osimage.is_some() && provisioning.osimagetag == Some(TagChoice::Current) {
            provisioning.osimagetag = None;
        }
    }

    fn unknown_tag(
        &self,
        cluster: &Cluster,
        provisioning: &Provisioning,
        inherited: Option<&Name>,
    ) -> Option<Violation> {
        let tag = self.osimagetag.value()?.named()?;
        let refuse = |reason| Some(Violation { field: "osimagetag".to_owned(), reason });
        let Some(image) = provisioning.osimage.as_ref().or(inherited) else {
            return refuse("a tag needs an osimage; give both".to_owned());
        };
        let known = cluster
            .images()
            .get(image)
            .is_some_and(|image| image.tag_named(tag.as_str()).is_some());
        if known { None } else { refuse(format!("the OS image '{image}' has no tag '{tag}'")) }
    }
}
