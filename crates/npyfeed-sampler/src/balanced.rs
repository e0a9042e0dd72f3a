//! Orders in which every class comes equally often.

use std::sync::Arc;

use crate::key::hash_words;
use crate::order_error::check_epoch_len;
use crate::{Key, OrderError, Purpose, Shuffle};

/// Which samples belong to which class, for epochs in which all classes come equally often.
///
/// An epoch goes in rounds. In each round every class comes once, in an order of its own, so that a batch
/// whose size is a multiple of the number of classes has exactly as many samples of each, wherever it
/// begins at a round. Each class gives its samples in shuffled passes: all of them once, then all again in
/// another order. A rare class comes round many times, a frequent one shows part of its samples, others in
/// each epoch; within an epoch, the samples of one class come equally often to within one.
///
/// An epoch has as many rounds as are needed to reach the number of samples, unless its length is given.
/// That is the length that users give PyTorch's `WeightedRandomSampler` with weights `1 / count(class)`,
/// the usual recipe. There classes come equally often on average only, and of a class of mean size a third
/// of the samples is left out, since others come twice. imblearn's `RandomOverSampler` is the length
/// `classes * largest class`, its `RandomUnderSampler` `classes * smallest class`.
///
/// It holds 8 bytes a sample.
///
/// ```
/// use npyfeed_sampler::{ClassBalanced, EpochOrder, Order};
///
/// let labels = [7, 7, 7, 7, 7, 7, 7, 2];
/// let order = Order::ClassBalanced(ClassBalanced::new(&labels, None)?);
/// let mut samples = [0; 8];
/// EpochOrder::new(&order, 8, 0, 0).fill(0, &mut samples);
/// assert_eq!(samples.iter().filter(|&&sample| labels[sample as usize] == 2).count(), 4);
/// # Ok::<(), npyfeed_sampler::OrderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClassBalanced {
    /// The samples, those of each class together, in the order of the labels.
    members: Arc<[u64]>,
    /// Where each class begins in `members`, and where the last ends.
    starts: Arc<[u64]>,
    epoch_len: u64,
    hash: u64,
}

/// The order of one epoch.
#[derive(Clone, Debug)]
pub(crate) struct BalancedOrder {
    classes: ClassBalanced,
    rounds: Key,
    passes: Key,
}

impl ClassBalanced {
    /// The classes of samples with these labels: equal labels, same class. `epoch_len` is how many samples an
    /// epoch takes; by default the number of samples, rounded up to whole rounds.
    ///
    /// # Errors
    /// [`OrderError`] if there are no labels, or `epoch_len` is 0 or beyond 2⁶².
    pub fn new(labels: &[u64], epoch_len: Option<u64>) -> Result<ClassBalanced, OrderError> {
        if labels.is_empty() {
            return Err(OrderError::NoLabels);
        }
        let mut members: Vec<u64> = (0..labels.len() as u64).collect();
        #[expect(clippy::cast_possible_truncation, reason = "an index into the labels")]
        let label = |sample: &u64| labels[*sample as usize];
        members.sort_by_key(label); // stable: the samples of a class stay in their order
        let mut starts = vec![0];
        for chunk in members.chunk_by(|one, other| label(one) == label(other)) {
            starts.push(starts[starts.len() - 1] + chunk.len() as u64);
        }
        let class_count = starts.len() as u64 - 1;
        let epoch_len = epoch_len.unwrap_or((labels.len() as u64).div_ceil(class_count) * class_count);
        check_epoch_len(epoch_len)?;
        // Not the labels themselves but what they part: renamed classes are the same order.
        let hash =
            hash_words([epoch_len].into_iter().chain(starts.iter().copied()).chain(members.iter().copied()));
        Ok(ClassBalanced { members: members.into(), starts: starts.into(), epoch_len, hash })
    }

    /// How many samples have a label.
    pub fn sample_count(&self) -> u64 {
        self.members.len() as u64
    }

    /// How many classes there are.
    pub fn class_count(&self) -> u64 {
        self.starts.len() as u64 - 1
    }

    /// How many samples an epoch takes.
    pub fn epoch_len(&self) -> u64 {
        self.epoch_len
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn order(&self, seed: u64, epoch: u64) -> BalancedOrder {
        BalancedOrder {
            classes: self.clone(),
            rounds: Key::new(seed, epoch, Purpose::Classes),
            passes: Key::new(seed, epoch, Purpose::Members),
        }
    }
}

impl BalancedOrder {
    pub(crate) fn fill(&self, start: u64, samples: &mut [u64]) {
        let class_count = self.classes.class_count();
        let mut round = start / class_count;
        let mut classes = self.classes_of(round);
        for (sample, place) in samples.iter_mut().zip(start..) {
            if place / class_count != round {
                round = place / class_count;
                classes = self.classes_of(round);
            }
            *sample = self.member(classes.at(place % class_count), round);
        }
    }

    /// The order of the classes in a round.
    fn classes_of(&self, round: u64) -> Shuffle {
        Shuffle::new(self.classes.class_count(), self.rounds.child(round))
    }

    /// The sample that `class` gives in `round`, where it comes for the `round`-th time.
    #[expect(clippy::cast_possible_truncation, reason = "indices into slices")]
    fn member(&self, class: u64, round: u64) -> u64 {
        let starts = &self.classes.starts[class as usize..][..2];
        let member_count = starts[1] - starts[0];
        let pass = Shuffle::new(member_count, self.passes.child(class).child(round / member_count));
        self.classes.members[(starts[0] + pass.at(round % member_count)) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long tail: 100 samples of one class, 10 of another, 3, and 1.
    fn labels() -> Vec<u64> {
        (0..114).map(|sample| u64::from(sample % 10 == 9) + 4 * u64::from(sample > 110)).collect()
    }

    fn samples(classes: &ClassBalanced, epoch: u64) -> Vec<usize> {
        let mut samples = vec![0; usize::try_from(classes.epoch_len()).unwrap()];
        classes.order(0, epoch).fill(0, &mut samples);
        samples.into_iter().map(|sample| usize::try_from(sample).unwrap()).collect()
    }

    #[test]
    fn each_round_has_each_class_once_and_each_class_shows_its_samples_equally_often() {
        let labels = labels();
        let classes = ClassBalanced::new(&labels, Some(4 * 250 * 3)).unwrap();
        let class_count = usize::try_from(classes.class_count()).unwrap();
        let samples = samples(&classes, 3);
        for round in samples.chunks_exact(class_count) {
            let mut seen: Vec<u64> = round.iter().map(|&sample| labels[sample]).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), class_count);
        }
        let mut counts = vec![0usize; labels.len()];
        for &sample in &samples {
            counts[sample] += 1;
        }
        for (sample, &count) in counts.iter().enumerate() {
            let member_count = labels.iter().filter(|&&label| label == labels[sample]).count();
            let fair = samples.len() / class_count / member_count;
            assert!(count == fair || count == fair + 1, "sample {sample} came {count} times, fair is {fair}");
        }
    }

    #[test]
    fn epochs_differ_and_by_default_are_about_as_long_as_the_dataset() {
        let classes = ClassBalanced::new(&[5, 5, 5, 9, 5, 1, 5], None).unwrap();
        assert_eq!((classes.class_count(), classes.epoch_len()), (3, 9));
        assert_ne!(samples(&classes, 0), samples(&classes, 1));
    }

    #[test]
    fn without_labels_there_is_no_order() {
        assert_eq!(ClassBalanced::new(&[], None).unwrap_err(), OrderError::NoLabels);
        let error = ClassBalanced::new(&[1], Some(0)).unwrap_err();
        assert_eq!(error, OrderError::LengthOutOfRange { epoch_len: 0 });
    }

    #[test]
    fn renamed_classes_are_the_same_order() {
        let hash = |labels: &[u64]| ClassBalanced::new(labels, None).unwrap().hash();
        assert_eq!(hash(&[3, 3, 8]), hash(&[0, 0, 1]));
        assert_ne!(hash(&[3, 3, 8]), hash(&[3, 8, 8]));
    }
}
