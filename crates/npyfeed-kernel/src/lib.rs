//! Gather and transform, fused: the loops that fill batches
