//! In which order samples are taken: shuffle, epoch, position
