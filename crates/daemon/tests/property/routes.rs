//! Operations on routes, and on whom they are for.

use perilune_model::route::{self, Couple, Target};
use perilune_model::{Draft, Error};

use crate::choice::Choice;
use crate::operation::Action;

pub(crate) fn change(
    draft: &mut Draft,
    choice: &mut Choice<'_>,
    action: Action,
) -> Result<(), Error> {
    match action {
        Action::SaveRoute => save(draft, choice),
        Action::CoupleRoute => route::couple(draft, &any(choice)),
        _ => {
            let known = couples(draft);
            let is_any = known.is_empty() || choice.rarely();
            // By chance alone hardly ever one that there is.
            let couple = if is_any { any(choice) } else { choice.of(&known) };
            route::decouple(draft, &couple)
        }
    }
}

fn save(draft: &mut Draft, choice: &mut Choice<'_>) -> Result<(), Error> {
    let destination = choice.likely(|choice| {
        choice.of(&["10.200.0.0/16", "0.0.0.0/0", "10.1.2.3", "fd00:200::/64"]).parse().unwrap()
    });
    let request = route::Request {
        destination,
        gateway: choice.patch(Choice::address),
        metric: choice.patch(|choice| u32::from(choice.number())),
        device: choice.patch(Choice::interface),
        comment: choice.patch(Choice::text),
        new_name: choice.new_name(Choice::other),
    };
    route::save(draft, &choice.other(), &request).map(drop)
}

fn any(choice: &mut Choice<'_>) -> Couple {
    let target = choice.of(&Target::ALL);
    let name = match target {
        Target::Network => choice.network(),
        Target::Group => choice.group(),
        Target::Node => choice.node(),
    };
    Couple { route: choice.other().to_string(), target, name: name.to_string() }
}

/// Who has which routes.
fn couples(draft: &Draft) -> Vec<Couple> {
    let networks = draft.networks().values();
    let networks = networks.map(|one| (Target::Network, &one.name, &one.routes));
    let groups = draft.groups().values();
    let groups = groups.map(|one| (Target::Group, &one.name, &one.provisioning.routes));
    let nodes = draft.nodes().values();
    let nodes = nodes.map(|one| (Target::Node, &one.name, &one.provisioning.routes));
    let all = networks.chain(groups).chain(nodes);
    let all = all.flat_map(|(target, name, routes)| {
        let name = name.to_string();
        routes.iter().map(move |route| Couple {
            route: route.to_string(),
            target,
            name: name.clone(),
        })
    });
    all.collect()
}
