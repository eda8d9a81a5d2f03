//! The names that the boot menu may list. A menu takes as many as it shows, and counts them without looking at each: what it costs does not
//! grow with the cluster.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectExt, ObjectRepr};
use perilune_model::effective::Effective;
use perilune_model::{Cluster, Machines, Name};
use perilune_plan::check_script_text;

/// Names of a cluster, as a template sees them: a sequence.
#[derive(Debug)]
struct Names {
    cluster: Cluster,
    which: Which,
}

#[derive(Debug, Clone, Copy)]
enum Which {
    Nodes,
    AvailableNodes,
    Groups,
}

/// Every node once, those with an interface `BOOTIF` first.
pub(crate) fn nodes(cluster: &Cluster) -> Value {
    Value::from_object(Names { cluster: cluster.clone(), which: Which::Nodes })
}

/// Nodes that no machine is, so far, in the same order.
pub(crate) fn available_nodes(cluster: &Cluster) -> Value {
    Value::from_object(Names { cluster: cluster.clone(), which: Which::AvailableNodes })
}

/// Groups whose nodes can boot.
pub(crate) fn groups(cluster: &Cluster) -> Value {
    Value::from_object(Names { cluster: cluster.clone(), which: Which::Groups })
}

type Iter<'a> = Box<dyn Iterator<Item = &'a Name> + Send + Sync + 'a>;

impl Names {
    fn all(&self) -> Iter<'_> {
        let Machines { occupied, vacant, without_interface } = self.cluster.machines();
        match self.which {
            Which::Nodes => {
                Box::new(merged(occupied.iter(), vacant.iter()).chain(without_interface))
            }
            Which::AvailableNodes => Box::new(vacant.iter().chain(without_interface)),
            Which::Groups => {
                let groups = self.cluster.groups().values();
                let boot = groups.filter(|group| {
                    Effective::of_group(&self.cluster, group).osimage().value.is_some()
                });
                Box::new(boot.map(|group| &group.name))
            }
        }
    }

    fn count(&self) -> usize {
        let machines = self.cluster.machines();
        match self.which {
            Which::Nodes => self.cluster.nodes().len(),
            Which::AvailableNodes => machines.vacant.len() + machines.without_interface.len(),
            Which::Groups => self.shown().count(),
        }
    }

    /// Without names that would break a line of the menu; no name that the model accepts does.
    fn shown(&self) -> impl Iterator<Item = Value> + Send + Sync {
        let names = self.all().filter(|name| check_script_text(name.as_str()).is_ok());
        names.map(|name| Value::from(name.as_str()))
    }
}

/// The names of both, which have none in common, in their order.
fn merged<'a, I: Iterator<Item = &'a Name> + Send + Sync>(
    one: I,
    other: I,
) -> impl Iterator<Item = &'a Name> + Send + Sync {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if second < first => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}

impl Object for Names {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.shown().nth(key.as_usize()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_enumerator(|names| {
            let left = names.count();
            Box::new(Counted { names: names.shown(), left })
        })
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.count())
    }
}

/// Names of which it is known how many come: `loop.length` and `loop.last` of a template need it.
struct Counted<I> {
    names: I,
    left: usize,
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.left = self.left.saturating_sub(1);
        self.names.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
