//! What a build has started, as a picture: each job right of those that it needs.

use std::collections::HashMap;

use super::Named;
use crate::dispatcher::pages::face::{Face, face};
use crate::dispatcher::pages::text;

/// More than these are listed, not drawn.
const DRAWN: usize = 60;
const BOX: (usize, usize) = (176, 44);
const GAP: (usize, usize) = (56, 14);
/// Characters that fit into a box.
const LABEL: usize = 17;

/// A job that is drawn.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) needs: Vec<String>,
    pub(super) href: Option<String>,
}

/// The picture; lengths in pixels.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) boxes: Vec<Node>,
    /// As `d` of a path.
    pub(super) edges: Vec<String>,
}

/// A job's box.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) name: Named,
    pub(super) face: Face,
}

impl Graph {
    /// None where there is nothing to draw, or too much.
    pub(super) fn of(jobs: &[Drawn]) -> Option<Self> {
        if jobs.is_empty() || jobs.len() > DRAWN {
            return None;
        }
        let columns = columns(jobs);
        let mut filled: HashMap<usize, usize> = HashMap::new();
        let places: Vec<(usize, usize)> = columns
            .iter()
            .map(|column| {
                let row = filled.entry(*column).or_default();
                *row += 1;
                (column * (BOX.0 + GAP.0), (*row - 1) * (BOX.1 + GAP.1))
            })
            .collect();
        let by_name: HashMap<&str, (usize, usize)> =
            jobs.iter().zip(&places).map(|(job, place)| (job.name.as_str(), *place)).collect();
        let needed = jobs.iter().zip(&places).flat_map(|(job, to)| {
            job.needs.iter().filter_map(|name| Some(edge(*by_name.get(name.as_str())?, *to))).collect::<Vec<_>>()
        });
        let boxes = jobs.iter().zip(&places).map(|(job, (x, y))| Node {
            x: *x,
            y: *y,
            name: Named { text: text::cut(&text::name(&job.name), LABEL), href: job.href.clone() },
            face: face(job.state),
        });
        let rows = filled.values().copied().max().unwrap_or(1);
        let deepest = columns.iter().copied().max().unwrap_or(0) + 1;
        Some(Self {
            width: deepest * (BOX.0 + GAP.0) - GAP.0,
            height: rows * (BOX.1 + GAP.1) - GAP.1,
            boxes: boxes.collect(),
            edges: needed.collect(),
        })
    }
}

/// How many jobs each one has before it, at most. What needs itself, which no plan may, stays where it is.
fn columns(jobs: &[Drawn]) -> Vec<usize> {
    let index: HashMap<&str, usize> = jobs.iter().enumerate().map(|(at, job)| (job.name.as_str(), at)).collect();
    let mut columns = vec![0; jobs.len()];
    for _ in 0..jobs.len() {
        let before = columns.clone();
        for (column, job) in columns.iter_mut().zip(jobs) {
            let needs = job.needs.iter().filter_map(|name| before.get(*index.get(name.as_str())?));
            *column = needs.max().map_or(0, |deepest| (deepest + 1).min(jobs.len() - 1));
        }
        if before == columns {
            break;
        }
    }
    columns
}

/// From the right of one box to the left of another.
fn edge(from: (usize, usize), to: (usize, usize)) -> String {
    let (x1, y1) = (from.0 + BOX.0, from.1 + BOX.1 / 2);
    let (x2, y2) = (to.0, to.1 + BOX.1 / 2);
    let middle = usize::midpoint(x1, x2);
    format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, needs: &[&str]) -> Drawn {
        let needs = needs.iter().map(ToString::to_string).collect();
        Drawn { name: name.to_owned(), state: "success", needs, href: None }
    }

    #[test]
    fn a_job_is_right_of_what_it_needs() {
        let graph =
            Graph::of(&[job("build", &[]), job("lint", &[]), job("test", &["build"]), job("ship", &["test", "lint"])]);
        let graph = graph.unwrap();
        let xs: Vec<_> = graph.boxes.iter().map(|node| node.x).collect();
        assert_eq!(xs, [0, 0, 232, 464]);
        assert_eq!(graph.edges.len(), 3);
        assert_eq!((graph.width, graph.height), (640, 102));
    }

    #[test]
    fn what_makes_no_sense_is_drawn_all_the_same() {
        let graph = Graph::of(&[job("a", &["a", "b", "gone"]), job("b", &["a"])]).unwrap();
        assert_eq!(graph.boxes.len(), 2);
        assert!(Graph::of(&[]).is_none());
        assert!(Graph::of(&vec![job("x", &[]); DRAWN + 1]).is_none());
    }
}
