//! What one node has of what an app needs. What is lacking is what placement says ([`lacks`]), and nothing else.

use super::{Amount, Line, NodeFacts, Verdict, What};
use crate::place::{Figures, Lack, Need, NodeState, StorageState, lacks, spare_mib};

/// `host/node`.
pub(super) fn place_of(node: &NodeFacts) -> String {
    format!("{}/{}", node.capacity.host, node.capacity.node)
}

/// One line for each thing that was looked at. `lacking`: the verdict of what is not there.
pub(super) fn lines(node: &NodeFacts, need: &Need, lacking: Verdict) -> Vec<Line> {
    let all = lacks(&node.capacity, need);
    let judged = |line: Line, is_it: fn(&Lack) -> bool| match all.iter().find(|lack| is_it(lack)) {
        None => line,
        Some(lack) => Line {
            verdict: lacking,
            code: Some(lack.code()),
            note: lack.to_string(),
            ..line
        },
    };
    let mut lines = vec![judged(whole(node), |lack| {
        matches!(lack, Lack::Offline | Lack::Silent(_) | Lack::Excluded)
    })];
    if let NodeState::Up(figures) = &node.capacity.state {
        lines.push(judged(memory(node, need), |lack| {
            matches!(lack, Lack::MemoryInAll { .. } | Lack::MemoryFree { .. })
        }));
        lines.push(judged(cores(figures, need), |lack| {
            matches!(lack, Lack::Cores { .. })
        }));
        lines.push(judged(storage(node, figures, need), |lack| {
            matches!(
                lack,
                Lack::StorageAbsent | Lack::StorageInactive | Lack::StorageFull { .. }
            )
        }));
        lines.push(judged(template(node, figures, need), |lack| {
            matches!(lack, Lack::Template(_) | Lack::TooOld(_))
        }));
        lines.push(judged(bridge(node, figures), |lack| {
            matches!(lack, Lack::Bridge)
        }));
        if need.inside {
            lines.push(judged(ssh(node), |lack| matches!(lack, Lack::Shut)));
        }
    }
    for line in &mut lines {
        line.place = Some(place_of(node));
    }
    lines
}

fn whole(node: &NodeFacts) -> Line {
    let has = match &node.capacity.state {
        NodeState::Offline => Some("offline"),
        NodeState::Silent(_) => None,
        NodeState::Up(_) if node.capacity.excluded => Some("excluded"),
        NodeState::Up(_) => Some("online"),
    };
    Line {
        has: has.map(Amount::text),
        wants: Some(Amount::text("online")),
        ..Line::new(What::Node, Verdict::Ok)
    }
}

fn memory(node: &NodeFacts, need: &Need) -> Line {
    let note = match node.capacity.promised_memory_mib {
        0 => String::new(),
        promised => format!("after {promised} MiB that deploys under way were promised"),
    };
    Line {
        has: Some(Amount::Number(spare_mib(&node.capacity))),
        wants: Some(Amount::Number(need.resources.memory_mib)),
        unit: Some("MiB"),
        note,
        ..Line::new(What::Memory, Verdict::Ok)
    }
}

fn cores(figures: &Figures, need: &Need) -> Line {
    Line {
        has: Some(Amount::Number(figures.cpus.into())),
        wants: Some(Amount::Number(need.resources.cores.into())),
        unit: Some("threads"),
        ..Line::new(What::Cores, Verdict::Ok)
    }
}

fn storage(node: &NodeFacts, figures: &Figures, need: &Need) -> Line {
    let promised = node.capacity.promised_disk_gib;
    let wanted_gib = u64::from(need.resources.disk_gib).saturating_add(need.volumes_gib);
    let has = match figures.storage {
        StorageState::Absent => Amount::text("absent"),
        StorageState::Inactive => Amount::text("inactive"),
        StorageState::Usable { free_gib } => Amount::Number(free_gib.saturating_sub(promised)),
    };
    let note = match promised {
        0 => node.storage.clone(),
        promised => format!(
            "{}, after {promised} GiB that deploys under way were promised",
            node.storage
        ),
    };
    Line {
        has: Some(has),
        wants: Some(Amount::Number(wanted_gib)),
        unit: Some("GiB"),
        note,
        ..Line::new(What::Storage, Verdict::Ok)
    }
}

fn template(node: &NodeFacts, figures: &Figures, need: &Need) -> Line {
    let has = match (&node.template, figures.has_template) {
        (Some(volume), _) => Amount::text(volume),
        (None, true) => Amount::text("there"),
        (None, false) => Amount::text("none"),
    };
    let note = match (&node.offer, node.prepared) {
        (Some(file), _) => format!("a deploy downloads {file} first"),
        (None, Some(vmid)) => format!("a deploy clones the prepared template {vmid}"),
        (None, None) => String::new(),
    };
    Line {
        has: Some(has),
        wants: Some(Amount::text(&need.template)),
        note,
        ..Line::new(What::Template, Verdict::Ok)
    }
}

fn bridge(node: &NodeFacts, figures: &Figures) -> Line {
    let has = if figures.has_bridge {
        "up"
    } else {
        "absent or down"
    };
    Line {
        has: Some(Amount::text(has)),
        wants: Some(Amount::text(&node.bridge)),
        ..Line::new(What::Bridge, Verdict::Ok)
    }
}

fn ssh(node: &NodeFacts) -> Line {
    let has = if node.capacity.shut { "none" } else { "known" };
    Line {
        has: Some(Amount::text(has)),
        wants: Some(Amount::text("a way into its containers")),
        ..Line::new(What::Ssh, Verdict::Ok)
    }
}
