//! A line's limits under those of the factory's ceiling.

use super::Draft;
use crate::{
    factory::Factory,
    limits::{Limit, Limits},
    problem::{Problem, shown},
};

/// Lowers what the line says nothing of to what the factory allows at most, and tells of each limit that
/// it states above that.
pub fn lower(draft: &mut Draft, factory: &Factory) -> Vec<Problem> {
    let mut problems = Vec::new();
    let stations: Vec<_> = draft.line.stations.keys().cloned().collect();
    for name in stations {
        for limit in Limit::ALL {
            let limits = &draft.line.stations[&name].limits;
            // a ceiling bounds a heartbeat that a line asks for, and asks for none itself
            let silent = *limit == Limit::Heartbeat && limits.heartbeat == Limits::NO_HEARTBEAT;
            if silent || !limits.above(*limit, &factory.most) {
                continue;
            }
            let key = limit.key();
            let own = format!("stations.{name}.limits.{key}");
            let shared = format!("defaults.limits.{key}");
            let stated = [own, shared]
                .into_iter()
                .find(|path| draft.stated(path).is_some());
            match stated {
                Some(path) => problems.push(above(draft, factory, &path, *limit, limits)),
                None => {
                    if let Some(station) = draft.line.stations.get_mut(&name) {
                        station.limits.take(*limit, &factory.most);
                    }
                }
            }
        }
    }
    problems
}

fn above(draft: &Draft, factory: &Factory, path: &str, limit: Limit, limits: &Limits) -> Problem {
    let key = limit.key();
    let most = factory.most.written(limit);
    let at = factory
        .place(&format!("ceiling.limits.{key}"))
        .map_or_else(String::new, |(file, place)| {
            format!(" at {}:{}", shown(file), place.line)
        });
    draft
        .problem(
            path,
            format!(
                "the limit `{key}` of {} is above the ceiling of {most}",
                limits.written(limit)
            ),
        )
        .hint(format!("lower it, or raise the ceiling{at}"))
}
