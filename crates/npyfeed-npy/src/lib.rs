//! What the bytes of an .npy file mean: header, descr, and how to write them
