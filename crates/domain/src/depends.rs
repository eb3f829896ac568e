//! In which order things are done of which some need others: layers, or the circles that keep them from having an order.

use std::collections::BTreeMap;

/// So many circles are told at most.
const MOST_CIRCLES: usize = 20;

/// Layers of what `needs` describes: `needs[n]` are the places of all that `n` needs, places outside of the list count for
/// nothing. Whatever is in a layer needs only what is in those before; each thing is in the first layer it can be in, and within a
/// layer they are in order.
///
/// # Errors
/// There is no order: the circles, at most twenty, none of which shares a thing with another. Each begins with its lowest place,
/// each thing in it needs the next one, and the last one needs the first.
pub fn layers(needs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Vec<Vec<usize>>> {
    let mut open = Open::of(needs);
    let mut layers = Vec::new();
    let mut ripe = open.ripe();
    while !ripe.is_empty() {
        let next = open.settle(&ripe);
        layers.push(std::mem::replace(&mut ripe, next));
    }
    let mut circles = Vec::new();
    while circles.len() < MOST_CIRCLES
        && let Some(circle) = open.circle()
    {
        // As if they were done: what only waited for this circle is none of its own.
        let mut ripe = open.settle(&circle);
        while !ripe.is_empty() {
            ripe = open.settle(&ripe);
        }
        circles.push(circle);
    }
    if circles.is_empty() {
        Ok(layers)
    } else {
        Err(circles)
    }
}

/// What is not settled yet.
struct Open<'a> {
    needs: &'a [Vec<usize>],
    needed_by: Vec<Vec<usize>>,
    /// How many needs of each are not settled.
    missing: Vec<usize>,
    settled: Vec<bool>,
    /// All before this place are settled.
    first: usize,
}

impl<'a> Open<'a> {
    fn of(needs: &'a [Vec<usize>]) -> Self {
        let mut needed_by = vec![Vec::new(); needs.len()];
        let mut missing = vec![0; needs.len()];
        for (one, its) in needs.iter().enumerate() {
            for need in its.iter().filter(|need| **need < needs.len()) {
                needed_by[*need].push(one);
                missing[one] += 1;
            }
        }
        Self {
            needs,
            needed_by,
            missing,
            settled: vec![false; needs.len()],
            first: 0,
        }
    }

    /// Those that need nothing.
    fn ripe(&self) -> Vec<usize> {
        let counted = self.missing.iter().enumerate();
        counted
            .filter(|(_, missing)| **missing == 0)
            .map(|(one, _)| one)
            .collect()
    }

    /// Settles these; returns those that are ripe by that, in order.
    fn settle(&mut self, these: &[usize]) -> Vec<usize> {
        for one in these {
            self.settled[*one] = true;
        }
        let mut ripe = Vec::new();
        for one in these {
            for dependent in &self.needed_by[*one] {
                self.missing[*dependent] -= 1;
                if self.missing[*dependent] == 0 && !self.settled[*dependent] {
                    ripe.push(*dependent);
                }
            }
        }
        ripe.sort_unstable();
        ripe
    }

    /// One of the circles that are left. Each thing that is left misses something that is left too, so the way never ends
    /// but where it comes back.
    fn circle(&mut self) -> Option<Vec<usize>> {
        while *self.settled.get(self.first)? {
            self.first += 1;
        }
        let (mut way, mut seen) = (Vec::new(), BTreeMap::new());
        let mut at = self.first;
        loop {
            if let Some(since) = seen.insert(at, way.len()) {
                let mut circle = way.split_off(since);
                let lowest = circle.iter().enumerate().min_by_key(|(_, one)| **one)?.0;
                circle.rotate_left(lowest);
                return Some(circle);
            }
            way.push(at);
            at = *self.needs[at]
                .iter()
                .find(|need| self.settled.get(**need) == Some(&false))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_needs_nothing_comes_first_and_all_that_can_go_together_does() {
        let needs = [vec![1, 2], vec![3], vec![3], vec![], vec![]];
        assert_eq!(layers(&needs), Ok(vec![vec![3, 4], vec![1, 2], vec![0]]));
        assert_eq!(layers(&[]), Ok(vec![]));
        let twice = [vec![1, 1], vec![]];
        assert_eq!(layers(&twice), Ok(vec![vec![1], vec![0]]));
        assert_eq!(layers(&[vec![7]]), Ok(vec![vec![0]]), "no such place");
    }

    #[test]
    fn each_circle_is_told_once_and_nothing_that_only_waits_for_one() {
        assert_eq!(layers(&[vec![0]]), Err(vec![vec![0]]));
        // 0 waits for the circle of 1, 2 and 3; 4 and 5 are one of their own, which waits for the first.
        let needs = [vec![1], vec![2], vec![3], vec![1], vec![5], vec![4, 1]];
        assert_eq!(layers(&needs), Err(vec![vec![1, 2, 3], vec![4, 5]]));
    }

    #[test]
    fn of_many_circles_some_are_told() {
        let needs: Vec<Vec<usize>> = (0..100).map(|one| vec![one]).collect();
        assert_eq!(layers(&needs).unwrap_err().len(), MOST_CIRCLES);
    }

    proptest! {
        #[test]
        fn whatever_needs_only_what_is_before_it_has_an_order(
            wishes in prop::collection::vec(prop::collection::vec(0_usize..40, 0..4), 0..40),
        ) {
            let needs: Vec<Vec<usize>> = wishes
                .iter()
                .enumerate()
                .map(|(one, its)| its.iter().copied().filter(|need| *need < one).collect())
                .collect();
            let found = layers(&needs).unwrap();
            let mut layer_of = vec![None; needs.len()];
            for (layer, these) in found.iter().enumerate() {
                for one in these {
                    prop_assert_eq!(layer_of[*one].replace(layer), None);
                }
            }
            for (one, its) in needs.iter().enumerate() {
                // The first layer it can be in: the one behind the last of what it needs.
                let behind = its.iter().map(|need| layer_of[*need].unwrap() + 1).max();
                prop_assert_eq!(layer_of[one], Some(behind.unwrap_or(0)));
            }
        }

        #[test]
        fn a_circle_is_one(needs in prop::collection::vec(prop::collection::vec(0_usize..20, 0..3), 20)) {
            if let Err(circles) = layers(&needs) {
                for circle in circles {
                    for (at, one) in circle.iter().enumerate() {
                        let next = circle[(at + 1) % circle.len()];
                        prop_assert!(needs[*one].contains(&next), "{:?}", circle);
                    }
                }
            }
        }
    }
}
