//! What a loader has chosen and why, in words.

use std::fmt::Write;

use npyfeed_sampler::Order;

use crate::figures::{grouped, size};
use crate::plan::{PREFETCH_BYTES, Plan};
use crate::stats::Stats;

/// The choices of a plan, a line each, of which batches are filled `depth` ahead by now; then what `stats` say.
pub(crate) fn explain(plan: &Plan, depth: usize, stats: &Stats) -> String {
    let mut lines = vec![
        format!("batches   {}", batches(plan)),
        format!("threads   {}", threads(plan)),
        format!("prefetch  {}", prefetch(plan, depth)),
    ];
    for (column, spec) in plan.columns.iter().zip(&plan.specs) {
        let row = &column.region.row;
        lines.push(format!(
            "column    {}: {} {:?} of '{}' to {} {:?}",
            spec.name,
            row.dtype(),
            row.shape(),
            column.rows.name(),
            spec.dtype,
            spec.shape
        ));
        lines.push(format!("          {}", column.choice.told()));
        lines.push(format!("          {}", column.way()));
    }
    lines.push(format!("verdict   {}", stats.verdict()));
    lines.join("\n")
}

fn batches(plan: &Plan) -> String {
    let order = match &plan.options.order {
        Order::Sequential => "in the order of the dataset",
        Order::Shuffled => "shuffled",
        Order::BlockShuffled(_) => "shuffled in blocks",
        Order::Weighted(_) => "drawn by weight",
        Order::ClassBalanced(_) => "drawn with balanced classes",
        Order::Explicit(_) => "as listed",
    };
    let (count, size) = (grouped(plan.batches.count()), plan.options.batch_size);
    let mut said = format!("{count} an epoch, of {size} samples {order}");
    if let Some((rank, world_size)) = plan.options.shard {
        let _ = write!(said, ", the share of rank {rank} of {world_size}");
    }
    said
}

fn threads(plan: &Plan) -> String {
    let why = match plan.options.threads {
        Some(_) => "as asked for",
        None => "one for each processor that this process may use",
    };
    format!("{}: {why}", plan.threads)
}

fn prefetch(plan: &Plan, depth: usize) -> String {
    let most = plan.prefetch.most;
    let why = match (plan.options.prefetch, plan.options.memory_bytes) {
        (Some(_), _) => return format!("{depth} batches: as asked for"),
        (None, Some(memory_bytes)) => format!("as many as memory={} holds", grouped(memory_bytes as u64)),
        (None, None) => format!("as many as {} hold, two at least", size(PREFETCH_BYTES as u64)),
    };
    format!("{depth} batches by now, {most} at most if need be: {why}")
}
