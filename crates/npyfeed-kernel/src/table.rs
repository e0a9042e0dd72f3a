//! Sources of one byte: the plain loop answers each of the 256 values once, when the kernel is made.

use bytemuck::Pod;

use crate::moves::Run;
use crate::pass::{Pass, Step};
use crate::plain;

/// The answer for every byte: `[channel, 256]`, or fewer channels where they repeat.
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

/// Tables of more channels (a clip of a thousand frames, each normalised) would not fit the cache.
const CHANNELS_LIMIT: usize = 1024;

impl Table {
    /// `None` unless the elements of the source are single bytes, and channels few.
    pub(crate) fn of(pass: &Pass) -> Option<Table> {
        let channels = distinct_channels(pass);
        if pass.source.item_bytes() != 1 || channels > CHANNELS_LIMIT {
            return None;
        }
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
        let planes = slot.chunks_exact_mut((pass.pixels * pass.output.item_bytes()).max(1));
        for (channel, plane) in planes.enumerate() {
            self.fill_run(pass, sample, &Run::of(pass, channel, 0..pass.pixels), plane);
        }
    }

    /// Fills `output` with a run of the sample.
    pub(crate) fn fill_run(&self, pass: &Pass, sample: &[u8], run: &Run, output: &mut [u8]) {
        let bytes = (run.source(pass, sample), pass.source_step());
        match &self.0 {
            Answers::One(answers) => look_up(channel_answers(answers, run.channel), bytes, output),
            Answers::Two(answers) => look_up(channel_answers(answers, run.channel), bytes, output),
            Answers::Four(answers) => look_up(channel_answers(answers, run.channel), bytes, output),
            Answers::Eight(answers) => look_up(channel_answers(answers, run.channel), bytes, output),
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

/// After how many channels their treatment repeats.
pub(crate) fn distinct_channels(pass: &Pass) -> usize {
    let counts = pass.steps.iter().map(|step| match step {
        Step::Cast(_) | Step::Clip { .. } => 1,
        Step::Multiply(numbers) | Step::Divide(numbers) | Step::Subtract(numbers) => numbers.len(),
    });
    let (least, most) = counts.fold((usize::MAX, 1), |(least, most), count| match count {
        1 => (least, most),
        several => (least.min(several), most.max(several)),
    });
    // Steps of unlike periods repeat together after all channels at the latest.
    if least == usize::MAX || least == most { most } else { pass.channels }
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
    let first = channel * BYTE_VALUES % answers.len();
    &answers[first..first + BYTE_VALUES]
}

/// Elements are the bytes `step` apart.
fn look_up<Bits: Pod>(answers: &[Bits], (bytes, step): (&[u8], usize), output: &mut [u8]) {
    let answer = |(to, &byte): (&mut [u8], &u8)| {
        to.copy_from_slice(bytemuck::bytes_of(&answers[usize::from(byte)]));
    };
    let elements = output.chunks_exact_mut(size_of::<Bits>());
    if step == 1 {
        elements.zip(bytes).for_each(answer);
    } else {
        elements.zip(bytes.iter().step_by(step)).for_each(answer);
    }
}
