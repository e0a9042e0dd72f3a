//! Sources of one byte: the plain loop answers each of the 256 values once, when the kernel is made.

use bytemuck::Pod;

use crate::pass::{Pass, Step};
use crate::plain;

/// The answer for every byte: `[channel, 256]`, or `[1, 256]` where all channels are treated alike.
#[derive(Debug)]
pub(crate) struct Table(Answers);

/// Answers as bits, by the size of the output.
#[derive(Debug)]
enum Answers {
    One(Vec<u8>),
    Two(Vec<u16>),
    Four(Vec<u32>),
    Eight(Vec<u64>),
}

const BYTE_VALUES: usize = 256;

impl Table {
    /// `None` unless the elements of the source are single bytes.
    pub(crate) fn of(pass: &Pass) -> Option<Table> {
        if pass.source.item_bytes() != 1 {
            return None;
        }
        let channels = if treats_channels_alike(pass) { 1 } else { pass.channels };
        let answers = match pass.output.item_bytes() {
            1 => Answers::One(ask(pass, channels)),
            2 => Answers::Two(ask(pass, channels)),
            4 => Answers::Four(ask(pass, channels)),
            _ => Answers::Eight(ask(pass, channels)),
        };
        Some(Table(answers))
    }

    /// Fills `slot` with the sample.
    pub(crate) fn fill(&self, pass: &Pass, sample: &[u8], slot: &mut [u8]) {
        match &self.0 {
            Answers::One(answers) => look_up(answers, pass, sample, slot),
            Answers::Two(answers) => look_up(answers, pass, sample, slot),
            Answers::Four(answers) => look_up(answers, pass, sample, slot),
            Answers::Eight(answers) => look_up(answers, pass, sample, slot),
        }
    }

    /// The 256 answers of one channel, if they are four bytes each.
    pub(crate) fn four_byte_answers(&self, channel: usize) -> Option<&[u32]> {
        match &self.0 {
            Answers::Four(answers) => Some(channel_answers(answers, channel)),
            Answers::One(_) | Answers::Two(_) | Answers::Eight(_) => None,
        }
    }
}

/// Whether no step has a number for each channel.
pub(crate) fn treats_channels_alike(pass: &Pass) -> bool {
    pass.steps.iter().all(|step| match step {
        Step::Cast(_) => true,
        Step::Multiply(numbers) | Step::Divide(numbers) | Step::Subtract(numbers) => numbers.len() == 1,
    })
}

fn ask<Bits: Pod>(pass: &Pass, channels: usize) -> Vec<Bits> {
    let mut answers = vec![Bits::zeroed(); channels * BYTE_VALUES];
    for (channel, answers) in answers.chunks_exact_mut(BYTE_VALUES).enumerate() {
        for (byte, answer) in (0..=u8::MAX).zip(answers) {
            plain::element(pass, channel, &[byte], bytemuck::bytes_of_mut(answer));
        }
    }
    answers
}

fn channel_answers<Bits>(answers: &[Bits], channel: usize) -> &[Bits] {
    let first = if answers.len() == BYTE_VALUES { 0 } else { channel * BYTE_VALUES };
    &answers[first..first + BYTE_VALUES]
}

fn look_up<Bits: Pod>(answers: &[Bits], pass: &Pass, sample: &[u8], slot: &mut [u8]) {
    let item_bytes = size_of::<Bits>();
    let planes = slot.chunks_exact_mut((pass.pixels * item_bytes).max(1));
    for (channel, plane) in planes.enumerate() {
        let answers = channel_answers(answers, channel);
        let bytes = sample[pass.source_index(channel, 0)..].iter().step_by(pass.source_step());
        for (to, &byte) in plane.chunks_exact_mut(item_bytes).zip(bytes) {
            to.copy_from_slice(bytemuck::bytes_of(&answers[usize::from(byte)]));
        }
    }
}
