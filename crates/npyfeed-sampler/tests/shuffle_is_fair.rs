//! A shuffle is fair if all orders come equally often. Orders can be counted for a handful of samples
//! only; for more, here is what a fair shuffle does to numbers that can be counted, with their exact means.
//!
//! Every measure is a deviation in standard deviations. A fair shuffle exceeds the limit in one of a
//! million measures; seeds are fixed, so a test that passes once passes always. The same measures are
//! taken of a Fisher–Yates shuffle, which must pass, and of a bad one, which must not.

mod statistics;

use statistics::{
    Method, equal_steps, fisher_yates, mean_deviation, our_epochs, our_seeds, poisson_deviation,
    uniform_deviation,
};

/// A normal variable is farther from its mean, to either side, once in a million.
const DEVIATION_MAX: f64 = 4.892;

const FAIR_METHODS: [(&str, Method); 3] =
    [("our seeds", our_seeds), ("our epochs", our_epochs), ("Fisher–Yates", fisher_yates)];

#[test]
fn all_orders_of_few_samples_come_equally_often() {
    for len in 3..=6 {
        for (name, method) in FAIR_METHODS {
            let deviation = order_deviation(method, len);
            assert!(deviation < DEVIATION_MAX, "{name}, {len} samples: {deviation:.1}");
        }
    }
    assert!(order_deviation(equal_steps, 6) > DEVIATION_MAX);
}

#[test]
fn orders_of_a_thousand_samples_are_those_of_a_fair_shuffle() {
    for (name, method) in FAIR_METHODS {
        for (measure, deviation) in all_measures(method) {
            assert!(deviation.abs() < DEVIATION_MAX, "{name}, {measure}: {deviation:.1}");
        }
    }
}

#[test]
fn the_measures_find_a_bad_shuffle() {
    let measures = all_measures(equal_steps);
    let found = measures.iter().filter(|(_, deviation)| deviation.abs() > DEVIATION_MAX).count();
    assert!(found >= 8, "{found} of {measures:?}");
}

/// In the smallest domain of the network, filled to the last number, its structure would show first. Over
/// 20,000 orders of ours the largest count was 12, and 11 for Fisher–Yates; with half of the steps, 112.
#[test]
fn no_distance_of_places_prefers_one_difference_of_samples() {
    for seed in 0..100 {
        assert!(largest_difference_count(&our_seeds(256, seed)) <= 12, "seed {seed}");
        assert!(largest_difference_count(&fisher_yates(256, seed)) <= 12, "seed {seed}");
    }
    assert_eq!(largest_difference_count(&equal_steps(256, 0)), 256);
}

/// How often each order of `len` samples comes.
fn order_deviation(method: Method, len: u32) -> f64 {
    let mut counts = vec![0; (1..=len as usize).product()];
    for number in 0..2000.max(20 * counts.len() as u64) {
        counts[rank(&method(len, number))] += 1;
    }
    uniform_deviation(&counts)
}

/// The number of an order among all orders of as many samples, by its Lehmer code.
fn rank(order: &[u32]) -> usize {
    let smaller_later =
        |place: usize| order[place + 1..].iter().filter(|&&later| later < order[place]).count();
    (0..order.len()).fold(0, |rank, place| rank * (order.len() - place) + smaller_later(place))
}

const LEN: u32 = 1000;

/// Everything that is measured of 2,000 orders of a thousand samples.
fn all_measures(method: Method) -> Vec<(String, f64)> {
    let orders: Vec<Vec<u32>> = (0..2000).map(|number| method(LEN, number)).collect();
    let mut measures = vec![
        ("fixed points".into(), fixed_point_deviation(&orders)),
        ("neighbours that stay neighbours".into(), neighbour_deviation(&orders)),
        ("places with the same sample in the next order".into(), match_deviation(&orders)),
        ("displacements".into(), displacement_deviation(&orders)),
        ("descents".into(), descent_deviation(&orders)),
        ("odd orders".into(), odd_deviation(&orders)),
    ];
    for lag in [1, 2, 3, 8, 32, 256, 499, 512] {
        measures.push((format!("correlation {lag} places apart"), correlation_deviation(&orders, lag)));
        measures.push((format!("steps over {lag} places"), step_deviation(&orders, lag)));
    }
    for place in [0, 1, 2, 31, 32, 255, 256, 499, 500, 511, 512, 767, 998, 999] {
        measures.push((format!("samples at place {place}"), place_deviation(&orders, place)));
    }
    measures
}

fn fixed_point_deviation(orders: &[Vec<u32>]) -> f64 {
    let fixed = |order: &Vec<u32>| count(order.iter().zip(0..).map(|(&sample, place)| sample == place));
    poisson_deviation(&orders.iter().map(fixed).collect::<Vec<_>>(), 1.0)
}

/// A sample's two neighbours in storage each follow it in the order once in a thousand times.
fn neighbour_deviation(orders: &[Vec<u32>]) -> f64 {
    let neighbours = |order: &Vec<u32>| count(order.windows(2).map(|pair| pair[0].abs_diff(pair[1]) == 1));
    poisson_deviation(&orders.iter().map(neighbours).collect::<Vec<_>>(), 2.0)
}

/// Orders of following seeds, or of following epochs, know nothing of each other.
fn match_deviation(orders: &[Vec<u32>]) -> f64 {
    let matches = |pair: &[Vec<u32>]| count(pair[0].iter().zip(&pair[1]).map(|(one, other)| one == other));
    poisson_deviation(&orders.windows(2).map(matches).collect::<Vec<_>>(), 1.0)
}

/// The sum of distances between sample and place: mean and variance by Diaconis and Graham, "Spearman's
/// footrule as a measure of disarray", 1977.
fn displacement_deviation(orders: &[Vec<u32>]) -> f64 {
    let n = f64::from(LEN);
    let sums = orders.iter().map(|order| {
        let distances = order.iter().zip(0u32..).map(|(&sample, place)| sample.abs_diff(place));
        f64::from(distances.sum::<u32>())
    });
    let variance = (n + 1.0) * (2.0 * n * n + 7.0) / 45.0;
    mean_deviation(&sums.collect::<Vec<_>>(), (n * n - 1.0) / 3.0, variance)
}

/// How often a smaller sample follows a larger one: Euler's numbers have this mean and variance.
fn descent_deviation(orders: &[Vec<u32>]) -> f64 {
    let n = f64::from(LEN);
    let descents =
        orders.iter().map(|order| f64::from(count(order.windows(2).map(|pair| pair[0] > pair[1]))));
    mean_deviation(&descents.collect::<Vec<_>>(), (n - 1.0) / 2.0, (n + 1.0) / 12.0)
}

/// Half of all orders are an odd number of swaps away from the sorted one.
fn odd_deviation(orders: &[Vec<u32>]) -> f64 {
    let odd = orders.iter().map(|order| if is_odd(order) { 1.0 } else { 0.0 });
    mean_deviation(&odd.collect::<Vec<_>>(), 0.5, 0.25)
}

fn is_odd(order: &[u32]) -> bool {
    let mut seen = vec![false; order.len()];
    let mut cycle_count = 0;
    for start in 0..order.len() {
        cycle_count += usize::from(!seen[start]);
        let mut place = start;
        while !std::mem::replace(&mut seen[place], true) {
            place = order[place] as usize;
        }
    }
    (order.len() - cycle_count) % 2 == 1
}

/// The correlation of samples `lag` places apart, round the end. Its mean over fair orders is exactly
/// -1 / (len - 1), its variance 1 / len to within a hundredth (Wald and Wolfowitz, 1943).
fn correlation_deviation(orders: &[Vec<u32>], lag: usize) -> f64 {
    let n = f64::from(LEN);
    let centred = |&sample: &u32| f64::from(sample) - (n - 1.0) / 2.0;
    let correlations = orders.iter().map(|order| {
        let others = order.iter().cycle().skip(lag).map(centred);
        let products = order.iter().map(centred).zip(others).map(|(one, other)| one * other);
        products.sum::<f64>() / (n * (n * n - 1.0) / 12.0)
    });
    mean_deviation(&correlations.collect::<Vec<_>>(), -1.0 / (n - 1.0), 1.0 / n)
}

/// From the sample at the first place to the one `lag` places on, each of the 999 steps comes equally
/// often; they are counted in 37 classes of 27.
fn step_deviation(orders: &[Vec<u32>], lag: usize) -> f64 {
    let mut counts = [0; 37];
    for order in orders {
        let step = (order[lag] + LEN - order[0]) % LEN;
        counts[(step - 1) as usize / 27] += 1;
    }
    uniform_deviation(&counts)
}

/// Each fiftieth of the samples lies at `place` equally often.
fn place_deviation(orders: &[Vec<u32>], place: usize) -> f64 {
    let mut counts = [0; 50];
    for order in orders {
        counts[order[place] as usize / 20] += 1;
    }
    uniform_deviation(&counts)
}

/// How often the commonest difference of samples comes between places any one distance apart.
fn largest_difference_count(order: &[u32]) -> u32 {
    let len = order.len();
    let largest_at = |distance: usize| {
        let mut counts = vec![0; len];
        for (place, &sample) in order.iter().enumerate() {
            let other = order[(place + distance) % len];
            counts[(other as usize + len - sample as usize) % len] += 1;
        }
        counts.into_iter().max()
    };
    (1..len).filter_map(largest_at).max().unwrap_or(0)
}

fn count(events: impl Iterator<Item = bool>) -> u32 {
    events.map(u32::from).sum()
}
